"""The drop-in for pydantic-resolve: fields filled by relationships, models made of other models, their JSON schema."""

import sys
from types import ModuleType
from typing import Annotated, Literal, Optional

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from dloader.compat.pydantic_resolve import (
    AutoLoad,
    Collector,
    DefineSubset,
    Entity,
    ErDiagram,
    MutationConfig,
    QueryConfig,
    Relationship,
    Resolver,
    SubsetConfig,
    base_entity,
    config_global_resolver,
    config_resolver,
    ensure_subset,
    mutation,
    query,
    reset_global_resolver,
    serialization,
)
from dloader.compat.pydantic_resolve.utils.class_util import is_compatible_type
from dloader.compat.pydantic_resolve.utils.subset import create_subset


class User(BaseModel):
    id: int
    name: str = ""


class Task(BaseModel):
    id: int = 1
    owner_id: int | None = None
    member_ids: list[int] | None = None
    ids_text: str = ""


class SubUser(DefineSubset):
    __subset__ = (User, ["id"])


class SubSubUser(DefineSubset):
    __subset__ = (SubUser, ["id"])


class MyUser(User):
    pass


async def load_users(ids):
    return [{"id": id, "name": f"user {id}"} for id in ids]


async def load_tasks(ids):
    return [[{"id": id}] for id in ids]


def of_task(*relationships):
    return ErDiagram(entities=[Entity(kls=Task, relationships=list(relationships))])


def owner(**options):
    return Relationship(**{"fk": "owner_id", "name": "owner", "target": User, "loader": load_users} | options)


@pytest.fixture(autouse=True)
def _no_global_diagram():
    yield
    reset_global_resolver()


class TestAutoLoad:
    def test_fields_are_filled_by_name_and_by_marker(self, run):
        class View(Task):
            owner: User | None = None
            boss: Annotated[Optional[User], AutoLoad(origin="owner")] = None
            sub: Annotated[SubUser | None, AutoLoad("owner")] = None

        async def law():
            made = config_resolver("Made", of_task(owner()))
            assert (made.__name__, made.__pydantic_resolve_er_diagram__) == ("Made", of_task(owner()))
            view = await made().resolve(View(owner_id=3))
            assert view.owner == view.boss == User(id=3, name="user 3")
            assert view.sub == SubUser(id=3)
            assert (await Resolver().resolve(View(owner_id=3))).owner is None
            config_global_resolver(of_task(owner()))
            assert (await Resolver().resolve(View(owner_id=3))).owner.id == 3
            assert config_resolver().__name__ == "Resolver"

        run(law)

    def test_many_keys_made_keys_and_null_keys(self, run):
        members = {"fk": "member_ids", "name": "members", "target": list[User], "load_many": True}

        class View(Task):
            owner: User | None = None
            members: list[User] = []
            by_text: list[User] = []
            tasks: list[Task] = []

        async def law():
            diagram = of_task(
                owner(fk_fn=lambda key: key + 1, fk_none_default=User(id=0)),
                owner(**members, fk_none_default_factory=list),
                owner(
                    **members | {"fk": "ids_text", "name": "by_text"},
                    load_many_fn=lambda t: map(int, t.split()),
                ),
                owner(fk="id", name="tasks", target=list[Task], loader=load_tasks),
            )
            made = config_resolver(er_diagram=diagram)
            full = await made().resolve(View(owner_id=1, member_ids=[1, 2], ids_text="3 4"))
            assert full.owner.id == 2
            assert [user.id for user in (*full.members, *full.by_text)] == [1, 2, 3, 4]
            assert full.tasks == [Task(id=1)]
            null = await made().resolve(View())
            assert (null.owner, null.members) == (User(id=0), [])
            assert (await config_resolver(er_diagram=of_task(owner()))().resolve(View())).owner is None

        run(law)

    def test_methods_come_first_and_that_is_logged(self, run, caplog):
        class View(Task):
            owner: User | None = None

            def resolve_owner(self):
                return User(id=0)

        async def law():
            view = await config_resolver(er_diagram=of_task(owner()))().resolve(View(owner_id=1))
            assert view.owner == User(id=0)
            assert "resolve_owner already exists" in caplog.text

        run(law)

    def test_fields_of_other_types_and_relationships_without_loaders_fill_nothing_unasked(self, run):
        class View(Task):
            owner: int = 0
            other: User | None = None

        async def law():
            diagram = of_task(owner(), owner(name="other", loader=None))
            assert await config_resolver(er_diagram=diagram)().resolve(View(owner_id=1)) == View(owner_id=1)
            nobody = ErDiagram(entities=[Entity(kls=User)])
            assert await config_resolver(er_diagram=nobody)().resolve(View()) == View()

        run(law)

    @pytest.mark.parametrize(
        ("annotation", "origin", "error", "message"),
        [
            pytest.param(
                User, "boss", AttributeError, 'Relationship with name "boss" not found', id="unknown"
            ),
            pytest.param(User, "nobody", AttributeError, "Loader not provided", id="no loader"),
            pytest.param(int, "owner", TypeError, "Type mismatch in View.field", id="type"),
        ],
    )
    def test_markers_that_cannot_be_true_are_refused(self, run, annotation, origin, error, message):
        class View(Task):
            field: Annotated[annotation | None, AutoLoad(origin)] = None

        async def law():
            made = config_resolver(er_diagram=of_task(owner(), owner(name="nobody", loader=None)))
            with pytest.raises(error, match=message):
                await made().resolve(View())

        run(law)

    @pytest.mark.parametrize(
        ("source", "target", "fits"),
        [
            (int, int, True),
            (int, str, False),
            (Optional[int], int, True),
            (int | str | None, int, False),
            (int | str, int, False),
            (int, int | str, False),
            (SubUser, User, True),
            (SubSubUser, User, True),
            (User, SubUser, False),
            (MyUser, User, True),
            (list[SubUser], list[User], True),
            (list[int], list[str], False),
            (list, list[int], False),
            (list[User], User, False),
            (Literal["a"], User, False),
        ],
        ids=str,
    )
    def test_subclasses_and_subsets_fit(self, source, target, fits):
        assert is_compatible_type(source, target) is fits


class TestDiagrams:
    def test_base_entities_know_their_relationships_and_look_up_names_late(self, monkeypatch):
        Base = base_entity()
        module = ModuleType("entities_elsewhere")
        module.Far = User
        monkeypatch.setitem(sys.modules, module.__name__, module)

        class Here(BaseModel, Base):
            id: int
            __relationships__ = [
                owner(fk="id", name="near", target="Near"),
                owner(fk="id", name="many", target=list["Near"]),
                owner(fk="id", name="far", target="entities_elsewhere:Far"),
                owner(fk="id", name="there", target="User"),
            ]

        class Near(BaseModel, Base):
            id: int

        class Derived(Here):
            pass

        assert Base.entities == [Here, Near]
        (entity,) = Base.get_diagram().entities
        assert [each.target for each in entity.relationships] == [Near, list[Near], User, User]
        assert [each.is_list_relationship for each in entity.relationships] == [False, True, False, False]
        assert issubclass(Derived, Base)

    @pytest.mark.parametrize(
        ("target", "error"),
        [
            ("Nobody", AttributeError),
            ("nowhere_at_all:Nobody", ImportError),
            ("typing:Nobody", AttributeError),
            (":Nobody", ValueError),
        ],
    )
    def test_names_of_nothing_are_refused(self, target, error):
        Base = base_entity()

        class Here(BaseModel, Base):
            id: int
            __relationships__ = [owner(fk="id", name="x", target=target)]

        with pytest.raises(error):
            Base.get_diagram()

    def test_what_is_there_twice_is_refused(self):
        for relationships, message in (
            ([owner(), owner()], "Duplicate name detected"),
            ([owner(name="id")], "scalar field"),
        ):
            with pytest.raises(ValidationError, match=message):
                Entity(kls=Task, relationships=relationships)
        with pytest.raises(ValidationError, match="inherited field from User"):
            Entity(kls=unreadable(), relationships=[owner(name="name")])
        with pytest.raises(ValidationError, match="cannot both be defined"):
            owner(fk_none_default=1, fk_none_default_factory=list)
        with pytest.raises(ValidationError, match="Duplicate config.kls"):
            ErDiagram(entities=[Entity(kls=User), Entity(kls=User)])
        other = type("User", (BaseModel,), {})
        with pytest.raises(ValidationError, match="Duplicate entity name 'User' detected"):
            ErDiagram(entities=[Entity(kls=User), Entity(kls=other)])

    def test_more_relationships_make_another_diagram(self):
        diagram = of_task(owner())
        more = diagram.add_relationship(
            [Entity(kls=Task, relationships=[owner(name="boss")]), Entity(kls=User)]
        )
        assert [each.name for each in more.entities[0].relationships] == ["owner", "boss"]
        assert more.entities[1].kls is User
        assert len(diagram.entities) == 1
        assert more.add_relationship([]).entities[1].kls is User
        assert (
            ErDiagram(entities=[Entity(kls=User)]).add_relationship([Entity(kls=Task)]).entities[0].kls
            is User
        )
        with pytest.raises(ValueError, match="Duplicate relationship name"):
            diagram.add_relationship([Entity(kls=Task, relationships=[owner()])])
        with pytest.raises(ValueError, match="Duplicate incoming"):
            diagram.add_relationship([Entity(kls=User), Entity(kls=User)])

    def test_queries_and_mutations_become_class_methods(self, run):
        class Thing(BaseModel):
            id: int

            @query
            def first(cls):
                """Find it."""
                return cls(id=1)

            @mutation
            def change(cls):
                return "changed"

        def every(limit):
            return list(range(limit))

        def drop(id):
            return f"dropped {id}"

        thing = Entity(
            kls=Thing, queries=[QueryConfig(method=every)], mutations=[MutationConfig(method=drop, name="d")]
        )
        diagram = ErDiagram(entities=[thing])
        ErDiagram(entities=[thing])  # once more is no conflict
        assert Thing.first() == Thing(id=1)
        assert Thing.first.__func__._pydantic_resolve_query_description == "Find it."
        assert (Thing.change(), Thing.every(2), Thing.drop(3)) == ("changed", [0, 1], "dropped 3")
        assert Thing.drop.__func__._pydantic_resolve_mutation_name == "d"
        for configs, message in (
            ({"queries": [QueryConfig(method=every)]}, "Duplicate query method"),
            ({"mutations": [MutationConfig(method=every, name="d")]}, "Duplicate mutation operation name"),
        ):
            with pytest.raises(ValueError, match=message):
                diagram.add_relationship([Entity(kls=Thing, **configs)])
        merged = diagram.add_relationship(
            [Entity(kls=Thing, queries=[QueryConfig(method=drop, name="other")])]
        )
        assert [each.method for each in merged.entities[0].queries] == [every, drop]

        def first():
            raise AssertionError

        with pytest.raises(ValidationError, match="already exists in Thing"):
            ErDiagram(entities=[Entity(kls=Thing, queries=[QueryConfig(method=first)])])


def unreadable():
    """A subclass of User, with an annotation that nobody can evaluate."""

    class Unreadable(User):
        pass

    Unreadable.__annotations__ = {"x": "Nowhere"}
    return Unreadable


class TestSubsets:
    def test_they_have_the_fields_validators_and_configuration_of_the_model(self, run):
        class Full(BaseModel):
            model_config = {"str_to_upper": True}
            id: int = Field(gt=0)
            name: str
            mail: str

            @field_validator("name", "mail")
            @classmethod
            def check(cls, value):
                if len(value) < 2:
                    raise ValueError("too short")
                return value

            @field_validator("mail")
            @classmethod
            def check_mail(cls, value):
                return value

        class Part(DefineSubset):
            __pydantic_resolve_subset__ = (Full, ("id", "name"))
            __pydantic_resolve_expose__ = {"name": "part_name"}
            more: str = "x"
            total: int = 0

            def resolve_more(self):
                return self.name

            def post_total(self, ids=Collector("ids")):
                return sum(ids.values())

        async def law():
            part = await Resolver().resolve(Part(id=1, name="ab"))
            assert part.model_dump() == {"id": 1, "name": "AB", "more": "AB", "total": 0}

        run(law)
        assert Part.__module__ == __name__
        assert Part.__pydantic_resolve_expose__ == {"name": "part_name"}
        assert hasattr(Part, "check")
        assert not hasattr(Part, "check_mail")
        with pytest.raises(ValidationError):
            Part(id=0, name="ab")
        assert list(create_subset(Full, ["mail"], "Mail").model_fields) == ["mail"]

    def test_a_config_says_what_becomes_of_fields(self):
        class Part(DefineSubset):
            __subset__ = SubsetConfig(
                kls=Task,
                omit_fields=["ids_text"],
                excluded_fields=["member_ids", "extra", "unknown"],
                expose_as=[("id", "task_id")],
                send_to=[("id", "ids"), ("id", ("a", "b"))],
            )
            extra: Annotated[Optional[User], AutoLoad()] = None

        assert list(Part.model_fields) == ["id", "owner_id", "member_ids", "extra"]
        assert Part().model_dump() == {"id": 1, "owner_id": None}
        exposed, *sent = Part.model_fields["id"].metadata
        assert exposed.alias == "task_id"
        assert [each.collector_name for each in sent] == ["ids", ("a", "b")]
        assert not Task.model_fields["id"].metadata
        every = SubsetConfig(kls=Task, fields="all").chosen()
        assert every == list(Task.model_fields) == SubsetConfig(kls=Task, omit_fields=[]).chosen()
        assert SubsetConfig(kls=Task, fields=["id"]).chosen() == ["id"]
        for wrong in ({}, {"fields": ["id"], "omit_fields": ["id"]}):
            with pytest.raises(ValidationError, match="fields"):
                SubsetConfig(kls=Task, **wrong)

    def test_foreign_keys_that_relationships_need_are_there_and_hidden(self, run):
        Base = base_entity()

        class Ticket(BaseModel, Base):
            __relationships__ = [owner(), owner(name="boss", fk="boss_id")]
            id: int
            owner_id: int | None = None
            boss_id: int = 7

        class Other(BaseModel, Base):
            __relationships__ = [owner(name="note")]
            owner_id: int

        class View(DefineSubset):
            __subset__ = (Ticket, ["id"])
            owner: Optional[User] = None
            chief: Annotated[Optional[User], "x", AutoLoad(origin="boss")] = None
            note: Annotated[str, "x"] = ""

        async def law():
            made = config_resolver(er_diagram=Base.get_diagram())
            view = await made().resolve(View(id=1, owner_id=3, boss_id=4))
            assert view.model_dump() == {
                "id": 1,
                "owner": {"id": 3, "name": "user 3"},
                "chief": {"id": 4, "name": "user 4"},
                "note": "",
            }

        run(law)

    def test_diagrams_of_others_are_known_and_must_agree(self):
        class Alone(BaseModel):
            id: int
            a_id: int = 1
            b_id: int = 2

        def diagram(key):
            return ErDiagram(entities=[Entity(kls=Alone, relationships=[owner(fk=key)])])

        diagram("a_id")

        class View(DefineSubset):
            __subset__ = (Alone, ["id"])
            owner: Optional[User] = None

        assert list(View.model_fields) == ["id", "a_id", "owner"]

        class Chosen(DefineSubset):
            __subset__ = (Alone, ["id", "a_id"])
            owner: Optional[User] = None

        assert list(Chosen.model_fields) == ["id", "a_id", "owner"]
        diagram("b_id")
        with pytest.raises(ValueError, match="Ambiguous external ErDiagram relationship.*'a_id', 'b_id'"):

            class Unclear(DefineSubset):
                __subset__ = (Alone, ["id"])
                owner: Optional[User] = None

    def test_entities_whose_names_are_not_defined_yet_are_passed_over(self):
        Base = base_entity()

        class Early(BaseModel, Base):
            __relationships__ = [owner(target="NotYet", fk="key")]
            id: int
            key: int = 1

        class View(DefineSubset):
            __subset__ = (Early, ["id"])
            owner: Optional[User] = None

        assert list(View.model_fields) == ["id", "owner"]

    @pytest.mark.parametrize(
        ("fields", "error", "message"),
        [
            ("id", TypeError, "list or tuple"),
            ([1], TypeError, "must be a string"),
            (["id", "id"], ValueError, "duplicate field name"),
            (["nothing"], AttributeError, "does not exist in User"),
        ],
    )
    def test_wrong_fields_are_refused(self, fields, error, message):
        with pytest.raises(error, match=message):
            create_subset(User, fields)

    def test_a_body_says_which_model_and_nothing_twice(self):
        with pytest.raises(TypeError, match="BaseModel"):
            create_subset(int, [])
        with pytest.raises(ValueError, match="must define"):

            class Undefined(DefineSubset):
                pass

        with pytest.raises(ValueError, match="duplicates subset field"):

            class Twice(DefineSubset):
                __subset__: tuple = (User, ["id"])
                id: str

    def test_ensure_subset_checks_required_fields(self):
        @ensure_subset(User)
        class Good(BaseModel):
            id: int
            more: int = 0

        assert Good.__pydantic_resolve_ensure_subset_reference__ is User
        with pytest.raises(AttributeError, match="more does not exist in User"):

            @ensure_subset(User)
            class More(BaseModel):
                more: int

        with pytest.raises(AttributeError, match="type of id .*not consistent with User"):

            @ensure_subset(User)
            class Other(BaseModel):
                id: str

        with pytest.raises(TypeError, match="Pydantic BaseModel"):

            @ensure_subset(User)
            class Plain:
                pass


class TestSerialization:
    def test_all_fields_are_required_and_excluded_ones_left_out(self):
        class Leaf(BaseModel):
            name: str = ""
            hidden: int = Field(default=0, exclude=True)

        class Own(BaseModel):
            model_config = {"json_schema_extra": {"title": "own"}}
            name: str = ""

        @serialization
        class Root(BaseModel):
            leaves: dict[str, list[Leaf]] = {}
            own: Own | None = None
            root: Optional["Root"] = None
            secret: str = Field(default="", exclude=True)

        schema = Root.model_json_schema(mode="serialization")
        defs = schema["$defs"]
        assert defs["Leaf"]["required"] == list(defs["Leaf"]["properties"]) == ["name"]
        assert "required" not in defs["Own"]
        root = defs.get("Root", schema)
        assert root["required"] == ["leaves", "own", "root"]
        assert "secret" not in root["properties"]

    def test_models_alone_have_schemas(self):
        with pytest.raises(AttributeError, match="is not BaseModel"):
            serialization(int)
