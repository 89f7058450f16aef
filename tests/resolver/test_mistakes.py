"""What is declared is done, or refused with the cure: each mistake names its model, its field and what to write."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, ForwardRef, Generic, TypeVar

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from resolving import notes_of, problems_of

from dloader import DataLoader, KeyTypeError, LoaderParamError, LoaderRegistry, OptionError
from dloader.resolver import Collector, ExposeAs, Load, Loader, LoaderDepend, Resolver, SendTo, mapper

K = TypeVar("K")


async def load_names(keys):
    return [f"name {key}" for key in keys]


class NameLoader(DataLoader):
    async def batch_load_fn(self, keys):
        return [f"name {key}" for key in keys]


class KeyLoader(DataLoader[K, K], Generic[K]):
    async def batch_load_fn(self, keys):
        return keys


class ForeignLoader(type("DataLoader", (), {"load": None})):
    """Of another library."""


def generate(keys):
    yield from keys


def one_problem(run: Callable[..., Any], cls: type) -> str:
    """The only one of a class, without the class's name."""
    (problem,) = problems_of(run, cls())
    name, _, rest = problem.partition(" ")
    return f"{name.removeprefix(cls.__qualname__)} {rest}"


def field_of(annotation: Any, default: Any = "") -> type[BaseModel]:
    """A model with a field of a type and default."""
    namespace = {"__annotations__": {"id": int, "name": annotation}, "id": 1, "name": default}
    return type("Model", (BaseModel,), {"__module__": __name__, **namespace})


def method_of(function: Any, name: str = "resolve_name") -> type[BaseModel]:
    """A model with a method for a field."""
    return type("Model", (field_of(str),), {"__module__": __name__, name: function})


class TestFields:
    """Markers are read around a field's type, and nowhere else."""

    @pytest.mark.parametrize(
        ("mark", "text"),
        [
            (Load, "Load stands without parentheses"),
            (ExposeAs, "ExposeAs stands without parentheses"),
            (SendTo, "SendTo stands without parentheses"),
            (LoaderDepend, "LoaderDepend stands around a field's type"),
            (Loader, "LoaderDepend stands around a field's type"),
            (LoaderDepend(load_names), "LoaderDepend stands around a field's type"),
            (Collector, "Collector stands around a field's type"),
            (Collector("names"), "Collector stands around a field's type"),
        ],
        ids=lambda value: (
            None if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)
        ),
    )
    def test_another_mark_in_their_place_is_refused(self, run, mark, text):
        """A marker without parentheses, or one that is for methods."""
        problem = one_problem(run, field_of(Annotated[str, mark]))
        assert problem.startswith(".name: ")
        assert text in problem
        assert "write " in problem or "is filled by Load(" in problem

    @pytest.mark.parametrize(
        ("mark", "cure"),
        [
            (Load(load_names, by="id"), "Annotated[..., Load("),
            (Load, "Annotated[..., Load("),
            (ExposeAs("name"), "Annotated[..., ExposeAs("),
            (SendTo("name"), "Annotated[..., SendTo("),
            (LoaderDepend(load_names), "Annotated[..., Load("),
            (LoaderDepend, "Annotated[..., Load("),
            (Collector("name"), "Annotated[..., Load("),
        ],
        ids=lambda value: (
            None if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)
        ),
    )
    @pytest.mark.parametrize("kind", ["model", "dataclass", "pydantic dataclass"])
    def test_a_marker_as_the_default_is_refused(self, run, mark, cure, kind):
        """FastAPI's habit: the field would be the marker."""
        if kind == "model":
            cls = field_of(str, mark)
        else:
            namespace = {"__annotations__": {"name": str}, "name": field(default=mark)}
            make = dataclass
            if kind == "pydantic dataclass":
                namespace["name"], make = Field(default=mark), pydantic_dataclass
            cls = make(type("Data", (), {"__module__": __name__, **namespace}))
        problem = one_problem(run, cls)
        assert problem.startswith(".name: ")
        assert "stands as the field's value" in problem
        assert f"write name: {cure}" in problem

    def test_a_marker_at_what_is_no_field_is_refused(self, run):
        """A private attribute, a class variable, and an attribute without a type."""

        class Model(BaseModel):
            _loaded: Annotated[str, Load(load_names, by="id")] = ""
            _given: str = Load(load_names, by="id")
            of_all: ClassVar[Annotated[str, ExposeAs("of_all")]] = ""
            later: "ClassVar[Annotated[str, SendTo('later')]]" = ""
            fine: ClassVar[str] = ""
            unknown: "ClassVar[Nowhere]" = ""  # noqa: F821

        @dataclass
        class Data:
            untyped = Load(load_names, by="id")

        problems = problems_of(run, [Model(), Data()])
        names = {problem.split(":")[0].rpartition(".")[2] for problem in problems}
        assert names == {"_loaded", "_given", "of_all", "later", "untyped"}
        assert all("stands at what is no field" in problem for problem in problems)

    def test_what_is_inherited_is_no_mistake_of_its_own(self, run):
        """A default marker in a base class is told of for each class, by the field's name, and once."""

        @dataclass
        class Base:
            name: str = Load(load_names, by="id")

        @dataclass
        class Data(Base):
            id: int = 1

        assert one_problem(run, Data).startswith(".name: Load stands as the field's value")


def forgets_parentheses(self, loader=LoaderDepend):
    return loader.load(1)


def forgets_them_in_annotated(self, loader: Annotated[NameLoader, LoaderDepend]):
    return loader.load(1)


def takes_the_class(self, loader=NameLoader):
    return loader.load(1)


def takes_the_class_in_annotated(self, loader: Annotated[DataLoader, NameLoader]):
    return loader.load(1)


def takes_load(self, loader=Load(load_names, by="id")):
    return loader.load(1)


def takes_send_to(self, names=SendTo("names")):
    return names


def takes_expose_as(self, names: Annotated[str, ExposeAs("names")]):
    return names


def takes_a_collector_class(self, names=Collector):
    return names


def takes_an_annotated_collector(self, names: Annotated[Collector, Collector("names")]):
    return names.values()


def has_no_self(loader=LoaderDepend(load_names)):
    return loader.load(1)


def has_no_self_in_annotated(loader: Annotated[NameLoader, LoaderDepend()]):
    return loader.load(1)


def has_no_parameters():
    return ""


def has_only_keywords(*, loader=LoaderDepend(load_names)):
    return ""


def has_any_keywords(**others):
    return ""


def has_only_context(context):
    return ""


async def yields(self):
    yield ""


class TestMethods:
    """What a method takes is declared in one way."""

    @pytest.mark.parametrize(
        ("function", "text"),
        [
            (forgets_parentheses, "write loader=LoaderDepend(loader)"),
            (forgets_them_in_annotated, "write loader=LoaderDepend(loader)"),
            (takes_the_class, "write loader=LoaderDepend(NameLoader)"),
            (takes_the_class_in_annotated, "write loader=LoaderDepend(NameLoader)"),
            (takes_load, "a method takes loader=LoaderDepend(loader)"),
            (takes_send_to, "names=Collector('name'), in a post_ method"),
            (takes_expose_as, "ancestor_context['name']"),
            (takes_a_collector_class, "write names=Collector('name')"),
            (takes_an_annotated_collector, "write names=Collector('names')"),
            (has_no_self, "takes no self"),
            (has_no_self_in_annotated, "takes no self"),
            (has_no_parameters, "takes no self"),
            (has_only_keywords, "takes no self"),
            (has_any_keywords, "takes no self"),
            (has_only_context, "takes no self"),
            (yields, "is an async generator, which is no value: write a method that returns a list"),
            (mapper(has_no_parameters), "takes no self"),
            (mapper(str)(yields), "is an async generator"),
        ],
        ids=lambda value: getattr(value, "__name__", None),
    )
    @pytest.mark.parametrize("name", ["resolve_name", "post_name", "post_default_handler"])
    def test_what_nobody_would_hand_in_is_refused(self, run, function, text, name):
        """With the line that was meant."""
        if function.__name__ == "mark":
            text = f"write @mapper(rule) above `def {name}`"
        problem = one_problem(run, method_of(function, name))
        assert problem.startswith(f".{name}")
        assert text in problem

    def test_self_may_have_any_name_and_be_among_many(self, run):
        """A decorator may take all arguments as they come."""

        def decorated(*args, **kwargs):
            return f"{len(args)}{len(kwargs)}"

        def lonely(node=None, /):
            return str(node.id)

        async def law():
            assert (await Resolver().resolve(method_of(decorated)())).name == "10"
            assert (await Resolver().resolve(method_of(lonely)())).name == "1"

        run(law)

    def test_a_mapper_without_a_function_is_refused_where_it_stands(self):
        """Before there is a class."""
        with pytest.raises(OptionError, match="mapper takes a function or a class, not 'name'"):
            mapper("name")


class TestLoaders:
    """What Load and LoaderDepend take."""

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            (KeyLoader[int], "use KeyLoader, or a subclass of"),
            (ForeignLoader, "is the DataLoader of another library"),
            (ForeignLoader(), "is the DataLoader of another library"),
            (generate, "a batch function returns all its results"),
            (yields, "a batch function returns all its results"),
            (LoaderDepend(load_names), "leave LoaderDepend out"),
            (int, "<class 'int'> is no loader"),
            (BaseModel, "is no loader"),
            (5, "5 is no loader"),
            ("load_names", "'load_names' is no loader"),
        ],
        ids=[
            "generic",
            "foreign",
            "foreign_instance",
            "generator",
            "async_generator",
            "depends",
            "class",
            "model",
            "number",
            "name",
        ],
    )
    @pytest.mark.parametrize("by", ["Load", "method"])
    def test_what_is_no_loader_is_refused(self, run, source, text, by):
        """Whether it would be used or not."""

        def resolve_name(self, loader=LoaderDepend(source)):
            return loader.load(1)

        cls = field_of(Annotated[str, Load(source, by="id")]) if by == "Load" else method_of(resolve_name)
        problem = one_problem(run, cls)
        assert problem.startswith(".name: ")
        assert text in problem

    def test_no_loader_is_no_field_of_the_same_name(self, run):
        """None is the default of many fields, and the hint is not about them."""
        problem = one_problem(run, field_of(Annotated[str | None, Load(None, by="id")], None))
        assert problem.endswith("a DataLoader subclass, an async batch function or a loader")

    def test_a_field_that_hides_its_loader_is_named(self, run):
        """The loader of that name is outside of the class body."""

        class Model(BaseModel):
            id: int = 1
            names: list[str] = []
            first: Annotated[str, Load(names, by="id")] = ""

        @dataclass
        class Data:
            names: int = 5
            first: Annotated[str, Load(names, by="names")] = ""

        for cls in (Model, Data):
            assert "inside the class body, names is the field, whose default this is" in one_problem(run, cls)

    def test_nothing_in_parentheses_is_for_annotated(self, run):
        """Where the type says which loader is wanted."""

        def resolve_name(self, loader=LoaderDepend()):
            return loader.load(1)

        assert "LoaderDepend() stands in Annotated[SomeLoader," in one_problem(run, method_of(resolve_name))

    def test_partials_and_callable_objects_are_batch_functions(self, run):
        """As they are for DataLoader."""

        async def load(prefix, keys):
            return [f"{prefix}{key}" for key in keys]

        cls = field_of(Annotated[str, Load(functools.partial(load, "name "), by="id")])

        async def law():
            assert (await Resolver().resolve(cls())).name == "name 1"

        run(law)


class TestKeys:
    """`by=` names a field; the hint is never the field that is to be filled."""

    @pytest.mark.parametrize(
        ("by", "text"),
        [
            ("ownerId", "it is an alias: write by='owner_id'"),
            ("owner-id", "it is an alias: write by='owner_id'"),
            ("owner_key", "it is an alias: write by='owner_id'"),
            ("own_id", "names a method, which is no key: make it a property"),
            (
                "holder",
                "there is 'owner_id', 'number'); a column that only rows have is read by resolve(rows, into=",
            ),
            ("ownerr_id", "did you mean 'owner_id'?"),
        ],
    )
    def test_the_hint_tells_what_to_write(self, run, by, text):
        """Of aliases, properties and private attributes too."""

        class Model(BaseModel):
            owner_id: int = Field(
                1,
                validation_alias=AliasChoices("ownerId", "owner-id", AliasPath("owner", "id")),
                serialization_alias="owner_key",
            )
            number: int = Field(2, alias="no")
            owner: Annotated[str, Load(load_names, by=by)] = ""

            def own_id(self):
                return self.owner_id

        assert text in one_problem(run, Model)

    def test_a_list_is_no_key_unless_it_is_declared(self, run):
        """The error tells what to declare."""

        class Model(BaseModel):
            ids: object = [1, 2]
            names: Annotated[list[str], Load(load_names, by="ids")] = []

        async def law():
            with pytest.raises(KeyTypeError) as caught:
                await Resolver().resolve(Model())
            assert "declare what holds them as list[...], set[...] or tuple[X, ...]" in notes_of(caught.value)
            assert "while resolving Model.names" in notes_of(caught.value)

        run(law)


class TestValues:
    """A value that cannot be what was meant is explained."""

    @pytest.mark.parametrize(
        ("annotation", "give", "note"),
        [
            (list[int], lambda loader: None, "returned None"),
            (
                list[str],
                lambda loader: [loader.load(1)],
                "the method gave a list of futures: return loader.load_many",
            ),
            (list[str], lambda loader: ["a", loader.load(1)], "the method gave a list of futures"),
            (tuple[str, ...], lambda loader: (loader.load(1),), "the method gave a tuple of futures"),
            (set[str], lambda loader: {loader.load(1)}, "the method gave a set of futures"),
            (dict[str, str], lambda loader: {"a": loader.load(1)}, "the method gave a dict of futures"),
            (
                list[str],
                lambda loader: (loader.load(key) for key in [1]),
                "the method gave a generator: return a list",
            ),
            (list[str], lambda loader: map(loader.load, [1]), "the method gave a map: return a list"),
        ],
    )
    @pytest.mark.parametrize("name", ["resolve_value", "post_value"])
    def test_a_method_that_gives_something_else_is_told(self, run, annotation, give, note, name):
        """In a note beside the path."""

        def method(self, loader=LoaderDepend(load_names)):
            return give(loader)

        cls = type(
            "Model",
            (BaseModel,),
            {
                "__module__": __name__,
                "__annotations__": {"value": annotation | str},
                "value": "",
                name: method,
            },
        )

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve(cls())
            notes = notes_of(caught.value)
            assert note in notes
            assert "while resolving Model.value" in notes
            if note == "returned None":
                assert f"{name} returned None" in notes

        run(law)

    @pytest.mark.parametrize(
        "annotation",
        [Any, object, list[Any], list, dict, tuple[Any, ...], Any | None, Annotated[Any, "some"]],
        ids=str,
    )
    def test_futures_do_not_stay_in_a_field_that_takes_anything(self, run, annotation):
        """They are no values."""

        def resolve_value(self, loader=LoaderDepend(load_names)):
            futures = [loader.load(1), loader.load(2)]
            if annotation is dict:
                return dict(enumerate(futures))
            return tuple(futures) if annotation == tuple[Any, ...] else futures

        cls = type(
            "Model",
            (BaseModel,),
            {
                "__module__": __name__,
                "__annotations__": {"value": annotation},
                "value": None,
                "resolve_value": resolve_value,
            },
        )

        async def law():
            with pytest.raises(TypeError, match="of futures is no value") as caught:
                await Resolver().resolve([cls()])
            assert "while resolving Model[0].value" in notes_of(caught.value)
            assert "return loader.load_many(keys) instead" in notes_of(caught.value)

        run(law)

    def test_other_values_of_anything_stay_as_they_are(self, run):
        """Empty ones too."""

        class Model(BaseModel):
            value: Any = None
            values: list[Any] = []
            both: dict[str, Any] | None = None

            def resolve_value(self):
                return [{"a": 1}]

            def resolve_values(self):
                return ()

            def resolve_both(self):
                return {"a": [1]}

        async def law():
            assert await Resolver().resolve(Model()) == Model(value=[{"a": 1}], values=[], both={"a": [1]})

        run(law)

    def test_a_loaded_none_is_not_the_methods_fault(self, run):
        """Nor are other values that a loader gives for a Load."""

        async def load_nothing(keys):
            return [None for _ in keys]

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve(field_of(Annotated[str, Load(load_nothing, by="id")])())
            assert "returned None" not in notes_of(caught.value)

        run(law)


class TestArguments:
    """What a resolver and its resolve are given."""

    def test_what_is_awaited_or_iterated_first_is_told(self, run):
        """Alone or among models."""

        async def coroutine():
            raise AssertionError

        async def generator():
            yield field_of(str)()

        async def law():
            given = coroutine()
            future = asyncio.get_running_loop().create_future()
            for tree, text in [
                (given, "a coroutine: await it first"),
                ([given], "a coroutine: await it first"),
                ([field_of(str)(), future], "Future: await it first"),
                (generator(), "a async_generator: await it first"),
                ((node for node in [field_of(str)()]), "a generator: make a list of it"),
                (iter([field_of(str)()]), "a list_iterator: make a list of it"),
                ([map(str, [1]), field_of(str)()], "a map: make a list of it"),
                (field_of(str), "not classes of them"),
                ([5, None], "say what to make of rows"),
            ]:
                with pytest.raises(OptionError, match=text):
                    await Resolver().resolve(tree)
            given.close()
            assert (await Resolver().resolve([field_of(str)(), 5, None]))[1] == 5

        run(law)

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"loader_params": {"NameLoader": {}}}, "loader_params: the keys are loader classes"),
            (
                {"loader_params": {NameLoader: None}},
                "loader_params: NameLoader: a mapping is wanted, not None",
            ),
            ({"loader_params": {NameLoader: 5}}, "loader_params: NameLoader: a mapping is wanted, not 5"),
            ({"loader_params": {int: {}}}, "loader_params: the keys are loader classes"),
            ({"loader_params": []}, "loader_params: a mapping is wanted"),
            ({"global_loader_param": 5}, "global_loader_param: a mapping is wanted"),
            (
                {"loader_instances": {"NameLoader": NameLoader()}},
                "loader_instances: the keys are loader classes",
            ),
            ({"loader_instances": [NameLoader()]}, "loader_instances: a mapping is wanted"),
            ({"annotation": "Model"}, "'Model' in it is only a name"),
            (
                {"annotation": list["Model"]},  # noqa: F821
                "'Model' in it is only a name",
            ),
            ({"annotation": list[ForwardRef("Model")] | BaseModel}, "'Model' in it is only a name"),
            ({"annotation": list[int]}, "names no model or dataclass"),
            ({"annotation": 5}, "names no model or dataclass"),
        ],
    )
    def test_arguments_that_would_do_nothing_are_refused(self, arguments, text):
        """When the resolver is made."""
        with pytest.raises(OptionError, match=text):
            Resolver(**arguments)

    def test_an_annotation_may_be_open(self):
        """Then nothing can be checked beforehand."""
        assert Resolver(annotation=list[BaseModel])

    def test_parameters_may_be_of_types_that_cannot_be_compared(self, run):
        """Arrays, say; also where a registry has the loader already."""

        class Array:
            def __eq__(self, other):
                raise ValueError("the truth value of an array is ambiguous")

            __hash__ = None

        class Reader(DataLoader):
            array: Array
            arrays: list[Array] = []

            async def batch_load_fn(self, keys):
                return [str(len(self.arrays)) for _ in keys]

        cls = field_of(Annotated[str, Load(Reader, by="id")])

        async def law():
            array = Array()
            params = {Reader: {"array": array, "arrays": [array]}}
            assert (await Resolver(loader_params=params).resolve(cls())).name == "1"
            async with LoaderRegistry() as registry:
                for _ in range(2):
                    given = {Reader: {"array": array}}
                    await Resolver(loader_params=given, registry=registry).resolve(cls())
                other = Resolver(loader_params={Reader: {"array": Array()}}, registry=registry)
                with pytest.raises(LoaderParamError, match="array="):
                    await other.resolve(cls())

        run(law)


def test_mistakes_of_a_generic_dataclass_are_found_where_a_type_names_it(run):
    """Before anything is loaded."""

    @dataclass
    class Page(Generic[K]):
        items: list[K]
        total: int = 0

        def resolve_total(self, wrong):
            return len(self.items)

    class Model(BaseModel):
        page: Page[int] | None = None

    assert "Page.resolve_total takes 'wrong', which nobody provides" in problems_of(run, Model())[0]
