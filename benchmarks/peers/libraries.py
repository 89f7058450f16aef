"""dloader and pydantic-resolve behind one set of names, so that the same models serve both."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import dloader
import dloader.resolver

from benchmarks.peers import packages as peers


class Library(NamedTuple):
    """What the models need of a resolver library."""

    name: str
    Resolver: Any
    Depends: Any
    DataLoader: Any
    build_list: Any
    build_object: Any
    Collector: Any
    SendTo: Any

    async def resolve(self, roots: Any) -> Any:
        """Fill a tree."""
        return await self.Resolver().resolve(roots)


_ours = dloader.resolver
DLOADER = Library(
    "dloader", _ours.Resolver, _ours.LoaderDepend, dloader.DataLoader,
    _ours.build_list, _ours.build_object, _ours.Collector, _ours.SendTo,
)  # fmt: skip


def pydantic_resolve() -> Library | None:
    """pydantic-resolve with the loader that it uses, if they are installed."""
    module, loaders = peers.load("pydantic_resolve"), peers.load("aiodataloader")
    if module is None or loaders is None:
        return None
    return Library(
        "pydantic-resolve", module.Resolver, module.Loader, loaders.DataLoader,
        module.build_list, module.build_object, module.Collector, module.SendTo,
    )  # fmt: skip


def moved() -> Library | None:
    """What takes the place of pydantic-resolve and aiodataloader when the import lines of a program change.

    Only beside these, and not in a checkout that is older than it.
    """
    module = peers.load("dloader.compat.pydantic_resolve") if pydantic_resolve() else None
    loaders = peers.load("dloader.compat.aiodataloader")
    if module is None or loaders is None:
        return None
    return Library(
        "pydantic-resolve, import changed", module.Resolver, module.Loader, loaders.DataLoader,
        module.build_list, module.build_object, module.Collector, module.SendTo,
    )  # fmt: skip


def publish(model: Any) -> Any:
    """Let a class be found by its name, as those of real programs are: dloader keeps their plans."""
    model.__qualname__ = model.__qualname__.replace(".<locals>.", "_") + f"_{id(model)}"
    setattr(sys.modules[model.__module__], model.__qualname__, model)
    return model
