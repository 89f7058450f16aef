"""What a registry gives to the loaders that it makes: parameters, checked, and instruments."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import pytest
from loops import Recorder

from dloader import DataLoader, Instrument, LoaderClosedError, LoaderParamError, LoaderRegistry, OptionError

T = TypeVar("T")


class Session:
    """What a service has one of for each request."""


class SpecialSession(Session):
    """One that does more."""


class Users(DataLoader):
    """Has parameters."""

    session: Session
    tenant: str | None
    order: Literal["asc", "desc"] = "asc"

    async def batch_load_fn(self, keys):
        return [(self.session, self.tenant, self.order, key) for key in keys]


class Posts(Users):
    """Inherits them, and has one more."""

    limit: int


class Plain(DataLoader):
    """Has none."""

    async def batch_load_fn(self, keys):
        return keys


class TestParameters:
    def test_they_go_by_name_to_the_loaders_that_declare_them(self, run):
        """Inherited ones too; one that nobody wants is no error."""

        async def law():
            session = Session()
            params = {"session": session, "tenant": "blue", "limit": 3, "colour": "red"}
            async with LoaderRegistry(params) as loaders:
                assert await loaders.get(Users).load(1) == (session, "blue", "asc", 1)
                posts = loaders.get(Posts)
                assert (posts.session, posts.tenant, posts.limit) == (session, "blue", 3)
                assert not hasattr(loaders.get(Users), "limit")
                assert await loaders.get(Plain).load(1) == 1
                assert await loaders.get(Recorder()).load(1) == 10

        run(law)

    def test_those_of_a_class_go_before_those_by_name(self):
        """They go to that class, and to no subclass."""
        loaders = LoaderRegistry(
            params={"session": Session(), "tenant": "blue", "limit": 3},
            loader_params={Users: {"tenant": "red"}},
        )
        assert loaders.get(Users).tenant == "red"
        assert loaders.get(Posts).tenant == "blue"

    def test_a_missing_one_names_loader_parameter_and_cure(self):
        """Each time, and the registry has no such loader."""
        loaders = LoaderRegistry({"tenant": "blue"})
        for _ in range(2):
            with pytest.raises(LoaderParamError) as raised:
                loaders.get(Users)
            assert str(raised.value) == (
                "loader 'Users' needs its parameter 'session', which nobody gave: pass "
                "LoaderRegistry(params={'session': ...}), or loader_params={Users: {'session': ...}}"
            )
        assert Users not in loaders
        with pytest.raises(LoaderParamError, match="parameters 'session', 'limit', which"):
            loaders.get(Posts)

    def test_a_constructor_may_set_them(self):
        """Then nobody needs to give them."""

        class Made(Users):
            def __init__(self):
                super().__init__()
                self.session, self.tenant = Session(), "own"

        assert LoaderRegistry().get(Made).tenant == "own"
        assert LoaderRegistry({"tenant": "blue"}).get(Made).tenant == "blue"

    def test_a_loader_that_is_added_is_given_none(self):
        """It was made by somebody who knows."""
        loaders = LoaderRegistry({"tenant": "blue"})
        assert not hasattr(loaders.add(Users, Users()), "tenant")

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (
                lambda: LoaderRegistry(loader_params={Users: {"tennant": 1}}),
                r"'tennant' \(did you mean 'tenant'\?\)",
            ),
            (
                lambda: LoaderRegistry(loader_params={Plain: {"tenant": 1}}),
                r"Plain has no .* \(there is none\)",
            ),
            (
                lambda: LoaderRegistry(loader_params={Recorder.__call__: {"tenant": 1}}),
                "has no parameter 'tenant'",
            ),
        ],
    )
    def test_a_name_that_a_class_does_not_have_is_refused(self, make, words):
        """When the registry is made."""
        with pytest.raises(LoaderParamError, match=words):
            make()

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: LoaderRegistry(["tenant"]), "params: a mapping is wanted"),
            (lambda: LoaderRegistry(loader_params=[Users]), "loader_params: a mapping is wanted"),
            (lambda: LoaderRegistry(loader_params={Users: 3}), "loader_params: Users: a mapping is wanted"),
            (lambda: LoaderRegistry(loader_params={"Users": {}}), "'Users' is no loader class"),
            (lambda: LoaderRegistry(instruments=[3]), r"LoaderRegistry\(instruments=\) takes objects"),
            (
                lambda: LoaderRegistry(instruments=[Instrument]),
                r"LoaderRegistry\(instruments=\) takes objects",
            ),
            (
                lambda: LoaderRegistry(instruments=Instrument()),
                r"LoaderRegistry\(instruments=\) takes a list of instruments, not <dloader",
            ),
            (lambda: Users(instruments=Instrument()), r"loader 'Users': instruments takes a list"),
        ],
    )
    def test_other_arguments_are_refused_too(self, make, words):
        """When the registry is made."""
        with pytest.raises(OptionError, match=words):
            make()

    def test_a_parameter_may_not_have_the_name_of_what_loaders_have(self):
        """It would overwrite that."""

        class Bad(DataLoader):
            name: str

            async def batch_load_fn(self, keys):
                return keys

        with pytest.raises(LoaderParamError, match="Bad.name cannot be a parameter"):
            LoaderRegistry({"name": "x"}).get(Bad)

    def test_nothing_is_made_of_wrong_values_or_by_a_closed_registry(self, run):
        """The constructor does not even run."""

        class Counted(Users):
            made = 0

            def __init__(self):
                super().__init__()
                type(self).made += 1

        async def law():
            loaders = LoaderRegistry({"session": "no session", "tenant": 3})
            with pytest.raises(LoaderParamError) as raised:
                loaders.get(Counted)
            assert "Counted.session cannot be 'no session'" in str(raised.value)
            assert "Counted.tenant cannot be 3" in str(raised.value)
            await loaders.aclose()
            with pytest.raises(LoaderClosedError):
                loaders.get(Counted)
            with pytest.raises(LoaderClosedError):
                loaders.params_of(Counted)
            assert Counted.made == 0

        run(law)

    def test_what_a_source_is_given_can_be_seen(self):
        """By its class, or by an alias of it."""

        class Rows(DataLoader[int, T], Generic[T]):
            limit: int

            async def batch_load_fn(self, keys):
                return keys

        loaders = LoaderRegistry({"limit": 1, "tenant": "blue"}, loader_params={Rows[str]: {"limit": 2}})
        assert loaders.params_of(Rows) == loaders.params_of(Rows[int]) == {"limit": 2}
        assert loaders.params_of(Posts) == {"limit": 1, "tenant": "blue"}
        assert loaders.params_of(Recorder()) == {}
        assert loaders.get(Rows[bytes]).limit == 2


class Readable(Protocol):
    """No class that can be asked with isinstance."""

    def read(self) -> str: ...


FITTING = [
    (int, 3),
    (float, 1.5),
    (str, "x"),
    (bool, True),
    (None, None),
    (Session, Session()),
    (Session, SpecialSession()),
    (Session | None, None),
    (Any, Plain),
    (object, 3),
    (Literal["a", 1], 1),
    (Literal["a"] | int, "a"),
    (int | str, "3"),
]
WRONG = [
    (int, "many"),
    (str, 3),
    (Session, 3),
    (Session | None, 3),
    (Literal["a", "b"], "c"),
    (Literal["a"] | Session, "b"),
    (None, 3),
]
FITTING_WITHOUT_PYDANTIC = [
    (float, 3),
    (int, True),
    (list[int], "anything"),
    (Callable[[], int], len),
    (Readable, 3),
]


def registry_with(annotation, value):
    """A registry, and a class whose parameter is annotated like that."""
    annotations: ClassVar = {"value": annotation}

    async def batch_load_fn(self, keys):
        return keys

    made = type("Made", (DataLoader,), {"__annotations__": annotations, "batch_load_fn": batch_load_fn})
    return LoaderRegistry({"value": value}), made


@pytest.fixture(params=["with Pydantic", "without"])
def _pydantic(request, monkeypatch):
    """Both ways to check."""
    if request.param == "without":
        monkeypatch.setitem(sys.modules, "dloader.resolver._params", None)


@pytest.mark.usefixtures("_pydantic")
class TestValues:
    @pytest.mark.parametrize(("annotation", "value"), FITTING)
    def test_a_value_of_the_type_is_taken_as_it_is(self, annotation, value):
        """The very object."""
        loaders, cls = registry_with(annotation, value)
        assert loaders.get(cls).value is value

    @pytest.mark.parametrize(("annotation", "value"), WRONG)
    def test_another_is_refused(self, annotation, value):
        """With what is wanted."""
        loaders, cls = registry_with(annotation, value)
        with pytest.raises(
            LoaderParamError, match=r"loader parameter Made\.value cannot be .*: Input should be "
        ):
            loaders.get(cls)

    def test_a_literal_is_told_in_the_same_words(self):
        """With and without Pydantic."""
        loaders, cls = registry_with(Literal["open", "closed"], "oepn")
        with pytest.raises(LoaderParamError, match="cannot be 'oepn': Input should be 'open' or 'closed'"):
            loaders.get(cls)


@pytest.mark.parametrize(("annotation", "value"), FITTING_WITHOUT_PYDANTIC)
def test_without_pydantic_what_cannot_be_told_is_taken(annotation, value, monkeypatch):
    """It is the caller's to know."""
    monkeypatch.setitem(sys.modules, "dloader.resolver._params", None)
    loaders, cls = registry_with(annotation, value)
    assert loaders.get(cls).value is value


@pytest.mark.parametrize(
    ("annotation", "value", "made"), [(int, "7", 7), (float, 3, 3.0), (list[int], ["1"], [1])]
)
def test_with_pydantic_values_are_made_to_fit(annotation, value, made):
    """As the resolver does with its loader_params."""
    loaders, cls = registry_with(annotation, value)
    got = loaders.get(cls).value
    assert got == made
    assert type(got) is type(made)


PROGRAM = """
import sys
from dloader import DataLoader, LoaderRegistry
class Users(DataLoader):
    tenant: str
    async def batch_load_fn(self, keys): return keys
print(LoaderRegistry({"tenant": "blue"}).get(Users).tenant, "pydantic" in sys.modules)
"""


def test_plain_values_do_not_import_pydantic():
    """Who does not use the resolver does not pay for it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "blue False\n"


class TestInstruments:
    def test_they_watch_every_loader(self, run):
        """Made, and added; each once."""

        class Watch(Instrument):
            def batch_started(self, batch):
                seen.append((batch.loader.name, batch.keys))

        seen: list = []

        async def law():
            async with LoaderRegistry(instruments=[Watch()]) as loaders:
                await loaders.get(Plain).load(1)
                mine = loaders.add("mine", DataLoader(Recorder(), name="mine"))
                loaders.add("mine too", mine)
                await mine.load(2)
            assert seen == [("Plain", (1,)), ("mine", (2,))]
            seen.clear()

        run(law)
