"""What is written: a resolved value is validated as the class itself would validate it, in every respect."""

import dataclasses
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
)
from resolving import Source

from dloader import PlanError
from dloader.resolver import Load, Resolver, mapper

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
    (Aliased, [[{"livesLeft": 3}], [{"lives": 3}], [{"livesLeft": "x"}]]),
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
        assert tasks[2].owner is rows[3]

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
