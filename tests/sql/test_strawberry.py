"""`related` of `dloader.strawberry`: the answers of lazy loads, by one statement per relationship and level."""

from __future__ import annotations

from inspect import isawaitable
from typing import Annotated, Any, Generic, TypeVar

import berries
import pytest
import strawberry
import zoo
from amounts import at_most
from databases import Database
from hypothesis import given, strategies as st
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from strawberry.extensions import FieldExtension, SchemaExtension
from strawberry.permission import BasePermission

from dloader import OptionError
from dloader.sqlalchemy import Related
from dloader.strawberry import Connection, LoaderExtension, connection, loaders, related

LEAVES = {
    "Tag": ["id", "word"],
    "Project": ["id", "title"],
    "Role": ["id", "since"],
    "Member": ["id", "name", "eMail", "label", "salary", "grade", "hello", "shout: hello(loudly: true)"],
    "Room": ["floor", "number"],
    "Desk": ["id"],
    "Badge": ["id"],
    "Office": ["id", "city", "headcount"],
    "Cat": ["id", "kind", "lives"],
    "Dog": ["id", "kind", "tricks"],
    "Toy": ["id"],
    "Owner": ["id"],
    "Animal": ["id", "kind", "... on Cat { lives }", "... on Dog { tricks }", "... on Cat { toys { id } }"],
    "Pet": ["... on Cat { id lives }", "... on Animal { kind owner { id } }", "... on Creature { id }"],
}
BRANCHES = {
    "Query": {"offices": "Office", "members": "Member", "owners": "Owner", "desks": "Desk"},
    "Tag": {"members": "Member"},
    "Role": {"project": "Project", "member": "Member"},
    "Member": {
        "office": "Office",
        "manager": "Member",
        "reports": "Member",
        "tags": "Tag",
        "friends": "Member",
        "roles": "Role",
    },
    "Room": {"office": "Office", "desks": "Desk"},
    "Desk": {"room": "Room"},
    "Office": {
        "members": "Member",
        "active": "Member",
        "below": "Office",
        "badge": "Badge",
        "rooms": "Room",
        "oldest": "Member",
    },
    "Cat": {"toys": "Toy", "owner": "Owner"},
    "Dog": {"owner": "Owner"},
    "Owner": {"animals": "Animal", "pets": "Pet", "cats": "Cat", "dogs": "Dog"},
    "Animal": {"owner": "Owner"},
}


@st.composite
def selections(draw: st.DrawFn, kind: str, depth: int) -> str:
    """What is selected of a type: leaves, and branches under aliases, in fragments and behind directives."""
    parts = ["__typename"]
    leaves = LEAVES.get(kind, [])
    if leaves:
        parts += draw(st.lists(st.sampled_from(leaves), max_size=3))
    branches = BRANCHES.get(kind, {})
    if depth and branches:
        for number, name in enumerate(draw(st.lists(st.sampled_from(sorted(branches)), max_size=3))):
            alias = draw(st.sampled_from(["", f"{name}{number}: "]))
            directive = draw(
                st.sampled_from(["", "", " @include(if: $yes)", " @skip(if: $yes)", " @skip(if: false)"])
            )
            below = draw(selections(branches[name], depth - 1))
            field = f"{alias}{name}{directive} {{ {below} }}"
            parts.append(draw(st.sampled_from([field, f"... {{ {field} }}", f"... on {kind} {{ {field} }}"])))
    return " ".join(parts)


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """With the rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


def both(database: Database, query: str, variables: dict[str, object] | None = None) -> object:
    """What an operation answers, the same as by lazy loads."""

    async def main(engine):
        return await berries.ask(engine, query, variables), await berries.truth(engine, query, variables)

    ours, truth = database.run(main)
    assert ours.errors is None, ours.errors
    assert truth.errors is None
    assert in_order(ours.data) == in_order(truth.data)
    return ours.data


def in_order(value: object) -> object:
    """The rows of `oldest` sorted: that relationship has no order, and a database may give either."""
    if isinstance(value, list):
        return [in_order(each) for each in value]
    if not isinstance(value, dict):
        return value
    below = {name: in_order(each) for name, each in value.items()}
    return {
        name: sorted(each, key=repr) if name.startswith("oldest") and isinstance(each, list) else each
        for name, each in below.items()
    }


class TestAnswers:
    @given(query=selections("Query", 4))
    @at_most(20)
    def test_they_are_those_of_lazy_loads(self, filled, query):
        """Of any operation."""
        both(filled, f"query Any($yes: Boolean! = true) {{ {query} desks @skip(if: $yes) {{ id }} }}")


async def selects_of(engine: AsyncEngine, database: Database, query: str, variables: Any = None) -> list[str]:
    """The statements of what is filled, not those of the roots."""
    await berries.ask(engine, "{ __typename }")
    roots = len(database.selects)
    database.statements.clear()
    result = await berries.ask(engine, query, variables)
    assert result.errors is None, result.errors
    return database.selects[roots:]


def statements(database: Database, query: str, variables: Any = None) -> list[str]:
    """The statements that fill the answer of an operation."""
    return database.run(lambda engine: selects_of(engine, database, query, variables))


def columns(statement: str) -> set[str]:
    """What a statement reads, by the names of columns."""
    listed = statement.partition(" \nFROM")[0].removeprefix("SELECT ")
    return {part.strip().rpartition(".")[2] for part in listed.split(",")}


class TestStatements:
    def test_one_for_each_relationship_and_level(self, filled):
        """Whatever is asked for of it, by whichever names."""
        query = """{
            offices {
                a: members { name }
                b: members { eMail manager { name } }
                ... on Office { members { salary manager { office { city } } } }
                ...F
            }
        }
        fragment F on Office { c: members { id m: manager { id manager { name } } } }"""
        found = statements(filled, query)
        assert len(found) == 3  # members; managers, who have no others; their offices

    def test_siblings_that_lead_to_one_class_are_one_statement(self, filled):
        """A look-up by the primary key is one loader, whoever points there."""
        query = "{ members { manager { name } roles { member { eMail } } reports { manager { id } } } }"
        found = statements(filled, query)
        assert len(found) == 3  # roles, reports, managers: the members below are among these

    def test_a_level_waits_for_the_whole_level_above(self, filled):
        """So that the same look-up is one statement, also from two ways."""
        found = statements(filled, "{ offices { members { office { city } } rooms { office { id } } } }")
        assert len(found) == 3

    def test_columns_are_those_that_are_selected(self, filled):
        """And the keys of what is filled."""
        [members, offices] = statements(
            filled, "{ offices { members { name a: eMail office { __typename } } } }"
        )
        assert columns(members) == {"name", "e_mail", "office_id"}
        assert columns(offices) == {"id"}

    def test_what_is_left_out_is_not_read(self, filled):
        """By variables, in fragments, on the wrong types."""
        query = """query($no: Boolean!) { offices { members {
            name
            eMail @include(if: $no)
            salary @skip(if: true)
            ... @include(if: $no) { grade tags { id } }
            ... on Member @skip(if: true) { label }
        } } }"""
        [members] = statements(filled, query, {"no": False})
        assert columns(members) == {"name", "office_id"}

    def test_a_resolver_may_read_all_plain_fields(self, filled):
        """Also private ones: nobody knows what it reads."""
        [members] = statements(filled, "{ offices { members { hello } } }")
        assert {"name", "e_mail", "salary", "grade", "office_id"} <= columns(members)
        assert "notes" not in members  # no field of the type

    def test_what_is_asked_before_a_field_is_filled_may_read_all_plain_fields(self, filled):
        """Permissions and extensions, as a resolver."""

        async def main(engine):
            extension = LoaderExtension({"session": async_sessionmaker(engine)})
            schema = strawberry.Schema(Guarding, extensions=[extension])
            return await schema.execute("{ office { members { boss { boss { __typename } } } } }")

        result = filled.run(main)
        assert [error.message for error in result.errors] == ["not yet", "not yet"]
        assert [error.path[2:] for error in result.errors] == [[0, "boss"], [1, "boss", "boss"]]
        found = [each["boss"] for each in result.data["office"]["members"]]
        assert found == [None, {"boss": None}, {"boss": {"__typename": "Guarded"}}]
        assert len(filled.selects) == 3

    def test_types_of_a_union_read_their_own_columns(self, filled):
        """With what tells them apart."""
        query = "{ owners { pets { ... on Cat { lives } ... on Dog { tricks } ... on Creature { id } } } }"
        [pets] = statements(filled, query)
        assert "kind" in pets
        [animals] = statements(filled, "{ owners { animals { ... on Dog { tricks } } } }")
        assert "lives" not in animals

    def test_the_same_names_as_other_loads_read_what_both_want(self, filled):
        """In one registry, loads by hand and what operations select."""

        @strawberry.type
        class Query:
            @strawberry.field
            async def names(self, info: strawberry.Info) -> list[str]:
                rows = await loaders(info).get(Related(zoo.Office.members)).load(1)
                return [row.e_mail for row in rows]

            @strawberry.field
            async def office(self) -> berries.Office:
                return zoo.Office(id=1, city="Oslo", path="a")

        async def main(engine):
            extension = LoaderExtension({"session": async_sessionmaker(engine)})
            schema = strawberry.Schema(Query, extensions=[extension])
            return await schema.execute("{ office { members { name } } names a: names }")

        result = filled.run(main)
        assert result.errors is None
        assert [each["name"] for each in result.data["office"]["members"]] == [
            "m0",
            "m1",
            "m1",
            "m2",
            "m2",
            "m3",
        ]
        assert len(result.data["names"]) == 6


class Watching(SchemaExtension):
    """Notes the fields whose value is to be awaited."""

    awaited: list[tuple[str, ...]] = []

    def resolve(self, _next: Any, root: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
        value = _next(root, info, *args, **kwargs)
        if isawaitable(value):
            self.awaited.append(tuple(each for each in info.path.as_list() if isinstance(each, str)))
        return value


class Refuses(BasePermission):
    """Whoever asks."""

    message = "not yours"

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        """Only of the first."""
        return bool(source.id == 1)


class Earns(BasePermission):
    """Whoever asks for those who do not."""

    message = "not yet"

    async def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        """Only of those who earn enough."""
        return source.salary is None or source.salary > 300


class Shouting(FieldExtension):
    """Changes what a field has."""

    async def resolve_async(self, next_: Any, source: Any, info: Any, **kwargs: Any) -> Any:
        """After it is there."""
        found = next_(source, info, **kwargs)
        found = await found if isawaitable(found) else found
        return list(reversed(found))


class TestLookAhead:
    def test_below_a_related_field_nothing_is_awaited(self, filled, monkeypatch):
        """It is there when its parent is."""
        monkeypatch.setattr(Watching, "awaited", [])
        query = """{ offices {
            members { name manager { manager { tags { members { id } } } } }
            page(first: 2) { totalCount edges { node { reports { id } } } }
        } }"""

        async def main(engine):
            async with async_sessionmaker(engine)() as session:
                context = await session.run_sync(berries.context_of)
            extensions = [LoaderExtension({"session": async_sessionmaker(engine)}), Watching]
            schema = strawberry.Schema(berries.Query, extensions=extensions)
            return await schema.execute(query, context_value=context)

        assert filled.run(main).errors is None
        assert set(Watching.awaited) == {("offices", "members"), ("offices", "page")}

    def test_fields_with_permissions_are_filled_when_these_were_asked(self, filled):
        """What is refused is not loaded; the others are one batch."""

        async def main(engine):
            extension = LoaderExtension({"session": async_sessionmaker(engine)})
            schema = strawberry.Schema(Guarding, extensions=[extension])
            query = "{ office { members { reports { id } tags { word } } } }"
            return await schema.execute(query)

        result = filled.run(main)
        members = result.data["office"]["members"]
        assert [error.message for error in result.errors] == ["not yours"] * 2
        assert [error.path for error in result.errors] == [["office", "members", n, "tags"] for n in (1, 2)]
        assert [member["tags"] and len(member["tags"]) for member in members] == [3, None, None]
        assert [[each["id"] for each in member["reports"]] for member in members] == [[3, 2], [13, 12], []]
        assert len(filled.selects) == 3  # members; their reports; the tags that were let through


@strawberry.type
class Guarded:
    """A member, some of whose fields are not for all."""

    id: int
    salary: strawberry.Private[int | None]
    tags: list[berries.Tag] | None = related(zoo.Member.tags, permission_classes=[Refuses])
    boss: Guarded | None = related(zoo.Member.manager, permission_classes=[Earns])
    reports: list[Guarded] = related(zoo.Member.reports, extensions=[Shouting()])


@strawberry.type
class GuardedOffice:
    """Has such members."""

    id: int
    members: list[Guarded] = related(zoo.Office.members, order_by=zoo.Member.id)


@strawberry.type
class Guarding:
    """The root."""

    @strawberry.field
    def office(self) -> GuardedOffice:
        """One."""
        return zoo.Office(id=2)


class Ghosts(DeclarativeBase):
    """Some of these tables exist."""


class Haunted(Ghosts):
    """Maps the offices."""

    __tablename__ = "office"
    id: Mapped[int] = mapped_column(primary_key=True)
    city: Mapped[str]
    ghosts: Mapped[list[Ghost]] = relationship(order_by="Ghost.id")
    unordered: Mapped[list[Ghost]] = relationship(viewonly=True)


class Ghost(Ghosts):
    """There are none, nor is there a table of them."""

    __tablename__ = "ghost"
    id: Mapped[int] = mapped_column(primary_key=True)
    office_id: Mapped[int] = mapped_column(ForeignKey("office.id"))


@strawberry.type
class GhostOut:
    """A type of ghosts."""

    id: int


@strawberry.type
class Colour:
    """A type of nothing."""

    shade: str


@strawberry.type
class HauntedOut:
    """A type of offices, with mistakes."""

    id: int
    city: str = strawberry.field(default_factory=lambda: "nowhere")
    size: int = 7
    odd: list[str] = strawberry.field(default_factory=list)
    ghosts: list[GhostOut] | None = related(Haunted.ghosts)
    colours: list[Colour] | None = related(Haunted.ghosts)
    one: GhostOut | None = related(Haunted.ghosts)
    unordered: Connection[GhostOut] | None = connection(Haunted.unordered)
    again: Annotated[HauntedOut, strawberry.lazy(__name__)] | None = related(zoo.Badge.office)


@strawberry.type
class BadgeOut:
    """Of an office."""

    id: int
    office: HauntedOut | None = related(zoo.Badge.office)


@strawberry.type
class Keyless:
    """Has no key."""

    ghosts: list[GhostOut] | None = related(Haunted.ghosts)


@strawberry.type
class Haunting:
    """The roots."""

    @strawberry.field
    def offices(self) -> list[HauntedOut]:
        """Two."""
        return [HauntedOut(id=1, city="Oslo"), HauntedOut(id=2, city="Rome")]

    @strawberry.field
    def badges(self) -> list[BadgeOut]:
        """Two."""
        return [zoo.Badge(id=5, office_id=1), zoo.Badge(id=6, office_id=3)]

    @strawberry.field
    def keyless(self) -> Keyless:
        """Without a key."""
        return Keyless()


def haunt(database: Database, query: str, **params: Any) -> Any:
    """What a schema with mistakes answers."""

    async def main(engine):
        extension = LoaderExtension(params or {"session": async_sessionmaker(engine)})
        schema = strawberry.Schema(Haunting, extensions=[extension])
        return await schema.execute(query)

    return database.run(main)


def paths(result: Any) -> list[list[Any]]:
    """Where there are errors."""
    return [error.path for error in result.errors]


class TestErrors:
    def test_each_failed_field_has_one_at_its_path(self, filled):
        """The rest of the answer is there."""
        result = haunt(filled, "{ offices { city ghosts { id } } }")
        assert paths(result) == [["offices", 0, "ghosts"], ["offices", 1, "ghosts"]]
        assert result.data == {
            "offices": [{"city": "Oslo", "ghosts": None}, {"city": "Rome", "ghosts": None}]
        }
        assert "ghost" in result.errors[0].message

    def test_also_of_what_is_filled_beforehand(self, filled):
        """As if it were loaded there."""
        result = haunt(filled, "{ badges { office { city size odd ghosts { id } } } }")
        assert paths(result) == [["badges", 0, "office", "ghosts"], ["badges", 1, "office", "ghosts"]]
        office = {"size": 7, "odd": [], "ghosts": None}
        assert result.data == {"badges": [{"office": {"city": city, **office}} for city in ("Oslo", "Bonn")]}

    def test_mistakes_are_told_where_they_are(self, filled):
        """Each by its names."""
        result = haunt(filled, "{ badges { office { city colours { shade } } } }")
        assert paths(result) == [["badges", 0, "office", "colours"], ["badges", 1, "office", "colours"]]
        assert "Colour.shade is filled by no column of Ghost" in result.errors[0].message
        result = haunt(filled, "{ offices { one { id } } }")
        assert "Haunted.ghosts gives a list" in result.errors[0].message
        result = haunt(filled, "{ offices { unordered { totalCount } } }")
        assert "pass order_by=" in result.errors[0].message
        result = haunt(filled, "{ keyless { ghosts { id } } }")
        assert "Keyless.ghosts is filled by id, and Keyless has none" in result.errors[0].message
        result = haunt(filled, "{ offices { ghosts { id } } }", tenant=7)
        assert "session" in result.errors[0].message

    def test_a_schema_without_the_extension_says_so(self, filled):
        """With the line to add."""
        schema = strawberry.Schema(Haunting)
        result = filled.run(lambda _: schema.execute("{ offices { ghosts { id } } }"))
        assert "extensions=[LoaderExtension(" in result.errors[0].message

    def test_what_cannot_be_a_field_is_refused_where_it_is_written(self):
        """By name."""
        with pytest.raises(OptionError, match="Related takes a relationship"):
            related(zoo.Office)
        with pytest.raises(OptionError, match=r"connection\(max_results=\) takes a whole number"):
            connection(zoo.Office.members, max_results=0)
        with pytest.raises(OptionError, match=r"connection\(limit=\) takes a whole number"):
            connection(zoo.Office.members, limit=True)
        types: Any = [berries.Cat]
        with pytest.raises(OptionError, match=r"types= takes object types by mapped class"):
            related(zoo.Owner.animals, types=types)

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("numbers", "Office.members gives objects, and the field numbers holds none"),
            ("page", "Office.members: the field page is a connection, so its type is Connection[...]"),
            ("pages", "Office.members: the field pages is a connection, so its type is Connection[...]"),
            (
                "badge { totalCount }",
                " gives one object or none, and the field badge is a connection",
            ),
        ],
    )
    def test_a_type_that_does_not_fit_is_told_by_its_field(self, filled, query, message):
        """Where it is asked for."""

        async def main(engine):
            extension = LoaderExtension({"session": async_sessionmaker(engine)})
            return await strawberry.Schema(Misfitting, extensions=[extension]).execute(
                f"{{ office {{ {query} }} }}"
            )

        [error] = filled.run(main).errors
        assert message in error.message

    def test_what_is_told_of_a_key_names_the_field(self, filled):
        """And not what dloader made of it."""
        result = haunt(filled, "{ offices { ghosts { id } } }")
        notes = "".join(result.errors[0].original_error.__notes__)
        assert "(Haunted.ghosts, 1)" in notes


@strawberry.type
class Misfit:
    """Has fields of types that do not fit."""

    id: int
    numbers: list[int] = related(zoo.Office.members)
    page: int = connection(zoo.Office.members)
    pages: str = connection(zoo.Office.members)
    badge: Connection[berries.Badge] = connection(zoo.Office.badge)


@strawberry.type
class Misfitting:
    """The root."""

    @strawberry.field
    def office(self) -> Misfit:
        """One."""
        return Misfit(id=1)


T = TypeVar("T")


@strawberry.interface
class Beast:
    """What Animal may be."""

    id: int


@strawberry.type(name="Dog")
class Hound(Beast):
    """Is called as the mapped class in GraphQL alone."""

    tricks: int | None


@strawberry.type
class Kitten(Beast):
    """Is not called so."""

    seen: list[str] = strawberry.field(default_factory=list)
    lives: strawberry.Private[int] = 0

    def __post_init__(self) -> None:
        """Reads what nobody selected."""
        self.seen = [f"{self.lives} lives"]


@strawberry.type
class Holder(Generic[T]):
    """A generic type with a field that is filled."""

    id: int
    held: list[T] = related(zoo.Owner.animals, where=zoo.Animal.kind == "cat", types={zoo.Cat: Kitten})


@strawberry.type
class Owned:
    """Its fields are of abstract types."""

    id: int
    owner_id: strawberry.Private[int | None] = None
    some: list[Beast] | None = related(zoo.Owner.animals, types={zoo.Cat: Kitten})
    dogs: list[Beast] = related(zoo.Owner.dogs)
    one: Beast | None = related(zoo.Toy.cat, types={zoo.Cat: Kitten})
    none: list[Annotated[Kitten | GhostOut, strawberry.union("Nothing")]] | None = related(zoo.Owner.animals)
    page: Connection[Beast] = connection(
        zoo.Owner.animals, where=zoo.Animal.kind != "animal", types={zoo.Cat: Kitten}
    )


@strawberry.type
class ToyOut:
    """Of a cat."""

    id: int
    cat_id: int
    cat: Beast | None = related(zoo.Toy.cat, types={zoo.Cat: Kitten})
    kitten: Kitten = related(zoo.Toy.cat)


@strawberry.type
class Beasts:
    """The roots."""

    @strawberry.field
    def owner(self) -> Owned:
        """The first."""
        return Owned(id=1)

    @strawberry.field
    def toys(self) -> list[ToyOut]:
        """Two."""
        return [ToyOut(id=1, cat_id=1), ToyOut(id=3, cat_id=4)]

    @strawberry.field
    def holder(self) -> Holder[Kitten]:
        """Of kittens."""
        return Holder(id=1)


def beasts(database: Database, query: str) -> Any:
    """What a schema with types of other names answers."""

    async def main(engine):
        extension = LoaderExtension({"session": async_sessionmaker(engine)})
        schema = strawberry.Schema(Beasts, extensions=[extension], types=[Kitten, Hound])
        return await schema.execute(query)

    return database.run(main)


class TestTypes:
    def test_rows_become_the_types_that_are_called_as_their_classes(self, filled):
        """In Python or GraphQL, or those that the field tells of."""
        result = beasts(filled, "{ owner { dogs { __typename id ... on Dog { tricks } } } }")
        assert result.errors is None
        assert result.data["owner"]["dogs"] == [{"__typename": "Dog", "id": 2, "tricks": 4}]
        result = beasts(
            filled, "{ owner { page { __typename edges { node { __typename ... on Kitten { seen } } } } } }"
        )
        assert result.errors is None
        nodes = [{"__typename": "Kitten", "seen": ["9 lives"]}, {"__typename": "Dog"}]
        assert [edge["node"] for edge in result.data["owner"]["page"]["edges"]] == nodes

    def test_a_row_of_another_class_is_an_error(self, filled):
        """Of the field that has it."""
        result = beasts(filled, "{ owner { some { id } } }")
        assert paths(result) == [["owner", "some"]]
        assert "Owner.animals: no type of the field is called as the mapped class" in result.errors[0].message
        result = beasts(filled, "{ owner { none { ... on Kitten { id } } } }")
        assert "types={MappedClass: ObjectType}" in result.errors[0].message

    def test_defaults_and_post_init_are_as_in_the_class(self, filled):
        """All plain fields are read where the class looks at them."""
        result = beasts(filled, "{ toys { cat { __typename id ... on Kitten { seen } } kitten { seen } } }")
        assert result.errors is None
        cats = [({"__typename": "Kitten", "id": n}, [f"{lives} lives"]) for n, lives in ((1, 9), (4, 7))]
        assert result.data["toys"] == [
            {"cat": {**cat, "seen": seen}, "kitten": {"seen": seen}} for cat, seen in cats
        ]

    def test_fields_of_generic_types(self, filled):
        """Are those of the type that they were made for."""
        result = beasts(filled, "{ holder { held { id } } }")
        assert result.errors is None
        assert result.data["holder"]["held"] == [{"id": 1}]

    def test_where_no_object_has_a_key_nothing_is_loaded(self, filled):
        """Of a level that is filled beforehand."""
        query = "{ offices(first: 1) { members { manager { manager { manager { manager { office { id } } } } } } } }"
        both(filled, query)
