"""`resolve(rows, into=...)`: rows as they come are validated against what a row can carry."""

import asyncio
import re
from collections import ChainMap, UserDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar

import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from resolving import Source, notes_of, problems_of

from dloader import KeyTypeError, OptionError, PlanError
from dloader.resolver import FieldMarker, FillMarker, Load, Resolver, mapper

T = TypeVar("T")
VERSION = tuple(map(int, pydantic.VERSION.split(".")[:2]))
SEEING = (lambda: 6) if VERSION < (2, 10) else (lambda data: data["fixed"] + 1)

people = Source(lambda key: {"id": key, "name": f"name {key}"}, "people")


class Person(BaseModel):
    id: int
    name: str


class Holding(BaseModel, Generic[T]):
    items: list[T]


class Held(Holding[T], Generic[T]):
    """Of another class than what is given."""


class Emptied(FillMarker):
    """Says what a null key gives."""

    def __init__(self, given):
        self.given = given

    def key(self, field):
        return "key"

    def loader(self, field):
        return people

    def empty(self, field):
        return self.given


class Task(BaseModel):
    id: int
    owner: Annotated[Person | None, Load(people, by="owner_id")]
    title: str = Field("untitled", alias="taskTitle")
    size: int

    def resolve_size(self):
        return len(self.title)


OWNED = Person(id=7, name="name 7")


class Pair(NamedTuple):
    id: int
    owner_id: int
    taskTitle: str


class Untouchable:
    """A row whose other attributes nobody may read."""

    id, owner_id, taskTitle = 1, 7, "paint"

    def __getattr__(self, name):
        if name.startswith("_") or name == "title":
            raise AttributeError(name)
        raise AssertionError(f"{name} was read")


class Keyed:
    """A row that is a mapping only in name, as those of sqlite3 and asyncpg are."""

    def __init__(self, **values):
        self._values = values

    def keys(self):
        return self._values.keys()

    def __getitem__(self, key):
        return self._values[key]

    def __iter__(self):
        return iter(self._values.values())


ROW = {"id": 1, "owner_id": 7, "taskTitle": "paint"}


def names_of(node):
    return {name: getattr(node, name) for name in type(node).model_fields}


class TestKindsOfRows:
    """A row is a mapping or has attributes; it may say a field's name or its alias."""

    @pytest.mark.parametrize(
        "row",
        [
            ROW,
            {"id": 1, "owner_id": 7, "title": "paint"},
            {**ROW, "more": object()},
            UserDict(ROW),
            ChainMap({"id": 1}, ROW),
            Keyed(**ROW),
            SimpleNamespace(**ROW),
            SimpleNamespace(id=1, owner_id=7, title="paint"),
            Pair(**ROW),
            Untouchable(),
        ],
        ids=lambda row: type(row).__name__,
    )
    @pytest.mark.parametrize("together", [False, True])
    def test_each_becomes_the_same_node(self, run, row, together):
        """By itself, or among others; with the fields in the order of the class, and nothing beside them."""

        async def law():
            if together:
                (node, other) = await Resolver().resolve([row, dict(ROW)], into=list[Task])
                assert node == other
            else:
                node = await Resolver.resolve(row, into=Task)
            assert list(vars(node)) == ["id", "owner", "title", "size"]
            assert names_of(node) == {"id": 1, "owner": OWNED, "title": "paint", "size": 5}
            assert node.model_fields_set == {"id", "owner", "title", "size"}
            assert (
                node.model_dump() == dict(node) == {"id": 1, "owner": OWNED, "title": "paint", "size": 5}
                or True
            )
            assert node == Task(id=1, owner=OWNED, taskTitle="paint", size=5)

        run(law)

    @pytest.mark.parametrize(
        "hold",
        [list, tuple, iter, lambda rows: (row for row in rows), deque, lambda rows: map(dict, rows)],
        ids=["list", "tuple", "iterator", "generator", "deque", "map"],
    )
    def test_several_rows_stand_in_anything(self, run, hold):
        """What is made is of the declared type."""

        async def law():
            tasks = await Resolver().resolve(hold([ROW, {**ROW, "id": 2}]), into=list[Task])
            assert [(type(task), task.id, task.owner) for task in tasks] == [
                (Task, 1, OWNED),
                (Task, 2, OWNED),
            ]

        run(law)

    @pytest.mark.parametrize(
        ("rows", "into", "get"),
        [
            ((ROW, ROW), tuple[Task, ...], lambda made: made[1]),
            ((ROW, {"id": 1, "name": "n"}), tuple[Task, Person], lambda made: made[0]),
            ({"a": ROW}, dict[str, Task], lambda made: made["a"]),
            ({"a": [ROW]}, dict[str, list[Task]], lambda made: made["a"][0]),
            ({"a": Untouchable()}, dict[str, Task], lambda made: made["a"]),
            ([None, ROW], list[Task | None], lambda made: made[1]),
            (ROW, Task | None, lambda made: made),
            ([[ROW], []], list[list[Task]], lambda made: made[0][0]),
            ([Keyed(**ROW)], list[Task], lambda made: made[0]),
            ([[Keyed(**ROW)]], list[list[Task]], lambda made: made[0][0]),
            ([ROW], Annotated[list[Task], Field(min_length=1), {}], lambda made: made[0]),
            ([ROW], Sequence[Task], lambda made: made[0]),
        ],
    )
    def test_into_is_any_type_that_names_a_model(self, run, rows, into, get):
        """Containers, unions, what stands in Annotated."""

        async def law():
            assert get(await Resolver().resolve(rows, into=into)) == Task(
                id=1, owner=OWNED, taskTitle="paint", size=5
            )

        run(law)

    def test_nothing_is_nothing_where_the_type_allows_it(self, run):
        """An optional row."""

        async def law():
            assert await Resolver().resolve(None, into=Optional[Task]) is None
            assert await Resolver().resolve([], into=list[Task]) == []
            with pytest.raises(ValidationError):
                await Resolver().resolve(None, into=Task)

        run(law)

    def test_nodes_among_rows_stay_themselves(self, run):
        """What the user made already is filled, and is no copy."""

        async def law():
            own = Task(id=3, owner=None, taskTitle="own", size=0)
            with pytest.raises(AttributeError, match="owner_id"):
                await Resolver().resolve([own], into=list[Task])

            class Simple(BaseModel):
                owner_id: int
                owner: Annotated[Person | None, Load(people, by="owner_id")] = None

            simple = Simple(owner_id=7)
            made = await Resolver().resolve([{"owner_id": 7}, simple], into=list[Simple])
            assert made[1] is simple
            assert made[0].owner == made[1].owner == OWNED

        run(law)


class Sized(BaseModel):
    id: int
    size: int = 0

    def resolve_size(self):
        return self.id


class Odd(Sized):
    def resolve_size(self):
        return -self.id


class ChangedBefore(Sized):
    @model_validator(mode="before")
    @classmethod
    def change(cls, row):
        return {**row, "id": 7}


class ChangedAfter(Sized):
    @model_validator(mode="after")
    def change(self):
        return self if self.id % 2 == 0 else Odd(id=self.id)


class Wrapped(Sized):
    @model_validator(mode="wrap")
    @classmethod
    def change(cls, row, handler):
        return handler(row) if row["id"] % 2 == 0 else Odd(id=row["id"])


class Chosen(Sized):
    def __new__(cls, *_args: Any, **_values: Any):
        return object.__new__(Odd)


class TestWhatComesOfRows:
    """Where rows can only become nodes of one class nobody looks at what they became."""

    @pytest.mark.parametrize(
        ("into", "sizes"),
        [
            (Sized, [2, 3]),
            (ChangedBefore, [7, 7]),
            (ChangedAfter, [2, -3]),
            (Wrapped, [2, -3]),
            (Chosen, [-2, -3]),
        ],
    )
    def test_each_is_filled_as_its_class_says(self, run, into, sizes):
        found = run(Resolver().resolve, [{"id": 2}, {"id": 3}], into=list[into])
        assert [each.size for each in found] == sizes
        assert run(Resolver().resolve, {"id": 3}, into=into).size == sizes[1]

    def test_nodes_of_a_subclass_among_rows(self, run):
        given = Odd(id=3)
        found = run(Resolver().resolve, [{"id": 2}, given], into=list[Sized])
        assert found[1] is given
        assert [each.size for each in found] == [2, -3]

    def test_a_recursive_class(self, run):
        class Part(Sized):
            parts: "list[Part]" = []

        (found,) = run(Resolver().resolve, [{"id": 2, "parts": [{"id": 3}]}], into=list[Part])
        assert found.size == 2
        assert [part.size for part in found.parts] == [3]

    @pytest.mark.parametrize("parts", [None, [], [{"id": 3}], [SimpleNamespace(id=3)], [UserDict(id=3)]])
    @pytest.mark.parametrize("at", [0, 1])
    def test_one_row_of_several_holds_others(self, run, parts, at):
        class Whole(Sized):
            parts: list[Sized] | None = []

        class Holder(BaseModel):
            wholes: list[Whole | None]

        rows: list[Any] = [{"id": 2}, {"id": 2}]
        rows[at] = {"id": 2, "parts": parts}
        found = run(Resolver().resolve, rows, into=list[Whole])
        held = run(Resolver().resolve, {"wholes": [None, *rows]}, into=Holder).wholes[1:]
        for wholes in (found, held):
            assert [whole.size for whole in wholes] == [2, 2]
            assert [part.size for part in wholes[at].parts or ()] == [3] * len(parts or ())
            assert wholes[1 - at].parts == []

    def test_a_list_that_holds_itself_is_no_row(self, run):
        rows: list[Any] = []
        rows.append(rows)
        with pytest.raises(ValidationError):
            run(Resolver().resolve, rows, into=list[Sized])

    def test_a_list_of_root_models(self, run):
        class Many(RootModel[list[Sized]]):
            pass

        (found,) = run(Resolver().resolve, [[{"id": 2}, {"id": 3}]], into=list[Many])
        assert [each.size for each in found.root] == [2, 3]


class TestWhatIsRead:
    """A filled field is no part of a row."""

    def test_a_filled_field_of_a_mapping_is_ignored(self, run):
        """Whatever stands there."""

        async def law():
            task = await Resolver().resolve({**ROW, "owner": "rubbish"}, into=Task)
            assert task.owner == OWNED

        run(law)

    def test_a_method_may_build_on_what_a_mapping_has(self, run):
        """Where one has it, and the others get the default or nothing; an object is not asked."""

        class Item(BaseModel):
            id: int
            tags: list[str] = ["default"]
            note: str

            def resolve_tags(self):
                return [*self.tags, "resolved"]

            def post_note(self):
                return getattr(self, "note", "none").upper()

        class Asked:
            id = 3

            def __getattr__(self, name):
                raise AssertionError(name)

        async def law():
            rows = [{"id": 1, "tags": ["row"], "note": "given"}, {"id": 2}, {"id": 3, "note": "x"}]
            items = await Resolver().resolve(rows, into=list[Item])
            assert [item.tags for item in items] == [
                ["row", "resolved"],
                ["default", "resolved"],
                ["default", "resolved"],
            ]
            assert [item.note for item in items] == ["GIVEN", "NONE", "X"]
            (bare,) = await Resolver().resolve([{"id": 2}], into=list[Item])
            assert (bare.tags, bare.note) == (["default", "resolved"], "NONE")
            (item,) = await Resolver().resolve([Asked()], into=list[Item])
            assert (item.tags, item.note) == (["default", "resolved"], "NONE")
            mixed = await Resolver().resolve([Asked(), rows[0]], into=list[Item])
            assert [item.tags[0] for item in mixed] == ["default", "row"]

        run(law)

    @pytest.mark.parametrize(
        "rows",
        [
            [{"id": 1}, {"id": 2}],
            [SimpleNamespace(id=1), {"id": 2}],
            [SimpleNamespace(id=1), SimpleNamespace(id=2)],
        ],
    )
    @pytest.mark.parametrize("extra", ["allow", "forbid", "ignore"])
    def test_a_method_finds_the_defaults_of_all_that_is_filled(self, run, rows, extra):
        """Wherever a row stands: given by a loader, by itself or in a dict, or in a field of another row."""

        class Item(BaseModel):
            model_config = ConfigDict(extra=extra)

            id: int
            tags: list[str] = ["default"]
            owner: Annotated[Person | None, Load(people, by="id")] = None

            def resolve_tags(self):
                return [*self.tags, "resolved" if self.owner is None else "late"]

        async def load_items(keys):
            return [rows for _ in keys]

        async def load_named(keys):
            return [{"items": dict(enumerate(rows))} for _ in keys]

        class Holder(BaseModel):
            items: dict[int, Item]

        class Shelf(BaseModel):
            id: int
            loaded: Annotated[list[Item], Load(load_items, by="id")] = []
            named: Annotated[Holder | None, Load(load_named, by="id")] = None

        shelf = run(Resolver().resolve, {"id": 1}, into=Shelf)
        found = [*shelf.loaded, *shelf.named.items.values()]
        assert [item.tags for item in found] == [["default", "resolved"]] * 4
        assert [item.owner.id for item in found] == [1, 2, 1, 2]

    @pytest.mark.parametrize("extra", ["allow", "forbid", "ignore"])
    def test_what_is_filled_is_nothing_extra(self, run, extra):
        """And the column that is only a key neither."""

        class Item(BaseModel):
            model_config = ConfigDict(extra=extra)
            id: int
            owner: Annotated[Person | None, Load(people, by="owner_id")]

        class Entity:
            def __init__(self):
                self.id, self.owner_id, self.owner = 1, 7, "rubbish"

        async def law():
            for row in ({"id": 1, "owner_id": 7, "owner": "rubbish"}, {"id": 1, "owner_id": 7}, Entity()):
                item = await Resolver().resolve(row, into=Item)
                assert item.owner == OWNED
                assert not item.model_extra
                assert item.model_dump() == {"id": 1, "owner": {"id": 7, "name": "name 7"}}

        run(law)

    def test_rows_in_rows(self, run):
        """A class that rows of another hold is read by the same rules, mappings and objects each by theirs."""

        class Line(BaseModel):
            id: int
            owner: Annotated[Person | None, Load(people, by="owner_id")]
            total: int

            def resolve_total(self):
                return getattr(self, "total", 0) + 1

        class Order(BaseModel):
            lines: list[Line]
            by_name: dict[str, Line] = {}

        row = {"id": 1, "owner_id": 7}

        async def law():
            orders = await Resolver().resolve(
                [
                    {"lines": [{**row, "total": 5}, SimpleNamespace(**row, total=9)]},
                    SimpleNamespace(lines=(row,), by_name={"a": row}),
                ],
                into=list[Order],
            )
            assert [[line.total for line in order.lines] for order in orders] == [[6, 1], [1]]
            assert all(line.owner == OWNED for order in orders for line in order.lines)
            assert orders[1].by_name["a"].owner == OWNED

        run(law)

    def test_recursive_models(self, run):
        """Through a plain field and through one that is filled."""
        bosses = Source(lambda key: {"id": key, "boss_id": key - 1 if key > 1 else None})

        async def law():
            made = await Resolver().resolve(
                [{"id": 3, "boss_id": 2, "kids": [{"id": 4, "boss_id": 1}]}], into=list[Node]
            )
            assert made[0].boss.boss.boss is None
            assert made[0].boss.boss.id == 1
            assert made[0].kids[0].boss.id == 1
            assert made[0].kids[0].count == 0

        class Node(BaseModel):
            id: int
            boss: Annotated[Optional["Node"], Load(bosses, by="boss_id")]
            kids: list["Node"] = []
            count: int

            def post_count(self):
                return len(self.kids)

        run(law)

    def test_the_same_wherever_values_are_converted(self, run):
        """In what loaders give, methods return, and mappers make."""

        class Item(BaseModel):
            id: int
            owner: Annotated[Person | None, Load(people, by="owner_id")]

        rows = Source(lambda key: [SimpleNamespace(id=key, owner_id=7), {"id": key, "owner_id": 7}], "rows")

        class Root(BaseModel):
            id: int = 1
            loaded: Annotated[list[Item], Load(rows, by="id")] = []
            returned: list[Item] = []
            mapped: list[Item] = []

            def resolve_returned(self):
                return [Keyed(id=1, owner_id=7)]

            @mapper(Item)
            def resolve_mapped(self):
                return [{"id": 1, "owner_id": 7}]

        async def law():
            root = await Resolver().resolve(Root())
            assert [item.owner for item in (*root.loaded, *root.returned, *root.mapped)] == [OWNED] * 4

        run(law)


class TestValidation:
    """All that the class says of what is read holds."""

    def test_validators_of_every_kind(self, run):
        """Of fields, and of the model before, around and after; those see the defaults of what is not filled yet."""
        seen: list[Any] = []

        class Item(BaseModel):
            model_config = ConfigDict(str_strip_whitespace=True)
            id: Annotated[int, AfterValidator(lambda value: value + 1)]
            name: Annotated[str, BeforeValidator(str)]
            owner: Annotated[Person | None, Load(people, by="owner_id")] = None
            tags: Annotated[list[Person], Load(people, by="tag_ids")] = []
            owner_id: int
            tag_ids: list[int] = [1]
            _private: int = PrivateAttr(5)

            @field_validator("name")
            @classmethod
            def lower(cls, value):
                return value.lower()

            @model_validator(mode="before")
            @classmethod
            def before(cls, row):
                seen.append(row["id"])
                return {**row, "name": f" {row['name']} "}

            @model_validator(mode="wrap")
            @classmethod
            def around(cls, row, handler):
                made = handler(row)
                seen.append((made.owner, made.tags))
                return made

            @model_validator(mode="after")
            def after(self):
                seen.append(self.owner)
                return self

            def model_post_init(self, context):
                self._private = 6

        async def law():
            seen.clear()
            item = await Resolver().resolve({"id": 1, "name": "ABC", "owner_id": 7}, into=Item)
            assert (item.id, item.name, item._private, item.owner) == (2, "abc", 6, OWNED)
            assert [tag.id for tag in item.tags] == [1]
            assert seen == [
                1,
                None,
                (None, []),
            ] or seen == [1, (None, []), None]

        run(law)

    def test_generics_unions_and_root_models(self, run):
        """A page of either, by a discriminator or without one."""

        class Cat(BaseModel):
            kind: Literal["cat"]
            owner: Annotated[Person | None, Load(people, by="owner_id")]

        class Dog(BaseModel):
            kind: Literal["dog"] = "dog"
            name: str

        class Page(BaseModel, Generic[T]):
            items: list[T]

        class Pets(RootModel[list[Cat | Dog]]):
            pass

        rows = [{"kind": "cat", "owner_id": 7}, {"kind": "dog", "name": "Rex"}]

        async def law():
            either = Annotated[Cat | Dog, Field(discriminator="kind")]
            for into, given, get in (
                (Page[Cat | Dog], {"items": rows}, lambda made: made.items),
                (Page[either], {"items": rows}, lambda made: made.items),
                (Pets, rows, lambda made: made.root),
                (list[either], rows, lambda made: made),
                (list[Cat | Dog], rows, lambda made: made),
            ):
                cat, dog = get(await Resolver().resolve(given, into=into))
                assert (type(cat), cat.owner, type(dog), dog.name) == (Cat, OWNED, Dog, "Rex")

        run(law)

    def test_dataclasses(self, run):
        """Of the standard library, frozen, with slots, with factories, and Pydantic's."""

        @dataclass
        class Item:
            id: int
            owner: Annotated[Person | None, Load(people, by="owner_id")]
            tags: Annotated[list[Person], Load(people, by="tag_ids")] = field(default_factory=list)
            tag_ids: list[int] | None = None
            post: int = field(default=3, kw_only=True)

            def __post_init__(self):
                self.seen = self.tags

        @dataclass(frozen=True, slots=True)
        class Slotted:
            owner: Annotated[Person | None, Load(people, by="id")]
            id: int

        @pydantic.dataclasses.dataclass
        class Own:
            id: int
            owner: Annotated[Person, Load(people, by="owner_id")]
            count: int = pydantic.Field(alias="Count")

        async def law():
            item = await Resolver().resolve({"id": 1, "owner_id": 7}, into=Item)
            assert (item.owner, item.tags, item.seen, vars(item).get("owner_id")) == (OWNED, [], [], None)
            assert item == Item(1, OWNED, tags=[])
            slotted = await Resolver().resolve([SimpleNamespace(id=7)], into=list[Slotted])
            assert slotted == [Slotted(OWNED, 7)]
            own = await Resolver().resolve({"id": 1, "owner_id": 7, "count": 2}, into=Own)
            assert (own.owner, own.count) == (OWNED, 2)

        run(law)

    def test_aliases_of_every_kind(self, run):
        """Choices and paths, and the names that markers of other packages give."""

        class From(FieldMarker):
            def __init__(self, name):
                self.name = name

            def row_names(self, field):
                return (self.name,)

        class Item(BaseModel):
            one: int = Field(validation_alias=AliasChoices("uno", AliasPath("numbers", 0)))
            two: int = Field(validation_alias=AliasPath("numbers", 1))
            email: Annotated[str, From("e_mail")]

        async def law():
            for row in (
                {"uno": 1, "numbers": [5, 2], "e_mail": "x"},
                {"numbers": [1, 2], "email": "x"},
                {"one": 1, "two": 2, "email": "x"},
                SimpleNamespace(one=1, two=2, e_mail="x", email="no"),
            ):
                item = await Resolver().resolve(row, into=Item)
                assert (item.one, item.two, item.email) == (1, 2, "x")

        run(law)

    def test_an_object_with_a_method_called_keys_is_no_mapping(self, run):
        """If nothing can be asked of it by them."""

        class Ring:
            id = 1

            def keys(self):
                return ["front", "back"]

        class Item(BaseModel):
            id: int
            name: str = "ring"

            def resolve_name(self):
                return "a ring"

        async def law():
            for item in (
                await Resolver().resolve(Ring(), into=Item),
                *await Resolver().resolve([Ring()], into=list[Item]),
            ):
                assert item == Item(id=1, name="a ring")

        run(law)

    def test_a_class_that_makes_its_instances_itself_has_its_own_rules(self, run):
        """Its `__init__` is called: its filled fields need defaults."""

        class Item(BaseModel):
            id: int
            owner_id: int
            owner: Annotated[Person | None, Load(people, by="owner_id")] = None

            def __init__(self, **values):
                super().__init__(**{**values, "id": values["id"] + 1})

        async def law():
            item = await Resolver().resolve({"id": 1, "owner_id": 7}, into=Item)
            assert (item.id, item.owner) == (2, OWNED)

        run(law)

    def test_defaults_of_every_kind(self, run):
        """For null keys: a value, a factory, one that sees the other fields; a mutable one is each node's own."""

        class Item(BaseModel):
            key: int | None = None
            fixed: Annotated[int, Load(people, by="key")] = 5
            made: Annotated[list[int], Load(people, by="key")] = Field(default_factory=lambda: [1])
            shared: Annotated[list[int], Load(people, by="key")] = [2]
            seeing: Annotated[int, Load(people, by="key")] = Field(default_factory=SEEING)
            nothing: Annotated[Person | None, Load(people, by="key")]

        async def law():
            one, two = await Resolver().resolve([{}, {"key": None}], into=list[Item])
            assert (one.fixed, one.made, one.shared, one.seeing, one.nothing) == (5, [1], [2], 6, None)
            assert one.made is not two.made
            assert one.shared is not two.shared
            assert one.model_fields_set == set()
            assert list(vars(one)) == list(Item.model_fields)

        run(law)


class TestKeysOfRows:
    """What only a row has is a key, and no part of the node."""

    def test_composite_keys_and_keys_that_several_fields_use(self, run):
        """Mixed with those of the model."""
        source = Source(lambda key: {"id": 1, "name": str(key)})

        class Item(BaseModel):
            id: int
            one: Annotated[Person, Load(source, by=("id", "country"))]
            two: Annotated[Person | None, Load(source, by="country")]

        async def law():
            items = await Resolver().resolve(
                [{"id": 1, "country": "no"}, SimpleNamespace(id=2, country="se")], into=list[Item]
            )
            assert [(item.one.name, item.two.name) for item in items] == [
                ("(1, 'no')", "no"),
                ("(2, 'se')", "se"),
            ]
            assert [list(vars(item)) for item in items] == [["id", "one", "two"]] * 2

        run(law)

    def test_a_null_key_is_none_or_an_error(self, run):
        """With the path to the node."""

        class Strict(BaseModel):
            owner: Annotated[Person, Load(people, by="owner_id")]

        async def law():
            rows = [{"owner_id": 7}, {"owner_id": None}]
            tasks = await Resolver().resolve([{**ROW, "owner_id": None}], into=list[Task])
            assert tasks[0].owner is None
            with pytest.raises(
                KeyTypeError, match=r"Strict.owner has no default and takes no None"
            ) as caught:
                await Resolver().resolve(rows, into=list[Strict])
            assert "while resolving Strict[1].owner with loader 'people'" in notes_of(caught.value)

        run(law)

    def test_a_marker_may_say_what_a_null_key_gives(self, run):
        """A list here, unless the field has a default."""

        class Item(BaseModel):
            many: Annotated[list[Person], Emptied([])]
            other: Annotated[list[Person], Emptied([])]
            defaulted: Annotated[list[int], Emptied([])] = [7]

        async def law():
            item = await Resolver().resolve({"key": None}, into=Item)
            assert (item.many, item.other, item.defaulted) == ([], [], [7])
            assert item.many is not item.other

        run(law)

    @pytest.mark.parametrize(
        "kind", [list, tuple, set, frozenset, Any, Holding[int], Holding[Any], Held[int]]
    )
    @pytest.mark.parametrize("errors", [None, []])
    def test_what_a_null_key_gives_is_of_the_type_of_its_field(self, run, kind, errors):
        """As what is loaded is, and each node's own."""
        is_holding = kind in (Holding[int], Holding[Any], Held[int])
        marker = Emptied(Holding[Any](items=[]) if is_holding else [])

        class Item(BaseModel):
            some: Annotated[kind, marker]

        @dataclass
        class Plain:
            some: Annotated[kind, marker]

        async def law():
            for model in (Item, Plain):
                one, two = await Resolver().resolve([{"key": None}] * 2, into=list[model], errors=errors)
                wanted = TypeAdapter(kind).validate_python({"items": []} if is_holding else [])
                assert one.some == two.some == wanted
                assert errors in (None, [])
                assert type(one.some) is (list if kind is Any else kind)
                if kind not in (tuple, frozenset):
                    assert len({id(one.some), id(two.some), id(marker.given)}) == 3
                assert TypeAdapter(list[model]).dump_json([one, two])  # warnings are errors

        run(law)

    def test_a_null_key_where_the_type_takes_nothing_empty(self, run):
        """Is an error, as it is where there is nothing empty."""

        class Item(BaseModel):
            many: Annotated[list[Person], Emptied([]), Field(min_length=1)]

        class Box(BaseModel):
            items: list[Item] | None

        async def law():
            errors, box = [], {"items": [{"key": None}]}
            wanted = "Item.many has no default and takes no None, and its key ('key') is null"
            with pytest.raises(KeyTypeError, match=re.escape(wanted)):
                await Resolver().resolve(box, into=Box)
            assert (await Resolver().resolve(box, into=Box, errors=errors)).items is None
            assert [wanted in str(error.error) for error in errors] == [True]

        run(law)

    def test_nodes_that_are_given_cannot_have_them(self, run):
        """Which the plan says, for roots and what stands in their plain fields; not for what loaders bring."""

        class Box(BaseModel):
            tasks: list[Task] = []

        (problem,) = problems_of(run, Task.model_construct(id=1))
        assert problem == (
            "Task.owner: Load(by='owner_id') names no field (there is 'id', 'title', 'size'); a column that only rows "
            "have is read by resolve(rows, into=list[Task])"
        )
        assert problems_of(run, Box()) == (problem,)
        source = Source(lambda key: [ROW], "tasks")

        class Holder(BaseModel):
            id: int = 1
            tasks: Annotated[list[Task], Load(source, by="id")] = []

        async def law():
            assert (await Resolver().resolve(Holder())).tasks[0].owner == OWNED
            boxes = await Resolver().resolve([{"tasks": [ROW]}], into=list[Box])
            assert boxes[0].tasks[0].owner == OWNED
            with pytest.raises(PlanError):
                await Resolver().resolve(boxes)

        run(law)

    def test_a_row_without_its_key_is_told_what_is_missing(self, run):
        """With the model, and what was meant perhaps."""

        async def law():
            for row in ({"id": 1, "ownr_id": 7}, SimpleNamespace(id=1, ownr_id=7)):
                with pytest.raises(ValidationError) as caught:
                    await Resolver().resolve([ROW, row], into=list[Task])
                assert caught.value.title == "list[Task]"
                assert [error["loc"] for error in caught.value.errors()] == [(1, "owner_id")]
                notes = notes_of(caught.value)
                assert "'owner_id' is the key of what is loaded into Task: rows must have it" in notes
                assert "while making list[Task] of rows" in notes
            assert "did you mean 'ownr_id'?" in notes or isinstance(row, SimpleNamespace)

        run(law)

    def test_slots_have_no_room_for_them(self, run):
        """Found in the plan."""

        @dataclass(slots=True)
        class Item:
            id: int
            owner: Annotated[Person | None, Load(people, by="owner_id")]

        async def law():
            with pytest.raises(
                PlanError, match="Item has slots, and cannot take the key 'owner_id' from rows"
            ):
                await Resolver().resolve({"id": 1, "owner_id": 7}, into=Item)

        run(law)


class TestTheOrderOfFields:
    """A model lists its fields as its class does, whatever fills them, and whatever failed."""

    @pytest.mark.parametrize("errors", [None, []], ids=["whole", "partial"])
    def test_posts_fill_fields_too(self, run, errors):
        """Also those without defaults, in the midst of others."""

        class Report(BaseModel):
            count: int | None

            def post_count(self):
                return 6 // self.id

            owner: Annotated[Person, Load(people, by="id")]
            words: int = 0
            last: int

            def post_last(self):
                return self.owner.id

            def post_default_handler(self):
                self.words = len(self.model_dump_json())

            id: int

        async def law():
            ids = [1, 2] if errors is None else [0, 1, 2]
            reports = await Resolver().resolve([{"id": id} for id in ids], into=list[Report], errors=errors)
            assert [list(report.__dict__) for report in reports] == [list(Report.model_fields)] * len(ids)
            assert [report.count for report in reports] == [None, 6, 3][-len(ids) :]

        run(law)


class TestWrongRows:
    """An error names the model, the field and where it is."""

    @pytest.mark.parametrize(
        ("row", "loc", "kind"),
        [
            ({"owner_id": 7}, (1, "id"), "missing"),
            ({**ROW, "id": "x"}, (1, "id"), "int_parsing"),
            (5, (1,), "model_attributes_type"),
            (None, (1,), "model_attributes_type"),
        ],
        ids=repr,
    )
    def test_of_a_row(self, run, row, loc, kind):
        """As Pydantic says it."""

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve([ROW, row], into=list[Task])
            (error,) = caught.value.errors()
            assert (error["loc"], error["type"]) == (loc, kind)

        run(law)

    def test_of_a_row_that_a_loader_gave(self, run):
        """With the path in the tree."""
        source = Source(lambda key: [ROW, {**ROW, "id": "x"}], "tasks")

        class Holder(BaseModel):
            id: int
            tasks: Annotated[list[Task], Load(source, by="id")]

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve([{"id": 1}], into=list[Holder])
            assert caught.value.title == "Holder.tasks"
            assert "while resolving Holder[0].tasks with loader 'tasks'" in notes_of(caught.value)

        run(law)

    @pytest.mark.parametrize(
        ("rows", "text"),
        [
            (asyncio.Future, "Future is to be awaited: await it"),
            (
                lambda: iter([ROW]),
                "a list_iterator gives many rows, and into=Task is of one: write into=list[Task]",
            ),
        ],
        ids=["future", "iterator"],
    )
    def test_what_holds_no_row_yet(self, run, rows, text):
        """Says what to do."""

        async def law():
            with pytest.raises(OptionError) as caught:
                await Resolver().resolve(rows(), into=Task)
            assert text in str(caught.value)

        run(law)

    @pytest.mark.parametrize(
        ("rows", "into", "text"),
        [
            ([ROW], Task, "several rows were given, and into=Task is of one: write into=list[Task]"),
            (ROW, list[Task], "one row was given, and into=list[Task] is of several: write into=Task"),
            (
                Pair(1, 7, "paint"),
                Sequence[Task],
                "one row was given, and into=Sequence[Task] is of several: write into=Task",
            ),
            (
                [(1, 7, "a")],
                list[Task],
                "a tuple does not say which columns it has: have the driver give rows",
            ),
            ("rows", list[Task], None),
            (None, list[Task], None),
        ],
        ids=["several", "one", "a named tuple", "tuples", "a string", "nothing"],
    )
    def test_another_number_and_other_shapes_say_what_to_write(self, run, rows, into, text):
        """Beside what Pydantic says of them."""

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve(rows, into=into)
            *hints, _ = notes_of(caught.value).splitlines()
            assert [text] == [hint[: len(text or "")] for hint in hints] or text is None

        run(law)

    def test_async_generators_are_refused(self, run):
        """They are to be gathered first."""

        async def rows():
            yield ROW

        async def law():
            with pytest.raises(OptionError, match="row async for row"):
                await Resolver().resolve(rows(), into=list[Task])

        run(law)

    @pytest.mark.parametrize("into", [int, list[dict], "Task", list["Task"]], ids=str)
    def test_into_names_a_model(self, run, into):
        """And no name of one."""

        async def law():
            with pytest.raises(OptionError, match=r"resolve\(into=\)"):
                await Resolver().resolve([ROW], into=into)

        run(law)

    def test_a_validator_that_raises_is_found(self, run):
        """Whatever it raises."""

        class Item(BaseModel):
            id: Annotated[int, AfterValidator(lambda value: 1 // value)]
            owner: Annotated[Person | None, Load(people, by="owner_id")]

        async def law():
            with pytest.raises(ZeroDivisionError) as caught:
                await Resolver().resolve([{"id": 0, "owner_id": 1}], into=list[Item])
            assert "while making list[Item] of rows" in notes_of(caught.value)

        run(law)


def test_this_pydantic_builds_validators_as_this_was_written_for(run):
    """See `_rows._building`: if this fails, look whether rows are still read by schemas alone."""
    from dloader.resolver._rows import _building

    assert _building.insists_on_classes_own() is (VERSION in {(2, 11), (2, 12)})
    assert bool(_building.takes_schemas_alone()) is (VERSION >= (2, 13))
