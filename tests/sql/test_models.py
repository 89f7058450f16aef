"""Response models filled from mapped classes: nothing but the model and the route is written."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
import zoo
from databases import Database, request
from pydantic import BaseModel, ConfigDict, Field, create_model
from sqlalchemy import func, select
from sqlalchemy.orm import aliased
from zoo import Animal, Cat, Desk, Dog, Member, Office, Owner, Project, Role, Room, Tag

from dloader import LoaderRegistry, MissingKeyError, OptionError, PlanError
from dloader.resolver import Resolver
from dloader.sqlalchemy import Aggregate, ByKey, Count, From, Page, Query, Related, _statements, select_for


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """A database with all rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


class TagOut(BaseModel):
    word: str


class PersonOut(BaseModel):
    id: int
    name: str


class MemberOut(PersonOut):
    manager: Annotated[PersonOut | None, Related(Member.manager)]
    email: Annotated[str, From(Member.e_mail)]
    tags: Annotated[list[TagOut], Related(Member.tags)]
    nick: str = "none"


class OfficeOut(BaseModel):
    city: str
    members: Annotated[list[MemberOut], Related(Office.members, where=Member.active, order_by=Member.id)]
    newest: Annotated[
        Page[PersonOut], Related(Office.members, order_by=Member.id.desc(), limit=2, total=True)
    ]
    headcount: Annotated[int, Count(Office.members)]
    actives: Annotated[int, Count(Office.members, where=Member.active)]
    payroll: Annotated[Decimal | None, Aggregate(Office.members, func.sum(Member.salary))]
    words: Annotated[int, Count(Office.via)]


def tables(statement: str) -> str:
    return " ".join(statement.split())


def test_a_tree_four_levels_deep(filled):
    """The answer is what the ORM's lazy loads give; a statement for each relationship and level."""

    def lazily(session: Any) -> list[dict[str, Any]]:
        def member(each: Member) -> dict[str, Any]:
            manager = each.manager
            return {
                "id": each.id,
                "name": each.name,
                "manager": None if manager is None else {"id": manager.id, "name": manager.name},
                "email": each.e_mail,
                "tags": [{"word": tag.word} for tag in each.tags],
                "nick": "none",
            }

        found = []
        for office in session.scalars(select(Office).order_by(Office.id)):
            members = sorted(office.members, key=lambda each: each.id)
            salaries = [each.salary for each in members if each.salary is not None]
            found.append(
                {
                    "city": office.city,
                    "members": [member(each) for each in members if each.active],
                    "newest": [{"id": each.id, "name": each.name} for each in members[::-1][:2]],
                    "headcount": len(members),
                    "actives": sum(each.active for each in members),
                    "payroll": sum(salaries) if salaries else None,
                    "words": len(office.via),
                }
            )
        return found

    async def law(loaders, session):
        wanted = await session.run_sync(lazily)
        session.expunge_all()
        filled.statements.clear()
        rows = await session.execute(select_for(OfficeOut, Office).order_by(Office.id))
        offices = await Resolver(registry=loaders).resolve(rows, into=list[OfficeOut])
        found = [office.model_dump() for office in offices]
        for office, expected in zip(found, wanted, strict=True):
            page = office.pop("newest")
            assert page["items"] == expected.pop("newest")
            assert page["total"] == expected["headcount"]
            assert page["has_more"] == (expected["headcount"] > 2)
            assert office == expected
        assert len(filled.selects) == 10

    filled.ask(law)
    texts = list(map(tables, filled.selects))
    assert not any(column in text for text in texts for column in ("notes", "grade", "tag.id,", "path"))
    assert sum("salary" in text for text in texts) == 1


class StaffOut(BaseModel):
    """Of a module: what is known of other classes goes with a full garbage collection."""

    members: Annotated[list[PersonOut], Related(Office.members)]


def test_what_is_wanted_is_found_out_once(filled):
    """Not by each request: its loaders are new, and what they are asked for is the same object."""

    async def law(engine):
        wanted = []
        for _ in range(2):
            async with request(engine) as (loaders, session):
                rows = await session.execute(select_for(StaffOut, Office))
                await Resolver(registry=loaders).resolve(rows, into=list[StaffOut])
                wanted.append(loaders.get(Related(Office.members)).requested)
        assert wanted[0].types == (PersonOut,)
        assert wanted[0] is wanted[1]

    filled.run(law)


def test_models_need_no_key(filled):
    """Nor have they one afterwards."""

    class RoomOut(BaseModel):
        office: Annotated[PlaceOut | None, Related(Room.office)]
        desks: Annotated[list[DeskOut], Related(Room.desks)]

    class PlaceOut(BaseModel):
        city: str

    class DeskOut(BaseModel):
        room: Annotated[NumberOut | None, Related(Desk.room)]

    class NumberOut(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        storey: int = Field(alias="floor")

    for each in (RoomOut, DeskOut):
        each.model_rebuild(_types_namespace=locals())

    async def law(loaders, session):
        rows = await session.execute(select_for(RoomOut, Room).order_by(Room.floor, Room.number))
        rooms = await Resolver(registry=loaders).resolve(rows, into=list[RoomOut])
        assert [room.model_dump() for room in rooms[:2]] == [
            {"office": {"city": "Oslo"}, "desks": [{"room": {"storey": 1}}, {"room": {"storey": 1}}]},
            {"office": {"city": "Oslo"}, "desks": []},
        ]
        assert rooms[-1].office is None
        assert vars(rooms[0]).keys() == {"office", "desks"}
        desks = await session.execute(select_for(DeskOut, Desk).order_by(Desk.id))
        assert [each.room for each in await Resolver(registry=loaders).resolve(desks, into=list[DeskOut])][
            3:
        ] == [None, None]

    filled.ask(law)


def test_roots_may_be_entities_models_or_rows(filled):
    """What a relationship of their class would load is not touched."""

    class OutOfOffice(BaseModel):
        id: int
        rooms: Annotated[list[NumberOut], Related(Office.rooms)]

    class NumberOut(BaseModel):
        number: str

    OutOfOffice.model_rebuild(_types_namespace=locals())

    async def law(loaders, session):
        entities = (await session.scalars(select(Office).order_by(Office.id))).all()
        resolver = Resolver(registry=loaders)
        found = await resolver.resolve(entities, into=list[OutOfOffice])
        assert [len(each.rooms) for each in found] == [2, 2, 0, 0]
        again = await resolver.resolve([{"id": 1}, {"id": 3}], into=list[OutOfOffice])
        assert [len(each.rooms) for each in again] == [2, 0]
        made = await resolver.resolve([OutOfOffice.model_construct(id=2)])
        assert [len(each.rooms) for each in made] == [2]

    filled.ask(law)


class CatOut(BaseModel):
    kind: Literal["cat"]
    lives: int
    toys: Annotated[list[ToyOut], Related(Cat.toys)]


class ToyOut(BaseModel):
    id: int


class DogOut(BaseModel):
    kind: Literal["dog"]
    tricks: int | None


class AnyOut(BaseModel):
    kind: Literal["animal"]
    id: int


class OwnerId(BaseModel):
    id: int


class OwnerOut(BaseModel):
    id: int
    animals: Annotated[
        list[Annotated[CatOut | DogOut | AnyOut, Field(discriminator="kind")]], Related(Owner.animals)
    ]
    cats: Annotated[list[CatOut], Related(Owner.cats)]


for _model in (CatOut, OwnerOut):
    _model.model_rebuild()


def test_polymorphic_targets_become_unions(filled):
    """Each row has the columns of its class, and those alone."""

    async def law(loaders, session):
        rows = await session.execute(select_for(OwnerOut, Owner).order_by(Owner.id))
        owners = await Resolver(registry=loaders).resolve(rows, into=list[OwnerOut])
        cat = {"kind": "cat", "lives": 9, "toys": [{"id": 1}, {"id": 2}]}
        assert owners[0].model_dump()["animals"] == [
            cat,
            {"kind": "dog", "tricks": 4},
            {"kind": "animal", "id": 3},
        ]
        assert owners[0].model_dump()["cats"] == [cat]
        assert owners[2].model_dump() == {"id": 3, "animals": [], "cats": []}
        assert len(filled.selects) == 4
        by_hand = await loaders.get(Related(Owner.animals)).load(1)
        assert [set(row) for row in by_hand] == [
            {"id", "kind", "owner_id", "lives"},
            {"id", "kind", "owner_id", "tricks"},
            {"id", "kind", "owner_id"},
        ]
        assert [row.get("lives") for row in by_hand] == [9, None, None]

    filled.ask(law)


def test_columns_of_subclasses_by_another_name(filled):
    """Rows of other classes are there all the same, each once."""

    class FelineOut(BaseModel):
        kind: Literal["cat"]
        left: Annotated[int, From(Cat.lives)]
        most: Annotated[int, From(func.coalesce(Cat.lives, Dog.tricks) + Cat.id)]

    class CanineOut(BaseModel):
        kind: Literal["dog"]
        skills: Annotated[int | None, From(Dog.tricks)]

    class KeeperOut(BaseModel):
        animals: Annotated[
            list[Annotated[FelineOut | CanineOut | AnyOut, Field(discriminator="kind")]],
            Related(Owner.animals),
        ]

    class BeastOut(BaseModel):
        id: int
        lives: int | None
        skills: Annotated[int | None, From(Dog.tricks)]

    async def law(loaders, session):
        rows = await session.execute(select_for(KeeperOut, Owner).where(Owner.id == 1))
        [owner] = await Resolver(registry=loaders).resolve(rows, into=list[KeeperOut])
        assert owner.model_dump()["animals"] == [
            {"kind": "cat", "left": 9, "most": 10}, {"kind": "dog", "skills": 4}, {"kind": "animal", "id": 3},
        ]  # fmt: skip
        rows = await session.execute(select_for(BeastOut, Animal).order_by(Animal.id))
        assert [tuple(row._mapping.values()) for row in rows] == [
            (1, 9, None), (2, None, 4), (3, None, None), (4, 7, None), (5, None, 0),
        ]  # fmt: skip

    filled.ask(law)


def test_a_model_that_needs_no_column(filled):
    """There is a row for each all the same."""

    class NothingOut(BaseModel):
        note: str = "none"

    async def law(loaders, session):
        rows = await session.execute(select_for(NothingOut, Office))
        assert await Resolver(registry=loaders).resolve(rows, into=list[NothingOut]) == [NothingOut()] * 4

    filled.ask(law)


def test_expressions_hybrids_and_deferred_columns(filled):
    """Of the class, of an aggregate in a subquery; also where another model gives the name another meaning."""

    class ShortOut(BaseModel):
        name: Annotated[str, From(func.upper(Member.name))]
        label: str
        notes: str
        login: str
        e_mail: str

    class LongOut(BaseModel):
        name: str
        e_mail: Annotated[str, From(Member.e_mail.concat("!"))]

    class PairOut(BaseModel):
        headcount: int
        short: Annotated[list[ShortOut], Related(Office.members, order_by=Member.id)]
        long: Annotated[list[LongOut], Related(Office.members, order_by=Member.id)]

    async def law(loaders, session):
        statement = select_for(PairOut, Office).where(Office.id == 2)
        office = await Resolver(registry=loaders).resolve(
            (await session.execute(statement)).one(), into=PairOut
        )
        assert office.headcount == len(office.short) == 3
        assert office.short[0].model_dump() == {
            "name": "M1", "label": "m1 <1@x.org>", "notes": "note 1", "login": "m1", "e_mail": "1@x.org",
        }  # fmt: skip
        assert office.long[0].model_dump() == {"name": "m1", "e_mail": "1@x.org!"}
        assert len(filled.selects) == 2

    filled.ask(law)


@pytest.mark.parametrize("first", [True, False])
def test_a_whole_row_never_answers_for_what_is_no_column_of_it(filled, first):
    """What somebody loads by hand, before or beside, has neither deferred columns nor expressions."""

    class Wide(BaseModel):
        notes: str
        label: str
        login: str
        upper: Annotated[str, From(func.upper(Member.name))]

    class Out(BaseModel):
        members: Annotated[list[Wide], Related(Office.members)]
        every: Annotated[Any, Related(Office.members)]

    async def law(loaders, session):
        by_hand = loaders.get(Related(Office.members))
        loads = [by_hand.load(1)]
        if first:
            await loads[0]
        loads.append(Resolver(registry=loaders).resolve({"id": 1}, into=Out))
        rows, out = await asyncio.gather(*loads)
        assert [(each.login, each.upper) for each in out.members] == [(r.name, r.name.upper()) for r in rows]
        assert [row.id for row in await by_hand.load(1)] == [row["id"] for row in out.every]
        count = len(filled.statements)
        await Resolver(registry=loaders).resolve({"id": 1}, into=Out)
        await by_hand.load(1)
        assert len(filled.statements) == count

    filled.ask(law)


def test_models_of_any_width_at_once(filled):
    """Each has what it wants, whenever the others come."""
    chosen = random.Random(3)
    kinds = {
        "id": int,
        "name": str,
        "active": bool,
        "salary": int | None,
        "notes": str,
        "login": str,
        "label": str,
    }

    def model() -> Any:
        names = chosen.sample(list(kinds), chosen.randint(1, 4))
        member = create_model("Member", **{name: (kinds[name], ...) for name in names})
        return create_model("Office", members=(Annotated[list[member], Related(Office.members)], ...))

    async def law(engine):
        for _ in range(10):
            async with request(engine) as (loaders, _session):

                async def later(do: Any) -> None:
                    for _ in range(chosen.randint(0, 4)):
                        await asyncio.sleep(0)
                    await do()

                def resolves(wanted: Any) -> Any:
                    return lambda: Resolver(registry=loaders).resolve(
                        [{"id": 1}, {"id": 2}], into=list[wanted]
                    )

                every = [resolves(model()) for _ in range(5)]
                every.append(lambda: loaders.get(Related(Office.members)).load(1))
                await asyncio.gather(*map(later, every))

    filled.run(law)


def test_fields_without_models_hold_whole_rows(filled):
    """With all columns, also beside a model that wants fewer."""

    class Out(BaseModel):
        names: Annotated[list[PersonOut], Related(Office.members)]
        dicts: Annotated[list[dict[str, Any]], Related(Office.members)]
        every: Annotated[Any, Related(Office.members)]
        page: Annotated[Page[dict[str, Any]], Related(Office.members, limit=1)]
        bare: Annotated[Page, Related(Office.members, limit=1)]
        mine: Annotated[Mapping[str, Any], ByKey(Office, by="id")]

    async def law(loaders, session):
        out = await Resolver(registry=loaders).resolve({"id": 1}, into=Out)
        rows = await loaders.get(Related(Office.members)).load(1)
        assert out.dicts == rows == out.every
        assert out.page.items == rows[:1] == out.bare.items
        assert out.mine == {"id": 1, "city": "Oslo", "path": "a", "headcount": len(rows)}
        assert [person.id for person in out.names] == [row.id for row in rows]

    filled.ask(law)


def test_a_narrow_row_never_answers_for_a_wider_one(filled):
    """In one registry: by another model, by hand, and while the first is on its way."""

    class NarrowOut(BaseModel):
        boss: Annotated[TagLike | None, Related(Member.manager)]

    class TagLike(BaseModel):
        id: int

    class WideOut(BaseModel):
        boss: Annotated[PersonOut | None, Related(Member.manager)]

    NarrowOut.model_rebuild(_types_namespace={**globals(), **locals()})

    async def law(engine):
        import asyncio

        async with request(engine) as (loaders, _session):
            resolver = Resolver(registry=loaders)
            one, two = await asyncio.gather(
                resolver.resolve({"boss_id": 1}, into=NarrowOut),
                resolver.resolve({"boss_id": 1}, into=WideOut),
            )
            assert (one.boss.id, two.boss.name) == (1, "m1")
        async with request(engine) as (loaders, _session):
            resolver = Resolver(registry=loaders)
            await resolver.resolve({"boss_id": 1}, into=NarrowOut)
            assert "name" not in filled.selects[-1]
            row = await loaders.get(ByKey(Member)).load(1)
            assert row.salary == 100
            assert (await resolver.resolve({"boss_id": 1}, into=WideOut)).boss.name == "m1"
            assert loaders.get(ByKey(Member)).statistics.batches == 2

    filled.run(law)


def test_keys_queries_and_proxies_at_fields(filled):
    """What no relationship names."""

    class TaskOut(BaseModel):
        member_id: int
        member: Annotated[PersonOut, ByKey(Member, by="member_id")]
        busy: Annotated[
            list[RoleOut],
            Query(select(Role).order_by(Role.id), key=Role.member_id, many=True, by="member_id"),
        ]
        missing: Annotated[PersonOut | None, ByKey(Member, by="nobody")]

    class RoleOut(BaseModel):
        since: int

    class HelperOut(BaseModel):
        projects: Annotated[list[ProjectOut], Related(Member.projects)]

    class ProjectOut(BaseModel):
        title: str

    TaskOut.model_rebuild(_types_namespace={**globals(), **locals()})
    HelperOut.model_rebuild(_types_namespace={**globals(), **locals()})

    async def law(loaders, session):
        resolver = Resolver(registry=loaders)
        task = await resolver.resolve({"member_id": 1, "nobody": 99}, into=TaskOut)
        assert [role.since for role in task.busy] == [3, 2, 1]
        assert task.member.name == "m1"
        assert task.missing is None
        with pytest.raises(MissingKeyError, match="nothing has the key 77"):
            await resolver.resolve({"member_id": 77, "nobody": None}, into=TaskOut)
        rows = await session.execute(select_for(HelperOut, Member).where(Member.id == 1))
        [helper] = await resolver.resolve(rows, into=list[HelperOut])
        assert [each.title for each in helper.projects] == ["p2", "p1", "p2"]

    filled.ask(law)


@dataclasses.dataclass
class Named:
    name: str
    id: int = 0


@dataclasses.dataclass
class Place:
    city: str
    members: Annotated[list[Named], Related(Office.members, order_by=Member.id)]
    note: str = "none"
    marks: list[int] = dataclasses.field(default_factory=list)


def test_own_selects_of_columns(filled):
    """Are read by their names."""

    class CountOut(BaseModel):
        n: int

    class PlaceOut(BaseModel):
        id: int
        counted: Annotated[
            CountOut | None,
            Query(
                select(Member.office_id, func.count().label("n")).group_by(Member.office_id),
                key=Member.office_id,
                by="id",
            ),
        ]
        maybe: Annotated[
            list[PersonOut] | None, Query(select(Member), key=Member.office_id, many=True, by="id")
        ]
        lost: Annotated[list[PersonOut], Query(select(Member), key=Member.office_id, many=True, by="nobody")]

    async def law(loaders, session):
        places = await Resolver(registry=loaders).resolve(
            [{"id": 2, "nobody": None}, {"id": 9, "nobody": None}], into=list[PlaceOut]
        )
        assert [place.counted and place.counted.n for place in places] == [3, None]
        assert [len(place.maybe) for place in places] == [3, 0]
        assert [place.lost for place in places] == [[], []]
        row = await loaders.get(
            Query(select(Member.office_id, Member.name), key=(Member.office_id, Member.id))
        ).load((2, 1))
        assert row == {"office_id": 2, "name": "m1"}

    filled.ask(law)


def test_dataclasses(filled):
    """Are response models too."""

    async def law(loaders, session):
        rows = await session.execute(select_for(Place, Office).order_by(Office.id))
        places = await Resolver(registry=loaders).resolve(rows, into=list[Place])
        assert places[1] == Place("Rome", [Named("m1", 1), Named("m2", 6), Named("m3", 11)])

    filled.ask(law)


def test_null_keys_have_empty_answers(filled):
    """None, an empty list or page, or nought."""

    class LostOut(BaseModel):
        id: int | None
        manager: Annotated[PersonOut | None, Related(Member.manager)]
        reports: Annotated[list[PersonOut], Related(Member.reports)]
        page: Annotated[Page[PersonOut], Related(Member.reports, limit=3, total=True)]
        count: Annotated[int, Count(Member.reports)]
        most: Annotated[int | None, Aggregate(Member.reports, func.max(Member.id))]

    async def law(loaders, session):
        lost = await Resolver(registry=loaders).resolve({"id": None, "boss_id": None}, into=LostOut)
        page = {"items": [], "has_more": False, "start_cursor": None, "end_cursor": None, "total": 0}
        assert lost.model_dump() == {
            "id": None, "manager": None, "reports": [], "page": page, "count": 0, "most": None,
        }  # fmt: skip

    filled.ask(law)
    assert filled.statements == []


class TestMistakes:
    """Found before anything is loaded, all of them in one error."""

    def problems(self, model: type, row: Any) -> str:
        async def law() -> str:
            from sqlalchemy.ext.asyncio import AsyncSession

            async with LoaderRegistry({"session": AsyncSession()}) as loaders:
                with pytest.raises(PlanError) as caught:
                    await Resolver(registry=loaders).resolve(row, into=model)
                return str(caught.value)

        return asyncio.run(law())

    def test_fields_without_columns(self):
        """At any depth; a name that is nearly right is offered."""

        class Inner(BaseModel):
            nam: str
            later: str = "x"
            tags: Annotated[list[TagOut], Related(Office.rooms)]

        class Outer(BaseModel):
            members: Annotated[list[Inner], Related(Office.members)]

        class Beast(BaseModel):
            tail: int

        class Zoo(BaseModel):
            animals: Annotated[list[Beast], Related(Owner.animals)]

        assert "Beast.tail is filled by no column of Animal" in self.problems(Zoo, {"id": 1})
        said = self.problems(Outer, {"id": 1})
        assert "Inner.nam is filled by no column of Member (did you mean 'name'?)" in said
        assert "TagOut.word is filled by no column of Room" in said
        assert "later" not in said

    @pytest.mark.parametrize(
        ("annotation", "message"),
        [
            (Annotated[PersonOut, Related(Office.members)], "gives a list, and the field holds one"),
            (Annotated[list[PersonOut], Related(Member.manager)], "gives one row or none, and the field is a list"),
            (Annotated[Page[PersonOut], Related(Office.members)], r"how many\? a field that holds a Page needs"),
            (Annotated[Page[PersonOut], Related(Member.manager, limit=2)], "gives one row at most"),
            (Annotated[Page[PersonOut], Related(Office.oldest, limit=2)], r"which rows are the first\?"),
            (Annotated[list[PersonOut], Related(Office.oldest, limit=2)], r"which rows are the first\?"),
            (Annotated[list[PersonOut], Related(Office.city)], "is no relationship"),
            (Annotated[PersonOut | None, ByKey(Member)], "at a field needs the name of its key: by='author_id'"),
            (Annotated[list[PersonOut], Query(select(Member).limit(1), key=Member.id, by="id")], "a LIMIT or OFFSET"),
            (Annotated[list[str], Related(Office.members)], "gives rows, and the field holds no model of them"),
            (Annotated[Page[int], Related(Office.members, limit=1)], "gives rows, and the field holds no model"),
            (Annotated[str | None, Related(Member.manager)], "gives rows, and the field holds no model"),
        ],
    )  # fmt: skip
    def test_markers_at_fields_that_they_do_not_fit(self, annotation, message):
        """The message names the field."""
        from pydantic import create_model

        model = create_model("Wrong", id=(int, ...), found=(annotation, ...))
        said = self.problems(model, {"id": 1})
        assert "Wrong.found" in said
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(said)

    def test_markers_of_other_classes(self):
        """Their key, or column, may have a name that this class has as well."""

        class Wrong(BaseModel):
            word: Annotated[str, From(Member.login)]
            upper: Annotated[str, From(func.upper(Office.city))]
            tags: Annotated[list[TagOut], Related(Member.tags)]
            count: Annotated[int, Count(Office.members)]
            members: Annotated[list[PersonOut], Related(Tag.members)]

        class Outer(BaseModel):
            tags: Annotated[list[Wrong], Related(Member.tags)]

        marked = (
            "Wrong.word: From(Member.login)",
            "Wrong.upper: From(upper(office.city))",
            "Wrong.tags: Related(Member.tags)",
            "Wrong.count: Count(Office.members)",
        )
        with pytest.raises(PlanError) as caught:
            select_for(Wrong, Tag)
        for said in (self.problems(Outer, {"id": 1}), str(caught.value)):
            for each in marked:
                assert f"{each} is not of Tag, whose rows these are" in said
            assert said.count("is not of Tag") == len(marked)

    def test_markers_of_classes_above_and_below(self, filled):
        """And of an alias of the class: these are no mistakes."""

        class Fine(BaseModel):
            lives: Annotated[int | None, From(Cat.lives + 1)]
            kind: Annotated[str, From(Dog.kind)]
            owner: Annotated[OwnerId | None, Related(Cat.owner)]

        class Elder(BaseModel):
            called: Annotated[str, From(zoo.OLDEST.name)]

        class Home(BaseModel):
            oldest: Annotated[list[Elder], Related(Office.oldest)]

        async def law(loaders, session):
            rows = await session.execute(select_for(Fine, Animal).order_by(Animal.id))
            animals = await Resolver(registry=loaders).resolve(rows, into=list[Fine])
            assert [(each.lives, each.kind) for each in animals[:2]] == [(10, "cat"), (None, "dog")]
            home = await Resolver(registry=loaders).resolve({"id": 1}, into=Home)
            assert sorted(each.called for each in home.oldest) == ["m0", "m1"]

        filled.ask(law)

    def test_a_key_that_the_model_has_for_something_else(self):
        """It would load by a wrong value."""

        class Confused(BaseModel):
            id: Annotated[str, From(Office.city)]
            members: Annotated[list[PersonOut], Related(Office.members)]

        assert "needs the column id as its key, and the field id" in self.problems(Confused, {"id": "x"})

    def test_select_for(self):
        """Refuses what no statement could give."""

        class Wrong(BaseModel):
            town: str
            cit: str
            manager: Annotated[PersonOut | None, Related(Member.manager)]

        with pytest.raises(PlanError) as caught:
            select_for(Wrong, Office)
        assert len(caught.value.problems) == 4
        assert "Wrong.manager: Related(Member.manager) is not of Office, whose rows these are" in str(
            caught.value
        )
        assert "Wrong.cit is filled by no column of Office (did you mean 'city'?)" in str(caught.value)
        assert "Wrong.boss_id is needed as a key, and is no column of Office" in str(caught.value)
        with pytest.raises(OptionError, match="select_for takes a response model and a mapped class, not 3"):
            select_for(3, Office)
        with pytest.raises(OptionError, match="select_for takes a mapped class, not"):
            select_for(TagOut, aliased(Tag))

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: From("e_mail"), "From takes an SQL expression as Member.e_mail"),
            (lambda: From(Office.members), "From takes an SQL expression"),
            (lambda: From(Member), "From takes an SQL expression"),
            (lambda: Aggregate(Office.members, "sum"), "takes an SQL expression"),
            (lambda: Count(Office), "it takes a relationship of a mapped class, as Office.members"),
            (
                lambda: ByKey(Member, by=3),
                "by takes the name of a field or column, or a tuple of names, not 3",
            ),
            (lambda: ByKey(Member, by=()), "by takes the name"),
            (
                lambda: Query(select(Member), key=Member.id, by=("id", 3)),
                r"Query\(select .*: by takes the name",
            ),
            (lambda: Query(3, key=Member.id).lookup, "Query takes a select, as select"),
            (lambda: Query(select(func.now()), key=Member.id).lookup, "names no mapped class"),
            (lambda: Query(select(Member), key="id").lookup, "Query: key takes an SQL expression"),
            (
                lambda: Query(select(Member), key=Office.id).lookup,
                "key=office.id is of a table that .* not read",
            ),
        ],
    )
    def test_in_a_marker(self, make, message):
        """The message says what is taken."""
        with pytest.raises(OptionError, match=message):
            make()


def test_the_names_of_loaders(filled):
    """In tables and messages."""

    async def law(loaders, session):
        rows = await session.execute(select_for(OfficeOut, Office))
        await Resolver(registry=loaders).resolve(rows, into=list[OfficeOut])
        names = {line.split("  ")[0] for line in str(loaders).splitlines()[1:]}
        assert names >= {
            "Office.members", "Office.members count", "Office.members sum(member.salary)", "Office.via count",
            "Member.tags", "Member",
        }  # fmt: skip
        assert await loaders.get(Count(Office.members)).load_many([1, 2, 99]) == [6, 3, 0]
        assert await loaders.get(Aggregate(Office.members, func.min(Member.id))).load_many([1, 99]) == [
            4,
            None,
        ]

    filled.ask(law)


def test_targets_count_once(filled):
    """However often a relationship finds them."""

    async def law(loaders, session):
        assert await loaders.get(Count(Member.likes)).load_many([1, 4, 5]) == [3, 1, 0]
        assert await loaders.get(Count(Member.projects)).load_many([1, 2]) == [2, 1]
        assert await loaders.get(Aggregate(Member.likes, func.sum(Tag.id))).load(1) == 6
        assert await loaders.get(Count(Member.projects, where=Project.title == "p1")).load(1) == 1
        assert await loaders.get(Count(Room.desks)).load_many([(1, "a"), (2, "a")]) == [2, 0]

    filled.ask(law)


def test_models_of_more_shapes_than_statements_are_kept_for(filled):
    """Each selects its columns, and none is given those of another."""

    async def law(loaders, session):
        names = ("id", "name", "e_mail", "active", "salary", "office_id", "boss_id")
        shapes = [each for count in range(1, 8) for each in itertools.combinations(names, count)]
        assert len(shapes) > _statements.MOST
        annotations = {name: (Any, ...) for name in names}
        for shape in shapes:
            member = create_model("MemberOut", **{name: annotations[name] for name in shape})
            cls = create_model(
                "OfficeOut", id=(int, ...), members=(Annotated[list[member], Related(Office.members)], ...)
            )
            (office,) = await Resolver(registry=LoaderRegistry({"session": session})).resolve(
                [{"id": 1}], into=list[cls]
            )
            assert [tuple(row) for row in office.model_dump()["members"]] == [shape] * len(office.members)
            assert office.members

    filled.ask(law)
