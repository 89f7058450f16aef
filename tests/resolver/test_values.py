"""What is written: a resolved value is validated as the class itself would validate it, in every respect."""

import dataclasses
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Generic, Literal, TypeVar

import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    StringConstraints,
    Tag,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
    validator,
)
from pydantic.alias_generators import to_camel
from resolving import Source

from dloader import PlanError
from dloader.resolver import Collector, ExposeAs, Load, Resolver, SendTo, mapper

T = TypeVar("T")


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = Field(9, alias="livesLeft")


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str = Field(validation_alias=AliasChoices("name", "dogName"))


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    value: int = 0


class StrictField(BaseModel):
    value: int = Field(0, strict=True)


class Constrained(BaseModel):
    value: Annotated[int, Field(gt=0)] = Field(1, lt=10)


class ConstrainedList(BaseModel):
    value: list[Annotated[str, StringConstraints(max_length=2)]] = Field([], max_length=2)


class Aliased(BaseModel):
    value: list[Cat] = Field([], alias="theValue")


class Discriminated(BaseModel):
    value: Cat | Dog | None = Field(None, discriminator="kind")


class ByFunction(BaseModel):
    value: Annotated[
        Annotated[Cat, Tag("c")] | Annotated[Dog, Tag("d")],
        Discriminator(lambda value: "c" if "livesLeft" in value else "d"),
    ] = None


class Validated(BaseModel):
    value: Annotated[int, BeforeValidator(lambda v: v + 1), AfterValidator(lambda v: v * 2)] = 0


class Plainly(BaseModel):
    value: Annotated[int, PlainValidator(lambda v: f"plain {v}")] = 0


class Wrapped(BaseModel):
    value: Annotated[int, WrapValidator(lambda v, handler: handler(v) if v != 3 else -3)] = 0


class ByBuiltin(BaseModel):
    value: Annotated[Any, AfterValidator(str), BeforeValidator(abs)] = 0


class Decorated(BaseModel):
    value: int = 0

    @field_validator("value", mode="before")
    @classmethod
    def before(cls, value):
        return value + 1

    @field_validator("value")
    @classmethod
    def after(cls, value):
        if value == 0:
            raise ValueError("not nothing")
        return value * 2


class Starred(BaseModel):
    value: Any = 0

    @field_validator("*", mode="wrap")
    @classmethod
    def wrap(cls, value, handler):
        return [handler(value)]


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, str_to_upper=True)

    value: str = ""


class Coerced(BaseModel):
    model_config = ConfigDict(
        coerce_numbers_to_str=True, extra="forbid", validate_assignment=True, frozen=True
    )

    value: str = ""


class Page(BaseModel, Generic[T]):
    value: list[T] = []


@pydantic.dataclasses.dataclass
class Checked:
    value: int = Field(1, gt=0)

    @field_validator("value", mode="before")
    @classmethod
    def before(cls, value):
        return -value


@pydantic.dataclasses.dataclass(config=ConfigDict(strict=True), frozen=True)
class StrictChecked:
    value: int = 0


CASES = [
    (Strict, [1, "1"]),
    (StrictField, [1, "1"]),
    (Constrained, [5, "5", 0, 10, "x"]),
    (ConstrainedList, [["a"], ["a", "b", "c"], ["abc"], "no"]),
    (Aliased, [[{"livesLeft": 3}], [{"livesLeft": "x"}]]),
    (
        Discriminated,
        [{"kind": "cat", "livesLeft": 3}, {"kind": "dog", "dogName": "x"}, {"kind": "cow"}, {}, None],
    ),
    (ByFunction, [{"livesLeft": 3}, {"name": "x"}, {}]),
    (Validated, [1, 1.5]),
    (Plainly, [1, "x"]),
    (Wrapped, [3, "4", "x"]),
    (ByBuiltin, [-1, 1]),
    (Decorated, [1, -1, 1.5]),
    (Starred, [1, "x"]),
    (Stripped, [" x ", 1]),
    (Coerced, ["x", 1, []]),
    (Page[int], [["1"], ["x"]]),
    (Page[Cat], [[{"livesLeft": 1}], [{"livesLeft": "x"}]]),
    (Page, [[1, "x"], 5]),
    (Checked, [-1, 1]),
    (StrictChecked, [1, "1"]),
]


CONFIGS = {
    "none": {},
    "alias generator": {"alias_generator": to_camel},
    "no others": {"alias_generator": to_camel, "extra": "forbid"},
    "by name": {"alias_generator": to_camel, "populate_by_name": True},
    "strict": {"alias_generator": to_camel, "strict": True, "frozen": True},
    "of strings": {"str_strip_whitespace": True, "use_attribute_docstrings": True},
}
AROUND = {"before": BeforeValidator, "after": AfterValidator, "plain": PlainValidator}
INFORMED = {
    "decorated": (
        lambda read: str | None,
        lambda method: {"read": field_validator("first_name")(classmethod(method))},
        "ann",
    ),
    "decorated for all": (
        lambda read: str | None,
        lambda method: {
            "read": field_validator("*")(
                classmethod(lambda cls, v, info: method(cls, v, info) if isinstance(v, str) else v)
            )
        },
        "ann",
    ),
    **{
        kind: (lambda read, made=made: Annotated[str | None, made(read)], lambda method: {}, "ann")
        for kind, made in AROUND.items()
    },
    "inside a list": (
        lambda read: list[Annotated[str, AfterValidator(read)]] | None,
        lambda method: {},
        ["ann", "bob"],
    ),
    "inside a dict": (
        lambda read: dict[str, list[Annotated[str, BeforeValidator(read)]]] | None,
        lambda method: {},
        {"a": ["ann"]},
    ),
    "inside a union": (
        lambda read: Annotated[str, AfterValidator(read)] | int | None,
        lambda method: {},
        "ann",
    ),
}
"""The annotation, what the class has besides, and a value."""


async def echo(keys):
    return list(map(str, keys))


class TestValidation:
    """A resolved value is what the class would make of it."""

    @pytest.mark.parametrize(
        ("cls", "value"),
        [pytest.param(cls, value, id=f"{cls.__name__}-{value}") for cls, values in CASES for value in values],
    )
    def test_the_outcome_is_that_of_the_class(self, run, cls, value):
        """The same value, or an error with the same lines."""

        class Resolved(cls):
            def resolve_value(self):
                return value

        if dataclasses.is_dataclass(cls):
            Resolved = pydantic.dataclasses.dataclass(
                Resolved, frozen=cls is StrictChecked, config=cls.__pydantic_config__
            )

        alias = cls.model_fields["value"].alias if issubclass(cls, BaseModel) else None

        def make():
            return cls(**{alias or "value": value}).value

        async def law():
            made = Resolved.__new__(Resolved) if dataclasses.is_dataclass(cls) else Resolved.model_construct()
            return (await Resolver().resolve(made)).value

        try:
            wanted = make()
        except ValidationError as error:
            with pytest.raises(ValidationError) as caught:
                run(law)
            got = caught.value.errors(include_url=False)
            lines = [{**line, "loc": line["loc"][1:]} for line in error.errors(include_url=False)]
            assert [(line["type"], line["loc"], line["msg"]) for line in got] == [
                (line["type"], line["loc"], line["msg"]) for line in lines
            ]
        else:
            assert run(law) == wanted

    @pytest.mark.parametrize("frozen", [False, True])
    @pytest.mark.parametrize("kind", ["model", "dataclass"])
    def test_validators_may_look_at_the_other_fields(self, run, frozen, kind):
        """`info.data` holds them all; model validators do not run again."""
        ran = []

        if kind == "model":

            class Node(BaseModel):
                model_config = ConfigDict(frozen=frozen)

                id: int
                last: int = 7
                value: int = Field(0, alias="theValue")
                after: Annotated[int, AfterValidator(lambda v, info: v + info.data["id"])] = 0
                wrapped: Annotated[
                    int, WrapValidator(lambda v, handler, info: handler(v) + info.data["last"])
                ] = 0

                @field_validator("value")
                @classmethod
                def check(cls, value, info):
                    if value == 5:
                        raise ValueError("five")
                    return value + info.data["id"] + info.data["last"] + len(info.field_name)

                @model_validator(mode="after")
                def whole(self):
                    ran.append(self)
                    return self

                def resolve_value(self):
                    return {"1": "1", "2": 2}.get(str(self.id), self.id)

                def resolve_after(self):
                    return 10

                def resolve_wrapped(self):
                    return 20

            make = lambda id: Node.model_construct(id=id, last=7)  # noqa: E731
        else:

            @pydantic.dataclasses.dataclass(frozen=frozen)
            class Node:
                id: int
                last: int = 7
                value: int = 0
                after: Annotated[int, AfterValidator(lambda v, info: v + info.data["id"])] = 0
                wrapped: Annotated[
                    int, WrapValidator(lambda v, handler, info: handler(v) + info.data["last"])
                ] = 0

                @field_validator("value")
                @classmethod
                def check(cls, value, info):
                    if value == 5:
                        raise ValueError("five")
                    return value + info.data["id"] + info.data.get("last", 7) + len(info.field_name)

                def resolve_value(self):
                    return {"1": "1", "2": 2}.get(str(self.id), self.id)

                def resolve_after(self):
                    return 10

                def resolve_wrapped(self):
                    return 20

            def make(id):
                node = Node.__new__(Node)
                for name, value in {"id": id, "last": 7, "value": 0, "after": 0, "wrapped": 0}.items():
                    object.__setattr__(node, name, value)
                return node

        async def law():
            nodes = await Resolver().resolve([make(1), make(2)])
            assert [node.value for node in nodes] == [14, 16]
            assert [node.after for node in nodes] == [11, 12]
            assert [node.wrapped for node in nodes] == [27, 27]
            with pytest.raises(ValidationError, match="five") as caught:
                await Resolver().resolve([make(1), make(5)])
            assert caught.value.errors()[0]["loc"] == ("value",)
            assert "while resolving Node[1].value" in caught.value.__notes__[0]

        run(law)
        assert ran == []

    @pytest.mark.parametrize("form", INFORMED)
    @pytest.mark.parametrize("config", CONFIGS)
    def test_what_validators_are_told_is_what_the_class_tells(self, run, config, form):
        """`info.data` and `info.field_name`, whatever the class makes of names; also of what is inside the type."""

        def read(value, info):
            return f"{value} {info.data['user_id']} {info.field_name} {info.mode} {info.context}"

        annotation, decorate, value = INFORMED[form]

        class Base(BaseModel):
            model_config = ConfigDict(**CONFIGS[config])
            user_id: int = 3
            first_name: annotation(read) = None

            def resolve_first_name(self):
                return value

            last_name: str = ""

        members = decorate(lambda cls, value, info: read(value, info))
        cls = type("Node", (Base,), {"__module__": __name__, **members})
        rename = CONFIGS[config].get("alias_generator", str)
        made = cls.model_validate({rename("user_id"): 3, rename("first_name"): value}).first_name

        async def law():
            node = cls.model_construct(user_id=3, first_name=None)
            assert (await Resolver().resolve(node)).first_name == made

        assert "3 first_name python None" in str(made)
        run(law)

    def test_validators_of_pydantic_1_are_part_of_it(self, run):
        """With the values of other fields, before and after, of items too."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")

            class Node(BaseModel):
                id: int = 1
                name: str = ""
                early: str = ""
                items: list[str] = []
                pair: tuple[int, str] = (0, "")
                endless: tuple[str, ...] = ()
                by_name: dict[str, str] = {}
                plain: list = []
                every: int = 0

                @validator("name")
                def upper(cls, value):
                    return value.upper()

                @validator("early", pre=True)
                def earlier(cls, value, values):
                    return f"{value} {values['id']}"

                @validator("items", "pair", "endless", "by_name", "plain", each_item=True)
                def each(cls, value, values):
                    return f"<{value}{values['id']}>" if isinstance(value, str) else value

                @validator("*")
                def all(cls, value):
                    return value + 1 if isinstance(value, int) else value

        given = {
            "name": "ann",
            "early": 5,
            "items": ["a", "b"],
            "pair": (4, "c"),
            "endless": ("d",),
            "by_name": {"e": "f"},
            "plain": ["g"],
            "every": 6,
        }
        methods = {f"resolve_{name}": lambda self, value=value: value for name, value in given.items()}
        cls = type("Filled", (Node,), {"__module__": __name__, **methods})

        async def law():
            node = await Resolver().resolve(cls(id=1))
            assert node.model_dump(exclude={"id"}) == Node(id=1, **given).model_dump(exclude={"id"})
            assert node.name == "ANN"

        run(law)

    def test_a_validator_with_info_on_a_node_that_lacks_fields(self, run):
        """`model_construct` left them out; so they are not in `info.data`."""

        class Node(BaseModel):
            id: int
            name: str = ""

            @field_validator("name")
            @classmethod
            def told(cls, value, info):
                return f"{value} {sorted(info.data)}"

            def resolve_name(self):
                return "ann"

        @dataclass(slots=True)
        class Slotted:
            id: int
            name: Annotated[str, AfterValidator(lambda value, info: f"{value} {sorted(info.data)}")] = ""

            def resolve_name(self):
                return "ann"

        async def law():
            assert (await Resolver().resolve(Node.model_construct())).name == "ann []"
            assert (await Resolver().resolve(Node(id=1))).name == "ann ['id']"
            assert (await Resolver().resolve(Slotted(1))).name == "ann ['id']"
            lacking = Slotted(1)
            del lacking.id
            assert (await Resolver().resolve(lacking)).name == "ann []"

        run(law)

    def test_a_deprecated_field_is_read_without_a_warning(self, run):
        """By key, for nodes, by what looks at it, and as what is sent or exposed: the resolver is no caller."""

        class Leaf(BaseModel):
            seen: int = 0

            def resolve_seen(self, ancestor_context):
                return ancestor_context["old"]

        class Node(BaseModel):
            id: Annotated[int, ExposeAs("old"), SendTo("ids"), Field(deprecated=True)] = 1
            leaves: list[Leaf] = Field([], deprecated="use trees")
            owner: Annotated[str, Load(echo, by="id")] = ""
            name: str = ""

            @field_validator("name")
            @classmethod
            def told(cls, value, info):
                return f"{value} {info.data['id']}"

            def resolve_name(self):
                return "ann"

        class Top(BaseModel):
            nodes: list[Node]
            ids: list[int] = []

            def post_ids(self, ids=Collector("ids")):
                return ids.values()

        async def law():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                top = await Resolver().resolve(Top(nodes=[Node(leaves=[Leaf()])]))
            assert (top.ids, top.nodes[0].owner, top.nodes[0].name) == ([1], "1", "ann 1")
            assert top.nodes[0].__dict__["leaves"][0].seen == 1

        run(law)

    def test_a_dataclass_that_sqlalchemy_maps(self, run):
        """`Mapped[...]` is what stands in it; what is not loaded is not looked at, as that would load it."""
        orm = pytest.importorskip("sqlalchemy.orm")
        from sqlalchemy import ForeignKey

        class Base(orm.MappedAsDataclass, orm.DeclarativeBase):
            pass

        class Row(Base):
            __tablename__ = "row"
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
            above_id: orm.Mapped[int | None] = orm.mapped_column(ForeignKey("row.id"), default=None)
            name: orm.Mapped[str] = orm.mapped_column(default="")
            below: orm.Mapped[list["Row"]] = orm.relationship(init=False, default_factory=list)

            def resolve_name(self):
                return f"row {self.id}"

        Base.registry.configure()

        async def law():
            lazy = Row(id=2)
            vars(lazy).pop("below", None)
            rows = await Resolver().resolve([Row(id=1), lazy])
            assert [row.name for row in rows] == ["row 1", "row 2"]
            assert "below" not in vars(lazy)
            rows[0].below = [Row(id=3)]
            await Resolver().resolve(rows[0])
            assert rows[0].below[0].name == "row 3"

        run(law)

    def test_an_error_that_does_not_come_again_is_raised_all_the_same(self, run):
        """A validator with a state of its own is asked twice, once for all values and once alone."""
        for error, kind in ((ValueError("once"), ValidationError), (KeyError("once"), KeyError)):
            asked = []

            def once(value, error=error, asked=asked):
                asked.append(value)
                if asked == [1, 2]:
                    raise error
                return value

            class Node(BaseModel):
                id: int
                value: Annotated[int, AfterValidator(once)] = 0

                def resolve_value(self):
                    return self.id

            async def law(Node=Node, kind=kind):
                with pytest.raises(kind, match="once"):
                    await Resolver().resolve([Node.model_construct(id=n) for n in (1, 2, 3)])

            run(law)


class TestRows:
    """What a loader may give for a model."""

    def test_dicts_objects_and_models(self, run):
        """ORM-like objects by their attributes, nested ones too, without `from_attributes` on the model."""

        class Role(BaseModel):
            name: str

        class User(BaseModel):
            id: int
            role: Role
            label: str = ""

            def post_label(self):
                return f"{self.id} {self.role.name}"

        @dataclasses.dataclass
        class Account:
            id: int
            role: Role

        rows = {
            1: {"id": 1, "role": {"name": "a"}},
            2: SimpleNamespace(id=2, role=SimpleNamespace(name="b")),
            3: User(id=3, role=Role(name="c")),
            4: Account(4, {"name": "d"}),
        }
        source = Source(rows.__getitem__)

        class Task(BaseModel):
            owner_id: int
            owner: Annotated[User | None, Load(source, by="owner_id")] = None

        async def law():
            return await Resolver().resolve([Task(owner_id=n) for n in rows])

        tasks = run(law)
        assert [task.owner.label for task in tasks] == ["1 a", "2 b", "3 c", "4 d"]
        assert rows[3].label == "", "the node that the loader gave is its own"

    def test_dataclasses_are_converted_too(self, run):
        """Into dataclasses and models, by their annotations; any type of another library is left as it is."""

        @dataclasses.dataclass
        class User:
            id: int

        class Thing: ...

        thing = Thing()

        @dataclasses.dataclass(slots=True)
        class Task:
            owner: User | None = None
            thing: Thing | None = None
            count: Annotated[int, Field(gt=0)] = 0

            def resolve_owner(self):
                return {"id": "5"}

            def resolve_thing(self):
                return thing

            def resolve_count(self):
                return "3"

        async def law():
            return await Resolver().resolve(Task())

        task = run(law)
        assert task == Task(User(5), thing, 3)


class TestWriting:
    """Where values go."""

    def test_resolved_fields_count_as_set(self, run):
        """`exclude_unset` keeps them; null keys and untouched fields stay unset."""
        source = Source(str)

        class Node(BaseModel):
            id: int
            none_id: int | None = None
            name: Annotated[str, Load(source, by="id")] = ""
            nothing: Annotated[str, Load(source, by="none_id")] = ""
            posted: int = 0
            other: int = 0

            def post_posted(self):
                return 0

        async def law():
            return await Resolver().resolve(Node(id=1))

        assert run(law).model_dump(exclude_unset=True) == {"id": 1, "name": "1", "posted": 0}

    def test_frozen_classes_are_filled(self, run):
        """Models, frozen fields and dataclasses with slots; `validate_assignment` sees nothing."""

        class Model(BaseModel):
            model_config = ConfigDict(frozen=True, validate_assignment=True)

            value: int = 0

            def resolve_value(self):
                return 1

        class FrozenField(BaseModel):
            value: int = Field(0, frozen=True)

            def resolve_value(self):
                return 1

        @dataclasses.dataclass(frozen=True, slots=True)
        class Data:
            value: int = 0

            def resolve_value(self):
                return 1

        async def law():
            return await Resolver().resolve([Model(), FrozenField(), Data()])

        assert [node.value for node in run(law)] == [1, 1, 1]

    def test_resolve_and_post_may_fill_one_field(self, run):
        """The post has the last word; each has its own mapper."""

        class Node(BaseModel):
            value: int = 0

            @mapper(lambda value: value + 1)
            def resolve_value(self):
                return 1

            def post_value(self):
                return str(self.value * 10)

        async def law():
            return await Resolver().resolve([Node(), Node()])

        assert [node.value for node in run(law)] == [20, 20]

    @pytest.mark.parametrize(
        "later", [type("Later", (BaseModel,), {}), type("Later", (), {})], ids=["model", "other"]
    )
    def test_forward_references_are_completed(self, run, later, monkeypatch):
        """A class whose type was not known when it was made; one that never can be is a mistake of the plan."""

        class Node(BaseModel):
            below: "list[Later]" = []  # noqa: F821
            seen: bool = False

            def resolve_seen(self):
                return True

        async def law():
            with pytest.raises(PlanError, match="a type cannot be evaluated"):
                await Resolver().resolve(Node.model_construct())
            monkeypatch.setitem(globals(), "Later", later)
            if issubclass(later, BaseModel):
                assert (await Resolver().resolve(Node.model_construct())).seen
            else:
                with pytest.raises(PlanError, match="a type cannot be evaluated"):
                    await Resolver().resolve(Node.model_construct())

        run(law)


class TestValuesOfManyNodes:
    """What is converted together is each node's own."""

    def test_rows_that_nodes_share_may_be_lists_or_none(self, run):
        """Each node has a list of its own, with the same models in it."""

        class Item(BaseModel):
            id: int

        source = Source(lambda key: [{"id": key}] if key % 2 else None)

        class Node(BaseModel):
            key: int
            items: Annotated[list[Item] | None, Load(source, by="key")] = None

        async def law():
            nodes = await Resolver().resolve([Node(key=key) for key in (1, 2, 1, 2)])
            assert [node.items for node in nodes] == [[Item(id=1)], None, [Item(id=1)], None]
            assert nodes[0].items is not nodes[2].items

        run(law)

    def test_a_later_object_that_does_not_fit_is_told_of_by_its_field(self, run):
        """Rows may be objects with attributes."""

        class Item(BaseModel):
            size: int

        source = Source(lambda key: SimpleNamespace(size="large" if key == 2 else key))

        class Node(BaseModel):
            key: int
            item: Annotated[Item | None, Load(source, by="key")] = None

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve([Node(key=1), Node(key=2)])
            (error,) = caught.value.errors()
            assert error["loc"] == ("size",)
            assert error["type"] == "int_parsing"
            assert "while resolving Node[1].item" in "".join(caught.value.__notes__)

        run(law)

    def test_a_validator_sees_fields_that_are_declared_later(self, run):
        """When a field is resolved, all others are there."""

        class Node(BaseModel):
            name: str = ""
            later: int = 5

            @field_validator("name")
            @classmethod
            def check(cls, value, info):
                assert "name" not in info.data
                return f"{value} {info.data.get('later')}"

            def resolve_name(self):
                return "seen"

        async def law():
            assert (await Resolver().resolve(Node())).name == "seen 5"

        run(law)

    def test_a_mapper_is_called_for_each_node(self, run):
        """Also for nodes that were given one row; each has an object of its own."""
        calls = []

        class Item(BaseModel):
            id: int

        def make(row):
            calls.append(row)
            return Item(id=row["id"])

        row = {"id": 1}

        class Node(BaseModel):
            item: Item | None = None

            @mapper(make)
            def resolve_item(self):
                return row

        async def law():
            nodes = await Resolver().resolve([Node(), Node(), Node()])
            assert len({id(node.item) for node in nodes}) == len(calls) == 3

        run(law)
