"""Methods with decorators around them, and methods that a test has put in the place of others."""

from __future__ import annotations

import copy
from typing import Annotated, Any
from unittest import mock

import pytest
from decorators import by_name, in_async, own_name, plain, twice, without_wraps
from pydantic import BaseModel
from resolving import Source, notes_of, problems_of

from dloader import DataLoader
from dloader.resolver import Collector, LoaderDepend, Resolver, SendTo, mapper

source = Source(str, "source")


class Names(DataLoader[int, str]):
    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        return list(map(str, keys))


def by_annotated(self, loader: Annotated[Names, LoaderDepend()]):
    return loader.load(self.id)


def by_default(self, loader=LoaderDepend(source)):
    return loader.load(self.id)


def by_position(self, loader=LoaderDepend(source), /):
    return loader.load(self.id)


def after_a_default(self, limit=3, loader=LoaderDepend(source), /):
    assert limit == 3
    return loader.load(self.id)


def by_keyword(self, *, loader=LoaderDepend(source)):
    return loader.load(self.id)


def by_position_and_where(self, loader=LoaderDepend(source), /, *, parent, ancestor_context):
    assert parent is None
    assert ancestor_context == {}
    return loader.load(self.id)


def where_by_position(self, parent, loader=LoaderDepend(source), /):
    assert parent is None
    return loader.load(self.id)


async def by_async(self, loader: Annotated[Names, LoaderDepend()]):
    return await loader.load(self.id)


def by_context(self, context):
    return str(context["add"] + self.id - 1)


METHODS = {
    function.__name__: function
    for function in (
        by_annotated,
        by_default,
        by_position,
        after_a_default,
        by_keyword,
        by_position_and_where,
        where_by_position,
        by_async,
        by_context,
    )
}
DECORATORS = {
    "none": lambda function: function,
    "plain": plain,
    "by name": by_name,
    "twice": twice,
    "mapper inside": lambda function: plain(mapper(str)(function)),
    "mapper outside": lambda function: mapper(str)(plain(function)),
}
BY_POSITION = {"by_position", "after_a_default", "by_position_and_where", "where_by_position"}


class TestDecorated:
    """A decorated method is read as what it wraps, and called as its wrapper can be."""

    @pytest.mark.parametrize("decorator", DECORATORS)
    @pytest.mark.parametrize("method", METHODS)
    def test_in_any_form(self, run, method, decorator):
        """Whatever module the decorator is of, and however it passes on what it gets."""
        if decorator in {"by name", "twice"} and method in BY_POSITION:
            pytest.skip("Python itself could not call it")

        class Node(BaseModel):
            id: int = 1
            name: str = ""
            resolve_name = DECORATORS[decorator](METHODS[method])

        async def law():
            nodes = await Resolver(context={"add": 1}).resolve([Node(), Node(id=2)])
            assert [node.name for node in nodes] == ["1", "2"]

        run(law)

    @pytest.mark.parametrize("method", ["by_annotated", "by_default", "by_position", "by_context"])
    def test_a_wrapper_with_other_names_is_called_by_position(self, run, method):
        """There is no name that both know."""

        class Node(BaseModel):
            id: int = 1
            name: str = ""
            resolve_name = own_name(METHODS[method])

        async def law():
            assert (await Resolver(context={"add": 1}).resolve(Node())).name == "1"

        run(law)

    def test_an_async_wrapper_is_a_method_like_any(self, run):
        """Its loader is found in what it wraps."""

        class Node(BaseModel):
            id: int = 1
            name: str = ""
            resolve_name = in_async(by_async)

        async def law():
            assert (await Resolver().resolve(Node())).name == "1"

        run(law)

    @pytest.mark.parametrize("decorator", ["none", "plain", "by name", "twice"])
    def test_posts_too(self, run, decorator):
        """With a collector, which each node has of its own."""

        class Leaf(BaseModel):
            name: Annotated[str, SendTo("names")] = "leaf"

        def post_names(self, names=Collector("names"), loader=LoaderDepend(source)):
            return [*names.values(), loader.name]

        class Node(BaseModel):
            leaves: list[Leaf] = [Leaf(), Leaf(name="other")]
            names: list[str] = []

        Node.post_names = DECORATORS[decorator](post_names)

        async def law():
            assert (await Resolver().resolve(Node())).names == ["leaf", "other", "source"]

        run(law)

    def test_a_decorator_that_hides_the_method_is_told_of(self, run):
        """The method gets the marker, and no loader: the error says whose fault it is."""

        class Node(BaseModel):
            id: int = 1
            name: str = ""
            resolve_name = without_wraps(by_default)

        async def law():
            with pytest.raises(AttributeError, match="it needs functools.wraps") as caught:
                await Resolver().resolve(Node())
            assert "while resolving Node.name" in notes_of(caught.value)
            with pytest.raises(AttributeError, match="pass it a loader"):
                by_default(Node())

        run(law)

    def test_the_marker_can_be_copied(self):
        """Signatures are, by other libraries."""
        marker: Any = LoaderDepend(source)
        assert copy.copy(marker).dependency is source
        assert not hasattr(marker, "load")
        assert not hasattr(marker, "__wrapped__")

    def test_the_nearest_annotation_is_evaluated_where_the_method_is(self, run):
        """A name that only the decorator's module has is found there."""

        def resolve_name(self, tool: functools.partial = 3, loader=LoaderDepend(source)):  # noqa: F821
            assert tool == 3
            return loader.load(self.id)

        class Node(BaseModel):
            id: int = 1
            name: str = ""

        Node.resolve_name = plain(resolve_name)

        async def law():
            assert (await Resolver().resolve(Node())).name == "1"

        run(law)


class Real(BaseModel):
    id: int = 1
    name: str = ""

    def resolve_name(self, loader=LoaderDepend(source)):
        return loader.load(self.id)

    label: str = ""

    def post_label(self):
        return f"<{self.name}>"


class Above(BaseModel):
    below: list[Real] = []

    def resolve_below(self):
        return [{"id": 7}]


async def name_of(root):
    node = await Resolver().resolve(root)
    below = getattr(node, "below", None) or [node]
    return below[0].name


FAKES = {
    "function": lambda self: f"fake {self.id}",
    "function with a loader": lambda self, loader=LoaderDepend(Names): loader.load(self.id + 10),
    "mock": mock.Mock(return_value="fake"),
    "magic mock": mock.MagicMock(return_value="fake"),
    "async mock": mock.AsyncMock(return_value="fake"),
    "autospec": mock.create_autospec(Real.resolve_name, return_value="fake"),
}


class TestPatched:
    """A test may put another method in the place of one, and take it away again."""

    @pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
    @pytest.mark.parametrize("root", ["Real", "Above"])
    @pytest.mark.parametrize("fake", FAKES)
    def test_the_method_that_stands_there_is_called(self, run, fake, root, is_first):
        """Whether or not the class was resolved before; afterwards the real one is back."""
        function = FAKES[fake]

        class Node(Real):
            pass

        class Top(BaseModel):
            below: list[Node] = []

            def resolve_below(self):
                return [{"id": 1}]

        make = Node if root == "Real" else Top

        async def law():
            if not is_first:
                assert await name_of(make()) == "1"
            with mock.patch.object(Node, "resolve_name", function):
                assert await name_of(make()) in {"fake", "fake 1", "11"}
            assert await name_of(make()) == "1"

        run(law)

    def test_a_method_of_a_base_class(self, run, monkeypatch):
        """Of a mixin too; the loader that it takes is another one."""

        class Mixin:
            def resolve_name(self):
                return "real"

        class Node(Mixin, BaseModel):
            id: int = 1
            name: str = ""

        async def law():
            assert await name_of(Node()) == "real"
            with monkeypatch.context() as patching:
                patching.setattr(
                    Mixin, "resolve_name", lambda self, loader=LoaderDepend(Names): loader.load(3)
                )
                assert await name_of(Node()) == "3"
            assert await name_of(Node()) == "real"

        run(law)

    def test_a_post_and_a_handler(self, run):
        """And one that was taken away leaves nothing behind."""

        class Node(BaseModel):
            label: str = "none"

            def post_label(self):
                return "real"

            def post_default_handler(self):
                self.label += "!"

        async def law():
            assert (await Resolver().resolve(Node())).label == "real!"
            with mock.patch.object(Node, "post_default_handler", return_value=None):
                assert (await Resolver().resolve(Node())).label == "real"
            with mock.patch.object(Node, "post_label", autospec=True) as fake:
                fake.return_value = "fake"
                assert (await Resolver().resolve(Node())).label == "fake!"
            handler = Node.post_default_handler
            del Node.post_default_handler
            assert (await Resolver().resolve(Node())).label == "real"
            Node.post_default_handler = handler
            assert (await Resolver().resolve(Node())).label == "real!"
            Node.post_label = lambda self: "new"
            assert (await Resolver().resolve(Node())).label == "new!"

        run(law)

    def test_what_is_no_method_is_told_of(self, run):
        """Before anything is loaded, as ever."""

        class Node(Real):
            pass

        async def law():
            assert await name_of(Node()) == "1"

        run(law)
        for other in (staticmethod(lambda: "x"), property(mock.Mock())):
            with mock.patch.object(Node, "resolve_name", other):
                (problem,) = problems_of(run, Node())
                assert "Node.resolve_name is no plain method" in problem
        run(law)

    def test_a_resolver_that_has_met_the_class_sees_it_too(self, run):
        """What it accepted was another plan."""

        class Node(Real):
            pass

        async def law():
            resolver = Resolver()
            assert (await resolver.resolve(Node())).name == "1"
            with mock.patch.object(Node, "resolve_name", return_value="fake"):
                assert (await resolver.resolve(Node())).name == "fake"
            assert (await resolver.resolve(Node())).name == "1"

        run(law)
