"""Laws of the core hold on every kind of loop, and on both ways through `DataLoader.load`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loops import KINDS, LoopRunner, watched_runner

from dloader import DataLoader


def check_every_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each load go the way that checks everything: `load` may do no more than write the common case out."""
    monkeypatch.setattr(DataLoader, "_dloader_update_fast_loop", lambda loader: None)


@pytest.fixture(params=[*KINDS, *(["checked"] if "asyncio" in KINDS else [])])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopRunner]:
    """As everywhere, and once more on asyncio with `check_every_load`."""
    if request.param == "checked":
        check_every_load(monkeypatch)
    yield from watched_runner("asyncio" if request.param == "checked" else request.param)
