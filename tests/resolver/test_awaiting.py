"""What the values of a step may be, and what is waited for."""

import asyncio
from typing import Annotated

import pytest
from loops import turns
from pydantic import AfterValidator, BaseModel
from resolving import Source, notes_of

from dloader import DataLoader, LoaderRegistry
from dloader.resolver import Load, LoaderDepend, Resolver


class Boom(Exception):
    """A failure of the user's own."""


class TestFuturesOfDifferentKinds:
    @pytest.mark.parametrize("fails", [False, True])
    def test_a_method_may_return_loads_and_other_futures(self, run, fails):
        """Each is waited for, whichever is done first."""

        async def law():
            source = Source(lambda key: f"loaded {key}")
            other = asyncio.get_running_loop().create_future()

            class Row(BaseModel):
                id: int
                name: str = ""

                def resolve_name(self, loader=LoaderDepend(source)):
                    loaded = loader.load(self.id)
                    return other if self.id == 2 else loaded

            async def complete():
                await turns(30)
                assert source.calls == [[1, 2, 3]]
                if fails:
                    other.set_exception(Boom())
                else:
                    other.set_result("other")

            task = asyncio.ensure_future(complete())
            rows = [Row(id=id) for id in (1, 2, 3)]
            if fails:
                with pytest.raises(Boom) as caught:
                    await Resolver().resolve(rows)
                assert "Row[1].name" in notes_of(caught.value)
            else:
                await Resolver().resolve(rows)
                assert [row.name for row in rows] == ["loaded 1", "other", "loaded 3"]
            await task

        run(law)

    @pytest.mark.parametrize("fails", [False, True])
    def test_what_a_loader_gives_may_be_awaited_once_more(self, run, fails):
        """An object that can be awaited, for each key once; and it is cancelled when something else fails meanwhile."""

        async def law():
            gate = asyncio.Event()
            cancelled = []

            class Later:
                def __init__(self, key):
                    self.key = key

                def __await__(self):
                    return answer(self.key).__await__()

            async def answer(key):
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    cancelled.append(key)
                    raise
                return f"loaded {key}"

            source = Source(Later)

            class Row(BaseModel):
                id: int
                name: Annotated[str, Load(source, by="id")] = ""
                other: str = ""

                async def resolve_other(self):
                    await turns(20)
                    if fails:
                        raise Boom
                    gate.set()
                    return "other"

            rows = [Row(id=id) for id in (1, 2, 1)]
            if fails:
                with pytest.raises(Boom):
                    await Resolver().resolve(rows)
            else:
                await Resolver().resolve(rows)
                assert [row.name for row in rows] == ["loaded 1", "loaded 2", "loaded 1"]
            assert cancelled == ([1, 2] if fails else [])

        run(law)

    def test_a_method_may_load_for_some_nodes_only(self, run):
        """And return nothing, or something at hand, for others."""

        async def law():
            source = Source(lambda key: f"loaded {key}")

            class Row(BaseModel):
                id: int
                name: str | None = "unset"

                def resolve_name(self, loader=LoaderDepend(source)):
                    return loader.load(self.id) if self.id else None

            class Other(BaseModel):
                id: int
                name: str = "unset"

                def resolve_name(self, loader=LoaderDepend(source)):
                    return loader.load(self.id) if self.id else "at hand"

            rows = await Resolver().resolve([Row(id=1), Row(id=0), Other(id=0), Other(id=2)])
            assert [row.name for row in rows] == ["loaded 1", None, "at hand", "loaded 2"]
            assert source.calls == [[1, 2]]

        run(law)

    @pytest.mark.parametrize("more", [(), (3,)])
    def test_a_load_may_join_a_batch_that_runs_already(self, run, more):
        """What others have under way is waited for, not loaded again."""

        async def law():
            gate = asyncio.Event()
            source = Source(lambda key: f"loaded {key}", gate=gate)

            class Row(BaseModel):
                id: int
                name: str = ""

                def resolve_name(self, loader=LoaderDepend(source)):
                    return loader.load(self.id)

            async with LoaderRegistry() as registry:
                outside = registry.get(source).load_many([1, 2])
                await turns(8)
                rows = [Row(id=id) for id in (1, 2, *more)]
                resolve = asyncio.ensure_future(Resolver(registry=registry).resolve(rows))
                await turns(8)
                assert not resolve.done()
                gate.set()
                await resolve
                assert [row.name for row in rows] == [f"loaded {row.id}" for row in rows]
                assert await outside == ["loaded 1", "loaded 2"]
            assert source.calls == [[1, 2], *([[*more]] if more else [])]

        run(law)

    def test_a_method_whose_keys_are_asked_for_already_adds_no_batch(self, run):
        """Two methods of one loader with the same keys share all of it."""

        async def law():
            source = Source(lambda key: f"loaded {key}")

            class Row(BaseModel):
                id: int
                one: str = ""
                two: str = ""

                def resolve_one(self, loader=LoaderDepend(source)):
                    return loader.load(self.id)

                def resolve_two(self, loader=LoaderDepend(source)):
                    return loader.load(self.id)

            rows = await Resolver().resolve([Row(id=id) for id in (1, 2, 1)])
            assert [row.two for row in rows] == ["loaded 1", "loaded 2", "loaded 1"]
            assert source.calls == [[1, 2]]

        run(law)

    def test_some_batches_of_a_level_may_have_ended_before_it_is_waited_for(self, run):
        """A policy may close a batch at once."""

        async def law():
            class AtOnce(DataLoader):
                max_batch_size = 2

                async def batch_load_fn(self, keys):
                    if 3 in keys:
                        await turns(3)
                    return [f"loaded {key}" for key in keys]

                @staticmethod
                def dispatch_policy(batch):
                    batch.close()

            class Row(BaseModel):
                id: int
                name: Annotated[str, Load(AtOnce, by="id")] = ""

            rows = await Resolver().resolve([Row(id=id) for id in (1, 2, 3)])
            assert [row.name for row in rows] == ["loaded 1", "loaded 2", "loaded 3"]

        run(law)


class TestRepeatedKeys:
    def test_what_is_loaded_for_a_key_is_converted_once(self, run):
        """However many nodes have the key."""

        async def law():
            checked = []
            source = Source(lambda key: {"id": key})

            class Item(BaseModel):
                id: Annotated[int, AfterValidator(lambda id: checked.append(id) or id)]

            class Row(BaseModel):
                key: int
                item: Annotated[Item | None, Load(source, by="key")] = None

            rows = await Resolver().resolve([Row(key=1), Row(key=2), Row(key=1)])
            assert [row.item.id for row in rows] == [1, 2, 1]
            assert checked == [1, 2]
            assert source.calls == [[1, 2]]

        run(law)

    def test_each_node_has_a_list_of_its_own(self, run):
        """With the same models in it."""

        class Item(BaseModel):
            id: int

        async def law():
            source = Source(lambda key: [{"id": key}])

            class Row(BaseModel):
                key: int
                items: Annotated[list[Item], Load(source, by="key")] = []

            one, two = await Resolver().resolve([Row(key=1), Row(key=1)])
            assert one.items == two.items == [Item(id=1)]
            assert one.items is not two.items
            assert one.items[0] is two.items[0]

        run(law)

    def test_an_error_names_the_first_node_of_its_key(self, run):
        """Be it of the load or of the value."""

        async def law():
            failing = Source(lambda key: Boom(key) if key == 2 else key)
            wrong = Source(lambda key: "no number" if key == 2 else key)

            class Failing(BaseModel):
                key: int
                value: Annotated[int, Load(failing, by="key")] = 0

            class Wrong(BaseModel):
                key: int
                value: Annotated[int, Load(wrong, by="key")] = 0

            for kind, error in ((Failing, Boom), (Wrong, ValueError)):
                with pytest.raises(error) as caught:
                    await Resolver().resolve([kind(key=key) for key in (1, 1, 2, 2)])
                assert f"{kind.__name__}[2].value" in notes_of(caught.value)

        run(law)

    def test_keys_that_are_equal_and_not_the_same_are_the_loaders_to_tell_apart(self, run):
        """With a `cache_key_fn` True and 1 may be two keys."""

        class ByText(DataLoader):
            async def batch_load_fn(self, keys):
                return [repr(key) for key in keys]

            def get_cache_key(self, key):
                return repr(key)

        async def law():
            class Row(BaseModel):
                key: int | bool
                text: Annotated[str, Load(ByText, by="key")] = ""

            rows = await Resolver().resolve([Row(key=1), Row(key=True), Row(key=1)])
            assert [row.text for row in rows] == ["1", "True", "1"]

        run(law)
