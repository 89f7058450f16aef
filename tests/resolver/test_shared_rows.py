"""One row given to several nodes: one model of it, in containers of their own."""

import dataclasses
from collections import UserDict, UserList, deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any, ClassVar, NamedTuple

import pytest
from pydantic import BaseModel, Field, RootModel, ValidationError, field_validator
from resolving import Source, notes_of

from dloader import DataLoader as Loader
from dloader.resolver import Load, LoaderDepend, Resolver, SendTo, mapper


class Numbered(NamedTuple):
    id: int


class Stack(Sequence):
    """Cannot be copied with other items."""

    def __init__(self, *, items):
        self._items = items

    def __getitem__(self, index):
        return self._items[index]

    def __len__(self):
        return len(self._items)


def of(make, items):
    return make(items=items) if make is Stack else make(items)


class Owner(BaseModel):
    id: int
    friends: list[int] = []


def owner_of(key):
    return {"id": key}


class TestOneModel:
    """What a loader or method gives to several nodes at once is converted once."""

    @pytest.mark.parametrize("way", ["load", "sync", "async"])
    def test_nodes_that_are_given_the_same_row_share_its_model(self, run, way):
        """However it comes, and others have models of their own."""
        source = Source(owner_of)

        class Loading(BaseModel):
            id: int
            owner: Annotated[Owner | None, Load(source, by="id")] = None

        class Calling(BaseModel):
            id: int
            owner: Annotated[Owner, Field()] | None = None

            def resolve_owner(self, loader=LoaderDepend(source)):
                return loader.load(self.id)

        class Awaiting(BaseModel):
            id: int
            owner: Owner | None = None

            async def resolve_owner(self, loader=LoaderDepend(source)):
                return await loader.load(self.id)

        model = {"load": Loading, "sync": Calling, "async": Awaiting}[way]

        async def law():
            return await Resolver().resolve([model(id=id) for id in (1, 2, 1, 1)])

        first, second, third, fourth = run(law)
        assert first.owner is third.owner is fourth.owner
        assert [first.owner.id, second.owner.id] == [1, 2]
        assert first.model_fields_set == {"id", "owner"}

    def test_it_is_filled_once(self, run):
        """And has been when the posts of all that hold it look at it."""
        keys = Source(lambda key: [key])
        row = {"id": 7}

        class Person(BaseModel):
            id: int
            friends: Annotated[list[int], Load(keys, by="id")] = []
            calls: int = 0

            def resolve_calls(self):
                return self.calls + 1

        class Task(BaseModel):
            owner: Person | None = None
            seen: list[int] = []

            def resolve_owner(self):
                return row

            def post_seen(self):
                return [*self.owner.friends, self.owner.calls]

        async def law():
            return await Resolver().resolve([Task() for _ in range(3)])

        tasks = run(law)
        assert [task.seen for task in tasks] == [[7, 1]] * 3
        assert keys.calls == [[7]]

    def test_a_row_that_cannot_be_converted_is_told_with_the_first_node_it_is_for(self, run):
        """Whatever stands before it."""
        rows = [{"id": 1}, {"id": 1}, {"id": "x"}]

        class Task(BaseModel):
            row: int
            owner: Owner | None = None

            def resolve_owner(self):
                return rows[self.row]

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve([Task(row=row) for row in (0, 0, 1, 2, 2)])
            assert "Task[3].owner" in notes_of(caught.value)

        run(law)


class TestContainers:
    """A node's list is its own: changing it changes no other node's."""

    @pytest.mark.parametrize(
        ("annotation", "raw"),
        [
            (list[Owner], [{"id": 1}]),
            (list[Owner] | None, [{"id": 1}]),
            (dict[str, Owner], {"a": {"id": 1}}),
            (dict[str, Annotated[Owner | None, Field()]], {"a": {"id": 1}}),
        ],
        ids=["list", "optional list", "dict", "annotated items"],
    )
    def test_containers_are_their_own_and_their_items_shared(self, run, annotation, raw):
        """Of lists and dicts of models."""

        class Holder(BaseModel):
            owners: annotation = None

            def resolve_owners(self):
                return raw

        async def law():
            return await Resolver().resolve([Holder(), Holder()])

        one, other = (holder.owners for holder in run(law))
        assert one == other
        assert one is not other
        key = 0 if isinstance(one, list) else "a"
        assert one[key] is other[key]

    @pytest.mark.parametrize(
        ("annotation", "raw"),
        [
            (list[list[Owner]], [[{"id": 1}]]),
            (tuple[Owner, list[int]], ({"id": 1}, [1])),
            (list[Owner | Any], [{"id": 1}]),
            (list[dict[str, int]], [{"id": 1}]),
        ],
        ids=["nested", "tuple", "anything", "no models"],
    )
    def test_what_is_not_one_container_of_models_is_converted_for_each(self, run, annotation, raw):
        """So that nothing inside of it can be shared by accident."""

        class Holder(BaseModel):
            owners: annotation = None

            def resolve_owners(self):
                return raw

        async def law():
            return await Resolver().resolve([Holder(), Holder()])

        one, other = (holder.owners for holder in run(law))
        assert one == other
        assert one is not other
        if not isinstance(one, tuple):
            assert one[0] is not other[0]


class TestNotShared:
    """What asks where it stands, or may differ from node to node, is made for each."""

    def test_models_that_ask_where_they_stand(self, run):
        """By `parent`, `ancestor_context` or `SendTo`, in the class or a subclass."""
        row = {"id": 1}

        class Asking(BaseModel):
            id: int
            holder: int = 0

            def resolve_holder(self, parent):
                return parent.id

        class Sending(BaseModel):
            id: Annotated[int, SendTo("ids")]

        class Holder(BaseModel):
            id: int
            asking: Asking | None = None
            sending: list[Sending] = []

            def resolve_asking(self):
                return row

            def resolve_sending(self):
                return [row]

        async def law():
            return await Resolver().resolve([Holder(id=1), Holder(id=2)])

        one, other = run(law)
        assert [one.asking.holder, other.asking.holder] == [1, 2]
        assert one.sending[0] is not other.sending[0]

    def test_values_whose_validator_looks_at_the_node(self, run):
        """It may make another value of the same row."""
        row = {"id": 1}

        class Task(BaseModel):
            number: int
            owner: Owner | None = None

            def resolve_owner(self):
                return row

            @field_validator("owner")
            @classmethod
            def numbered(cls, owner, info):
                return owner.model_copy(update={"id": info.data["number"]})

        async def law():
            return await Resolver().resolve([Task(number=number) for number in (4, 5)])

        assert [task.owner.id for task in run(law)] == [4, 5]


class Role(BaseModel):
    name: str = ""


class Member(BaseModel):
    id: int
    role: str = ""
    tags: list[str] = []
    roles: list[Role] = []


def write(self):
    """What methods of nodes above do to what they hold."""
    members = [self.owner] if isinstance(self.owner, Member) else list(self.owner.values())
    for member in members:
        member.role = self.role
        member.tags.append(self.role)
        for role in member.roles:
            role.name += self.role
    return ""


def row_of(key):
    return {"id": key, "tags": ["t"], "roles": [{"name": "r"}]}


def member_of(key):
    return Member(id=key, tags=["t"], roles=[Role(name="r")])


def half_of(key):
    return {"id": key, "tags": ["t"], "roles": [Role(name="r")]}


class TestNoneIsWrittenTwice:
    """Where methods above may write into what was made of a row, each node has its own; caches are never changed."""

    @pytest.mark.parametrize("one", [row_of, member_of, half_of])
    @pytest.mark.parametrize("way", ["load", "sync", "async", "mapper"])
    @pytest.mark.parametrize("writer", ["post", "handler", "above", "child", "exposed"])
    def test_what_a_method_writes_is_in_its_own_node_alone(self, run, one, way, writer):
        """Whichever method it is, and whatever the loader gives; the next resolve finds the cache as it was."""
        loader = Loader(Source(one).__call__)

        class Below(BaseModel):
            done: str = ""

        class Task(BaseModel):
            role: str
            key: int = 1
            owner: Annotated[Member | None, Field()] = None
            below: list[Below] = []
            note: str = ""

        if way == "load":

            class Task(Task):
                owner: Annotated[Member | None, Load(loader, by="key")] = None

        if way == "sync":
            Task.resolve_owner = lambda self, loader=LoaderDepend(loader): loader.load(self.key)
        if way == "mapper":
            Task.resolve_owner = mapper(Member)(
                lambda self, loader=LoaderDepend(loader): loader.load(self.key)
            )
        if way == "async":

            async def resolve_owner(self, loader=LoaderDepend(loader)):
                return await loader.load(self.key)

            Task.resolve_owner = resolve_owner
        if writer == "post":
            Task.post_note = write
        if writer == "handler":
            Task.post_default_handler = write
        if writer == "child":
            Below.post_done = lambda self, parent: write(parent)
        if writer == "exposed":
            Task.__pydantic_resolve_expose__ = {"owner": "owner", "role": "name"}
            Below.post_done = lambda self, ancestor_context: write(
                SimpleNamespace(owner=ancestor_context["owner"], role=ancestor_context["name"])
            )

        class Root(BaseModel):
            tasks: list[Task]

            def post_default_handler(self):
                if writer == "above":
                    for task in self.tasks:
                        write(task)

        async def law():
            for _ in range(2):
                tasks = [Task(role=role, below=[Below()]) for role in ("dev", "boss")]
                root = tasks if writer != "above" else Root(tasks=tasks)
                await Resolver().resolve(root)
                yield tasks

        async def all_of_it():
            return [tasks async for tasks in law()]

        for tasks in run(all_of_it):
            assert [task.owner.role for task in tasks] == ["dev", "boss"]
            assert [task.owner.tags for task in tasks] == [["t", "dev"], ["t", "boss"]]
            assert [task.owner.roles for task in tasks] == [[Role(name="rdev")], [Role(name="rboss")]]

    @pytest.mark.parametrize(
        "annotation", [Any, object, list[dict], list[Any], dict[str, list[int]], list, dict]
    )
    def test_lists_and_dicts_in_caches_stay_as_they_are(self, run, annotation):
        """However deep a method writes into a field of values."""
        raw = {"a": [1]} if annotation in (dict, dict[str, list[int]]) else [{"a": [1]}]
        source = Loader(Source(lambda _: raw).__call__)

        class Task(BaseModel):
            id: int = 1
            rows: Annotated[annotation, Load(source, by="id")] = None

            def post_default_handler(self):
                row = self.rows if isinstance(self.rows, dict) else self.rows[0]
                row["a"].append(self.id)
                row["b"] = [self.id]

        async def law():
            return await Resolver().resolve([Task(), Task()])

        for task in run(law):
            row = task.rows if isinstance(task.rows, dict) else task.rows[0]
            assert row == {"a": [1, 1], "b": [1]}
        assert raw == ({"a": [1]} if isinstance(raw, dict) else [{"a": [1]}])

    @pytest.mark.parametrize("make", [deque, UserList, Stack], ids=["deque", "user list", "odd"])
    def test_nodes_in_other_containers_of_a_cache_are_not_filled(self, run, make):
        """A model that a loader gives may hold any."""
        names = Source(lambda key: f"name {key}")

        class Person(BaseModel):
            id: int
            name: Annotated[str, Load(names, by="id")] = ""

        class Team(BaseModel):
            people: Sequence[Person]
            numbers: Any = None

        team = Team.model_construct(people=of(make, [Person(id=1)]), numbers=of(make, [1]))
        source = Loader(Source({1: team}.get).__call__)

        class Task(BaseModel):
            team_id: int = 1
            team: Annotated[Team | None, Load(source, by="team_id")] = None

        async def law():
            return await Resolver().resolve(Task())

        task = run(law)
        assert [person.name for person in task.team.people] == ["name 1"]
        assert [person.name for person in team.people] == [""]
        assert type(task.team.people) is (list if make is Stack else make)
        assert type(task.team.numbers) is make

    @pytest.mark.parametrize(
        ("kind", "hold"),
        [
            (lambda node: dict[str, node], lambda node: {"a": node}),
            (lambda node: dict[str, list[node]], lambda node: {"a": [node]}),
            (lambda node: list[dict[str, node]], lambda node: [{"a": node}]),
            (lambda node: list[dict[str, node] | node], lambda node: [UserDict(a=node)]),
            (lambda node: Mapping[str, node] | None, lambda node: MappingProxyType({"a": node})),
            (lambda node: RootModel[dict[str, node]], lambda node: {"a": node}),
            (lambda node: tuple[node, ...], lambda node: (node,)),
            (lambda node: set[node], lambda node: {node}),
        ],
        ids=["dict", "dict of lists", "list of dicts", "user dict", "mapping", "root", "tuple", "set"],
    )
    def test_nodes_that_a_cache_holds_in_anything_are_not_filled(self, run, kind, hold):
        """Not only in lists: a dict may be no row, but hold nodes."""

        class Person(BaseModel):
            id: int
            name: Annotated[str, Load(Source(lambda key: f"name {key}"), by="id")] = ""

            def __hash__(self) -> int:
                return id(self)

        held = Person(id=1)
        annotation, source = kind(Person), Source(lambda key: hold(held))

        class Task(BaseModel):
            id: int = 1
            found: Annotated[annotation | None, Load(source, by="id")] = None

        async def law():
            return await Resolver().resolve(Task())

        assert "name 1" in run(law).model_dump_json()
        assert held.name == ""

    @pytest.mark.parametrize("row", [dict, UserDict, lambda **row: SimpleNamespace(**row)])
    @pytest.mark.parametrize("name", ["friends", "someFriends", "by_name", "above"])
    def test_nodes_that_a_row_holds_are_not_filled(self, run, row, name):
        """Under the name or the alias of a field, however deep."""

        class Person(BaseModel):
            id: int
            name: Annotated[str, Load(Source(lambda key: f"name {key}"), by="id")] = ""
            friends: Annotated[list["Person"], Field(validation_alias="someFriends")] = []
            by_name: dict[str, "Person"] = {}
            above: "Person | None" = None

        held = Person(id=3)
        inner = {"by_name": {"x": held}, "above": held}.get(name, [held])
        source = Source(lambda key: row(id=1, friends=[row(id=2, **{name: inner})]))

        class Task(BaseModel):
            id: int = 1
            found: Annotated[Person | None, Load(source, by="id")] = None

        async def law():
            return await Resolver().resolve(Task())

        (friend,) = run(law).found.friends
        inside = friend.by_name.get("x") or friend.above or friend.friends[0]
        assert (inside.name, held.name) == ("name 3", "")

    def test_what_methods_fill_is_not_asked_of_objects(self, run):
        """Whatever their attributes raise."""

        class Label(BaseModel):
            name: str = ""

            def post_name(self) -> str:
                return "made"

        class Row:
            id = 1
            aliased: ClassVar[list[Label]] = [Label()]

            @property
            def others(self) -> Any:
                raise RuntimeError("by its name it is not there")

            @property
            def labels(self) -> Any:
                raise RuntimeError("a lazy load")

        class Out(BaseModel):
            id: int
            labels: list[Label] = []
            others: list[Label] = Field([], validation_alias="aliased")

            def post_labels(self) -> list[Label]:
                return []

        class Task(BaseModel):
            id: int = 1
            out: Annotated[Out | None, Load(Source(lambda key: Row()), by="id")] = None

        async def law():
            return await Resolver().resolve(Task())

        assert run(law).out.others == [Label(name="made")]
        assert Row.aliased == [Label()]

    @pytest.mark.parametrize("make", [SimpleNamespace, lambda id: Numbered(id), UserDict])
    def test_nodes_made_of_objects_are_not_copied(self, run, make):
        """They are new, as those of dicts."""

        class Friend(BaseModel):
            id: int
            name: Annotated[str, Load(Source(str), by="id")] = ""

            def __copy__(self) -> Any:
                raise NotImplementedError

        source = Source(lambda key: [make(id=key)])

        class Root(BaseModel):
            id: int = 1
            found: Annotated[list[Friend], Load(source, by="id")] = []

        async def law():
            return await Resolver().resolve(Root())

        assert run(law).found[0].name == "1"

    @pytest.mark.parametrize("many", [False, True])
    def test_nodes_made_of_rows_that_are_dicts_by_another_name_are_not_copied(self, run, many):
        """They are new already, as those of dicts are; a copy of each costs more than all else."""

        class Row(dict[str, Any]):
            pass

        class Friend(BaseModel):
            id: int

        class Person(BaseModel):
            id: int
            friends: Annotated[list[Friend], Load(Source(lambda key: [Row(id=key)]), by="id")] = []

            def __copy__(self) -> Any:
                raise NotImplementedError

        source = Source(lambda key: [Row(id=key), Row(id=key + 1)] if many else Row(id=key))

        class Root(BaseModel):
            id: int
            found: Annotated[list[Person] if many else Person | None, Load(source, by="id")] = None

        async def law():
            return await Resolver().resolve([Root(id=1), Root(id=1), Root(id=5)])

        roots = run(law)
        people = [person for root in roots for person in (root.found if many else [root.found])]
        assert [person.friends for person in people] == [[Friend(id=person.id)] for person in people]
        assert len(people) == len(roots) * (1 + many)

    def test_a_node_that_is_a_dict_itself_is_a_node(self, run):
        """And stays as it is in the cache."""

        @dataclasses.dataclass(eq=False)
        class Tag(dict[str, Any]):
            id: int
            word: Annotated[str, Load(Source(str), by="id")] = ""

        held = Tag(7)

        class Root(BaseModel):
            id: int
            tag: Annotated[Tag | None, Load(Source(lambda key: held), by="id")] = None

        async def law():
            return await Resolver().resolve(Root(id=1))

        assert run(law).tag.word == "7"
        assert held.word == ""

    def test_nodes_in_a_cache_are_not_filled(self, run):
        """Those of the tree are, and are one where no method could write; nodes inside of them too."""
        names = Source(lambda key: f"name {key}")

        class Person(BaseModel):
            id: int
            name: Annotated[str, Load(names, by="id")] = ""
            friends: list["Person"] = []

        ann = Person(id=1, friends=[Person(id=2)])
        ann.friends[0].friends.append(ann)
        source = Loader(Source({1: ann}.get).__call__)

        class Task(BaseModel):
            owner_id: int = 1
            owner: Annotated[Person | None, Load(source, by="owner_id")] = None

        async def law():
            return await Resolver().resolve([Task(), Task()])

        one, other = run(law)
        assert one.owner is other.owner is not ann
        assert one.owner.friends[0].name == "name 2"
        assert one.owner.friends[0].friends[0] is one.owner
        assert ann.name == ann.friends[0].name == ""
        assert ann.friends[0].friends[0] is ann

    def test_nodes_with_nothing_to_do_stay_the_loaders_own_where_no_method_could_write(self, run):
        """A copy would be for nothing."""
        role = Role()
        source = Source(lambda _: role)

        class Task(BaseModel):
            id: int = 1
            role: Annotated[Role | None, Load(source, by="id")] = None

        async def law():
            return await Resolver().resolve(Task())

        assert run(law).role is role

    @pytest.mark.parametrize("asks", [False, True])
    def test_nodes_that_load_each_other_end(self, run, asks):
        """Where a node comes back to one that stands above it, whether it is copied for each or not."""
        people = {}

        class Person(BaseModel):
            id: int
            friend_id: int
            friend: Annotated["Person | None", Load(Source(people.get), by="friend_id")] = None
            note: str = ""

            if asks:

                def post_note(self):
                    return f"friend of {self.friend.id}"

        people.update({1: Person(id=1, friend_id=2), 2: Person(id=2, friend_id=1)})

        class Root(BaseModel):
            id: int = 1
            person: Annotated[Person | None, Load(Source(people.get), by="id")] = None

        async def law():
            return await Resolver().resolve(Root())

        person = run(law).person
        assert person.friend.friend is person
        assert person.note == ("friend of 2" if asks else "")
        assert people[1].friend is None

    @pytest.mark.parametrize("share", [True, False])
    def test_share_says_whether_nodes_share_at_all(self, run, share):
        """With ``share=False`` nobody's is anybody else's."""

        class Task(BaseModel):
            id: int = 1
            owner: Annotated[Owner | None, Load(Source(owner_of), by="id")] = None

        async def law():
            return await Resolver(share=share).resolve([Task(), Task()])

        one, other = run(law)
        assert (one.owner is other.owner) is share
        assert one.owner == other.owner

    def test_a_class_that_turns_up_below_a_field_that_methods_may_write_into_shares_nothing(self, run):
        """As types do not name it, nothing is known of who stands above."""

        class Task(BaseModel):
            id: int = 1
            owner: Annotated[Owner | None, Load(Source(owner_of), by="id")] = None

        class Root(BaseModel):
            tasks: list[BaseModel]

            def post_default_handler(self):
                for index, task in enumerate(self.tasks):
                    task.owner.friends.append(index)

        async def law():
            return await Resolver().resolve(Root(tasks=[Task(), Task()]))

        assert [task.owner.friends for task in run(law).tasks] == [[0], [1]]


class TestDefaults:
    """A default that nodes share, as it can be hashed, is no node of any tree: each node has a copy."""

    @pytest.mark.parametrize("kind", ["model", "dataclass"])
    def test_it_is_not_filled_itself(self, run, kind):
        """Neither the node that is the default, nor one in it; given nodes stay themselves."""

        class Frozen(BaseModel):
            model_config = {"frozen": True}
            seen: bool = False

            def resolve_seen(self):
                return True

        default, inside = Frozen(), (Frozen(),)
        if kind == "model":

            class Task(BaseModel):
                one: Frozen = default
                many: tuple[Frozen, ...] = inside
        else:

            @dataclasses.dataclass
            class Task:
                one: Frozen = default
                many: tuple[Frozen, ...] = inside

        given = Frozen()

        async def law():
            return await Resolver().resolve([Task(), Task(), Task(one=given)])

        first, second, third = run(law)
        assert not default.seen
        assert not inside[0].seen
        assert first.one is not second.one
        assert all(node.seen for node in (first.one, second.one, *first.many, *second.many))
        assert third.one is given
        assert given.seen
        if kind == "model":
            assert not first.model_fields_set


class TestMixedRows:
    def test_nodes_beside_other_things_are_copied_and_those_kept(self, run):
        """Whatever stands in a list with them."""

        class Label(BaseModel):
            name: str
            done: str = ""

            def resolve_done(self) -> str:
                return self.name.upper()

        given = [[Label(name="a"), Decimal(5), {"x": Label(name="b")}]]

        async def load(keys: list[int]) -> list[Any]:
            return given

        class Task(BaseModel):
            key: int = 1
            labels: Annotated[list[Label | Decimal | dict[str, Label]], Load(load, by="key")] = []

        async def law():
            task = await Resolver().resolve(Task())
            first, number, others = task.labels
            assert (first.done, number, others["x"].done) == ("A", 5, "B")
            assert given[0][0].done == given[0][2]["x"].done == ""

        run(law)
