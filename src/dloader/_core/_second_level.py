"""What a loader keeps in a store behind its cache: looked up before a batch function is called, written after it.

The store's own rules are in `dloader.store`. Here is what a batch makes of them: keys that are there are answered,
keys that are leased to this batch are loaded and written, keys that others load are waited for. Whatever the store
does, the batch gets its values: at worst from the source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, final
from weakref import ref

from dloader._core._fetch import not_awaitable
from dloader._core._hooks import tell_watchers
from dloader._core._results import in_order
from dloader._core._store_policy import StorePolicy
from dloader._core._stored_batch import Keeping, StoredBatch
from dloader._stored._generations import EVERY_GENERATION, generation_names, generations
from dloader._stored._guard import Guard, check_store, guard_of
from dloader._stored._kept import Kept
from dloader._stored._names import NoName, key_of
from dloader._stored._values import ABSENT, NOTHING, Values
from dloader.errors import MissingKeyError
from dloader.store import Store

if TYPE_CHECKING:
    from dloader._core._batch import Batch
    from dloader._core._cache import Cache
    from dloader._core._pending import Pending

__all__ = ("SecondLevel",)

AnyFunction: TypeAlias = Callable[[list[Any]], Any]


@final
class SecondLevel:
    """What one loader has in a store; lives as long as the loader, which owns it.

    Args:
        policy: What its class says.
        pending: What it loads.
        cache: What it remembers.
        store: The store.
        listens_after: After how many seconds it begins to hear what other processes clear.
    """

    __slots__ = (
        "__weakref__",
        "_cache",
        "_guard",
        "_listens",
        "_listens_after",
        "_partitions",
        "_pending",
        "_store",
        "_work",
        "hits",
        "policy",
    )

    def __init__(
        self,
        policy: StorePolicy,
        pending: Pending[Any, Any],
        cache: Cache,
        store: Store,
        listens_after: float,
    ) -> None:
        check_store(f"loader {policy.loader().name!r}: store", store)
        self.policy = policy
        self._pending = pending
        self._cache = cache
        self._store = store
        self._guard: Guard | None = None
        self._listens_after = listens_after
        self._listens: asyncio.TimerHandle | None = None
        self._partitions: dict[str, Hashable] = {}
        """By what names begin with, where keys are in partitions."""
        self._work: set[asyncio.Task[None]] = set()
        self.hits = 0
        """How many keys the store has answered."""

    # -- loading ---------------------------------------------------------------------------------------------

    async def load(self, batch: Batch[Any, Any], keys: list[Any], function: AnyFunction) -> Any:
        """Load the keys of a batch: those that the store does not have by the batch function.

        Returns:
            What the batch function returned, or values in the order of the keys.
        """
        policy, kept = self.policy, self.policy.kept
        ttl, mark, generation = policy.ttl, None, None
        if ttl is not None and kept is not None:
            mark = kept.mark()
            if mark is not None and all(map(kept.takes, keys)):
                generation = await self._generation(kept)
            ttl = None if generation is None else ttl
        if ttl is None:
            return await called(policy.loader(), function, keys)
        names = self._names(keys, list(batch.entries), generation)
        places = dict(zip(names, zip(keys, batch.result_keys, strict=True), strict=True))
        keeping = Keeping(policy.values(), ttl, lambda: kept is None or kept.mark() == mark)
        work = StoredBatch(self, self.guard(), keeping, places, partial(self._call, function))
        await work.fill()
        return [work.values[name] for name in names]

    async def _generation(self, kept: Kept) -> object | None:
        """That of what values are read from; None if the store does not tell, or more is wanted by now."""
        subjects = kept.subjects()
        found = await generations(self.guard(), subjects)
        now = self.policy.kept
        return None if now is None or now.subjects() != subjects else found

    async def _call(self, function: AnyFunction, places: Sequence[tuple[Any, Hashable]]) -> Sequence[Any]:
        """Call the batch function for some keys of a batch; values and errors come in their order."""
        loader = self.policy.loader()
        keys = [key for key, _ in places]
        values = await called(loader, function, keys[:])
        return in_order(loader.name, loader.default, keys, [cache_key for _, cache_key in places], values)

    def guard(self) -> Guard:
        """That of its store, on the loop that runs here."""
        guard = guard_of(self._store)
        if guard is not self._guard:
            self._guard = guard
            guard.add(self)
            after = self._listens_after
            self._listens = asyncio.get_running_loop().call_later(after, partial(_listen, ref(self), guard))
        return guard

    def _names(self, keys: Sequence[Any], cache_keys: Sequence[Any], generation: object) -> list[str]:
        """What the keys of one batch are called in the store."""
        partition = self._split(cache_keys[0])[0]
        tag = self.policy.tag(partition, generation)
        if self._pending.is_partitioned:
            self._partitions[tag] = partition
        return [
            self.policy.name(tag, key, self._split(cache_key)[1])
            for key, cache_key in zip(keys, cache_keys, strict=True)
        ]

    def _split(self, cache_key: Any) -> tuple[Hashable, Hashable]:
        """The partition of a key, and what stands for it there."""
        return cache_key if self._pending.is_partitioned else (None, cache_key)

    def read(self, found: Mapping[str, bytes], of: Values) -> dict[str, Any]:
        """The values of what the store had; what cannot be read any more is deleted there."""
        values = of.read(found, self.policy.loader().name)
        self.hits += len(values)
        if len(values) < len(found):
            self.guard().clear([name for name in found if name not in values], self)
        return values

    def write(self, values: Mapping[str, Any], leases: Mapping[str, bytes], keeping: Keeping) -> None:
        """Begin to write what was loaded for leased keys, and give back the leases of what is not to be kept."""
        guard, negative_ttl = self.guard(), self.policy.negative_ttl
        if not (leases and guard.takes_writes):
            return  # the leases end by themselves
        nothing = {
            name: leases[name]
            for name, value in values.items()
            if name in leases and (value is None or type(value) is MissingKeyError)
        }
        if negative_ttl is not None and nothing:
            self._keep(
                guard.write(
                    lambda: {name: NOTHING if values[name] is None else ABSENT for name in nothing},
                    nothing,
                    negative_ttl,
                )
            )
            leases = {name: lease for name, lease in leases.items() if name not in nothing}
        of = keeping.of
        texts = of.texts(
            {name: value for name, value in values.items() if name in leases and name not in nothing}
        )
        self._keep(guard.write(partial(of.checked, texts, values), leases, keeping.ttl))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    # -- forgetting ------------------------------------------------------------------------------------------

    def clear(self, key: Any, cache_key: Hashable) -> None:
        """Delete a key in the store, there and for all others."""
        if self._subjects is not None:
            self._delete(self._subjects)
        elif self.policy.ttl is not None:
            partition, plain = self._split(cache_key)
            self._delete([self.policy.name(self.policy.tag(partition), key, plain)])

    def clear_all(self) -> None:
        """Delete all that loaders like this one have in the store, in the partition that runs here."""
        if self._subjects is not None:
            self._delete(self._subjects)
        elif self.policy.ttl is not None:
            self._delete([self.policy.tag(self._pending.partition_here())])

    @property
    def _subjects(self) -> list[str] | None:
        """The generations of what a loader of our own reads, whose values have more names than anybody knows."""
        kept = self.policy.kept
        return None if kept is None else generation_names(kept.subjects())

    def _delete(self, names: list[str]) -> None:
        try:
            guard = self.guard()
        except RuntimeError:  # there is no loop here
            return
        guard.clear(names, self)

    def heard(self, names: Sequence[str]) -> None:
        """Others have deleted keys; some may be this loader's."""
        if self.policy.loader() is None:
            return  # let go of, and not collected yet: nobody asks it any more
        subjects = self._subjects
        if subjects is not None:
            if not {EVERY_GENERATION, *subjects}.isdisjoint(names):
                self.forget_all()
            return
        for name in names:
            end = name.index("}:") + 2 if "}:" in name else 0
            tag = name[:end]
            if self._pending.is_partitioned:
                if tag in self._partitions:
                    self._forget(name[end:], (self._partitions[tag],))
            elif tag == self.policy.tag(None):
                self._forget(name[end:], ())

    def _forget(self, name: str, partition: tuple[Hashable, ...]) -> None:
        try:
            if not name or self.policy.loader().store_key is not None:
                raise NoName(name)
            key = key_of(name)
        except Exception:  # all of them, one that cannot be told any more, or rubbish
            self.forget_all()
            return
        cache_key: Any = (*partition, key) if partition else key
        self._pending.outdate(cache_key, primed=False)
        self._cache.drop(cache_key)
        tell_watchers("keys_forgotten", self.policy.loader(), (key,))

    def forget_all(self) -> None:
        """Forget what the loader itself has cached."""
        if self.policy.loader() is None:
            return
        for cache_key in self._pending.cache_keys():
            self._pending.outdate(cache_key, primed=False)
        self._cache.clear()
        tell_watchers("keys_forgotten", self.policy.loader(), None)

    # -- the end ---------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Finish what is being written and deleted, and hear nothing any more."""
        if self._guard is None or self._listens is None:
            return  # it has loaded nothing
        self._listens.cancel()
        guard, self._guard = self._guard, None
        while self._work:
            await asyncio.wait(self._work)
        await guard.flush()
        await guard.remove(self)


async def called(loader: Any, function: AnyFunction, keys: list[Any]) -> Any:
    """What a batch function returns.

    Raises:
        BatchResultError: It is not async.
    """
    returned = function(keys)
    if not isawaitable(returned):
        raise not_awaitable(loader.name, returned)
    return await returned


def _listen(level: Callable[[], SecondLevel | None], guard: Guard) -> None:
    found = level()
    if found is not None:
        guard.listen_for(found)
