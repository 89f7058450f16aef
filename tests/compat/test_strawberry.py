"""What Strawberry documents of its DataLoader, and tests, holds for that of `dloader.compat.strawberry`."""

from __future__ import annotations

import asyncio
import sys
from asyncio import Future
from types import ModuleType
from typing import Any

import pytest
from loops import turns

from dloader import BatchResultError, KeyTypeError, LoaderRegistry
from dloader.compat.strawberry import AbstractCache, DataLoader, DefaultCache


class Calls:
    """A batch function that notes its calls and gives keys back."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[list[Any]] = []
        self.error = error

    async def __call__(self, keys: list[Any]) -> list[Any]:
        self.calls.append(list(keys))
        if self.error is not None:
            raise self.error
        return [(key, len(self.calls)) for key in keys]


def run(main: Any) -> Any:
    """Run it, and let batches that nobody waits for end with it."""

    async def settled() -> Any:
        result = await main()
        await turns(12)
        return result

    return asyncio.run(settled())


class TestLoading:
    def test_loads_that_are_asked_for_together_are_one_call(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls)
            assert await asyncio.gather(*map(loader.load, (1, 2, 3))) == [(1, 1), (2, 1), (3, 1)]
            assert await loader.load_many([1, 2, 3, 4]) == [(1, 1), (2, 1), (3, 1), (4, 2)]

        run(main)
        assert calls.calls == [[1, 2, 3], [4]]

    def test_batches_have_a_size(self):
        calls = Calls()

        async def main():
            return await DataLoader(calls, max_batch_size=2).load_many([1, 2, 3])

        run(main)
        assert calls.calls == [[1, 2], [3]]

    def test_a_key_has_one_future(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls)
            one, two = loader.load(1), loader.load(1)
            assert one is two
            assert await one == await two
            assert loader.load(1) is one

        run(main)
        assert calls.calls == [[1]]

    def test_without_a_cache_a_key_is_in_the_batch_as_often_as_it_is_asked_for(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls, cache=False)
            one, two = loader.load(1), loader.load(1)
            assert one is not two
            await asyncio.gather(one, two)
            await loader.load(1)

        run(main)
        assert calls.calls == [[1, 1], [1]]

    def test_it_may_be_made_before_there_is_a_loop(self):
        loader = DataLoader(load_fn=Calls(), cache=False)

        async def main():
            return await loader.load(1)

        assert run(main) == (1, 1)
        assert run(main) == (1, 2)

    def test_results_come_in_any_iterable(self):
        async def load(keys: list[int]) -> Any:
            return (str(key) for key in keys)

        async def main():
            return await DataLoader(load_fn=load).load_many([1, 2])

        assert run(main) == ["1", "2"]

    def test_it_stands_in_a_registry(self):
        class Users(DataLoader[int, str]):
            async def batch_load_fn(self, keys: list[int]) -> list[str]:
                return [f"user {key}" for key in keys]

        async def main():
            async with LoaderRegistry() as loaders:
                return await loaders.get(Users).load(1)

        assert run(main) == "user 1"


class TestErrors:
    def test_an_exception_in_a_key_s_place_is_raised_for_that_key(self):
        async def load(keys: list[int]) -> list[Any]:
            return [key if key == 2 else ValueError("not found") for key in keys]

        async def main():
            loader = DataLoader(load_fn=load)
            assert await loader.load(2) == 2
            for _ in range(2):
                with pytest.raises(ValueError, match="not found"):
                    await loader.load(1)
            one, two = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
            assert isinstance(one, ValueError)
            assert two == 2

        run(main)

    def test_an_exception_of_the_function_is_raised_for_all(self):
        async def main():
            loader = DataLoader(load_fn=Calls(ValueError("down")))
            with pytest.raises(ValueError, match="down"):
                await loader.load(1)
            found = await asyncio.gather(*map(loader.load, (1, 2, 3)), return_exceptions=True)
            assert [str(each) for each in found] == ["down"] * 3

        run(main)

    @pytest.mark.parametrize("is_imported", [True, False])
    def test_a_wrong_number_of_results_is_told_in_strawberry_s_words(self, monkeypatch, is_imported):
        """And by its exception, for who has it."""

        class WrongNumberOfResultsReturned(Exception):
            def __init__(self, expected: int, received: int) -> None:
                raise AssertionError("made as ours")

        module = ModuleType("strawberry.exceptions")
        if is_imported:
            module.WrongNumberOfResultsReturned = WrongNumberOfResultsReturned
        monkeypatch.setitem(sys.modules, "strawberry.exceptions", module)

        async def load(keys: list[int]) -> list[int]:
            return [1, 2]

        async def main():
            await DataLoader(load_fn=load).load(1)

        words = "Received wrong number of results in dataloader, expected: 1, received: 2"
        with pytest.raises(BatchResultError, match=words) as caught:
            run(main)
        assert isinstance(caught.value, WrongNumberOfResultsReturned) is is_imported


class TestPrime:
    def test_it_fills_the_cache_and_replaces_nothing_unless_forced(self):
        async def main():
            loader = DataLoader(load_fn=Calls())
            await loader.load(1)
            loader.prime(1, "one")
            loader.prime(2, "two")
            assert await loader.load_many([1, 2]) == [(1, 1), "two"]
            loader.prime(1, "one", force=True)
            loader.prime_many({2: "deux"}, force=True)
            assert await loader.load_many([1, 2]) == ["one", "deux"]

        run(main)

    @pytest.mark.parametrize("force", [True, False])
    def test_who_waits_for_a_key_gets_its_value(self, force):
        """If no batch function has been given it; what is cached already is kept by those who have it."""
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls)
            cached = loader.load(2)
            await cached
            waiting, other = loader.load(3), loader.load(5)
            other.cancel()
            loader.prime_many({2: "two", 3: "three", 5: "five"}, force=force)
            assert await cached == (2, 1)
            assert await waiting == "three"
            assert await loader.load(3) == "three"

        run(main)
        assert calls.calls == [[2]]

    def test_a_batch_whose_keys_are_all_primed_is_not_loaded(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls)
            waiting = loader.load(4)
            loader.prime_many({4: "four"})
            assert await waiting == "four"
            await turns(5)

        run(main)
        assert calls.calls == []

    def test_without_a_cache_it_is_for_those_who_wait(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls, cache=False)
            loader.prime(1, "one")
            assert await loader.load(1) == (1, 1)
            waiting, rest = loader.load(2), loader.load(3)
            loader.prime(2, "two")
            assert await waiting == "two"
            assert await rest == (3, 2)

        run(main)
        assert calls.calls == [[1], [3]]

    def test_a_batch_that_runs_is_left_alone(self):
        started = asyncio.Event()

        async def load(keys: list[int]) -> list[int]:
            started.set()
            await turns(2)
            return keys

        async def main():
            loader = DataLoader(load_fn=load)
            waiting = loader.load(1)
            await started.wait()
            loader.prime(1, "one")
            assert await waiting == 1

        run(main)


class TestClear:
    @pytest.mark.parametrize("cache", [True, False])
    def test_what_is_forgotten_is_loaded_again(self, cache):
        async def main():
            loader = DataLoader(load_fn=Calls(), cache=cache)
            found = [await loader.load_many([1, 2, 3])]
            loader.clear(1)
            found.append(await loader.load_many([1, 2, 3]))
            loader.clear_many([1, 2])
            found.append(await loader.load_many([1, 2, 3]))
            loader.clear_all()
            found.append(await loader.load_many([1, 2, 3]))
            return [[call for _, call in each] for each in found]

        expected = [[1, 1, 1], [2, 1, 1], [3, 3, 1], [4, 4, 4]]
        assert run(main) == (expected if cache else [[n] * 3 for n in (1, 2, 3, 4)])


class TestCancelling:
    def test_a_cancelled_load_is_not_kept(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls)
            cancelled = loader.load(2)
            cancelled.cancel()
            assert await loader.load_many([1, 2]) == [(1, 1), (2, 1)]
            assert cancelled.cancelled()

        run(main)

    def test_a_failing_batch_leaves_cancelled_loads_alone(self):
        async def main():
            loader = DataLoader(load_fn=Calls(RuntimeError("broken")), cache=False)
            one, two = loader.load(1), loader.load(2)
            one.cancel()
            with pytest.raises(RuntimeError, match="broken"):
                await two
            assert one.cancelled()

        run(main)

    def test_a_batch_that_everybody_left_is_not_loaded(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls, cache=False)
            for each in [loader.load(1), loader.load(2)]:
                each.cancel()
            await turns(5)

        run(main)
        assert calls.calls == []

    def test_a_running_batch_is_cancelled_when_everybody_left(self):
        ended: list[str] = []

        async def main():
            started = asyncio.Event()

            async def load(keys: list[int]) -> list[int]:
                started.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    ended.append("cancelled")
                    raise
                return keys

            loader = DataLoader(load_fn=load, cache=False)
            loads = [loader.load(1), loader.load(2)]
            await started.wait()
            for each in loads:
                each.cancel()
            await turns(5)

        run(main)
        assert ended == ["cancelled"]

    def test_some_that_leave_do_not_matter_to_the_rest(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls, cache=False)
            one, two, three = map(loader.load, (1, 2, 3))
            two.cancel()
            assert await asyncio.gather(one, three) == [(1, 1), (3, 1)]

        run(main)
        assert calls.calls == [[1, 3]]


class OwnCache(AbstractCache[Any, Any]):
    """As Strawberry's documentation has it."""

    def __init__(self) -> None:
        self.cache: dict[Any, Future[Any]] = {}

    def get(self, key: Any) -> Future[Any] | None:
        return self.cache.get(key)

    def set(self, key: Any, value: Future[Any]) -> None:
        self.cache[key] = value

    def delete(self, key: Any) -> None:
        del self.cache[key]

    def clear(self) -> None:
        self.cache.clear()


class TestCaches:
    def test_a_cache_of_one_s_own_holds_the_futures(self):
        async def main():
            own = OwnCache()
            loader = DataLoader(load_fn=Calls(), cache_map=own)
            assert loader.load(1) is loader.load(1)
            await loader.load_many([1, 2, 3])
            assert [await own.cache[key] for key in (1, 2, 3)] == [(1, 1), (2, 1), (3, 1)]
            loader.clear(1)
            loader.clear(1)
            assert sorted(own.cache) == [2, 3]
            loader.clear_many([2])
            assert list(own.cache) == [3]
            loader.prime(3, "three")
            assert await own.cache[3] == (3, 1)
            loader.prime(3, "three", True)
            assert await loader.load(3) == "three"
            loader.clear_all()
            assert own.cache == {}
            with pytest.raises(TypeError, match="unhashable type: 'list'"):
                loader.load([1, 2, 3])
            assert await loader.load((1, 2)) == await own.cache[1, 2]
            assert "?" in repr(loader)

        run(main)

    def test_a_primed_key_of_such_a_cache_goes_to_who_waits(self):
        async def main():
            loader = DataLoader(load_fn=Calls(), cache_map=OwnCache())
            waiting = loader.load(1)
            loader.prime(1, "one")
            assert await waiting == "one"

        run(main)

    def test_errors_of_a_batch_leave_it(self):
        """They are not kept; this is not as in Strawberry."""

        async def main():
            own = OwnCache()
            loader = DataLoader(load_fn=Calls(ValueError("down")), cache_map=own)
            with pytest.raises(ValueError, match="down"):
                await loader.load(1)
            assert own.cache == {}

        run(main)

    def test_what_stands_for_a_key_may_be_made_of_it(self):
        calls = Calls()

        async def main():
            loader = DataLoader(load_fn=calls, cache_key_fn=lambda key: ",".join(map(str, key)))
            assert await loader.load([1, "a"]) == ([1, "a"], 1)
            assert await loader.load([1, "a"]) == ([1, "a"], 1)

        run(main)
        assert calls.calls == [[[1, "a"]]]

    def test_the_default_cache_may_be_given(self):
        """With a key function: that of the loader is not asked then."""

        async def main():
            kept: DefaultCache[str, Any] = DefaultCache(str.lower)
            loader = DataLoader(load_fn=Calls(), cache_map=kept, cache_key_fn=lambda _: 1 / 0)
            one = await loader.load("A")
            assert await loader.load("a") is one
            loader.clear("a")
            assert kept.cache_map == {}
            plain: DefaultCache[str, Any] = DefaultCache()
            again = DataLoader(load_fn=Calls(), cache_map=plain)
            await again.load("A")
            assert list(plain.cache_map) == ["A"]
            again.clear_all()
            assert plain.cache_map == {}

        run(main)

    def test_none_is_no_key(self):
        async def main():
            DataLoader(load_fn=Calls()).load(None)

        with pytest.raises(KeyTypeError):
            run(main)
