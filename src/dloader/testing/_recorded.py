"""recorded: what loaders load, written to a file once, and answered from it in later runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, cast, final

from dloader import DataLoader, Instrument, OptionError, watch
from dloader._text import shorten
from dloader.instruments import BatchRecord
from dloader.lowlevel import call_batch_function, parameters_of
from dloader.testing._tape import NotRecordedError, Tape
from dloader.testing._values import Values, key_in_words

__all__ = ("recorded",)

MODES = ("once", "all", "none")
_here: ContextVar[Tape | None] = ContextVar("dloader_recorded", default=None)


class recorded:  # noqa: N801 - reads as an adjective: with recorded("feed.json")
    """Write what the loaders in a block load to a file, the first time; later answer from the file.

    Only the batch functions are replaced, and only for the block: batching, dispatch and cache are the real ones. The
    file is JSON for people to read: loader, key, value, sorted. **It has all that was loaded in it**, which may be
    personal data. ``with`` and ``async with`` do the same.

    The environment variable ``DLOADER_RECORD`` says what happens: ``once`` (the default) records where there is no
    file, ``all`` records anew, ``none`` never does, as for CI. Nothing is written when the block raises.

    Values are written as they are where they are plain JSON (or dates, decimals, UUIDs, bytes, tuples in it), all
    others by the type that the loader declares, ``DataLoader[int, User]``, with Pydantic. Rows of `dloader.sqlalchemy`
    are written as their columns, and are rows again; entities of an ORM are refused.

    Args:
        path: The file.

    Raises:
        OptionError: ``DLOADER_RECORD`` or the file is something else; or, in who loads, a value cannot be written.
        NotRecordedError: In who loads: the file does not have the key. The message names the nearest.

    Example:
        >>> import asyncio, tempfile
        >>> from dloader import DataLoader
        >>> async def load_users(ids):
        ...     print("loading", ids)
        ...     return [f"user {id}" for id in ids]
        >>> async def feed():
        ...     with recorded(path):
        ...         return await DataLoader(load_users).load_many([1, 2])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/feed.json"
        ...     asyncio.run(feed()), asyncio.run(feed())
        loading [1, 2]
        (['user 1', 'user 2'], ['user 1', 'user 2'])
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._open: list[tuple[_Swap, watch, Tape | None]] = []

    def __enter__(self) -> None:
        """Begin."""
        mode = os.environ.get("DLOADER_RECORD") or "once"
        if mode not in MODES:
            raise OptionError(f"DLOADER_RECORD takes {', '.join(MODES)}, not {mode!r}")
        tape = Tape(self._path, is_new=mode == "all" or (mode == "once" and not self._path.exists()))
        swap = _Swap(tape)
        watching = watch(swap)
        watching.__enter__()
        self._open.append((swap, watching, _here.get()))
        _here.set(tape)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the batch functions back, and write the file."""
        swap, watching, before = self._open.pop()
        _here.set(before)
        watching.__exit__(kind, error, traceback)
        swap.undo()
        if error is None and swap.tape.is_new:
            swap.tape.save()

    async def __aenter__(self) -> None:
        """Do what ``with`` does."""
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do what ``with`` does."""
        self.__exit__(kind, error, traceback)


@final
class _Swap(Instrument):
    """Replaces the batch functions of the loaders that are used in a block; lives as long as that."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._originals: dict[DataLoader[Any, Any], Any] = {}
        """Of each loader the function that it was given; None where the class has it."""
        self._names: dict[str, list[object]] = {}
        """Which classes or functions go by a name: the second one is another loader."""

    def record_opened(self, record: BatchRecord, /) -> None:
        """See `Instrument.record_opened`."""
        loader = cast(DataLoader[Any, Any], record.loader)
        if loader not in self._originals:
            original: Any = loader.load_fn
            self._originals[loader] = vars(loader).get("load_fn")
            name = self._name(loader, original if type(loader) is DataLoader else type(loader))
            loader.load_fn = _answering(loader, original, name, self.tape)

    def _name(self, loader: DataLoader[Any, Any], source: object) -> str:
        values = {name: getattr(loader, name, None) for name in parameters_of(type(loader))}
        plain = {name: value for name, value in values.items() if isinstance(value, (str, int))}
        given = ", ".join(f"{name}={value!r}" for name, value in plain.items())
        name = f"{loader.name}({given})" if given else loader.name
        sources = self._names.setdefault(name, [])
        if source not in sources:
            sources.append(source)
        number = sources.index(source)
        return f"{name} #{number + 1}" if number else name

    def undo(self) -> None:
        """Give all loaders their batch functions back."""
        for loader, original in self._originals.items():
            if original is None:
                del loader.load_fn
            else:
                loader.load_fn = original


def _answering(
    loader: DataLoader[Any, Any], original: Any, name: str, tape: Tape
) -> Callable[[list[Any]], Any]:
    values = Values(loader, original)

    @wraps(original)
    async def answer(keys: list[Any]) -> Sequence[Any]:
        if _here.get() is not tape:  # others use the loader at the same time
            return await call_batch_function(loader, original, keys)
        if not tape.is_new:
            return [_played(key) for key in keys]
        wanted = list(keys)
        found = await call_batch_function(loader, original, keys)
        for key, value in zip(wanted, found, strict=True):
            try:
                tape.put(name, key_in_words(key), values.write(value))
            except OptionError as error:
                raise OptionError(
                    f"recorded() cannot write {shorten(value)}, which {name} gave for key {shorten(key)}: {error}"
                ) from error
        return found

    def _played(key: Any) -> Any:
        try:
            return values.read(tape.get(name, key_in_words(key)))
        except NotRecordedError as error:
            return error

    return answer
