"""The file of a recording: loader, key, value; sorted, so that what has changed is a few lines of a diff."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, final

from dloader import DloaderError, OptionError
from dloader._printed import inert

__all__ = ("NotRecordedError", "Tape")

FORMAT = "dloader recording 1"
NUMBERS = re.compile(r"([0-9]+)")


class NotRecordedError(DloaderError, LookupError):
    """A recording does not have a key that is asked for: see `recorded`."""


@final
class Tape:
    """One file; lives as long as the block that records it, or is answered from it."""

    def __init__(self, path: Path, *, is_new: bool) -> None:
        self._path = path
        self.is_new = is_new
        """Whether it is being recorded."""
        self._loaders: dict[str, dict[str, Any]] = {} if is_new else _read(path)

    def put(self, loader: str, key: str, written: object) -> None:
        """Note a value.

        Raises:
            OptionError: There is another one for the key.
        """
        values = self._loaders.setdefault(loader, {})
        if values.setdefault(key, written) != written:
            raise OptionError("there are two different values, and a recording holds one")

    def get(self, loader: str, key: str) -> Any:
        """A value that was noted.

        Raises:
            NotRecordedError: There is none; the nearest keys are named.
        """
        if loader not in self._loaders:
            raise NotRecordedError(self._lacks(f"loader {loader}", f"loader {loader}", list(self._loaders)))
        values = self._loaders[loader]
        if key not in values:
            raise NotRecordedError(self._lacks(f"key {key} of {loader}", key, list(values)))
        return values[key]

    def _lacks(self, what: str, name: str, known: list[str]) -> str:
        near = get_close_matches(name, known, n=3, cutoff=0.0)
        nearest = f"; the nearest there are {', '.join(near)}" if near else "; there is none"
        return inert(f"{self._path} has no {what}{nearest}. To record anew: DLOADER_RECORD=all")

    def save(self) -> None:
        """Write the file, all of it or nothing."""
        loaders = {
            loader: dict(sorted(values.items(), key=lambda item: _in_order(item[0])))
            for loader, values in sorted(self._loaders.items())
        }
        text = json.dumps({"format": FORMAT, "loaders": loaders}, indent=1, ensure_ascii=False)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        unfinished.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
        unfinished.replace(self._path)


def _in_order(key: str) -> list[Any]:
    """9 before 10."""
    return [int(part) if index % 2 else part for index, part in enumerate(NUMBERS.split(key))]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        given: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OptionError(f"{path} was not recorded, and DLOADER_RECORD=none does not allow it") from error
    except ValueError as error:
        raise OptionError(f"{path} is no recording: it is not JSON") from error
    if not isinstance(given, Mapping) or cast(Mapping[str, Any], given).get("format") != FORMAT:
        raise OptionError(f"{path} is no recording that dloader has written: its format is not {FORMAT!r}")
    loaders: Any = cast(Mapping[str, Any], given).get("loaders")
    if not isinstance(loaders, dict) or not all(
        isinstance(values, dict) for values in cast(dict[str, Any], loaders).values()
    ):
        raise OptionError(
            f"{path} is no recording that dloader has written: `loaders` has no keys and values for each loader. "
            f"To record anew: DLOADER_RECORD=all"
        )
    return cast(dict[str, dict[str, Any]], loaders)
