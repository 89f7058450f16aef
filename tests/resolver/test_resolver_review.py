"""Laws that a reviewer found broken: registries, loader parameters, inherited and misplaced declarations."""

import asyncio
import functools
import gc
import weakref
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel
from resolving import notes_of

from dloader import (
    DataLoader,
    KeyTypeError,
    LoaderClosedError,
    LoaderParamError,
    LoaderRegistry,
    OptionError,
    PlanError,
)
from dloader.resolver import ExposeAs, Load, LoaderDepend, Resolver, SendTo


async def load_names(keys):
    return [f"name {key}" for key in keys]


class Offices(DataLoader):
    status: str
    limit: int = 10

    async def batch_load_fn(self, keys):
        return [f"{self.status} {self.limit} {key}" for key in keys]


class Company(BaseModel):
    id: int
    offices: Annotated[str, Load(Offices, by="id")] = ""


def problems_of(run, tree, **arguments):
    """What a resolve of `tree` finds wrong beforehand."""

    async def law():
        with pytest.raises(PlanError) as raised:
            await Resolver(**arguments).resolve(tree)
        return raised.value.problems

    return run(law)


class TestARegistry:
    def test_its_loader_gets_the_parameters_of_the_resolve(self, run):
        """One that was made without a resolver, and has loaded nothing yet."""

        async def law():
            async with LoaderRegistry() as registry:
                loader = registry.get(Offices)
                params = {Offices: {"status": "open", "limit": 3}}
                company = await Resolver(loader_params=params, registry=registry).resolve(Company(id=1))
                assert company.offices == "open 3 1"
                assert (loader.status, loader.limit) == ("open", 3)
                again = await Resolver(loader_params=params, registry=registry).resolve(Company(id=2))
                assert again.offices == "open 3 2"
                # who gives none takes what is there
                assert (await Resolver(registry=registry).resolve(Company(id=3))).offices == "open 3 3"

        run(law)

    def test_its_loader_is_not_served_with_other_parameters(self, run):
        """Those that were given, and defaults under which it has loaded."""

        async def law():
            async with LoaderRegistry() as registry:
                await Resolver(loader_params={Offices: {"status": "open"}}, registry=registry).resolve(
                    Company(id=1)
                )
                for given, texts in [
                    ({"status": "closed"}, ("status='open'", "status='closed'")),
                    ({"limit": 5}, ("limit=10", "limit=5")),
                ]:
                    with pytest.raises(LoaderParamError) as raised:
                        await Resolver(loader_params={Offices: given}, registry=registry).resolve(
                            Company(id=1)
                        )
                    assert all(text in str(raised.value) for text in texts)

        run(law)

    def test_its_loader_lacks_a_parameter(self, run):
        """As any other."""

        async def law():
            async with LoaderRegistry() as registry:
                registry.get(Offices)
                with pytest.raises(LoaderParamError, match="status"):
                    await Resolver(registry=registry).resolve(Company(id=1))

        run(law)

    def test_its_loader_is_told_what_each_resolve_wants(self, run):
        """Beside what earlier ones wanted."""

        class One(BaseModel):
            id: int
            first: str = ""

        class Two(BaseModel):
            id: int
            second: str = ""

        class Rows(DataLoader):
            async def batch_load_fn(self, keys):
                return [{"id": key} for key in keys]

        class HasOne(BaseModel):
            id: int = 1
            one: Annotated[One | None, Load(Rows, by="id")] = None

        class HasTwo(BaseModel):
            id: int = 1
            two: Annotated[Two | None, Load(Rows, by="id")] = None

        async def law():
            async with LoaderRegistry() as registry:
                loader = registry.get(Rows)
                await Resolver(registry=registry).resolve(HasOne())
                assert loader.requested.types == (One,)
                await Resolver(registry=registry).resolve(HasTwo())
                assert loader.requested.types == (One, Two)
                await Resolver(registry=registry).resolve(HasOne())
                assert loader.requested.fields == ("id", "first", "second")
                assert loader._query_meta["fields"] == ["id", "first", "second"]

        run(law)


class TestLoaderParameters:
    def test_an_instance_has_its_own(self, run):
        """Given twice they would be dropped."""
        (problem,) = problems_of(
            run,
            Company(id=1),
            loader_instances={Offices: Offices()},
            loader_params={Offices: {"status": "open"}},
        )
        assert "parameters are given to the instance itself" in problem

    def test_none_may_overwrite_what_loaders_have(self, run):
        """Attributes of instances, methods and properties; options may be annotated anew."""

        class Bad(DataLoader):
            name: str
            load_fn: Any
            load: Any
            max_batch_size: int = 3

            async def batch_load_fn(self, keys):
                return keys

        class Model(BaseModel):
            id: int
            value: Annotated[int, Load(Bad, by="id")] = 0

        problems = problems_of(run, Model(id=1), loader_params={Bad: {"name": "x"}})
        assert sorted(problem.split()[0] for problem in problems) == ["Bad.load", "Bad.load_fn", "Bad.name"]

    def test_what_is_no_mapping_is_refused_at_once(self):
        """Naming the argument."""
        for arguments, text in [
            ({"loader_params": {Offices: 5}}, "loader_params: Offices"),
            ({"loader_params": [1]}, "loader_params"),
            ({"loader_instances": [1]}, "loader_instances"),
            ({"global_loader_param": ["status"]}, "global_loader_param"),
            ({"registry": 5}, "registry"),
        ]:
            with pytest.raises(OptionError, match=text):
                Resolver(**arguments)

    def test_a_field_in_the_place_of_a_loader(self, run):
        """Inside the class body its name means the field's default: the message says so."""

        class Model(BaseModel):
            people: list[int] = []

            def resolve_people(self, loader=LoaderDepend(["other"])):
                return []

        class Hides(BaseModel):
            name: str = "nobody"

            def resolve_name(self, loader=LoaderDepend("nobody")):
                return ""

        @dataclass
        class HidesToo:
            name: str = "nobody"
            other: list[int] = field(default_factory=list)

            def resolve_name(self, loader=LoaderDepend("nobody")):
                return ""

        for tree in (Hides(), HidesToo()):
            (problem,) = problems_of(run, tree)
            assert "name is the field" in problem
        assert "is the field" not in problems_of(run, Model())[0]


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
            f"{Model.__qualname__}.{name}" for name in ("resolve_a", "post_b", "resolve_c", "resolve_d")
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


class TestErrors:
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


class TestMemory:
    def test_a_resolver_keeps_no_classes_alive(self):
        """Neither models nor loader classes that were made at run time."""
        resolver = Resolver(global_loader_param={"size": 1})

        def made():
            class Sized(DataLoader):
                size: int

                async def batch_load_fn(self, keys):
                    return keys

            class Model(BaseModel):
                id: int
                value: int = 0

                def resolve_value(self, loader=LoaderDepend(Sized)):  # typing's cache would keep an Annotated
                    return loader.load(self.id)

            assert asyncio.run(resolver.resolve(Model(id=3))).value == 3
            return weakref.ref(Sized), weakref.ref(Model)

        references = made()
        resolver.loader_instance_cache = {}
        for _ in range(3):
            gc.collect()
        assert [reference() for reference in references] == [None, None]


class TestLoadsThatNobodyReturns:
    def test_nothing_runs_on_when_the_tree_is_filled(self, run):
        """A load that a method begins and does not return ends with the resolve."""
        begun = []

        class Slow(DataLoader[int, int]):
            async def batch_load_fn(self, keys: list[int]) -> list[int]:
                await asyncio.Event().wait()
                raise AssertionError

        class Row(BaseModel):
            name: str = ""

            def resolve_name(self, loader=LoaderDepend(Slow)) -> str:
                begun.append((loader, loader.load(1)))
                return "done"

        async def law():
            row = await Resolver().resolve(Row())
            [(loader, future)] = begun
            assert row.name == "done"
            assert loader.is_idle
            assert future.cancelled()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        run(law)
