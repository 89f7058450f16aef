"""The drop-in for pydantic-resolve walks as that library does: its order, its copies, what it writes and how."""

import asyncio
from typing import Annotated, Any, Optional, Union

import pytest
from loops import Recorder
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dloader.compat.aiodataloader import DataLoader
from dloader.compat.pydantic_resolve import (
    Collector,
    ExposeAs,
    ICollector,
    Loader,
    MissingAnnotationError,
    Resolver,
    SendTo,
    mapper,
)


class BoomError(Exception):
    """A failure of the user's own."""


class User(BaseModel):
    id: int
    name: str = ""


async def load_users(ids):
    return [{"id": id, "name": f"user {id}"} if id > 0 else None for id in ids]


class TestOrder:
    def test_methods_run_node_by_node_and_by_name_and_levels_one_after_the_other(self, run):
        seen = []

        class Leaf(BaseModel):
            id: int
            x: int = 0

            def resolve_x(self):
                seen.append(("leaf", self.id))
                return 1

            def post_x(self):
                seen.append(("leaf posts", self.id))
                return 2

        class Root(BaseModel):
            id: int
            z: Leaf | None = None
            a: int = 0
            b: int = 0

            def resolve_z(self):
                seen.append(("z", self.id))
                return {"id": self.id}

            def resolve_a(self):
                seen.append(("a", self.id))
                return 1

            def post_b(self):
                seen.append(("b posts", self.id))
                return self.a + self.z.x

            def post_a(self):
                seen.append(("a posts", self.id, self.b))
                return 5

            def post_default_handler(self):
                seen.append(("last", self.id, self.a, self.b))

        async def law():
            seen.clear()
            await Resolver().resolve([Root(id=1), Root(id=2)])
            assert seen == [
                *[("a", 1), ("z", 1), ("a", 2), ("z", 2)],
                *[("leaf", 1), ("leaf", 2)],
                *[("leaf posts", 1), ("leaf posts", 2)],
                *[("a posts", 1, 0), ("b posts", 1), ("a posts", 2, 0), ("b posts", 2)],
                *[("last", 1, 5, 7), ("last", 2, 5, 7)],
            ]

        run(law)

    def test_a_method_sees_what_those_before_it_have_written(self, run):
        class Node(BaseModel):
            a: int = 0
            b: int = 0

            def resolve_a(self):
                return 1

            def resolve_b(self):
                return self.a + 1

        async def law():
            assert await Resolver().resolve(Node()) == Node(a=1, b=2)

        run(law)

    def test_what_an_async_method_does_before_it_waits_comes_in_its_turn(self, run):
        seen = []

        class Node(BaseModel):
            a: int = 0
            b: int = 0
            c: int = 0

            def resolve_a(self):
                seen.append("a")
                return 1

            async def resolve_b(self):
                seen.append("b")
                await asyncio.sleep(0)
                seen.append("b goes on")
                return 2

            def resolve_c(self):
                seen.append("c")
                return 3

        async def law():
            seen.clear()
            await Resolver().resolve([Node(), Node()])
            assert seen == ["a", "b", "c", "a", "b", "c", "b goes on", "b goes on"]

        run(law)

    def test_children_that_were_there_are_visited_even_if_a_method_puts_others_in_their_place(self, run):
        class Child(BaseModel):
            done: bool = False

            def resolve_done(self):
                return True

        class Node(BaseModel):
            child: Child
            other: int = 0

            def resolve_other(self):
                self.child = Child()
                return 1

        async def law():
            first = Child()
            node = await Resolver().resolve(Node(child=first))
            assert first.done
            assert not node.child.done

        run(law)


class TestBatches:
    def test_a_level_is_one_batch_and_a_tree_of_levels_as_many(self, run):
        class Leaf(BaseModel):
            id: int
            user: User | None = None

            def resolve_user(self, loader=Loader(load_users)):
                return loader.load(self.id)

        class Root(BaseModel):
            id: int
            user: User | None = None
            leaves: list[Leaf] = []

            def resolve_user(self, loader=Loader(load_users)):
                return loader.load(self.id)

            async def resolve_leaves(self):
                return [{"id": self.id}, {"id": self.id + 1}]

        async def law():
            resolver = Resolver()
            roots = await resolver.resolve([Root(id=1), Root(id=2)])
            assert [leaf.user.id for root in roots for leaf in root.leaves] == [1, 2, 2, 3]
            (loader,) = resolver.loader_instance_cache.values()
            assert (loader.statistics.batches, loader.statistics.keys) == (2, 3)

        run(law)

    def test_loads_of_sync_and_async_methods_share_a_batch(self, run):
        recorder = Recorder()

        class Node(BaseModel):
            a: int = 0
            b: int = 0

            def resolve_a(self, loader=Loader(recorder.__call__)):
                return loader.load(1)

            async def resolve_b(self, loader=Loader(recorder.__call__)):
                return await loader.load(2)

        async def law():
            recorder.calls.clear()
            assert await Resolver().resolve(Node()) == Node(a=10, b=20)
            assert recorder.calls == [[1, 2]]

        run(law)

    def test_posts_load_too(self, run):
        class Node(BaseModel):
            user: User | None = None

            def post_user(self, loader=Loader(load_users)):
                return loader.load(1)

        async def law():
            assert (await Resolver().resolve(Node())).user == User(id=1, name="user 1")

        run(law)

    def test_load_many_tasks_and_futures_of_futures_are_awaited(self, run):
        class Node(BaseModel):
            many: list[User] = []
            task: int = 0
            nested: int = 0
            made: int = 0
            all: list[Any] = []

            def resolve_many(self, loader=Loader(load_users)):
                return loader.load_many([1, 2])

            def resolve_task(self):
                async def later():
                    await asyncio.sleep(0)
                    return 3

                return asyncio.get_running_loop().create_task(later())

            def resolve_nested(self):
                outer = asyncio.get_running_loop().create_future()
                inner = asyncio.get_running_loop().create_future()
                inner.set_result(4)
                outer.set_result(inner)
                return outer

            async def resolve_made(self):
                async def made():
                    return 5

                return made()

            def resolve_all(self, loader=Loader(load_users)):
                return asyncio.gather(loader.load(3), loader.load(4))

        class WithoutTasks(BaseModel):
            nested: int = 0

            def resolve_nested(self):
                return Node.resolve_nested(self)

        async def law():
            node = await Resolver().resolve(Node())
            assert [user.id for user in node.many] == [1, 2]
            assert (node.task, node.nested, node.made) == (3, 4, 5)
            assert [user["id"] for user in node.all] == [3, 4]
            assert (await Resolver().resolve(WithoutTasks())).nested == 4

        run(law)

    def test_others_on_the_event_loop_get_their_turn_in_a_tree_that_waits_for_nothing(self, run):
        class Node(BaseModel):
            depth: int = 0
            child: Optional["Node"] = None

            def resolve_child(self):
                return Node(depth=self.depth + 1) if self.depth < 10_000 else None

        async def law():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await Resolver().resolve(Node())

        run(law)


class TestSharing:
    def test_each_parent_gets_models_of_its_own(self, run):
        class Task(BaseModel):
            owner_id: int
            owner: User | None = None

            def resolve_owner(self, loader=Loader(load_users)):
                return loader.load(self.owner_id)

            def post_default_handler(self):
                self.owner.name += "!"

        async def law():
            tasks = await Resolver().resolve([Task(owner_id=1), Task(owner_id=1)])
            assert [task.owner.name for task in tasks] == ["user 1!", "user 1!"]
            assert tasks[0].owner is not tasks[1].owner

        run(law)

    def test_models_that_a_loader_gives_are_shared_and_visited_in_each_place(self, run):
        class Counted(BaseModel):
            id: int
            visits: int = 0

            def post_visits(self):
                return self.visits + 1

        async def load_counted(ids):
            return [Counted(id=id) for id in ids]

        class Holder(BaseModel):
            counted: Counted | None = None

            def resolve_counted(self, loader=Loader(load_counted)):
                return loader.load(1)

        async def law():
            one, two = await Resolver().resolve([Holder(), Holder()])
            assert one.counted is two.counted
            assert one.counted.visits == 2

        run(law)


class TestWriting:
    def test_values_are_validated_by_the_type_alone_and_fields_do_not_count_as_set(self, run):
        class Node(BaseModel):
            model_config = ConfigDict(validate_assignment=True, frozen=True)
            number: Annotated[int, Field(gt=100)] = 200
            shouted: str = ""
            nothing: int = 0

            def resolve_number(self):
                return "7"

            def resolve_shouted(self):
                return "quiet"

            def resolve_nothing(self):
                return None

            @field_validator("shouted")
            @classmethod
            def shout(cls, value):
                return value.upper()

        async def law():
            node = await Resolver().resolve(Node())
            assert (node.number, node.shouted, node.nothing) == (7, "quiet", None)
            assert node.model_fields_set == set()

        run(law)

    def test_none_is_refused_where_a_field_is_required_and_not_optional(self, run):
        class Node(BaseModel):
            number: int

            def resolve_number(self):
                return None

        async def law():
            with pytest.raises(ValidationError, match="number|int"):
                await Resolver().resolve(Node(number=1))

        run(law)

    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            pytest.param(User, User(id=1), id="model"),
            pytest.param(User | None, User(id=1), id="union"),
            pytest.param(Optional[User], User(id=1), id="Optional"),
            pytest.param(dict, {"a": 1}, id="dict"),
            pytest.param(Any, [1], id="Any"),
            pytest.param(Union[User, list[int]], User(id=1), id="union with a generic"),
        ],
    )
    def test_what_fits_is_written_as_it_is(self, run, annotation, value):
        class Node(BaseModel):
            value: annotation = None

            def resolve_value(self):
                return value

        async def law():
            assert (await Resolver().resolve(Node())).value is value

        run(law)

    def test_objects_become_models_if_that_is_asked(self, run, monkeypatch):
        class Row:
            id, name = 1, "row"

        class Node(BaseModel):
            user: User | None = None

            def resolve_user(self):
                return Row()

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve(Node())
            assert caught.value.__notes__ == [f"while resolving {Node.__qualname__}.resolve_user"]
            resolver = Resolver(enable_from_attribute_in_type_adapter=True)
            assert (await resolver.resolve(Node())).user == User(id=1, name="row")
            with monkeypatch.context() as patch:
                patch.setenv("PYDANTIC_RESOLVE_ENABLE_FROM_ATTRIBUTE", "True")
                assert (await Resolver().resolve(Node())).user == User(id=1, name="row")

        run(law)

    def test_hooks_see_what_resolve_methods_gave_before_it_is_written(self, run):
        seen = []

        class Node(BaseModel):
            a: int = 0
            b: int = 0

            def resolve_a(self):
                return "1"

            def post_b(self):
                return 2

        async def law():
            seen.clear()
            node = Node()
            hook = lambda node, field, value: seen.append((field, value, node.a))  # noqa: E731
            await Resolver(resolved_hooks=[hook]).resolve(node)
            assert seen == [("a", 1, 0)]
            assert node.b == 2

        run(law)

    def test_methods_are_looked_up_when_they_are_called(self, run, monkeypatch):
        class Node(BaseModel):
            a: int = 0

            def resolve_a(self):
                return 1

            b: str = ""

            @mapper(str)
            def resolve_b(self):
                return "real"

        async def law():
            with monkeypatch.context() as patch:
                patch.setattr(Node, "resolve_a", lambda self: 2)
                patch.setattr(Node, "resolve_b", lambda self: "fake")
                assert await Resolver().resolve(Node()) == Node(a=2, b="fake")
            assert await Resolver().resolve(Node()) == Node(a=1, b="real")

        run(law)

    def test_methods_must_be_annotated_if_that_is_asked(self, run):
        class Node(BaseModel):
            a: int = 0
            b: int = 0

            def resolve_a(self) -> int:
                return 1

            def post_b(self):
                return 2

        class Bare(Node):
            def resolve_a(self):
                return 1

        async def law():
            assert await Resolver(ensure_type=True).resolve(Node()) == Node(a=1, b=2)
            with pytest.raises(MissingAnnotationError, match="resolve_a"):
                await Resolver(ensure_type=True).resolve(Bare())

        run(law)


class TestMapper:
    def test_a_function_makes_the_value_and_none_stays(self, run):
        class Node(BaseModel):
            id: int
            name: str = ""

            @mapper(lambda user: user["name"])
            def resolve_name(self, loader=Loader(load_users)):
                return loader.load(self.id)

            shout: Any = None

            @mapper(str.upper)
            async def post_shout(self):
                return self.name

        async def law():
            one, none = await Resolver().resolve([Node(id=1), Node(id=-1)])
            assert (one.name, none.name, one.shout) == ("user 1", None, "USER 1")

        run(law)

    @pytest.mark.parametrize("given", [{"id": 1}, [{"id": 1}], [], None, User(id=1)], ids=repr)
    def test_a_class_makes_models_of_dicts_and_leaves_what_is_one(self, run, given):
        class Node(BaseModel):
            value: User | list[User] | None = None

            @mapper(User)
            def resolve_value(self):
                return given

        async def law():
            node = await Resolver().resolve(Node())
            wanted = (
                {"dict": User(id=1), "list": [User(id=1)] * len(given or ())}
                if isinstance(given, (dict, list))
                else {}
            )
            assert node.value == wanted.get(type(given).__name__, given)

        run(law)

    def test_models_and_objects_are_read_as_their_classes_say(self, run):
        class Named(BaseModel):
            name: str

        class FromAttributes(Named):
            model_config = ConfigDict(from_attributes=True)

        class Loose(BaseModel):
            model_config = ConfigDict(from_attributes=True)
            name: str = "loose"
            other: int = 1

        class Row:
            name = "row"

        async def law():
            @mapper(FromAttributes)
            def objects():
                return Row()

            @mapper(Named)
            def models():
                return User(id=1, name="user")

            @mapper(Named)
            def loose():
                return Loose()

            assert (await objects()).name == "row"
            assert (await models()).name == "user"
            with pytest.raises(ValidationError):
                await loose()

        run(law)

    @pytest.mark.parametrize(
        ("rule", "given", "error"),
        [
            pytest.param(User, 1, AttributeError, id="no dict"),
            pytest.param(int, "1", NotImplementedError, id="no model"),
        ],
    )
    def test_what_cannot_be_made_is_refused(self, run, rule, given, error):
        @mapper(rule)
        async def method():
            return given

        async def law():
            with pytest.raises(error, match=rule.__name__):
                await method()

        run(law)

    def test_from_attributes_reads_no_dicts(self, run):
        class Named(BaseModel):
            model_config = ConfigDict(from_attributes=True)
            name: str

        async def law():
            @mapper(Named)
            async def method():
                return {"name": "x"}

            with pytest.raises(AttributeError, match="no dict"):
                await method()

        run(law)


class TestUpAndDown:
    def test_context_parents_and_ancestors(self, run):
        class Leaf(BaseModel):
            text: str = ""

            def resolve_text(self, context, parent, ancestor_context):
                with pytest.raises(TypeError):
                    context["site"] = 1
                with pytest.raises(TypeError):
                    ancestor_context["root"] = 1
                return f"{context['site']} {ancestor_context['root']} {parent.id}"

        class Middle(BaseModel):
            id: int
            leaf: Leaf

        class Root(BaseModel):
            name: Annotated[str, ExposeAs("root")]
            parents: Any = 0
            middle: list[Middle]

            def resolve_name(self):
                return "resolved"

            def post_parents(self, parent):
                return parent

        class Old(BaseModel):
            __pydantic_resolve_expose__ = {"id": "root"}
            id: int
            leaf: Leaf

        class Older(Old):
            pass

        async def law():
            root = Root(name="root", middle=[Middle(id=1, leaf=Leaf()), Middle(id=2, leaf=Leaf())])
            resolver = Resolver(context={"site": "here"})
            await resolver.resolve(root)
            assert [middle.leaf.text for middle in root.middle] == ["here resolved 1", "here resolved 2"]
            assert root.parents is None
            for kind in (Old, Older):
                old = await resolver.resolve(kind(id=3, leaf=Leaf()))
                assert old.leaf.text == "here 3 3"

        run(law)

    def test_nodes_are_models_that_fields_name_in_lists_and_tuples(self, run):
        class Leaf(BaseModel):
            done: bool = False

            def resolve_done(self):
                return True

        class Root(BaseModel):
            leaf: Leaf | None = None
            anything: Any = None
            given: Any = None

            def resolve_anything(self):
                return self.given

        async def law():
            leaf = Leaf()
            await Resolver().resolve(Root(given=(leaf, "no node", [Leaf()])))
            assert leaf.done
            with pytest.raises(KeyError, match="User.*Resolver.annotation"):
                await Resolver().resolve(Root(given=User(id=1)))
            await Resolver(annotation=Root | list[User]).resolve(Root(given=User(id=1)))

        run(law)

    def test_collectors_get_what_is_sent_from_below(self, run):
        class Distinct(ICollector):
            def __init__(self, alias, key):
                super().__init__(alias)
                self.key, self.found = key, {}

            def add(self, val):
                self.found[self.key(val)] = val

            def values(self):
                return list(self.found)

        class Leaf(BaseModel):
            id: Annotated[int, SendTo("ids")]
            name: Annotated[str, SendTo(("names", "unheard"))] = ""
            a: Annotated[int, SendTo("pairs")] = 1
            b: Annotated[int, SendTo("pairs")] = 2

            def post_name(self):
                return f"leaf {self.id % 2}"

        class Branch(BaseModel):
            leaves: list[Leaf] = []
            ids: list[int] = []
            names: list[str] = []

            def post_ids(self, collector=Collector("ids")):
                return collector.values()

            def post_names(self, collector=Distinct("names", str)):
                return collector.values()

        class Root(BaseModel):
            branches: list[Branch]
            ids: list[int] = []
            pairs: list[list[int]] = []
            others: list[str] = []

            def post_ids(self, found=Collector("ids")):
                return found.values()

            def post_others(self, found=Collector("unheard")):
                return found.values()

            def post_default_handler(self, pairs=Collector("pairs")):
                self.pairs = pairs.values()

        async def law():
            branches = [Branch(leaves=[Leaf(id=1), Leaf(id=3)]), Branch(leaves=[Leaf(id=2)])]
            root = await Resolver().resolve(Root(branches=branches))
            assert root.ids == [1, 3, 2]
            assert [branch.ids for branch in root.branches] == [[1, 3], [2]]
            assert [branch.names for branch in root.branches] == [["leaf 1"], ["leaf 0"]]
            assert root.pairs == [[1, 2]] * 3
            assert len(root.others) == 3

        run(law)

    def test_the_dict_of_pydantic_resolve_sends_too_and_is_not_inherited(self, run):
        class Leaf(BaseModel):
            __pydantic_resolve_collect__ = {"id": ("ids", "more"), ("id", "name"): "pairs"}
            id: int
            name: str = "x"

        class Quiet(Leaf):
            pass

        class Root(BaseModel):
            leaves: list[Leaf | Quiet]
            flat: list[int] = []
            ids: list[int] = []
            pairs: list[Any] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

            def post_flat(self, more=Collector("more")):
                return more.values()

            def post_pairs(self, pairs=Collector("pairs")):
                return pairs.values()

        async def law():
            root = await Resolver().resolve(Root(leaves=[Leaf(id=1), Quiet(id=2)]))
            assert (root.ids, root.flat, root.pairs) == ([1], [1], [[1, "x"]])

        run(law)


class TestFailing:
    def test_a_failure_ends_what_was_begun_and_says_where(self, run):
        gone, slow = [], Recorder(gate=asyncio.Event())

        class Node(BaseModel):
            a: int = 0
            b: int = 0
            c: int = 0

            async def resolve_a(self):
                try:
                    await asyncio.sleep(60)
                finally:
                    gone.append("a")

            async def resolve_b(self, loader=Loader(slow.__call__)):
                return await loader.load(1)

            async def resolve_c(self):
                await asyncio.sleep(0)
                raise BoomError("c")

        async def law():
            gone.clear()
            with pytest.raises(BoomError) as caught:
                await Resolver().resolve(Node())
            assert caught.value.__notes__ == [f"while resolving {Node.__qualname__}.resolve_c"]
            assert gone == ["a"]

        run(law)

    def test_errors_of_methods_loaders_and_converters_come_out_as_they_are(self, run):
        boom = BoomError("boom")

        async def load_badly(keys):
            return [boom if key == 1 else key for key in keys]

        async def fail(keys):
            raise boom

        class ByKey(BaseModel):
            id: int = 1
            x: int = 0

            def resolve_x(self, loader=Loader(load_badly)):
                return loader.load(self.id)

        class ByBatch(ByKey):
            def resolve_x(self, loader=Loader(fail), slow=Loader(load_users)):
                return loader.load(self.id)

        class ByMethod(ByKey):
            def resolve_x(self):
                raise boom

        class ByAsyncMethod(ByKey):
            async def resolve_x(self):
                raise boom

        class ByPost(BaseModel):
            x: int = 0

            def post_x(self):
                raise boom

        class ByLast(BaseModel):
            def post_default_handler(self):
                raise boom

        async def law():
            for kind in (ByKey, ByBatch, ByMethod, ByAsyncMethod, ByPost, ByLast):
                with pytest.raises(BoomError) as caught:
                    await Resolver().resolve([kind(), kind()])
                assert caught.value is boom

        run(law)

    def test_a_failing_batch_is_told_while_others_are_slow(self, run):
        slow = Recorder(gate=asyncio.Event())

        async def fail(keys):
            raise BoomError(keys)

        class Node(BaseModel):
            a: int = 0
            b: int = 0

            def resolve_a(self, loader=Loader(slow.__call__)):
                return loader.load(1)

            def resolve_b(self, loader=Loader(fail)):
                return loader.load(1)

        async def law():
            slow.cancelled = 0
            with pytest.raises(BoomError):
                await Resolver().resolve(Node())
            assert slow.cancelled == 1

        run(law)

    def test_cancelling_resolve_ends_its_batches(self, run):
        slow = Recorder(gate=asyncio.Event())

        class Node(BaseModel):
            a: int = 0

            def resolve_a(self, loader=Loader(slow.__call__)):
                return loader.load(1)

        async def law():
            slow.cancelled = 0
            task = asyncio.ensure_future(Resolver().resolve(Node()))
            for _ in range(9):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert slow.cancelled == 1

        run(law)

    def test_a_future_that_somebody_cancels_cancels_resolve(self, run):
        class Node(BaseModel):
            a: int = 0

            def resolve_a(self):
                future = asyncio.get_running_loop().create_future()
                future.cancel()
                return future

        async def law():
            with pytest.raises(asyncio.CancelledError):
                await Resolver().resolve(Node())

        run(law)

    def test_one_resolver_runs_one_resolve_at_a_time(self, run):
        class Node(BaseModel):
            a: int = 0

            async def resolve_a(self):
                await asyncio.sleep(0)
                return 1

        async def law():
            resolver = Resolver()
            first = asyncio.ensure_future(resolver.resolve(Node()))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="already running"):
                await resolver.resolve(Node())
            assert (await first).a == 1
            assert (await resolver.resolve(Node())).a == 1

        run(law)


class TestDebug:
    def test_it_notes_how_long_nodes_take_by_the_path_of_their_classes(self, run, caplog):
        class Leaf(BaseModel):
            id: int

        class Root(BaseModel):
            leaves: list[Leaf] = []

            async def resolve_leaves(self):
                return [{"id": 1}, {"id": 2}]

        async def law():
            resolver = Resolver(debug=True)
            with caplog.at_level("DEBUG", logger="dloader"):
                await resolver.resolve([Root(), Root()])
            timers = resolver.performance.full_path_timer
            assert {path: len(timer.records) for path, timer in timers.items()} == {"Root": 4, "Root.Leaf": 4}
            timer = timers["Root"]
            assert 0 <= timer.min <= timer.average <= timer.max
            assert "Root.Leaf: avg:" in caplog.text
            assert not (await Resolver().resolve([])), "an empty list has nothing to do"

        run(law)

    def test_the_environment_asks_for_it_too(self, monkeypatch):
        monkeypatch.setenv("PYDANTIC_RESOLVE_DEBUG", "true")
        resolver = Resolver()
        assert resolver.debug
        assert repr(resolver.performance) == ""
        assert resolver.performance.timer("x").average == 0


class TestOldLoaders:
    def test_loaders_that_are_none_of_dloader_work_too(self, run):
        class Foreign:
            """A loader like that of aiodataloader, as far as methods use it."""

            tenant: str

            def __init__(self):
                self.keys = []

            def load(self, key):
                self.keys.append(key)
                future = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(future.set_result, {"id": key, "name": self.tenant})
                return future

            def load_many(self, keys):
                return asyncio.gather(*map(self.load, keys))

            def prime(self, key, value):
                raise AssertionError((key, value))

        class Node(BaseModel):
            user: User | None = None
            users: list[User] = []

            def resolve_user(self, loader=Loader(Foreign)):
                return loader.load(1)

            def resolve_users(self, loader=Loader(Foreign)):
                return loader.load_many([2, 3])

        async def law():
            resolver = Resolver(loader_params={Foreign: {"tenant": "blue"}})
            node = await resolver.resolve(Node())
            assert [node.user, *node.users] == [User(id=id, name="blue") for id in (1, 2, 3)]
            (loader,) = resolver.loader_instance_cache.values()
            assert loader._query_meta == {
                "fields": ["id", "name"],
                "request_types": [{"name": User, "fields": ["id", "name"]}],
            }
            failing = Foreign()
            failing.load = lambda key: asyncio.get_running_loop().create_task(fail(key))
            with pytest.raises(BoomError):
                await Resolver(loader_instances={Foreign: failing}).resolve(Node())

        async def fail(key):
            raise BoomError(key)

        run(law)

    def test_a_given_loader_is_left_open_and_asked_for_what_it_was_not_primed_with(self, run):
        class UserLoader(DataLoader):
            async def batch_load_fn(self, keys):
                return await load_users(keys)

        class Node(BaseModel):
            id: int
            user: User | None = None

            def resolve_user(self, loader=Loader(UserLoader)):
                return loader.load(self.id)

        async def law():
            primed = UserLoader().prime(1, {"id": 1, "name": "primed"})
            nodes = await Resolver(loader_instances={UserLoader: primed}).resolve([Node(id=1), Node(id=2)])
            assert [node.user.name for node in nodes] == ["primed", "user 2"]
            assert (await primed.load(3))["name"] == "user 3"

        run(law)
