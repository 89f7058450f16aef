"""Where the key of a `Load` comes from."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import pytest
from pydantic import BaseModel, PrivateAttr, computed_field
from resolving import Source, notes_of, problems_of

from dloader import DataLoader, DloaderError, OptionError, PlanError
from dloader.compat import aiodataloader
from dloader.resolver import FieldError, Load, LoaderDepend, Resolver

V = TypeVar("V")


class Names(DataLoader[int, str]):
    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        return [f"name {key}" for key in keys]


class Successors(DataLoader[int, int]):
    async def batch_load_fn(self, keys: list[int]) -> list[int]:
        return [key + 1 for key in keys]


class Strict(DataLoader[int, str]):
    needed: str

    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        raise AssertionError(keys)


class TestKeysOfLoad:
    def test_a_key_that_a_method_fills_is_waited_for(self, run):
        """The key is read after `resolve_` has filled it, be it slow."""

        class Row(BaseModel):
            id: int
            key: int = 0
            name: Annotated[str, Load(Names, by="key")] = ""

            async def resolve_key(self) -> int:
                await asyncio.sleep(0)
                return self.id * 10

        async def law():
            rows = await Resolver().resolve([Row(id=1), Row(id=2)])
            assert [row.name for row in rows] == ["name 10", "name 20"]

        run(law)

    def test_keys_may_be_loaded_one_from_the_other(self, run):
        """A chain of loads is followed in its order, not in that of the fields."""

        class Row(BaseModel):
            id: int
            name: Annotated[str, Load(Names, by="third")] = ""
            third: Annotated[int, Load(Successors, by="second")] = 0
            second: int = 0

            def resolve_second(self, loader=LoaderDepend(Successors)):
                return loader.load(self.id)

        async def law():
            assert (await Resolver().resolve(Row(id=1))).name == "name 3"

        run(law)

    def test_keys_that_need_each_other_are_a_problem_of_the_plan(self, run):
        """A circle of keys, or a key that only a post computes, is reported before anything is loaded."""

        class Row(BaseModel):
            a: Annotated[int, Load(Successors, by="b")] = 0
            b: Annotated[int, Load(Successors, by="a")] = 0
            own: Annotated[int, Load(Successors, by="own")] = 0
            late: int = 0
            name: Annotated[str, Load(Names, by="late")] = ""

            def post_late(self) -> int:
                return 1

        async def law():
            with pytest.raises(PlanError) as caught:
                await Resolver().resolve(Row())
            text = str(caught.value)
            assert len(caught.value.problems) == 4
            assert "Row.a: Load(by='b') needs a key that is itself loaded by 'a'" in text
            assert "Row.own: Load(by='own') needs a key that is itself loaded by 'own'" in text
            assert "Row.name: Load(by='late') needs the key before post_late computes it" in text

        run(law)

    def test_a_loader_without_keys_is_not_made(self, run):
        """Null keys load nothing, so the loader's parameters are not needed, and nothing below hangs."""

        class Row(BaseModel):
            key: int | None = None
            name: Annotated[str, Load(Strict, by="key")] = "kept"

        async def law():
            resolver = Resolver()
            rows = await resolver.resolve([Row(), Row()])
            assert [row.name for row in rows] == ["kept", "kept"]
            assert dict(resolver.loader_instance_cache) == {}

        run(law)


def named(keys):
    return [f"name {key}" for key in keys]


class TestWhatMayBeAKey:
    """`by=` names a field, a property, a computed field, a private attribute or an attribute of the class."""

    @pytest.mark.parametrize("by", ["id", "twice", "computed", "cached", "_private", "constant"])
    def test_an_attribute_of_the_node(self, run, by):
        """It is read when the key is needed."""

        class Row(BaseModel):
            constant: ClassVar[int] = 7
            id: int = 7
            _private: int = PrivateAttr(7)
            name: Annotated[str, Load(Names, by=by)] = ""

            @property
            def twice(self) -> int:
                return self.id

            @computed_field
            @property
            def computed(self) -> int:
                return self.id

            @functools.cached_property
            def cached(self) -> int:
                return self.id

        async def law():
            assert (await Resolver().resolve(Row())).name == "name 7"

        run(law)

    def test_a_property_that_raises_is_an_error_with_the_path(self, run):
        """Of the first node for which it does."""

        class Row(BaseModel):
            id: int
            name: Annotated[str, Load(Names, by="key")] = ""

            @property
            def key(self) -> int:
                return 10 // self.id

        async def law():
            with pytest.raises(ZeroDivisionError) as caught:
                await Resolver().resolve([Row(id=1), Row(id=0)])
            assert "while resolving Row[1].name with loader 'Names'" in notes_of(caught.value)

        run(law)


class TestCompositeKeys:
    """A tuple of names makes a key that is a tuple."""

    def test_a_key_of_two_fields(self, run):
        """Loaded in one batch, each once; a null part loads nothing."""
        prices = Source(lambda key: 5 if key == (1, "no") else 7, "prices")

        class Line(BaseModel):
            product_id: int
            country: str | None
            price: Annotated[int, Load(prices, by=("product_id", "country"))] = 0

        async def law():
            lines = [
                Line(product_id=id, country=of) for id, of in [(1, "no"), (2, "no"), (1, None), (1, "no")]
            ]
            await Resolver().resolve(lines)
            assert [line.price for line in lines] == [5, 7, 0, 5]
            assert prices.calls == [[(1, "no"), (2, "no")]]

        run(law)

    def test_a_tuple_of_one_name_is_a_tuple_of_one_part(self, run):
        """As it is written."""
        source = Source(lambda key: str(key))

        class Row(BaseModel):
            id: int = 1
            name: Annotated[str, Load(source, by=("id",))] = ""

        async def law():
            assert (await Resolver().resolve(Row())).name == "(1,)"

        run(law)

    def test_it_waits_for_all_its_parts(self, run):
        """When two of them are filled, in whichever order."""
        source = Source(lambda key: str(key))

        class Row(BaseModel):
            name: Annotated[str, Load(source, by=("one", "two"))] = ""
            one: int = 0
            two: int = 0

            async def resolve_one(self):
                await asyncio.sleep(0)
                return 1

            def resolve_two(self):
                return 2

        async def law():
            assert (await Resolver().resolve(Row())).name == "(1, 2)"
            assert source.calls == [[(1, 2)]]

        run(law)

    @pytest.mark.parametrize("by", [(), ("id", 1), 7, None], ids=str)
    def test_other_things_are_refused(self, by):
        """When the marker is made."""
        with pytest.raises(OptionError, match="the name of a field, or a tuple of names"):
            Load(Names, by=by)

    def test_a_tuple_for_a_loader_of_single_keys_is_a_mistake(self, run):
        """By the type of the loader class or of the function."""

        async def load_names(keys: list[int]) -> list[str]:
            return named(keys)

        class Row(BaseModel):
            id: int = 1
            no: int = 1
            one: Annotated[str, Load(Names, by=("id", "no"))] = ""
            two: Annotated[str, Load(load_names, by=("id", "no"))] = ""

        problems = problems_of(run, Row())
        assert len(problems) == 2
        assert problems[0].endswith(
            "Row.one: Load(by=('id', 'no')) makes a tuple of each key, and the loader's keys are int"
        )
        assert "Row.two: " in problems[1]

    def test_the_type_of_a_loader_s_keys_is_that_of_its_loader_class(self, run):
        """And of no other generic class that it inherits from."""

        class Tagged(Generic[V]):
            pass

        class Prices(Tagged[tuple[int, str]], DataLoader[int, int]):
            async def batch_load_fn(self, keys: list[int]) -> list[int]:
                return keys

        class Row(BaseModel):
            id: int = 1
            no: int = 1
            good: Annotated[int, Load(Prices, by="id")] = 0
            bad: Annotated[int, Load(Prices, by=("id", "no"))] = 0

        (problem,) = problems_of(run, Row())
        assert "Row.bad" in problem

    def test_a_single_key_for_a_loader_of_tuples_is_a_mistake(self, run):
        """The other way round."""

        class Prices(DataLoader[tuple[int, str], int]):
            async def batch_load_fn(self, keys):
                return [1 for _ in keys]

        class Row(BaseModel):
            id: int = 1
            price: Annotated[int, Load(Prices, by="id")] = 0

        (problem,) = problems_of(run, Row())
        assert "is one value, and the loader's keys are tuples: name all parts, by=(..., ...)" in problem


class TestListsOfKeys:
    """Where the type says that an attribute holds many keys, each is loaded, all in one batch."""

    @pytest.mark.parametrize(
        ("annotation", "given"),
        [
            (list[int], [2, 1]),
            (tuple[int, ...], (2, 1)),
            (list[int | None], [2, None, 1]),
            (list[int] | None, [2, 1]),
            (Annotated[list[int], "said"], [2, 1]),
            (list, [2, 1]),
            (Sequence[int], [2, 1]),
        ],
        ids=str,
    )
    def test_the_field_gets_a_list_in_the_order_of_the_keys(self, run, annotation, given):
        """Nulls are left out."""
        source = Source(lambda key: {"id": key})

        class Tag(BaseModel):
            id: int

        class Post(BaseModel):
            tag_ids: annotation
            tags: Annotated[list[Tag], Load(source, by="tag_ids")] = []

        async def law():
            posts = [Post(tag_ids=given), Post(tag_ids=[3, 2]), Post(tag_ids=[])]
            await Resolver().resolve(posts)
            assert [[tag.id for tag in post.tags] for post in posts] == [[2, 1], [3, 2], []]
            assert source.calls == [[2, 1, 3]]

        run(law)

    def test_a_set_of_keys_fills_a_set(self, run):
        """What is loaded is converted to the field's type."""
        source = Source(lambda key: str(key))

        class Post(BaseModel):
            ids: set[int] = {1, 2}
            names: Annotated[set[str], Load(source, by="ids")] = set()

        async def law():
            assert (await Resolver().resolve(Post())).names == {"1", "2"}

        run(law)

    def test_no_keys_at_all_make_no_loader(self, run):
        """A list that is null keeps the default, an empty one gives an empty list."""

        class Post(BaseModel):
            ids: list[int] | None
            names: Annotated[list[str], Load(Strict, by="ids")] = ["default"]

        async def law():
            posts = await Resolver().resolve([Post(ids=None), Post(ids=[])])
            assert [post.names for post in posts] == [["default"], []]

        run(law)

    def test_a_property_may_give_them(self, run):
        """By what it is annotated to return."""
        source = Source(lambda key: str(key))

        class Post(BaseModel):
            text: str = "1,2"
            names: Annotated[list[str], Load(source, by="ids")] = []

            @property
            def ids(self) -> list[int]:
                return [int(part) for part in self.text.split(",")]

        async def law():
            assert (await Resolver().resolve(Post())).names == ["1", "2"]

        run(law)

    @pytest.mark.parametrize("annotation", [tuple[int, int], tuple[int, ...]], ids=str)
    @pytest.mark.parametrize(
        "base", [DataLoader[tuple[int, int], str], DataLoader[tuple[int, int], V]], ids=str
    )
    def test_a_key_that_is_a_tuple_itself_is_one_key(self, run, annotation, base):
        """Of a fixed length, or if the loader's own keys are tuples, whatever its values are."""

        class Points(base):
            async def batch_load_fn(self, keys):
                return [f"{x}/{y}" for x, y in keys]

        class Place(BaseModel):
            point: annotation = (1, 2)
            name: Annotated[str, Load(Points, by="point")] = ""

        async def law():
            assert (await Resolver().resolve(Place())).name == "1/2"

        run(law)

    @pytest.mark.parametrize(
        ("annotation", "given"),
        [
            (list[tuple[int, int]], [(1, 2), (3, 4)]),
            (list[tuple[int, int] | None] | None, [(1, 2), None, (3, 4)]),
            (tuple[tuple[int, int], ...], ((1, 2), (3, 4))),
        ],
        ids=str,
    )
    def test_a_list_of_tuples_holds_many_keys_for_a_loader_of_tuples(self, run, annotation, given):
        """By the type of the items."""

        class Points(DataLoader[tuple[int, int], str]):
            async def batch_load_fn(self, keys):
                return [f"{x}/{y}" for x, y in keys]

        class Line(BaseModel):
            points: annotation
            names: Annotated[list[str], Load(Points, by="points")] = []

        async def law():
            assert (await Resolver().resolve(Line(points=given))).names == ["1/2", "3/4"]

        run(law)

    @pytest.mark.parametrize("errors", [None, []], ids=["whole", "partial"])
    @pytest.mark.parametrize("field", [list[str], list[str] | None, set[str], tuple[str, ...]], ids=str)
    def test_a_column_that_only_rows_have_is_what_it_is(self, run, field, errors):
        """A list where it is one, and the field takes many: arrays of PostgreSQL, or of Mongo."""
        source = Source(lambda key: f"name {key}")

        class Post(BaseModel):
            names: Annotated[field, Load(source, by="ids")] = None

        async def law():
            rows = [{"ids": [2, 1]}, {"ids": {3}}, {"ids": []}, {"ids": None}, {"ids": [None, 2]}, {"ids": 4}]
            posts = await Resolver().resolve(rows, into=list[Post], errors=errors)
            names = [post.names and sorted(post.names) for post in posts]
            assert names[3] is None
            del names[3]
            assert list(map(list, names)) == [["name 1", "name 2"], ["name 3"], [], ["name 2"], ["name 4"]]
            assert source.calls == [[2, 1, 3, 4]]

        run(law)

    def test_one_key_for_many_rows_stays_one(self, run):
        """A column that is no list, for a field that takes one: what the loader gives is the list."""
        source = Source(lambda key: [f"{key}a", f"{key}b"])

        class Post(BaseModel):
            names: Annotated[list[str], Load(source, by="id")]

        async def law():
            posts = await Resolver().resolve([{"id": 1}, {"id": 2}], into=list[Post])
            assert [post.names for post in posts] == [["1a", "1b"], ["2a", "2b"]]

        run(law)

    def test_columns_that_cannot_be_read_fail_alone(self, run):
        """Beside lists of keys and single ones."""

        class Part(BaseModel):
            id: int
            names: Annotated[list[str] | None, Load(Source(str), by="ids")]

        async def brought(keys: list[int]) -> list[Any]:
            lacking = Part.model_construct(id=1)
            have = [Part.model_construct(id=2), Part.model_construct(id=3), Part.model_construct(id=4)]
            for part, ids in zip(have, ([1, 2], 5, None), strict=True):
                part.__dict__["ids"] = ids
            return [[lacking, *have] for _ in keys]

        class Root(BaseModel):
            id: int = 1
            parts: Annotated[list[Part], Load(brought, by="id")] = []

        async def law():
            errors: list[FieldError] = []
            root = await Resolver().resolve(Root(), errors=errors)
            assert [part.names for part in root.parts] == [None, ["1", "2"], ["5"], None]
            assert [error.path for error in errors] == ["Root.parts[0].names"]

        run(law)

    def test_the_path_leads_to_the_node_with_the_bad_key(self, run):
        """Of a key that cannot be used, or that is not there, also where keys are met twice."""

        async def load(keys):
            return {key: f"name {key}" for key in keys if key < 3}

        class Post(BaseModel):
            ids: list[Any]
            names: Annotated[list[str], Load(load, by="ids")] = []

        async def law():
            for bad in (3, [3]):
                with pytest.raises(DloaderError) as caught:
                    await Resolver().resolve([Post(ids=[1, 2]), Post(ids=[]), Post(ids=[2, 1, bad])])
                assert "while resolving Post[2].names with loader" in notes_of(caught.value)

        run(law)

    def test_loaders_of_another_kind_give_lists_too(self, run):
        """Where the loader's futures are its own."""

        class Loader(aiodataloader.DataLoader):
            async def batch_load_fn(self, keys):
                return named(keys)

        class Post(BaseModel):
            ids: list[int]
            names: Annotated[list[str], Load(Loader, by="ids")] = []

        async def law():
            posts = await Resolver().resolve([Post(ids=[1, 2]), Post(ids=[2])])
            assert [post.names for post in posts] == [["name 1", "name 2"], ["name 2"]]

        run(law)
