"""LoaderRegistry: the loaders of one request."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from dloader._core._limit import Limit
from dloader._core._loader import DataLoader
from dloader._core._types import BatchFunction, K, V
from dloader._params import GivenParams, make_loader_with
from dloader._sources import StandIn, identity_of
from dloader._text import shorten
from dloader.errors import LoaderClosedError, OptionError
from dloader.instruments import Instrument
from dloader.lowlevel import (
    checked_instruments,
    close_now,
    close_to_others,
    close_together,
    drain_together,
    finish_stored,
    is_inside_batch,
    keep_in_store,
    share_limit,
)

if TYPE_CHECKING:
    from dloader._stored._guard import Guard
    from dloader.store import Store

__all__ = ("LoaderRegistry",)

_LISTENS_AFTER = 0.5
"""Seconds after which a loader of a request listens to what other processes clear: most requests are over by then."""

L = TypeVar("L", bound=DataLoader[Any, Any])


class LoaderRegistry:
    """Makes each loader once and keeps it; lives as long as a request, and closes its loaders with it.

    A `Resolver` that is given a registry takes its loaders from it, so that everything in one request shares batches
    and caches.

    A *source* is what a loader is made of: a `DataLoader` subclass or a batch function. It is told by the object
    itself, never by its name; sources that are equal are one, as bound methods of one object are. So are two
    ``functools.partial`` of one function with equal arguments, and ``Users[str]`` is ``Users``.

    Parameters of loaders are given to the registry: an annotation without a value in a loader class is a parameter,
    which is set on its loaders before they load.

    Example:
        >>> import asyncio
        >>> class UserLoader(DataLoader[int, str]):
        ...     tenant: str
        ...     async def batch_load_fn(self, keys):
        ...         return [f"user {key} of {self.tenant}" for key in keys]
        >>> async def handle_request():
        ...     async with LoaderRegistry(params={"tenant": "blue"}) as loaders:
        ...         assert loaders.get(UserLoader) is loaders.get(UserLoader)
        ...         user = await loaders.get(UserLoader).load(1)
        ...         print(loaders)
        ...         return user
        >>> asyncio.run(handle_request())
        loader      batches  keys  hits
        UserLoader        1     1     0
        'user 1 of blue'
    """

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        loader_params: Mapping[Any, Mapping[str, Any]] | None = None,
        instruments: Iterable[Instrument] = (),
        max_concurrency: int | Limit | None = None,
        store: Store | None = None,
        store_namespace: object = None,
    ) -> None:
        """Make a registry.

        Args:
            params: Values for parameters of loaders, by name: every loader that declares a parameter of the name gets
                the value, which is checked against the annotation when the loader is made. One that no loader wants is
                no error.
            loader_params: For loader classes, values for their own parameters; they go before ``params``.
            instruments: Hooks that watch all its loaders.
            max_concurrency: How many batches all its loaders together run at once; a `Limit` may be shared further.
                What a loader's own ``max_concurrency`` says holds as well.
            store: A second-level cache, for those of its loaders whose classes have ``store_ttl``; see `dloader.store`.
            store_namespace: What the values of all its loaders depend on beside their parameters, the tenant say: in
                the store they share nothing with those of another.

        Raises:
            OptionError: An argument cannot be used.
            LoaderParamError: ``loader_params`` names a parameter that its class does not have.
        """
        self._params = GivenParams(params, loader_params)
        self._instruments = checked_instruments("LoaderRegistry(instruments=)", instruments)
        self._limit = _limit(max_concurrency)
        self._store = store
        self._namespace = store_namespace
        if store is not None:
            from dloader._stored._guard import check_store  # noqa: PLC0415 - as a loader's store

            check_store("LoaderRegistry(store=)", store)
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}
        """By source."""
        self._replaced: list[DataLoader[Any, Any]] = []
        """Closed loaders whose batches may still be cleaning up."""
        self._closed = self._is_draining = False

    @overload
    def get(self, source: type[L], /) -> L: ...
    @overload
    def get(self, source: StandIn[L], /) -> L: ...
    @overload
    def get(self, source: BatchFunction[K, V], /) -> DataLoader[K, V]: ...
    def get(self, source: object, /) -> DataLoader[Any, Any]:
        """Return the loader of a loader class or batch function, made on first use.

        Args:
            source: A `DataLoader` subclass that can be made without arguments, a batch function, or what another part
                of dloader has in the place of loader classes, a relationship of mapped classes say.

        Raises:
            OptionError: `source` is neither.
            LoaderParamError: A parameter that has no default was not given, or a value does not fit.
            LoaderClosedError: The registry was closed.
        """
        self._check_open()
        loader = self._loaders.get(identity_of(source))
        if loader is None:
            loader = self.add(source, make_loader_with(source, self._params.of(source)))
        return loader

    def params_of(self, source: object, /) -> Mapping[str, Any]:
        """Return the values that loaders of this source are given, checked.

        Raises:
            LoaderParamError: A value does not fit.
            LoaderClosedError: The registry was closed.
        """
        self._check_open()
        return self._params.of(source)

    def find(self, source: object, /) -> DataLoader[Any, Any] | None:
        """Return the loader of a class or function if it was made already; it may be closed."""
        return self._loaders.get(identity_of(source))

    def add(self, source: object, loader: L, /) -> L:
        """Use `loader`, primed or with options of its own, for a loader class or function.

        It is given no parameters; the registry's limit holds for it too, and its instruments watch it.

        A loader that it takes the place of is closed: who waits there gets a `LoaderClosedError`, and batches that run
        are cancelled, which `aclose` awaits. Without a running event loop that works too if the loader is idle.

        Returns:
            The loader that was added.

        Raises:
            OptionError: `loader` is none.
            WrongLoopError: The loader in its place has work on another event loop. It keeps the place.
            LoaderClosedError: The registry was closed.
        """
        self._check_open()
        if not _is_loader(loader):
            raise OptionError(f"LoaderRegistry.add() takes a source and its loader, not {shorten(loader)}")
        identity = identity_of(source)
        replaced, is_new = self._loaders.get(identity), loader not in self._loaders.values()
        self._loaders[identity] = loader
        if replaced is not None and replaced not in self._loaders.values():
            try:
                close_now(replaced, "was replaced in its registry")
            except BaseException:
                self._loaders[identity] = replaced
                raise
            self._replaced = [*(each for each in self._replaced if not each.is_idle), replaced]
        if is_new:
            self._adopt(loader)
        return loader

    def _adopt(self, loader: DataLoader[Any, Any]) -> None:
        """Do to a loader what is done to all."""
        for instrument in self._instruments:
            loader.add_instrument(instrument)
        if self._limit is not None:
            share_limit(loader, self._limit)
        if self._store is not None:
            keep_in_store(loader, self._store, self._namespace, _LISTENS_AFTER)
        if self._is_draining:
            close_to_others(loader)

    def clear_all(self) -> Self:
        """Forget what all loaders have cached, after a mutation say; see `DataLoader.clear_all`.

        Returns:
            The registry itself, for chaining.
        """
        for loader in self:
            loader.clear_all()
        return self

    def __iter__(self) -> Iterator[DataLoader[Any, Any]]:
        """Its loaders, each once, in the order in which they were made."""
        return iter(list(dict.fromkeys(self._loaders.values())))

    def __len__(self) -> int:
        """How many loaders it has."""
        return len(set(self._loaders.values()))

    def __bool__(self) -> bool:
        """True: a registry without loaders is one too."""
        return True

    def __contains__(self, source: object) -> bool:
        """Whether a loader of this source was made already."""
        return self.find(source) is not None

    async def aclose(self, *, drain: bool = False) -> None:
        """Close all loaders: all are marked first, then all running batches cancelled, then all awaited at once.

        Those who wait for a key get a `LoaderClosedError`, as nobody has cancelled them. (`DataLoader.shutdown` cancels
        them.) A batch that is being cancelled already is not cancelled again: its clean-up is awaited. Cancelling
        ``aclose`` stops the waiting at once. What is being written to a store, or deleted there, is finished.

        Args:
            drain: First finish what is open. Batch functions may load from any of the loaders meanwhile; nobody else.

        Raises:
            WrongLoopError: A loader has open work on another event loop. The others are closed.
        """
        self._closed, self._is_draining = True, drain
        if drain:
            await drain_together(self)
            self._is_draining = False
        every = [*self, *self._replaced]
        try:
            await close_together(every, "was closed with its registry")
        finally:
            await finish_stored(every)
            if self._store is not None:
                await self._guard(self._store).flush()

    async def __aenter__(self) -> Self:
        self._check_open()
        if self._store is not None:
            self._guard(self._store)  # from now on it is told what is outdated, whoever loaded it
        return self

    @staticmethod
    def _guard(store: Store) -> Guard:
        from dloader._stored._guard import guard_of  # noqa: PLC0415 - as a loader's store

        return guard_of(store)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _check_open(self) -> None:
        if self._closed and not (self._is_draining and is_inside_batch()):
            raise LoaderClosedError("this LoaderRegistry was closed with its request; make a new one")

    def __repr__(self) -> str:
        return f"LoaderRegistry({', '.join(map(repr, self))})"

    def __str__(self) -> str:
        """A table of the loaders: how many batches each has made, of how many keys, and how many keys were cached."""
        counts = [(loader.name, loader.statistics) for loader in self]
        if not counts:
            return "LoaderRegistry without loaders"
        rows = [(name, str(of.batches), str(of.keys), str(of.cache_hits)) for name, of in counts]
        rows.insert(0, ("loader", "batches", "keys", "hits"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                [
                    name.ljust(widths[0]),
                    *(n.rjust(width) for n, width in zip(numbers, widths[1:], strict=True)),
                ]
            )
            for name, *numbers in rows
        )


def _limit(given: int | Limit | None) -> Limit | None:
    return given if given is None or isinstance(given, Limit) else Limit(given)


def _is_loader(given: object) -> bool:
    return isinstance(given, DataLoader)
