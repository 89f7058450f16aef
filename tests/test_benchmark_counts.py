"""What dloader makes beside the floors: batches, futures, tasks and turns of the loop, counted and never timed.

A count that may only be smaller than it is now is an upper bound; a count that is the promise is exact.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counting import Counts, counted

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.peers.libraries import DLOADER
from benchmarks.suites.loader import asking
from benchmarks.suites.resolver import data as resolver_data, nodes as resolver_nodes, trees as resolver_trees
from dloader import DataLoader, eager

FEW, MANY = 10, 110


def ask_for(ask: asking.Ask, count: int, *, times: int = 1, **options: Any) -> Counts:
    """Ask a new loader for that many keys, in one of the ways of the benchmarks."""

    async def work(counts: Counts) -> None:
        async def fetch(keys: list[int]) -> list[int]:
            counts.look(keys)
            return await asking.fetch(keys)

        keys = list(range(count)) * times
        assert await ask(DataLoader(fetch, **options), keys) == [key + 1 for key in keys]

    return counted(work)


def few_and_many(ask: asking.Ask, **options: Any) -> tuple[Counts, Counts]:
    """The same way with few keys and with a hundred more."""
    return ask_for(ask, FEW, **options), ask_for(ask, MANY, **options)


class TestLoader:
    """What a loader makes beside what the floors make."""

    def test_a_gather_of_loads_makes_one_batch_and_a_future_per_load(self) -> None:
        few, many = few_and_many(asking.gathered)
        assert few.batches == many.batches == 1
        assert many.futures - few.futures <= 100
        assert few.tasks == many.tasks <= 2  # the caller's and the batch's
        assert few.turns == many.turns

    def test_one_task_per_load_makes_one_batch_and_a_future_per_load(self) -> None:
        few, many = few_and_many(asking.in_tasks)
        assert few.batches == many.batches == 1
        assert many.futures - few.futures <= 100
        assert many.tasks - few.tasks <= 100
        assert few.turns == many.turns

    def test_duplicates_make_a_future_per_load_and_a_key_per_key(self) -> None:
        once, often = (ask_for(asking.gathered, FEW, times=times) for times in (1, 11))
        assert once.batches == often.batches == 1
        assert once.keys == often.keys == FEW
        assert often.futures - once.futures <= 100
        assert once.turns == often.turns

    def test_load_many_makes_one_future_however_many_keys(self) -> None:
        few, many = few_and_many(asking.as_a_set)
        assert few.batches == many.batches == 1
        assert few.futures == many.futures <= 1
        assert few.tasks == many.tasks <= 2
        assert few.turns == many.turns

    def test_load_many_in_batches_makes_one_future_however_many_batches(self) -> None:
        few, many = few_and_many(asking.as_a_set, max_batch_size=10)
        assert (few.batches, many.batches) == (1, 11)
        assert few.futures == many.futures <= 1
        assert few.turns == many.turns

    def test_batches_of_one_take_no_turn_each(self) -> None:
        few, many = few_and_many(asking.gathered, max_batch_size=1)
        assert (few.batches, many.batches) == (FEW, MANY)
        assert many.futures - few.futures <= 100
        assert few.turns == many.turns

    @pytest.mark.parametrize(
        ("warm", "ask"),
        [
            pytest.param(asking.gathered, asking.one_after_another, id="loads after loads"),
            pytest.param(asking.as_a_set, asking.one_after_another, id="loads after a set"),
            pytest.param(asking.as_a_set, asking.as_a_set, id="a set after a set"),
        ],
    )
    def test_cached_hits_make_no_batch_and_take_no_turn(self, warm: asking.Ask, ask: asking.Ask) -> None:
        async def again(loader: Any, keys: list[int]) -> Any:
            await warm(loader, keys)
            return await ask(loader, keys)

        assert ask_for(again, MANY) == ask_for(warm, MANY)

    def test_a_sequential_load_takes_few_turns(self) -> None:
        def turns(**options: Any) -> float:
            few, many = few_and_many(asking.one_after_another, **options)
            assert many.batches - few.batches == 100
            return (many.turns - few.turns) / 100

        assert turns() <= 3  # at an idle loop it does not wait for further callers
        assert turns(dispatch=eager()) <= 3

    def test_making_a_loader_needs_no_event_loop(self) -> None:
        assert not DataLoader(asking.fetch).closed


QUERIES = ("offices_of", "members_of", "owners", "items_of", "steps_after")


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Counts]:
    """Resolves trees of the benchmarks and counts."""
    counting: list[Counts] = []

    def watched(query: Any) -> Any:
        async def fetch(keys: list[int]) -> Any:
            counting[-1].look(keys)
            return await query(keys)

        return fetch

    for name in QUERIES:
        monkeypatch.setattr(
            f"benchmarks.suites.resolver.loaders.{name}", watched(getattr(resolver_data, name))
        )

    def resolve(roots: Any) -> Counts:
        async def work(counts: Counts) -> None:
            counting.append(counts)
            await DLOADER.resolve(roots)

        return counted(work)

    return resolve


def companies(model: Any, nodes: int) -> list[Any]:
    return [model(**row) for row in resolver_data.companies(nodes)]


def tasks(model: Any, count: int, owners: int | None = None) -> list[Any]:
    return [model(id=number, owner_id=number % (owners or count)) for number in range(count)]


class TestResolver:
    """What a resolve makes, whatever the size of its tree."""

    @pytest.mark.parametrize(
        "model",
        [
            pytest.param(lambda: resolver_trees.tree(DLOADER), id="sync"),
            pytest.param(resolver_trees.declared_tree, id="Load"),
            pytest.param(lambda: resolver_trees.posting_tree(DLOADER), id="posts"),
        ],
    )
    def test_a_tree_takes_one_batch_per_level_and_no_task_per_node(
        self, model: Callable[[], Any], resolving: Callable[[Any], Counts]
    ) -> None:
        few, many = (resolving(companies(model(), nodes)) for nodes in (111, 999))
        assert few.batches == many.batches == 2
        assert few.tasks == many.tasks <= 2
        assert few.turns == many.turns

    def test_load_makes_one_future_per_level(self, resolving: Callable[[Any], Counts]) -> None:
        few, many = (resolving(tasks(resolver_nodes.declared_task(), count)) for count in (FEW, MANY))
        assert few.batches == many.batches == 1
        assert few.futures == many.futures <= 2  # the set's, and what the engine waits with
        assert few.tasks == many.tasks <= 2
        assert few.turns == many.turns

    @pytest.mark.parametrize("kind", ["sync", "Load", "async def"])
    def test_an_owner_of_many_is_loaded_once(self, kind: str, resolving: Callable[[Any], Counts]) -> None:
        model = {
            "sync": lambda: resolver_nodes.task(DLOADER),
            "Load": resolver_nodes.declared_task,
            "async def": lambda: resolver_nodes.async_task(DLOADER),
        }[kind]()
        counts = resolving(tasks(model, MANY, owners=FEW))
        assert (counts.batches, counts.keys) == (1, FEW)

    def test_async_methods_make_one_task_each(self, resolving: Callable[[Any], Counts]) -> None:
        model = resolver_nodes.async_task(DLOADER)
        few, many = (resolving(tasks(model, count)) for count in (FEW, MANY))
        assert few.batches == many.batches == 1
        assert many.tasks - few.tasks <= 100
        assert many.futures - few.futures <= 100  # what each of the tasks awaits
        assert few.turns == many.turns

    @pytest.mark.parametrize("model", [resolver_nodes.labelled, resolver_nodes.posting])
    def test_methods_that_load_nothing_take_no_turn_each(
        self, model: Callable[[Any], Any], resolving: Callable[[Any], Counts]
    ) -> None:
        few, many = (resolving([model(DLOADER)(id=id) for id in range(count)]) for count in (FEW, MANY))
        assert few.turns == many.turns <= 2
        assert many.batches == 0

    def test_collecting_takes_no_turn_per_node(self, resolving: Callable[[Any], Counts]) -> None:
        model = resolver_trees.collecting_tree(DLOADER)
        few, many = (resolving([model(**row) for row in resolver_data.nested(nodes)]) for nodes in (111, 999))
        assert few.turns == many.turns <= 2

    def test_a_tree_with_nothing_to_do_takes_no_turn(self, resolving: Callable[[Any], Counts]) -> None:
        assert resolving([resolver_trees.Member(id=1, office_id=1, name="") for _ in range(MANY)]).turns <= 1

    def test_a_wide_root_makes_one_batch(self, resolving: Callable[[Any], Counts]) -> None:
        few, many = (resolving(resolver_nodes.wide(DLOADER)(id=count)) for count in (FEW, MANY))
        assert few.batches == many.batches == 1
        assert few.turns == many.turns

    def test_a_deep_chain_takes_no_turn_per_level(self, resolving: Callable[[Any], Counts]) -> None:
        def chain(depth: int) -> Any:
            link = None
            for id in range(depth):
                link = resolver_nodes.chain(DLOADER)(id=id, child=link)
            return link

        few, many = resolving(chain(FEW)), resolving(chain(MANY))
        assert few.turns == many.turns <= 2

    def test_a_chain_of_loads_takes_a_batch_and_a_few_turns_per_level(
        self, resolving: Callable[[Any], Counts]
    ) -> None:
        few, many = (resolving(resolver_nodes.loading_chain(DLOADER)(id=depth)) for depth in (FEW, MANY))
        assert (few.batches, many.batches) == (FEW, MANY)
        assert few.tasks == many.tasks <= 2
        assert few.futures == many.futures
        assert many.turns - few.turns <= 100 * 4
