"""What goes wrong: the error's type and path are kept, everything else is stopped, nothing is left behind."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from loops import turns
from pydantic import BaseModel, Field, ValidationError, field_validator
from resolving import Source, notes_of

from dloader import (
    DataLoader,
    KeyTypeError,
    LoaderClosedError,
    LoaderParamError,
    LoaderRegistry,
    OptionError,
    PlanError,
)
from dloader.resolver import Collector, ExposeAs, Load, LoaderDepend, Resolver, SendTo, mapper


class Boom(Exception):
    """What the tests raise; its constructor takes what no copy would give it."""

    def __init__(self, *, code):
        super().__init__(f"boom {code}")
        self.code = code


def boom(*args, **kwargs):
    raise Boom(code=7)


async def failing_batch(keys):
    raise Boom(code=7)


async def failing_key(keys):
    return [Boom(code=7) if key == 3 else str(key) for key in keys]


names, others = Source(str, "names"), Source(str, "others")


class Leaf(BaseModel):
    id: int


class BatchLeaf(Leaf):
    name: str = ""

    def resolve_name(self, loader=LoaderDepend(failing_batch)):
        return loader.load(self.id)


class KeyLeaf(Leaf):
    name: str = ""

    def resolve_name(self, loader=LoaderDepend(failing_key)):
        return loader.load(self.id)


class LoadBatchLeaf(Leaf):
    name: Annotated[str, Load(failing_batch, by="id")] = ""


class LoadKeyLeaf(Leaf):
    name: Annotated[str, Load(failing_key, by="id")] = ""


class AsyncKeyLeaf(Leaf):
    name: str = ""

    async def resolve_name(self, loader=LoaderDepend(failing_key)):
        await turns(1)
        return await loader.load(self.id)


class SyncLeaf(Leaf):
    name: str = ""

    def resolve_name(self):
        return boom() if self.id == 3 else ""


class ParentLeaf(Leaf):
    name: str = ""

    def resolve_name(self, parent):
        return boom() if self.id == 3 else ""


class AsyncLeaf(Leaf):
    name: str = ""

    async def resolve_name(self):
        return boom() if self.id == 3 else ""


class LaterLeaf(Leaf):
    name: str = ""

    async def resolve_name(self):
        await turns(2)
        return boom() if self.id == 3 else ""


class PostLeaf(Leaf):
    name: str = ""

    def post_name(self):
        return boom() if self.id == 3 else ""


class AsyncPostLeaf(Leaf):
    name: str = ""

    async def post_name(self, loader=LoaderDepend(failing_key)):
        return await loader.load(self.id)


class FinalLeaf(Leaf):
    def post_default_handler(self):
        return boom() if self.id == 3 else ""


class MapperLeaf(Leaf):
    name: str = ""

    @mapper(lambda id: boom() if id == 3 else str(id))
    def resolve_name(self):
        return self.id


class ValidatorLeaf(Leaf):
    name: str = ""

    @field_validator("name")
    @classmethod
    def check(cls, value):
        return boom() if value == "3" else value

    def resolve_name(self):
        return str(self.id)


class LookingValidatorLeaf(Leaf):
    name: str = ""

    @field_validator("name")
    @classmethod
    def check(cls, value, info):
        return boom() if info.data["id"] == 3 and value == "new" else value

    def resolve_name(self):
        return "new"


class Picky(Collector):
    def add(self, val):
        return boom() if val == 3 else super().add(val)


class Sender(BaseModel):
    id: Annotated[int, SendTo("ids")]


class CollectorLeaf(Leaf):
    sender: Sender | None = None
    name: list[int] = []

    def resolve_sender(self):
        return Sender(id=self.id)

    def post_name(self, ids=Picky("ids")):
        return ids.values()


async def load_names(keys):
    return [f"name {key}" for key in keys]


@dataclass
class Unhashable:
    table: str = "users"

    async def __call__(self, keys):
        return keys


async def echo(keys):
    return list(map(str, keys))


def node_of(loader):
    """A model with a field that is filled by a loader."""

    class Node(BaseModel):
        id: int = 1
        value: Annotated[Any, Load(loader, by="id")] = None

    return Node


def method_of(loader):
    """The same by a method."""

    class Method(BaseModel):
        id: int = 1
        value: Any = None

        def resolve_value(self, loader=LoaderDepend(loader)):
            return loader.load(self.id)

    return Method


class TestPaths:
    """An error keeps its type and its attributes, and is noted with the path and the loader."""

    @pytest.mark.parametrize(
        ("kind", "loader", "index"),
        [
            (BatchLeaf, "failing_batch", 0),
            (KeyLeaf, "failing_key", 1),
            (LoadBatchLeaf, "failing_batch", 0),
            (LoadKeyLeaf, "failing_key", 1),
            (AsyncKeyLeaf, "failing_key", 1),
            (SyncLeaf, None, 1),
            (ParentLeaf, None, 1),
            (AsyncLeaf, None, 1),
            (LaterLeaf, None, 1),
            (PostLeaf, None, 1),
            (AsyncPostLeaf, "failing_key", 1),
            (FinalLeaf, None, 1),
            (MapperLeaf, None, 1),
            (ValidatorLeaf, None, 1),
            (LookingValidatorLeaf, None, 1),
            (CollectorLeaf, None, 1),
        ],
    )
    def test_every_kind_of_failure_carries_its_path(self, run, kind, loader, index):
        """From the root, through lists and dicts, to the field."""

        class Middle(BaseModel):
            leaves: dict[str, list[Leaf]] = {}

            def resolve_leaves(self):
                return {"eu": [kind(id=2), kind(id=3), kind(id=4)]}

        class Top(BaseModel):
            middle: Middle

        async def law():
            with pytest.raises(Boom, match="boom 7") as caught:
                await Resolver(annotation=list[Top | kind]).resolve([Leaf(id=1), Top(middle=Middle())])
            assert caught.value.code == 7
            return caught.value

        field = "default_handler" if kind is FinalLeaf else "name"
        error = run(law)
        label = "post_default_handler" if kind is FinalLeaf else "name"
        assert f"while resolving Top[1].middle.leaves['eu'][{index}].{label}" in notes_of(error), field
        assert (f"with loader '{loader}'" in notes_of(error)) == (loader is not None)

    def test_the_path_leads_through_nested_containers(self, run):
        """Each with its index or key."""

        class Holder(BaseModel):
            leaves: list[dict[str, tuple[SyncLeaf, ...]]]

        async def law():
            leaves = [{"a": (SyncLeaf(id=1),), "b": ()}, {"a": (), "b": (SyncLeaf(id=2), SyncLeaf(id=3))}]
            with pytest.raises(Boom) as caught:
                await Resolver().resolve({"x": [Holder(leaves=[])], "y": [Holder(leaves=leaves)]})
            assert notes_of(caught.value) == "while resolving Holder['y'][0].leaves[1]['b'][1].name"

        run(law)

    @pytest.mark.parametrize("wants", ["nothing", "context", "loader", "both", "all", "parent"])
    @pytest.mark.parametrize("name", ["resolve_name", "post_name", "post_default_handler"])
    def test_a_method_that_raises_stop_iteration_has_failed(self, run, name, wants):
        """As ``next()`` does that finds nothing: no node after it is left out in silence."""

        def found(node):
            return next(iter([str(node.id)] if node.id != 2 else []))

        class Node(BaseModel):
            id: int
            name: str = ""

        methods = {
            "nothing": lambda node: found(node),
            "context": lambda node, context: found(node),
            "loader": lambda node, names=LoaderDepend(names): found(node),
            "both": lambda node, context, names=LoaderDepend(names): found(node),
            "all": lambda node, context, names=LoaderDepend(names), others=LoaderDepend(others): found(node),
            "parent": lambda node, parent: found(node),
        }
        kind = type("Kind", (Node,), {name: methods[wants], "__module__": __name__})

        async def law():
            nodes = [kind(id=1), kind(id=2), kind(id=3)]
            with pytest.raises(RuntimeError, match="a method or validator raised StopIteration") as caught:
                await Resolver(context={}).resolve(nodes)
            assert isinstance(caught.value.__cause__, StopIteration)
            return caught.value

        label = name if name == "post_default_handler" else "name"
        assert f"while resolving Kind[1].{label}" in notes_of(run(law))

    def test_a_chained_error_keeps_its_cause(self, run):
        """`raise ... from ...` in a method or batch function is not cut off."""

        async def load(keys):
            raise Boom(code=1) from KeyError("batch")

        class Node(BaseModel):
            how: str
            sync: int = 0
            late: int = 0
            loaded: int = 0

            def resolve_sync(self):
                if self.how == "sync":
                    raise Boom(code=1) from KeyError("sync")
                return 0

            async def resolve_late(self):
                await turns(1)
                if self.how == "late":
                    raise Boom(code=1) from KeyError("late")
                return 0

            def resolve_loaded(self, loader=LoaderDepend(load)):
                return loader.load(1) if self.how == "batch" else 0

        async def law():
            for how in ("sync", "late", "batch"):
                with pytest.raises(Boom) as caught:
                    await Resolver().resolve(Node.model_construct(how=how))
                assert isinstance(caught.value.__cause__, KeyError)
                assert caught.value.__cause__.args == (how,)

        run(law)

    def test_a_value_that_does_not_fit_names_the_field(self, run):
        """Pydantic's own error, about this value, with our note."""

        class Node(BaseModel):
            id: int
            size: Annotated[int, Field(gt=0)] = 1
            other: Leaf | None = None

            def resolve_size(self):
                return self.id

            def resolve_other(self):
                return {"id": "x"} if self.id == 5 else None

        async def law():
            with pytest.raises(ValidationError) as size:
                await Resolver().resolve([Node(id=1), Node(id=0), Node(id=-1)])
            with pytest.raises(ValidationError) as other:
                await Resolver().resolve([Node(id=1), Node(id=5)])
            return size.value, other.value

        size, other = run(law)
        assert size.title == "Node.size"
        assert size.errors()[0]["loc"] == ()
        assert "while resolving Node[1].size" in notes_of(size).splitlines()
        assert other.errors()[0]["loc"] == ("id",)
        assert "while resolving Node[1].other" in notes_of(other).splitlines()

    def test_a_key_that_cannot_be_used_carries_its_path(self, run):
        """An unhashable one for `Load` or a method."""

        class Declared(BaseModel):
            id: Any
            name: Annotated[str, Load(failing_key, by="id")] = ""

        class Called(BaseModel):
            id: list[int]
            name: str = ""

            def resolve_name(self, loader=LoaderDepend(failing_key)):
                return loader.load(self.id)

        async def law():
            for kind in (Declared, Called):
                with pytest.raises(TypeError, match="cache_key_fn") as caught:
                    await Resolver().resolve(kind(id=[1]))
                assert (
                    f"while resolving {kind.__name__}.name with loader 'failing_key'"
                    in notes_of(caught.value).splitlines()
                )

        run(law)

    def test_a_missing_parameter_tells_the_field_and_the_cure(self, run):
        """Found when the loader is first needed."""

        class StatusLoader(DataLoader):
            status: str
            size: int

            async def batch_load_fn(self, keys):
                return keys

        class Node(BaseModel):
            id: int | None = None
            name: Annotated[str, Load(StatusLoader, by="id")] = ""

        async def law():
            with pytest.raises(
                LoaderParamError, match=r"Node.name needs loader 'StatusLoader'.*'status', 'size'"
            ):
                await Resolver().resolve(Node(id=1))

        run(law)

    def test_the_path_of_a_key_that_cannot_be_used(self, run):
        """Leads to the node that has it, also if it is the `cache_key_fn` that fails."""

        class Model(BaseModel):
            key: Any
            name: Annotated[str, Load(load_names, by="key")] = ""

        async def law():
            with pytest.raises(KeyTypeError) as raised:
                await Resolver().resolve([Model(key=1), Model(key=2), Model(key=[3])])
            assert "Model[2].name" in notes_of(raised.value)
            upper = {load_names: DataLoader(load_names, cache_key_fn=str.upper)}
            with pytest.raises(TypeError) as other:
                await Resolver(loader_instances=upper).resolve([Model(key="a"), Model(key=2)])
            assert "Model[1].name" in notes_of(other.value)
            closed = DataLoader(load_names)
            await closed.shutdown()
            with pytest.raises(LoaderClosedError) as third:
                await Resolver(loader_instances={load_names: closed}).resolve([Model(key=1)])
            assert "Model[0].name" in notes_of(third.value)

        run(law)

    def test_a_list_of_futures_is_explained(self, run):
        """There is one call for it."""

        class Model(BaseModel):
            names: list[str] = []

            def resolve_names(self, loader=LoaderDepend(load_names)):
                return [loader.load(key) for key in (1, 2)]

        class Wrong(BaseModel):
            names: list[int] = []

            def resolve_names(self):
                return ["x"]

        async def law():
            with pytest.raises(ValueError, match="string") as raised:
                await Resolver().resolve([Model()])
            assert "return loader.load_many(keys)" in notes_of(raised.value)
            with pytest.raises(ValueError, match="integer") as other:
                await Resolver().resolve([Wrong()])
            assert "load_many" not in notes_of(other.value)

        run(law)


class TestWithoutAPath:
    """Whatever goes wrong, its notes say where."""

    def notes(self, run, root, **arguments):
        async def law():
            try:
                await Resolver(**arguments).resolve(root)
            except Exception as error:
                return error

        error = run(law)
        return type(error), str(error), notes_of(error)

    def test_a_loader_that_cannot_be_made(self, run):
        """Its constructor wants something, or raises, or there is no batch function."""

        class NeedsSession(DataLoader):
            def __init__(self, session):
                super().__init__()

            async def batch_load_fn(self, keys):
                return keys

        class Raises(DataLoader):
            def __init__(self):
                raise Boom(code=1)

        class Bare(DataLoader):
            pass

        for loader, kind, text in (
            (NeedsSession, TypeError, "loader_instances={NeedsSession: ...}"),
            (Raises, Boom, ""),
            (Bare, OptionError, ""),
        ):
            for cls in node_of(loader), method_of(loader):
                raised, _, notes = self.notes(run, [cls()])
                assert raised is kind
                assert text in notes
                assert (
                    f"while resolving {cls.__name__}[0].value with loader '{loader.__name__}'"
                    in notes.splitlines()
                )
                assert ("a resolve makes loaders without arguments" in notes) is (kind is TypeError)

    def test_a_registry_that_is_closed(self, run):
        """A loader cannot be had from it."""

        async def law():
            registry = LoaderRegistry()
            await registry.aclose()
            with pytest.raises(LoaderClosedError) as caught:
                await Resolver(registry=registry).resolve([node_of(echo)()])
            assert "while resolving Node[0].value with loader 'echo'" in notes_of(caught.value).splitlines()

        run(law)

    def test_a_node_without_its_fields(self, run):
        """`model_construct` left them out: the key, what is sent, what is exposed. What holds nodes may be absent."""

        class Leaf(BaseModel):
            seen: int = 0

            def resolve_seen(self, ancestor_context):
                return ancestor_context["id"]

        class Sends(BaseModel):
            id: Annotated[int, SendTo("ids")]

        class Exposes(BaseModel):
            id: Annotated[int, ExposeAs("id")]
            leaf: Leaf = Leaf()

        class Top(BaseModel):
            below: list[Sends | Exposes] = []
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        made = Exposes.model_construct(leaf=Leaf())
        lacking = node_of(echo)()
        del lacking.id
        for root, place in (
            ([lacking], "Node[0].value with loader 'echo'"),
            (Top(below=[Sends(id=1), Sends.model_construct()]), "Top.below[1]"),
            (Top(below=[made]), "Top.below[0]"),
        ):
            kind, text, notes = self.notes(run, root)
            assert kind is AttributeError
            assert "has no attribute 'id'" in text
            assert f"while resolving {place}" in notes.splitlines()

        async def law():
            top = await Resolver().resolve(Top.model_construct())
            assert top.ids == []

        run(law)

    def test_a_class_with_a_mistake_that_turns_up_while_resolving(self, run):
        """Among the roots its name says it all; below, the path does."""

        class Bad(BaseModel):
            id: int = 0

            def resolve_idd(self):
                return 1

        class Top(BaseModel):
            below: list[BaseModel]

        kind, _, notes = self.notes(run, [Top(below=[]), Top(below=[node_of(echo)(), Bad()])])
        assert (kind, notes) == (PlanError, "while resolving Top[1].below")
        kind, _, notes = self.notes(run, [Bad()])
        assert (kind, notes) == (PlanError, "")

    def test_a_type_of_which_pydantic_makes_nothing(self, run):
        """The value could not even be looked at."""

        class Odd:
            @classmethod
            def __get_pydantic_core_schema__(cls, source, handler):
                raise Boom(code=1)

        @dataclass
        class Node:
            odd: Odd | None = None

            def resolve_odd(self):
                return 1

        kind, _, notes = self.notes(run, [Node()])
        assert (kind, notes) == (Boom, "while resolving Node[0].odd")

    def test_a_collector_that_refuses_beside_a_loader_that_cannot_be_made(self, run):
        """The error is the collector's, and the loader is only named."""

        class Needs(DataLoader):
            tenant: int

            async def batch_load_fn(self, keys):
                return keys

        class Top(BaseModel):
            senders: list[Sender] = [Sender(id=3)]
            values: list = []

            def post_values(self, picky=Picky("ids"), loader=LoaderDepend(Needs)):
                return []

        kind, _, notes = self.notes(run, [Top()])
        assert (kind, notes) == (Boom, "while resolving Top[0].values with loader 'Needs'")

    def test_a_validator_that_raises_stop_iteration(self, run):
        """It has failed, as a method has."""

        class Node(BaseModel):
            value: int = 0

            @field_validator("value")
            @classmethod
            def fail(cls, value):
                raise StopIteration

            def resolve_value(self):
                return 1

        kind, text, notes = self.notes(run, [Node()])
        assert (kind, notes) == (RuntimeError, "while resolving Node[0].value")
        assert "validator raised StopIteration" in text

    def test_a_batch_function_that_cannot_be_hashed(self, run):
        """It could not be found again: that is a mistake of the model, with its cure."""
        for root in (node_of(Unhashable())(), method_of(Unhashable())()):
            kind, text, _ = self.notes(run, root)
            assert kind is PlanError
            assert f"{type(root).__name__}.value: " in text
            assert "cannot be hashed: give its class a __hash__" in text

    def test_an_error_that_is_raised_for_ever_keeps_its_latest_paths(self, run):
        """One object may fail in every request of a service's life."""
        error = LookupError("gone")

        class Node(BaseModel):
            value: int = 0
            fails: bool = False

            def resolve_value(self):
                if self.fails:
                    raise error
                return 1

        async def law(index):
            with pytest.raises(LookupError):
                await Resolver().resolve([*(Node() for _ in range(index)), Node(fails=True)])

        for index in range(20):
            run(law, index)
        notes = error.__notes__
        assert notes == [f"while resolving Node[{index}].value" for index in range(12, 20)]


class TestStopping:
    """The first failure stops the siblings: nothing goes on behind the caller's back."""

    @pytest.mark.parametrize(
        "how", ["sync", "async", "late", "batch", "key", "chunk", "validator", "post", "two"]
    )
    def test_a_failing_branch_stops_the_slow_ones(self, run, how):
        """Their batches and tasks are cancelled before `resolve` raises, and nothing is reported afterwards."""
        never = asyncio.Event()
        slow = Source(str, "slow", gate=never)
        ended = []

        async def chunks(keys):
            if keys[0] == 1:
                return [Boom(code=1)]
            await never.wait()
            return None

        class Chunks(DataLoader):
            max_batch_size = 1

            async def batch_load_fn(self, keys):
                return await chunks(keys)

        class Fast(BaseModel):
            a: int = 0

            async def resolve_a(self, keys=LoaderDepend(failing_key), batch=LoaderDepend(failing_batch)):
                if how == "async":
                    boom()
                if how == "late":
                    await turns(3)
                    boom()
                return 0

            b: int = 0

            def resolve_b(self, batch=LoaderDepend(failing_batch), keys=LoaderDepend(failing_key)):
                if how in ("batch", "two"):
                    return batch.load(1)
                return keys.load(3) if how == "key" else "x" if how == "validator" else 0

            c: list[str] = []

            def resolve_c(self, chunks=LoaderDepend(Chunks)):
                return chunks.load_many([1, 2, 3]) if how == "chunk" else []

            d: int = 0

            def resolve_d(self, keys=LoaderDepend(failing_key)):
                return keys.load(3) if how == "two" else 0

            def post_default_handler(self):
                if how == "post":
                    boom()

        class Slow(BaseModel):
            id: int = 1
            name: Annotated[str, Load(slow, by="id")] = ""
            task: int = 0
            called: int = 0
            future: int = 0

            async def resolve_task(self):
                try:
                    await never.wait()
                finally:
                    ended.append(self.id)

            def resolve_called(self, loader=LoaderDepend(slow)):
                return loader.load(-self.id)

            def resolve_future(self):
                return asyncio.ensure_future(never.wait())

        class Top(BaseModel):
            slow: list[Slow] = [Slow(id=1), Slow(id=2)]
            fast: Fast | None = None
            last: int = 0

            async def resolve_fast(self):
                await turns(5)
                return Fast()

            def resolve_last(self):
                if how == "sync":
                    boom()
                return 1

        async def law():
            with pytest.raises((Boom, ValidationError)):
                await Resolver().resolve([Slow(id=3), Top()])
            assert slow.running == 0
            assert asyncio.all_tasks() == {asyncio.current_task()} or how == "sync"
            calls = len(slow.calls)
            await turns(10)
            assert len(slow.calls) == calls

        run(law)
        assert how == "sync" or sorted(ended) == [1, 2, 3]

    def test_a_chunk_that_fails_does_not_wait_for_the_others(self, run):
        """With `load` per node and with `Load`, for a batch that raises and for one bad key."""
        never = asyncio.Event()

        def chunked(answer):
            class Chunks(DataLoader):
                max_batch_size = 2

                async def batch_load_fn(self, keys):
                    if 3 in keys:
                        return answer()
                    await never.wait()
                    return None

            return Chunks

        async def law():
            for answer in (boom, lambda: [Boom(code=7), 2]):
                Chunks = chunked(answer)

                class Called(BaseModel):
                    id: int
                    value: int = 0

                    def resolve_value(self, loader=LoaderDepend(Chunks)):
                        return loader.load(self.id)

                class Declared(BaseModel):
                    id: int
                    value: Annotated[int, Load(Chunks, by="id")] = 0

                for kind in (Called, Declared):
                    with pytest.raises(Boom) as caught:
                        await Resolver().resolve([kind(id=n) for n in range(1, 7)])
                    assert f"{kind.__name__}[2].value with loader 'Chunks'" in notes_of(caught.value)

        run(law)

    def test_chunks_that_fail_together_are_one_failure(self, run):
        """The first one is raised; nothing is reported of the others."""

        class Chunks(DataLoader):
            max_batch_size = 1

            async def batch_load_fn(self, keys):
                await turns(3)
                boom()

        class Node(BaseModel):
            id: int
            value: int = 0
            other: Annotated[int, Load(Chunks, by="id")] = 0

            def resolve_value(self, loader=LoaderDepend(Chunks)):
                return loader.load(-self.id)

        async def law():
            with pytest.raises(Boom):
                await Resolver().resolve([Node(id=n) for n in range(1, 5)])

        run(law)

    def test_a_sync_method_that_fails_leaves_no_load_of_its_siblings_behind(self, run):
        """Also with a loader that outlives the resolve: its batch never starts."""
        source = Source(str)
        shared = DataLoader(source)

        class Node(BaseModel):
            id: int
            name: str = ""

            def resolve_name(self, loader=LoaderDepend(shared)):
                return boom() if self.id == 3 else loader.load(self.id)

        async def law():
            with pytest.raises(Boom):
                await Resolver().resolve([Node(id=1), Node(id=2), Node(id=3)])
            await turns(10)
            assert source.calls == []
            assert await shared.load(9) == "9"

        run(law)

    def test_a_coroutine_that_was_not_awaited_yet_is_closed(self, run):
        """No warning appears when the method of a later node raises."""

        class Node(BaseModel):
            id: int
            value: int = 0

            def resolve_value(self):
                return boom() if self.id == 3 else turns(1)

        async def law():
            with pytest.raises(Boom):
                await Resolver().resolve([Node(id=1), Node(id=2), Node(id=3)])

        run(law)

    def test_errors_in_tasks_that_are_being_stopped_are_not_reported(self, run):
        """The caller gets the first error; those that stopping causes are seen, and dropped."""
        never = asyncio.Event()

        class Node(BaseModel):
            id: int
            value: int = 0

            async def resolve_value(self):
                if self.id == 3:
                    await turns(2)
                    boom()
                try:
                    await never.wait()
                finally:
                    raise ValueError("while stopping")

        async def law():
            with pytest.raises(Boom):
                await Resolver().resolve([Node(id=n) for n in range(1, 5)])

        run(law)


class TestCancelling:
    """Cancelling `resolve` cancels its batches and tasks."""

    def test_at_every_step(self, run):
        """Whatever it waits for when the cancellation comes."""
        never = asyncio.Event()
        state = {}

        def tree(source, other):
            class Leaf(BaseModel):
                id: int
                name: Annotated[str, Load(other, by="id")] = ""
                late: int = 0

                async def resolve_late(self):
                    try:
                        await turns(2)
                    finally:
                        state["ended"] += 1
                    return 1

                def post_name(self, loader=LoaderDepend(other)):
                    return loader.load(-self.id)

            class Node(BaseModel):
                id: int
                leaves: list[Leaf] = []

                async def resolve_leaves(self, loader=LoaderDepend(source)):
                    try:
                        return [Leaf(id=key) for key in await loader.load(self.id)]
                    finally:
                        state["ended"] += 1

                def post_default_handler(self):
                    return asyncio.ensure_future(turns(2))

            return [Node(id=1), Node(id=2)]

        async def law():
            steps = 0
            while True:
                state["ended"] = 0
                source, other = Source(lambda key: [key, key + 1], turns=2), Source(str, turns=2)
                task = asyncio.ensure_future(Resolver().resolve(tree(source, other)))
                await turns(steps)
                if not task.cancel():
                    break
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert source.running == other.running == 0
                assert asyncio.all_tasks() == {asyncio.current_task()}
                calls = len(source.calls) + len(other.calls)
                await turns(5)
                assert len(source.calls) + len(other.calls) == calls
                steps += 1
            return steps

        assert run(law) > 10
        assert not never.is_set()

    def test_a_second_cancellation_still_waits_for_the_tasks(self, run):
        """They end before `resolve` does."""
        ended = []

        class Node(BaseModel):
            value: int = 0

            async def resolve_value(self):
                try:
                    await asyncio.Event().wait()
                finally:
                    await turns(5)
                    ended.append(1)

        async def law():
            task = asyncio.ensure_future(Resolver().resolve(Node()))
            await turns(3)
            task.cancel()
            await turns(2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended == [1]

        run(law)

    def test_a_cancellation_while_a_failure_is_stopping_the_rest_is_not_lost(self, run):
        """The caller is cancelled, as it asked for."""

        class Node(BaseModel):
            id: int
            value: int = 0

            async def resolve_value(self):
                if self.id == 1:
                    await turns(2)
                    boom()
                try:
                    await asyncio.Event().wait()
                finally:
                    await turns(5)

        async def law():
            task = asyncio.ensure_future(Resolver().resolve([Node(id=2), Node(id=1)]))
            await turns(6)
            assert task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(law)

    def test_a_timeout_around_resolve_works(self, run):
        """And the loader's batch is cancelled."""
        source = Source(str, gate=asyncio.Event())

        class Node(BaseModel):
            id: int = 1
            name: Annotated[str, Load(source, by="id")] = ""

        async def law():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await Resolver().resolve(Node())
            assert source.cancelled == 1

        run(law)


class TestOneErrorTwice:
    def test_an_error_that_is_raised_again_keeps_one_note_per_place(self, run):
        """A module's one exception object may be raised by every resolve: its notes do not pile up."""
        refused = ValueError("refused")

        class Row(BaseModel):
            name: str = ""

            def resolve_name(self) -> str:
                raise refused

        async def law():
            for _ in range(3):
                with pytest.raises(ValueError, match="refused"):
                    await Resolver().resolve(Row())
            assert refused.__notes__ == ["while resolving Row.name"]

        run(law)
