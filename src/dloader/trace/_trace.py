"""Trace: what a recorded block has loaded, to be read, shown, saved and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from dloader.errors import OptionError
from dloader.trace._chrome import chrome_json
from dloader.trace._compare import compare
from dloader.trace._data import TraceData
from dloader.trace._page import page
from dloader.trace._reading import TraceReading
from dloader.trace._terminal import show

__all__ = ("Trace",)


class Trace(TraceReading):
    """What a block of code has loaded: made by `record`, or read from a file by `Trace.load`.

    While the block runs nothing can be read of it.

    Example:
        >>> import asyncio
        >>> from dloader import DataLoader
        >>> from dloader.trace import record
        >>> async def load_users(ids):
        ...     return [f"user {id}" for id in ids]
        >>> async def main():
        ...     users = DataLoader(load_users)
        ...     with record("two rounds") as trace:
        ...         await users.load_many([1, 2])
        ...         await users.load(3)
        ...     return trace
        >>> trace = asyncio.run(main())
        >>> trace.loads, trace.rounds, trace.summary()
        (3, 2, {'load_users': [2, 1]})
    """

    # -- shown and kept --------------------------------------------------------------------------------------

    def text(
        self, *, width: int = 80, color: bool = False, ascii_only: bool = False, verbose: bool = False
    ) -> str:
        """Return what `print` shows.

        Args:
            width: How many columns there are.
            color: Whether to use the terminal's colours, beside everything else that says the same.
            ascii_only: Whether the bars are made of ``-``, ``.``, ``#`` and ``x``.
            verbose: Whether to show each batch, however many there are.
        """
        return show(self, width=width, color=color, ascii_only=ascii_only, verbose=verbose)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Trace {self.title!r} loads={self.loads} batches={len(self.batches)} rounds={self.rounds}>"

    def as_json(self) -> dict[str, Any]:
        """Return plain data, as `save` writes it to a ``.json`` file."""
        return self.data.as_json()

    def compare(self, after: Trace) -> str:
        """Return a table of what is different in another trace of the same work."""
        return compare(self, after)

    def save(self, path: str | Path) -> Path:
        """Write the trace to a file.

        Args:
            path: It says what is written: ``.html`` one page that needs no network, ``.json`` all data, to be read
                by `Trace.load`, ``.chrome.json`` for Perfetto and Chrome's own viewer. Keys may be personal data, and
                stand in all of them: see ``record(keys=)``.

        Returns:
            Where it was written.

        Raises:
            OptionError: The name ends in something else.
        """
        target = Path(path)
        target.write_text(self._written_as(target.name), encoding="utf-8", errors="backslashreplace")
        return target

    def _written_as(self, name: str) -> str:
        if name.endswith(".chrome.json"):
            return chrome_json(self)
        if name.endswith(".json"):
            return json.dumps(self.as_json(), separators=(",", ":"), ensure_ascii=False)
        if name.endswith(".html"):
            return page(self)
        raise OptionError(f"Trace.save() writes .html, .json and .chrome.json, not {name!r}")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a trace that was saved as ``.json``.

        Raises:
            OptionError: It is something else.
            OSError: It cannot be read.
        """
        try:
            given: object = json.loads(Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise OptionError(f"{path} is no trace that dloader has written: it is not JSON") from error
        try:
            data = TraceData.from_json(given)
        except OptionError as error:
            raise OptionError(f"{path}: {error}") from error
        return cls(lambda: data)
