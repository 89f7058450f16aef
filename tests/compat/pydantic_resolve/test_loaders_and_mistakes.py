"""The drop-in for pydantic-resolve: which loaders it makes, under which names, and which errors mistakes are."""

import importlib
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from dloader.compat import pydantic_resolve
from dloader.compat.aiodataloader import DataLoader
from dloader.compat.pydantic_resolve import (
    AutoLoad,
    Collector,
    ExposeAs,
    GlobalLoaderFieldOverlappedError,
    Loader,
    LoaderContextNotProvidedError,
    LoaderFieldNotProvidedError,
    MissingCollector,
    Resolver,
    ResolverTargetAttrNotFound,
    SendTo,
    build_list,
    build_object,
    copy_dataloader_kls,
)
from dloader.compat.pydantic_resolve._scan import MOST_SCANS, Scans
from dloader.compat.pydantic_resolve.utils import dataloader as loaders

HERE = __name__


class Card(BaseModel):
    id: int


class Detail(Card):
    text: str = ""


async def load_cards(keys):
    return [{"id": key} for key in keys]


class CardLoader(DataLoader):
    tenant: str
    limit: int = 3

    async def batch_load_fn(self, keys):
        return [[{"id": key, "text": f"{self.tenant} {self.limit}"}] for key in keys]


class Board(BaseModel):
    cards: list[Card] = []
    details: list[Detail] = []

    def resolve_cards(self, loader=Loader(CardLoader)):
        return loader.load(1)

    def post_details(self, loader=Loader(CardLoader)):
        return loader.load(1)


class TestLoaders:
    def test_they_are_kept_by_dotted_names_and_told_what_is_wanted(self, run):
        class Node(Board):
            card: Card | None = None

            def resolve_card(self, loader=Loader(load_cards)):
                return loader.load(1)

        async def law():
            resolver = Resolver(global_loader_param={"tenant": "blue", "unknown": 1})
            node = await resolver.resolve(Node())
            assert node.details == [Detail(id=1, text="blue 3")]
            found = resolver.loader_instance_cache
            assert list(found) == [f"{HERE}.load_cards", f"{HERE}.CardLoader"]
            wanted = found[f"{HERE}.CardLoader"]._query_meta
            assert wanted["fields"] == ["id", "text"]
            assert [each["name"] for each in wanted["request_types"]] == [Card, Detail]

        run(law)

    def test_they_may_be_split_by_the_models_that_fields_hold(self, run):
        async def law():
            params = {CardLoader: {"tenant": "blue", "limit": 4}}
            resolver = Resolver(loader_params=params, split_loader_by_type=True)
            assert (await resolver.resolve(Board())).details[0].text == "blue 4"
            found = resolver.loader_instance_cache[f"{HERE}.CardLoader"]
            assert list(found) == [(Card,), (Detail,)]
            given = Resolver(loader_instances={CardLoader: CardLoader()}, split_loader_by_type=True)
            with pytest.raises(
                ValueError, match="split_loader_by_type=True is incompatible with loader_instances"
            ):
                await given.resolve(Board())

        run(law)

    def test_loaders_of_one_name_are_two(self, run):
        def made(value):
            async def load(keys):
                return [value for _ in keys]

            return load

        first, second = made(1), made(2)

        class Node(BaseModel):
            a: int = 0
            b: int = 0

            def resolve_a(self, loader=Loader(first)):
                return loader.load(1)

            def resolve_b(self, loader=Loader(second)):
                return loader.load(1)

        async def law():
            resolver = Resolver()
            assert await resolver.resolve(Node()) == Node(a=1, b=2)
            name = f"{HERE}.{first.__qualname__}"
            assert list(resolver.loader_instance_cache) == [name, f"{name}#2"]

        run(law)

    def test_options_of_aiodataloaders_class_may_be_given_like_parameters(self, run):
        class Node(BaseModel):
            id: int
            cards: list[Card] = []

            def resolve_cards(self, loader=Loader(CardLoader)):
                return loader.load(self.id)

        async def law():
            resolver = Resolver(loader_params={CardLoader: {"tenant": "blue", "max_batch_size": 2}})
            await resolver.resolve([Node(id=id) for id in range(5)])
            loader = resolver.loader_instance_cache[f"{HERE}.CardLoader"]
            assert isinstance(loader, CardLoader)
            assert loader.statistics.batches == 3

        run(law)

    def test_the_context_is_a_parameter_too(self, run):
        class ContextLoader(DataLoader):
            _context: dict

            async def batch_load_fn(self, keys):
                return [self._context["tenant"] for _ in keys]

        class Node(BaseModel):
            tenant: str = ""

            def resolve_tenant(self, loader=Loader(ContextLoader)):
                return loader.load(1)

        async def law():
            assert (await Resolver(context={"tenant": "blue"}).resolve(Node())).tenant == "blue"
            with pytest.raises(LoaderContextNotProvidedError, match="ContextLoader"):
                await Resolver().resolve(Node())

        run(law)

    def test_parameters_are_inherited_by_copies(self, run):
        Copied = copy_dataloader_kls("Copied", CardLoader)

        class Node(BaseModel):
            cards: list[Detail] = []

            def resolve_cards(self, loader=Loader(Copied)):
                return loader.load(1)

        async def law():
            node = await Resolver(loader_params={Copied: {"tenant": "red"}}).resolve(Node())
            assert node.cards[0].text == "red 3"

        run(law)


class TestWrongArguments:
    def test_parameters_are_missing_or_given_twice(self, run):
        async def law():
            with pytest.raises(
                LoaderFieldNotProvidedError, match=r"CardLoader\.tenant not found in Resolver"
            ):
                await Resolver().resolve(Board())
            twice = Resolver(loader_params={CardLoader: {"tenant": "a"}}, global_loader_param={"tenant": "b"})
            with pytest.raises(GlobalLoaderFieldOverlappedError, match="duplicated.*tenant"):
                await twice.resolve(Board())

        run(law)

    @pytest.mark.parametrize(
        ("instances", "message"),
        [
            pytest.param({Card: 1}, "Card must be subclass of DataLoader", id="no loader class"),
            pytest.param({CardLoader: 1}, "int is not instance of CardLoader", id="no instance"),
        ],
    )
    def test_instances_are_of_their_classes(self, instances, message):
        with pytest.raises(AttributeError, match=message):
            Resolver(loader_instances=instances)

    def test_the_context_is_a_dict_with_something_in_it(self):
        with pytest.raises(TypeError, match="must be a dict, got list"):
            Resolver(context=[])
        with pytest.raises(ValueError, match="non-empty dict"):
            Resolver(context={})

    @pytest.mark.parametrize("root", [1, "text", (Card(id=1),), [1]], ids=repr)
    def test_roots_are_models_or_lists_of_them(self, run, root):
        async def law():
            with pytest.raises(AttributeError, match=r"resolve\(\) takes a Pydantic model"):
                await Resolver().resolve(root)

        run(law)

    def test_nothing_and_empty_lists_come_back(self, run):
        async def law():
            assert await Resolver().resolve(None) is None
            assert await Resolver().resolve([]) == []

        run(law)


class ResolvesNothing(BaseModel):
    def resolve_x(self):
        return 1


class PostsNothing(BaseModel):
    def post_x(self):
        return 1


class LastAsField(BaseModel):
    default_handler: int = 0

    def post_default_handler(self):
        return 1


class CollectsTooEarly(BaseModel):
    x: int = 0

    def resolve_x(self, found=Collector("x")):
        return 1


class SendsToNobody(BaseModel):
    x: Annotated[int, SendTo("nobody")] = 0


class SendsInTwoWays(SendsToNobody):
    __pydantic_resolve_collect__ = {"x": "x"}


class SendsNoDict(BaseModel):
    __pydantic_resolve_collect__ = ["x"]


class ExposesInTwoWays(BaseModel):
    __pydantic_resolve_expose__ = {"x": "x"}
    x: Annotated[int, ExposeAs("y")] = 0


class ExposesNoDict(BaseModel):
    __pydantic_resolve_expose__ = ["x"]


class ExposedBelow(BaseModel):
    __pydantic_resolve_expose__ = {"y": "name"}
    y: int = 0


class ExposesTwice(BaseModel):
    __pydantic_resolve_expose__ = {"x": "name"}
    x: int = 0
    below: ExposedBelow | None = None


class ExposesNothing(BaseModel):
    __pydantic_resolve_expose__ = {"nothing": "name"}
    below: list[Board] = []
    x: int = 0

    def resolve_x(self):
        return 1


class WantsContext(BaseModel):
    x: int = 0

    def resolve_x(self, context):
        return 1


class TestMistakes:
    @pytest.mark.parametrize(
        ("kind", "error", "message"),
        [
            (ResolvesNothing, ResolverTargetAttrNotFound, "attribute x not found"),
            (PostsNothing, ResolverTargetAttrNotFound, "attribute x not found"),
            (LastAsField, ValueError, "Conflict on LastAsField.*post_default_handler"),
            (CollectsTooEarly, AttributeError, "Collector is not available in resolve_method"),
            (SendsToNobody, MissingCollector, "SendsToNobody sends to 'nobody'"),
            (SendsInTwoWays, AttributeError, "__pydantic_resolve_collect__ already exists"),
            (SendsNoDict, AttributeError, "is not dict"),
            (ExposesInTwoWays, AttributeError, "__pydantic_resolve_expose__ already exists"),
            (ExposesNoDict, TypeError, "is not dict"),
            (ExposesTwice, ValueError, "alias name conflicts, please check: ExposedBelow"),
            (ExposesNothing, AttributeError, "nothing does not exist"),
            (WantsContext, AttributeError, "context is missing"),
        ],
        ids=lambda each: each.__name__ if isinstance(each, type) else "",
    )
    def test_they_are_told_with_the_errors_of_pydantic_resolve(self, run, kind, error, message):
        async def law():
            for _ in range(2):
                with pytest.raises(error, match=message):
                    await Resolver(global_loader_param={"tenant": "blue"}).resolve(kind())

        run(law)

    def test_what_is_marked_once_stays_right_in_other_trees_and_in_subclasses(self, run):
        class Leaf(BaseModel):
            id: Annotated[int, ExposeAs("leaf_id")] = 0

        class Root(BaseModel):
            leaf: Leaf

        class SubLeaf(Leaf):
            pass

        async def law():
            for tree in (Leaf(), Root(leaf=Leaf()), SubLeaf()):
                assert await Resolver().resolve(tree) is tree

        run(law)

    def test_scans_of_classes_without_end_are_not_kept(self):
        scans = Scans()
        for number in range(MOST_SCANS + 1):
            scans.of(type(f"Made{number}", (BaseModel,), {}))
        first = type("First", (BaseModel,), {})
        assert scans.of(first) is scans.of(first)
        assert len(scans._by_root) == 2


class TestScanning:
    def test_classes_are_found_in_lists_unions_and_aliases_and_names_looked_up_late(self, run):
        class Leaf(BaseModel):
            done: bool = False
            sub: "list[Late]" = []

            def resolve_done(self):
                return True

        class Between(BaseModel):
            leaf: Annotated[list[Leaf | None] | Late | None, "x"] = None
            again: TypeAliasType("MaybeLeaf", Leaf | None) = None

        class Loop(BaseModel):
            between: Between | None = None
            loop: "Loop | None" = None

        async def law():
            Leaf.model_rebuild(_types_namespace={"Late": Late})
            late = Late(between=None)
            loop = Loop(loop=Loop(between=Between(leaf=[None, Leaf(sub=[late])], again=Leaf())))
            await Resolver().resolve(loop)
            assert loop.loop.between.leaf[1].done
            assert loop.loop.between.again.done
            assert late.late == "late"

        run(law)


class Late(BaseModel):
    between: Any
    late: str = ""

    def resolve_late(self):
        return "late"


class TestRows:
    def test_rows_go_to_their_keys(self):
        rows = [("a", 1), ("b", 2), ("a", 3)]
        assert build_list(items=rows, keys=["a", "x"], get_pk=lambda row: row[0]) == [
            [("a", 1), ("a", 3)],
            [],
        ]
        assert build_object(items=rows, keys=["a", "x"], get_pk=lambda row: row[0]) == [("a", 3), None]

    @pytest.mark.parametrize(
        ("make", "kind", "empty"),
        [
            (loaders.generate_list_empty_loader, loaders.ListEmptyLoader, []),
            (loaders.generate_single_empty_loader, loaders.SingleEmptyLoader, None),
        ],
    )
    def test_empty_loaders_have_what_they_are_primed_with(self, run, make, kind, empty):
        async def law():
            made = make("Made")
            assert made.__name__ == "Made"
            assert issubclass(made, kind)
            assert await made().prime(1, "one").load_many([1, 2]) == ["one", empty]

        run(law)

    def test_strict_ones_have_nothing_else(self, run):
        async def law():
            loader = loaders.generate_strict_empty_loader("Strict")().prime(1, "one")
            assert await loader.load(1) == "one"
            with pytest.raises(ValueError, match="EmptyLoader should load from pre loaded data"):
                await loader.load(2)

        run(law)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("utils.class_util", ["ensure_subset"]),
        ("utils.collector", ["Collector", "ICollector", "SendTo"]),
        ("utils.conversion", ["mapper"]),
        ("utils.dataloader", ["build_list", "build_object", "copy_dataloader_kls"]),
        ("utils.depend", ["Loader"]),
        (
            "utils.er_diagram",
            ["AutoLoad", "Entity", "ErDiagram", "MutationConfig", "QueryConfig", "Relationship"],
        ),
        ("utils.expose", ["ExposeAs"]),
        ("utils.openapi", ["serialization"]),
        (
            "utils.resolver_configurator",
            ["config_global_resolver", "config_resolver", "reset_global_resolver"],
        ),
        ("utils.subset", ["DefineSubset", "SubsetConfig", "ensure_subset"]),
        ("exceptions", ["MissingCollector", "ResolverTargetAttrNotFound"]),
        ("resolver", ["Resolver"]),
    ],
)
def test_names_stand_under_the_paths_of_pydantic_resolve(path, names):
    module = importlib.import_module(f"dloader.compat.pydantic_resolve.{path}")
    for name in names:
        assert getattr(module, name) is getattr(pydantic_resolve, name)


def test_markers_say_what_they_are():
    assert SendTo(name="x").collector_name == "x"
    assert SendTo(("x", "y")).collector_name == ("x", "y")
    assert AutoLoad("x") == AutoLoad(origin="x") != AutoLoad()
    assert len({AutoLoad("x"), AutoLoad("x")}) == 1
    assert repr(AutoLoad("x")) == "AutoLoad(origin='x')"
