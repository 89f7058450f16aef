"""Mistakes in models and arguments are found before anything is loaded, all of them; and what loaders are told."""

import dataclasses
import functools
import importlib.util
import sys
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, TypedDict, TypeVar

import pydantic.dataclasses
import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field
from resolving import Source, problems_of
from typing_extensions import TypeAliasType

import dloader.resolver
from dloader import DataLoader, LoaderRegistry, OptionError
from dloader.resolver import Collector, ExposeAs, Load, LoaderDepend, Resolver, SendTo

if TYPE_CHECKING:
    from decimal import Decimal as Unknown

source = Source(str)


async def load_names(keys):
    return [f"name {key}" for key in keys]


class Child(BaseModel):
    id: int = 0

    def post_nmae(self):
        return ""

    def resolve_lable(self, loader, contxt=None):
        return ""

    def post_default_handler(self):
        pass


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
        before = list(source.calls)
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
        ]
        for text in wanted:
            assert [problem for problem in problems if text in problem], text
        assert len(problems) == len(wanted)
        assert source.calls == before

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

            def resolve_value(self):
                return 1

        (problem,) = problems_of(run, Data())
        assert "Data.value: its type cannot be evaluated (name 'Nowhere' is not defined)" in problem
        assert "outside of `if TYPE_CHECKING`" in problem

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
            (
                {"registry": LoaderRegistry(), "split_loader_by_type": True},
                "split_loader_by_type .* registry",
            ),
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

    def test_rows_are_asked_for_what_only_they_can_give(self, run):
        """By alias where the model wants that; not for what a step fills, nor a post that needs nothing."""

        class Pair(BaseModel):
            id: int

        class Wide(BaseModel):
            id: int = Field(alias="user_id")
            choice: int = Field(1, validation_alias=AliasChoices("one", "other"))
            path: int = Field(1, validation_alias=AliasPath("deep", 0))
            several: Annotated[list[Pair], Load(source, by="id")] = []
            upper: str
            label: str = ""
            made: str = ""

            def resolve_made(self):
                return "made"

            def post_label(self):
                return "label"

            def post_upper(self):
                return self.upper.upper()

        class ByName(BaseModel):
            model_config = ConfigDict(populate_by_name=True)
            named: int = Field(1, alias="nobodys")

        @dataclass
        class Data:
            sure: int
            maybe: int = 0
            many: list[int] = dataclasses.field(default_factory=list)
            later: int = dataclasses.field(init=False)

            def post_sure(self):
                return self.sure

            def post_maybe(self):
                return 1

            def post_many(self):
                return []

            def post_later(self):
                return 1

        @pydantic.dataclasses.dataclass
        class Checked:
            checked: int = Field(alias="tested")

        class Asking(DataLoader):
            async def batch_load_fn(self, keys):
                return [None for _ in keys]

        class Node(BaseModel):
            id: int = 1
            wide: Annotated[Wide | ByName | Data | Checked | None, Load(Asking, by="id")] = None

        async def law():
            resolver = Resolver()
            await resolver.resolve(Node())
            loader = resolver.loader_instance_cache[Asking]
            wanted = {"user_id", "one", "deep", "upper", "named", "sure", "tested"}
            assert set(loader.requested.fields) == wanted
            assert {"id", "label", "several", "made"} < set(loader._query_meta["fields"])

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
    with pytest.raises(OptionError, match="SendTo takes a name"):
        SendTo(())


def test_without_pydantic_the_import_tells_the_cure(monkeypatch):
    """The extra's name is in the message."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    spec = importlib.util.spec_from_file_location("without_pydantic", dloader.resolver.__file__)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "dloader\[resolver\]"'):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


OLD_PYDANTIC = pydantic.VERSION.startswith("2.9.")
ALIASES = tuple(dict.fromkeys([getattr(typing, "TypeAliasType", TypeAliasType), TypeAliasType]))
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | int | None")
owner_source = Source(lambda key: {"id": key})


class TestDeclarations:
    def test_the_nearer_one_wins(self, run):
        """Of a method and a Load, whichever class is nearer."""

        class Method(BaseModel):
            id: int = 1
            name: str = ""

            def resolve_name(self):
                return "method"

        class Loads(Method):
            name: Annotated[str, Load(load_names, by="id")] = ""

        class MethodAgain(Loads):
            def resolve_name(self):
                return "again"

        class Both(Method):
            name: Annotated[str, Load(load_names, by="id")] = ""

            def resolve_name(self):
                return "both"

        async def law():
            found = await Resolver().resolve([Method(), Loads(), MethodAgain()])
            assert [node.name for node in found] == ["method", "name 1", "again"]

        run(law)
        (problem,) = problems_of(run, Both())
        assert "filled twice" in problem

    @pytest.mark.skipif(
        OLD_PYDANTIC, reason="Pydantic 2.9 cannot make models with the backport of such aliases"
    )
    @pytest.mark.parametrize("type_alias", ALIASES)
    def test_markers_may_stand_behind_an_alias(self, run, type_alias):
        """Of ``type X = Annotated[...]``, one behind another, and with parameters; in dataclasses as in models."""
        source = Source(lambda key: {"id": key})
        T = TypeVar("T")
        Owner = type_alias("Owner", Annotated[Small | None, Load(source, by="id"), SendTo("owners")])
        Other = type_alias("Other", Annotated[Owner, Field(description="the same")])
        Loaded = type_alias("Loaded", Annotated[T | None, Load(source, by="id")], type_params=(T,))
        Name = type_alias("Name", Annotated[int, ExposeAs("name")])
        Given = type_alias("Given", Annotated[DataLoader, LoaderDepend(source)])

        class Below(BaseModel):
            name: int = 0

            def resolve_name(self, ancestor_context):
                return ancestor_context["name"]

        class Task(BaseModel):
            id: Name
            below: Below
            owner: Owner = None
            other: Other = None
            third: Loaded[Small] = None
            again: Annotated[dict, Field()] = {}

            def resolve_again(self, loader: Given):
                return loader.load(self.id)

        @dataclasses.dataclass
        class Record:
            id: Name
            below: Below
            owner: Owner = None
            other: Other = None
            third: Loaded[Small] = None
            again: dict = dataclasses.field(default_factory=dict)

            def resolve_again(self, loader: Given):
                return loader.load(self.id)

        class Holder(BaseModel):
            task: Task
            record: Record
            owners: list[Small] = []

            def post_owners(self, owners=Collector("owners")):
                return owners.values()

        async def law():
            return await Resolver().resolve(
                Holder(task=Task(id=1, below=Below()), record=Record(id=2, below=Below()))
            )

        holder = run(law)
        for node, id in ((holder.task, 1), (holder.record, 2)):
            assert [node.owner, node.other, node.third] == [Small(id=id)] * 3
            assert (node.again, node.below.name) == ({"id": id}, id)
        assert [owner.id for owner in holder.owners] == [1, 1, 2, 2]

    @pytest.mark.skipif(
        OLD_PYDANTIC, reason="Pydantic 2.9 cannot make models with the backport of such aliases"
    )
    @pytest.mark.parametrize("type_alias", ALIASES)
    def test_markers_behind_an_alias_inside_a_type_are_refused(self, run, type_alias):
        """As without the alias; one that names itself is looked into once."""
        Owner = type_alias("Owner", Annotated[Small, Load(owner_source, by="id")])

        class Task(BaseModel):
            id: int
            owner: Owner | None = None
            owners: list[Owner] = []
            data: Json = None

        found = problems_of(run, Task(id=1))
        assert [problem.partition(" stands")[0] for problem in found] == [
            f"{Task.__qualname__}.owner: Load",
            f"{Task.__qualname__}.owners: Load",
        ]

    def test_markers_inside_a_type_are_refused(self, run):
        """Nobody would read them."""

        class Model(BaseModel):
            id: int = 1
            name: Annotated[str, Load(load_names, by="id")] | None = None
            shown: list[Annotated[str, ExposeAs("shown")]] = []
            sent: Annotated[str, SendTo("sent")] | None = None

        problems = problems_of(run, Model())
        assert len(problems) == 3
        assert "Model.name: Load stands inside" in problems[0]
        assert "write Annotated[str | None, Load(...)]" in problems[0]

    def test_methods_are_plain(self, run):
        """Or there would be no knowing how to call them; other names are the class's own affair."""

        class Model(BaseModel):
            a: int = 0
            b: int = 0
            c: int = 0
            d: int = 0
            post_code: str = ""
            code: str = ""

            @classmethod
            def resolve_a(cls):
                return 1

            @staticmethod
            def post_b():
                return 1

            @functools.lru_cache  # noqa: B019
            def resolve_c(self):
                return 1

            def give(self, value):
                return value

            resolve_d = functools.partialmethod(give, 1)

            @classmethod
            def resolve_all(cls):
                return 1

            @property
            def post_a(self):
                return 1

        problems = problems_of(run, Model())
        assert [problem.split()[0] for problem in problems] == [
            f"{Model.__qualname__}.{name}"
            for name in ("resolve_a", "post_b", "resolve_c", "resolve_d", "post_a")
        ]
        assert "write `def resolve_a(self): ...`" in problems[0]

    def test_context_may_have_a_default(self, run):
        """For resolvers that have none."""

        class Model(BaseModel):
            value: int = 0

            def resolve_value(self, context=None):
                return context["value"] if context else 1

        async def law():
            assert (await Resolver().resolve(Model())).value == 1
            assert (await Resolver(context={"value": 5}).resolve(Model())).value == 5

        run(law)

    def test_the_values_of_a_typed_dict_are_walked(self, run):
        """A name that only Pydantic finds is passed over."""

        class Leaf(BaseModel):
            id: int = 1
            name: Annotated[str, Load(load_names, by="id")] = ""

        class Row(TypedDict):
            leaf: Leaf
            leaves: list[Leaf]

        class Unknown(TypedDict):
            leaf: "Nowhere"  # noqa: F821

        @dataclass
        class Model:
            row: Row
            unknown: Unknown

        async def law():
            model = await Resolver().resolve(Model({"leaf": Leaf(), "leaves": [Leaf(id=2)]}, {"leaf": 1}))
            assert model.row["leaf"].name == "name 1"
            assert model.row["leaves"][0].name == "name 2"

        run(law)
