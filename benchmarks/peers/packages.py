"""The other libraries: those that are not installed do not take part, and that is said."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PACKAGES = (
    "aiodataloader==0.4.3",
    "strawberry-graphql==0.341.2",
    "pydantic-resolve==6.3.0",
    "pydantic>=2.9",
    "sqlalchemy[asyncio]>=2.0.40",
    "aiosqlite>=0.20",
    "asyncpg>=0.30",
    "asyncmy>=0.2.10",
    "redis[hiredis]>=8.0",
    "cashews==7.6.0",
    "aiocache==0.12.3",
    "uvloop>=0.21; sys_platform != 'win32'",
)
OLD_DLOADER = Path(sys.prefix) / "dloader-2025.7"
"""Where ``pip install --target`` puts dloader 2025.7, whose import name is ours."""

missing: dict[str, str] = {}
"""Which peers could not be loaded, and why."""


def load(name: str) -> ModuleType | None:
    """Import a peer's module, or note that it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing[name.partition(".")[0]] = str(error)
        return None


def old_dloader() -> ModuleType | None:
    """Import dloader 2025.7 under the name ``dloader_2025``."""
    name, folder = "dloader_2025", OLD_DLOADER / "dloader"
    if name in sys.modules:
        return sys.modules[name]
    if not folder.is_dir():
        missing["dloader 2025.7"] = f"not in {OLD_DLOADER}"
        return None
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def versions() -> dict[str, str]:
    """The installed versions of everything that takes part."""
    found = {"dloader (old)": "2025.7"} if OLD_DLOADER.is_dir() else {}
    for package in PACKAGES:
        name = package.partition(";")[0].partition("[")[0].partition("=")[0].partition(">")[0]
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
