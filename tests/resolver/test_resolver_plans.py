"""Mistakes in models and arguments are found before anything is loaded, all of them; and what loaders are told."""

import importlib.util
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel
from resolving import Source

import dloader.resolver
from dloader import DataLoader, Instrument, LoaderParamError, LoaderRegistry, OptionError, PlanError
from dloader.resolver import (
    Collector,
    ExposeAs,
    Load,
    LoaderDepend,
    Resolver,
    SendTo,
    copy_dataloader_kls,
)

if TYPE_CHECKING:
    from decimal import Decimal as Unknown

source = Source(str)


def problems_of(run, root, **arguments):
    """What a resolve of `root` is refused for."""

    async def law():
        with pytest.raises(PlanError) as caught:
            await Resolver(**arguments).resolve(root)
        assert isinstance(caught.value, TypeError)
        assert all(problem in str(caught.value) for problem in caught.value.problems)
        return caught.value.problems

    return run(law)


class Child(BaseModel):
    id: int = 0

    def post_nmae(self):
        return ""

    def resolve_lable(self, loader, contxt=None):
        return ""


class Wrong(BaseModel):
    __pydantic_resolve_expose__: ClassVar[dict] = {"titel": "title"}
    __pydantic_resolve_collect__: ClassVar[dict] = {("id", "ofices"): "all"}

    id: int = 0
    owner_id: int = 0
    title: str = ""
    offices: list[Child] = []
    owner: Annotated[str, Load(source, by="owner_di")] = ""
    twice: Annotated[str, Load(source, by="id")] = ""
    thing: Annotated[str, Load(5, by="id")] = ""
    default_handler: str = ""

    def resolve_ofices(self):
        return []

    def resolve_offices(self, context):
        return []

    def resolve_twice(self):
        return ""

    def resolve_title(self, people=Collector("people")):
        return ""

    def post_title(self, loader=LoaderDepend([])):
        return ""

    def post_owner(self, loader=LoaderDepend()):
        return ""

    def post_default_handler(self, context, wrong):
        return ""


class TestMistakes:
    """All of one tree in one error, with hints."""

    def test_they_are_reported_together(self, run):
        """Those of the classes below too, before any batch runs."""
        problems = problems_of(
            run, [Wrong()], loader_params={source: {"size": 1}}, global_loader_param={"x": 1}
        )
        wanted = [
            "Wrong.resolve_ofices fills no field: there is no field 'ofices' (did you mean 'offices'?)",
            "Wrong.owner: Load(by='owner_di') names no field (did you mean 'owner_id'?)",
            "Wrong.twice is filled twice",
            "Wrong.thing: 5 is no loader",
            "Wrong.title: [] is no loader",
            "Wrong.owner: LoaderDepend(None) is no loader",
            "Wrong.resolve_title: a Collector is filled after the subtree is done",
            "Wrong.post_default_handler takes 'wrong', which nobody provides",
            "Wrong.post_default_handler runs last and fills no field, but there is a field",
            "Wrong.__pydantic_resolve_expose__ names no field: 'titel' (did you mean 'title'?)",
            "Wrong.__pydantic_resolve_collect__ names no field: 'ofices' (did you mean 'offices'?)",
            "Wrong.resolve_offices takes context, and this resolver has none",
            "Wrong.post_default_handler takes context, and this resolver has none",
            "Child.post_nmae fills no field: there is no field 'nmae' (there is 'id')",
            "Child.resolve_lable fills no field",
            "Child.resolve_lable takes 'loader', which nobody provides",
            "loader_params: source has no parameter 'size' (there is none)",
            "global_loader_param: no loader has a parameter 'x'",
        ]
        for text in wanted:
            assert [problem for problem in problems if text in problem], text
        assert len(problems) == len(wanted)
        assert source.calls == []

    def test_annotation_checks_classes_that_the_tree_does_not_hold(self, run):
        """Whatever is resolved; a right tree passes."""

        class Right(BaseModel):
            id: int

        async def law():
            assert await Resolver(annotation=list[Right]).resolve([]) == []
            assert await Resolver(annotation=list[Right]).resolve(None) is None

        assert problems_of(run, [Right(id=1)], annotation=list[Right | Child])
        assert problems_of(run, [], annotation=Child)
        run(law)

    def test_a_type_that_cannot_be_evaluated_is_a_problem(self, run):
        """Of a dataclass; the hints of methods may be unknown."""
        from dataclasses import dataclass

        @dataclass
        class Data:
            value: "Nowhere" = None  # noqa: F821

        (problem,) = problems_of(run, Data())
        assert "Data: a type cannot be evaluated (name 'Nowhere' is not defined)" in problem

        class Fine(BaseModel):
            value: int = 0

            def resolve_value(self, loader: "Unknown" = LoaderDepend(source)) -> "Unknown":
                return 1

        async def law():
            assert (await Resolver().resolve(Fine())).value == 1

        run(law)

    def test_arguments_of_the_resolver_are_checked_when_it_is_made(self):
        """With a message that names the argument."""

        class Loader(DataLoader):
            async def batch_load_fn(self, keys):
                return keys

        for arguments, text in [
            ({"context": 5}, "context="),
            ({"loader_instances": {Loader: DataLoader(source)}}, "loader_instances"),
            ({"loader_instances": {source: source}}, "loader_instances"),
            ({"loader_instances": {Loader: Loader()}, "split_loader_by_type": True}, "split_loader_by_type"),
        ]:
            with pytest.raises(OptionError, match=text):
                Resolver(**arguments)
        with pytest.raises(OptionError, match="by="):
            Load(source, by=5)

    def test_markers_show_themselves(self):
        """In tracebacks and pictures."""
        assert repr(Load(source, by="id")) == "Load(source, by='id')"
        assert repr(LoaderDepend(source)) == "LoaderDepend(source)"
        assert repr(Resolver()) == "<Resolver loaders=[]>"


class Sized(DataLoader):
    """A loader with parameters: one inherited, one with a default, some that are none."""

    size: int
    unit: str = "m"
    known: ClassVar[int] = 3
    quoted: "ClassVar[int]" = 3
    unknown: "Unknown" = None
    batch: bool = True

    async def batch_load_fn(self, keys):
        return [f"{key} {self.size} {self.unit} {getattr(self, 'status', '')}".strip() for key in keys]


class Filtered(Sized):
    status: Literal["open", "closed"]


class Uses(BaseModel):
    id: int | None = 1
    name: Annotated[str, Load(Filtered, by="id")] = ""


class TestParameters:
    """`loader_params` and `global_loader_param`."""

    @pytest.mark.parametrize(
        ("params", "common", "text"),
        [
            (
                {Filtered: {"status": "oepn"}},
                None,
                "Filtered.status cannot be 'oepn': Input should be 'open' or 'closed'",
            ),
            (None, {"size": "many"}, "Filtered.size cannot be 'many'"),
            (
                {Filtered: {"statsu": "open"}},
                None,
                "Filtered has no parameter 'statsu' (did you mean 'status'?)",
            ),
            ({Filtered: {"known": 4}}, None, "Filtered has no parameter 'known'"),
            ({Filtered: {"quoted": 4}}, None, "Filtered has no parameter 'quoted'"),
            ({Filtered: {"batch": False}}, None, "Filtered has no parameter 'batch'"),
            ({Filtered: {"size": 1}}, {"size": 2}, "both set 'size' of Filtered"),
            (None, {"szie": 2}, "no loader has a parameter 'szie' (did you mean 'size'?)"),
        ],
    )
    def test_values_and_names_are_checked(self, run, params, common, text):
        """Against the annotations of the loader."""
        problems = problems_of(run, Uses(), loader_params=params, global_loader_param=common)
        assert [problem for problem in problems if text in problem]

    def test_they_reach_the_loader(self, run):
        """Own and inherited ones, from both arguments; a value of another type is converted, others are kept."""
        thing = object()

        class Things(DataLoader):
            size: int
            thing: "object"
            numbers: list[int]
            maybe: "Unknown"
            model: Uses

            async def batch_load_fn(self, keys):
                assert self.thing is thing
                assert self.numbers is numbers
                assert self.maybe == 5
                assert isinstance(self.model, Uses)
                return [self.size for _ in keys]

        numbers = [1, 2]

        class Other(BaseModel):
            id: int = 1
            size: Annotated[Any, Load(Things, by="id")] = None

        async def law():
            params = {
                Filtered: {"status": "open", "unit": "km"},
                Things: {"thing": thing, "numbers": numbers, "maybe": 5, "model": {"id": 3}},
            }
            resolver = Resolver(params, {"size": "7"})
            uses, other = await resolver.resolve([Uses(), Other()])
            assert (uses.name, other.size) == ("1 7 km open", 7)
            assert (await resolver.resolve(Uses(id=2))).name == "2 7 km open"

        run(law)

    def test_unused_branches_need_none(self, run):
        """A missing parameter is an error when the loader is first used."""

        class Branches(BaseModel):
            id: int = 1
            other: Annotated[str, Load(source, by="id")] = ""
            uses: Uses | None = None

        async def law():
            assert (await Resolver().resolve(Branches())).other == "1"
            assert (await Resolver().resolve(Uses(id=None))).name == ""
            with pytest.raises(LoaderParamError, match="parameters 'size', 'status' nobody gave"):
                await Resolver().resolve(Branches(uses=Uses()))
            with pytest.raises(LoaderParamError, match="parameter 'status' nobody gave"):
                await Resolver(global_loader_param={"size": 5}).resolve(Uses())

        run(law)

    def test_types_that_pydantic_cannot_check_are_taken_as_they_are(self, run):
        """A class of another library that forbids a schema."""

        class Odd:
            @classmethod
            def __get_pydantic_core_schema__(cls, source, handler):
                from pydantic import PydanticUserError

                raise PydanticUserError("no", code=None)

        class WithOdd(DataLoader):
            odd: Odd

            async def batch_load_fn(self, keys):
                return [self.odd for _ in keys]

        class Node(BaseModel):
            id: int = 1
            odd: Annotated[Any, Load(WithOdd, by="id")] = None

        async def law():
            assert (await Resolver({WithOdd: {"odd": 5}}).resolve(Node())).odd == 5

        run(law)

    def test_clones_differ_in_nothing_but_identity(self):
        """They are pickled and shown by their own name, and inherit everything."""
        Clone = copy_dataloader_kls("Clone", Filtered)
        assert (Clone.__name__, Clone.__qualname__, Clone.__module__) == ("Clone", "Clone", __name__)
        assert issubclass(Clone, Filtered)
        assert Clone.unit == "m"

    def test_a_loader_may_see_the_context(self, run):
        """Through a parameter named `_context`."""

        class Mine(DataLoader):
            _context: Mapping[str, Any]

            async def batch_load_fn(self, keys):
                return [self._context["user"] for _ in keys]

        class Node(BaseModel):
            id: int = 1
            user: Annotated[str, Load(Mine, by="id")] = ""

        async def law():
            assert (await Resolver(context={"user": "ann"}).resolve(Node())).user == "ann"
            with pytest.raises(LoaderParamError, match=r"or Resolver\(context=...\)"):
                await Resolver().resolve(Node())

        run(law)


class TestInstances:
    """Where loaders come from."""

    def test_a_registry_serves_and_keeps_them(self, run):
        """Between resolves, and beside loads made without a resolver; a loader made by the registry is used."""
        calls = []

        class Names(DataLoader):
            async def batch_load_fn(self, keys):
                calls.append(keys)
                return [str(key) for key in keys]

        class Node(BaseModel):
            id: int
            name: Annotated[str, Load(Names, by="id")] = ""

        async def law():
            async with LoaderRegistry() as registry:
                assert await registry.get(Names).load(1) == "1"
                await Resolver(registry=registry).resolve([Node(id=1), Node(id=2)])
                await Resolver(registry=registry).resolve([Node(id=1), Node(id=2)])
            assert calls == [[1], [2]]
            assert registry.find(Names).closed

        run(law)

    def test_instances_and_cache_are_by_object(self, run):
        """`loader_instances` wins over the registry; the cache shows who served."""
        mine = DataLoader(source)

        class Node(BaseModel):
            id: int = 1
            name: Annotated[str, Load(source, by="id")] = ""

        async def law():
            resolver = Resolver(loader_instances={source: mine}, registry=LoaderRegistry())
            await resolver.resolve(Node())
            assert resolver.loader_instance_cache == {source: mine}
            assert "source" in repr(resolver)
            empty = Resolver()
            await empty.resolve([])
            assert repr(empty.loader_instance_cache) == "no loaders"

        run(law)

    def test_instruments_watch_the_loaders_that_are_made(self, run):
        """One object for all of them."""
        seen = []

        class Watch(Instrument):
            def batch_started(self, batch):
                seen.append((batch.loader.name, batch.keys))

        class Node(BaseModel):
            id: int = 1
            name: Annotated[str, Load(source, by="id")] = ""

        async def law():
            await Resolver(instruments=[Watch()]).resolve(Node())

        run(law)
        assert seen == [("source", (1,))]


class Small(BaseModel):
    id: int


class Large(BaseModel):
    id: int
    name: str = ""


class UserLoader(DataLoader):
    async def batch_load_fn(self, keys):
        return [{"id": key, "name": ",".join(self.requested.fields)} for key in keys]


class Wants(BaseModel):
    id: int = 1
    small: Annotated[Small | None, Load(UserLoader, by="id")] = None
    large: Annotated[list[Large] | None, Load(UserLoader, by="id")] = None


class One(BaseModel):
    id: int = 1
    large: Annotated[Large | None, Load(UserLoader, by="id")] = None
    small: Annotated[Small | None, Load(UserLoader, by="id")] = None
    name: str = ""


class TestRequested:
    """A loader sees which types and fields are wanted of it."""

    def test_all_that_use_it_are_asked(self, run):
        """`requested`, and `_query_meta` as pydantic-resolve has it."""

        async def law():
            resolver = Resolver()
            one = await resolver.resolve(One())
            loader = resolver.loader_instance_cache[UserLoader]
            assert loader.requested.types == (Large, Small)
            assert loader.requested.fields == ("id", "name")
            assert loader._query_meta == {
                "fields": ["id", "name"],
                "request_types": [
                    {"name": Large, "fields": ["id", "name"]},
                    {"name": Small, "fields": ["id"]},
                ],
            }
            assert one.large.name == "id,name"

        run(law)

    def test_a_loader_may_be_split_by_type(self, run):
        """Then each set of types has a loader of its own."""

        async def law():
            resolver = Resolver(split_loader_by_type=True)
            one = await resolver.resolve([One(), One(id=2)])
            loaders = resolver.loader_instance_cache[UserLoader]
            assert list(loaders) == [(Large,), (Small,)]
            assert loaders[Small,].requested.fields == ("id",)
            assert [loader.statistics.batches for loader in loaders.values()] == [1, 1]
            assert one[1].large.name == "id,name"
            assert "UserLoader: batches=1 keys=2" in repr(resolver.loader_instance_cache)

        run(law)

    def test_a_loader_of_plain_values_is_asked_for_nothing(self, run):
        """Its `requested` is empty."""

        class Node(BaseModel):
            id: int = 1
            name: Annotated[str, Load(source, by="id")] = ""

        async def law():
            resolver = Resolver()
            await resolver.resolve(Node())
            assert resolver.loader_instance_cache[source].requested.fields == ()

        run(law)


def test_exposed_and_sent_markers_are_values():
    """Equal when they say the same."""
    assert ExposeAs("x") == ExposeAs("x")
    assert SendTo(("a", "b")) == SendTo(("a", "b"))


def test_without_pydantic_the_import_tells_the_cure(monkeypatch):
    """The extra's name is in the message."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    spec = importlib.util.spec_from_file_location("without_pydantic", dloader.resolver.__file__)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "dloader\[resolver\]"'):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
