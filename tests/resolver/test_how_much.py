"""How much of a tree is filled: `include=`, `exclude=`, `Load(depth=)`, `Resolver(max_depth=)`."""

from collections.abc import Mapping
from typing import Annotated, Any, Optional

import pytest
from pydantic import BaseModel
from resolving import Source

from dloader import OptionError
from dloader.resolver import Collector, ExposeAs, Load, Resolver, SendTo, needs

load_people = Source(lambda key: {"id": key, "boss_id": key + 1}, "people")
load_leads = Source(lambda key: {"name": f"lead {key}"}, "leads")
load_tags = Source(lambda key: [f"tag {key}"], "tags")
load_projects = Source(lambda key: [{"id": key * 10}, {"id": key * 10 + 1}], "projects")
SOURCES = [load_people, load_leads, load_tags, load_projects]


class Lead(BaseModel):
    name: str
    upper: str

    def post_upper(self):
        return self.name.upper()


class Project(BaseModel):
    id: int
    lead: Annotated[Lead | None, Load(load_leads, by="id")]
    tags: Annotated[list[str], Load(load_tags, by="id")] = ["default"]
    title: str = ""

    def resolve_title(self):
        return f"title {self.id}"


class Company(BaseModel):
    id: int
    projects: Annotated[list[Project], Load(load_projects, by="id")]
    extra: list[Project] = []
    size: int = -1
    done: bool = False

    def post_size(self):
        return len(getattr(self, "projects", ()))

    def post_default_handler(self):
        self.done = True


def filled(tree: Any) -> Any:
    """What was filled, with nothing where a field is unset."""
    return tree.model_dump()


ROWS = [{"id": 1, "extra": [{"id": 5}]}]
ALL = {"name": "lead 10", "upper": "LEAD 10"}


def called(sources=SOURCES):
    names = [source.__name__ for source in sources if source.calls]
    for source in sources:
        source.calls.clear()
    return names


class TestSelection:
    @pytest.mark.parametrize(
        ("include", "exclude", "loaded"),
        [
            (None, None, ["leads", "tags", "projects"]),
            (set(), None, []),
            ({"size"}, None, []),
            ({"projects.lead"}, None, ["leads", "projects"]),
            (["projects.lead.upper"], None, ["leads", "projects"]),
            ({"projects": {"tags"}}, None, ["tags", "projects"]),
            ({"projects": {"__all__": {"tags": True}}}, None, ["tags", "projects"]),
            ({"__all__": {"projects": ...}}, None, ["leads", "tags", "projects"]),
            ({"projects": {"tags"}, "__all__": {"projects": True}}, None, ["leads", "tags", "projects"]),
            ({"projects", "projects.lead"}, None, ["leads", "tags", "projects"]),
            ({"projects.lead", "projects.title"}, None, ["leads", "projects"]),
            ({"projects": {"lead.name": True, "tags": True}}, None, ["leads", "tags", "projects"]),
            ({"extra": {"lead"}}, None, ["leads"]),
            (None, {"projects", "extra"}, []),
            (None, {"projects"}, ["leads", "tags"]),
            (None, {"projects.lead", "extra.lead"}, ["tags", "projects"]),
            (None, {"projects": {"lead", "tags"}, "extra": True}, ["projects"]),
            (None, ("projects.lead", "projects", "extra"), []),
            ({"projects"}, {"projects.tags"}, ["leads", "projects"]),
            ("size", None, []),
            ("", None, []),
            (" projects.lead , size", None, ["leads", "projects"]),
            (["projects.lead,size", "extra.tags"], None, ["leads", "tags", "projects"]),
            ({"projects": "lead,title"}, None, ["leads", "projects"]),
            (None, "projects.lead,extra", ["tags", "projects"]),
            ({"projects": {"lead": True, "title": ...}}, None, ["leads", "projects"]),
            ({"projects": {"lead": False}, "size": None}, None, ["leads", "projects"]),
            ({"projects": {"__all__": True}}, None, ["leads", "tags", "projects"]),
            ({"__all__": True}, None, ["leads", "tags", "projects"]),
            (None, {"projects": False, "extra": True}, ["leads", "tags", "projects"]),
            (None, {"projects": {"lead": None, "tags": True}, "extra": True}, ["leads", "projects"]),
            (None, {"projects": {"lead": False}, "extra": {"lead": False}}, ["leads", "tags", "projects"]),
            (None, {"__all__": {"projects": True, "extra": True}}, []),
            (None, {"__all__": True}, []),
        ],
    )
    def test_nothing_else_is_loaded(self, run, include, exclude, loaded):
        """By any shape of `model_dump`, or by dotted names."""

        async def law():
            called()
            await Resolver().resolve(ROWS, into=list[Company], include=include, exclude=exclude)
            assert called() == loaded

        run(law)

    def test_what_is_left_out_keeps_its_default_or_stays_unset(self, run):
        """And no post is computed for it; nothing else is on the nodes."""

        async def law():
            (company,) = await Resolver().resolve(ROWS, into=list[Company], include={"projects.lead.name"})
            assert filled(company) == {
                "id": 1,
                "projects": [
                    {"id": 10, "lead": {"name": "lead 10"}, "tags": ["default"], "title": ""},
                    {"id": 11, "lead": {"name": "lead 11"}, "tags": ["default"], "title": ""},
                ],
                "extra": [{"id": 5, "tags": ["default"], "title": ""}],
                "size": -1,
                "done": True,
            }
            assert company.model_fields_set == {"id", "projects", "extra", "done"}
            (company,) = await Resolver().resolve(ROWS, into=list[Company], exclude={"projects"})
            assert "projects" not in vars(company)
            assert company.size == 0
            assert company.extra[0].lead.upper == "LEAD 5"

        run(law)

    def test_of_trees_that_are_given(self, run):
        """What is there already stays."""

        async def law():
            lead = Lead(name="own", upper="OWN")
            project = Project(id=1, lead=lead, tags=["own"])
            await Resolver.resolve(project, include={"title"})
            assert (project.lead, project.tags, project.title) == (lead, ["own"], "title 1")

        run(law)

    def test_what_a_field_waits_for_is_filled_too(self, run):
        """The key of a Load, and what a method needs."""

        class Row(BaseModel):
            key: int = 0
            loaded: Annotated[list[str], Load(load_tags, by="key")] = []
            text: str = ""
            other: str = ""

            def resolve_key(self):
                return 7

            @needs("loaded")
            def resolve_text(self):
                return self.loaded[0]

            def resolve_other(self):
                raise AssertionError("left out")

        async def law():
            for given in ({"include": {"text"}}, {"exclude": {"loaded", "other"}}):
                assert (await Resolver().resolve(Row(), **given)).text == "tag 7"
            assert (await Resolver().resolve(Row(), include={"loaded"})).text == ""

        run(law)

    def test_what_is_sent_and_exposed(self, run):
        """What was left out is not sent; what nodes below are shown is filled."""

        class Leaf(BaseModel):
            id: int
            sent: Annotated[list[str], Load(load_tags, by="id"), SendTo("sent")] = ["default"]
            seen: list[str] = []

            def resolve_seen(self, ancestor_context):
                return ancestor_context["shown"]

        class Root(BaseModel):
            id: int = 1
            shown: Annotated[list[str], Load(load_tags, by="id"), ExposeAs("shown")] = []
            leaves: list[Leaf] = []
            sent: list[list[str]] = []

            def post_sent(self, sent=Collector("sent")):
                return sent.values()

        async def law():
            root = await Resolver().resolve(Root(leaves=[Leaf(id=2)]), exclude={"leaves.sent", "shown"})
            assert (root.sent, root.leaves[0].seen) == ([], ["tag 1"])
            root = await Resolver().resolve(Root(leaves=[Leaf(id=2)]), include={"sent"})
            assert (root.sent, root.leaves[0].sent) == ([], ["default"])
            root = await Resolver().resolve(Root(leaves=[Leaf(id=2)]), include={"leaves", "sent"})
            assert root.sent == [["tag 2"]]

        run(law)

    def test_a_node_in_two_places_has_the_answer_of_each(self, run):
        """The same object, in a field of which less is filled."""

        class Pair(BaseModel):
            one: Project
            two: Project

        async def law():
            project = Project.model_construct(id=1)
            pair = Pair.model_construct(one=project, two=project)
            await Resolver().resolve(pair, include={"one.lead", "two.tags"})
            assert pair.one.lead.name == "lead 1"
            assert pair.one.tags == ["default"]
            assert "lead" not in vars(pair.two)
            assert pair.two.tags == ["tag 1"]

        run(law)

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            (
                {"include": {"projcts"}},
                "include=): projcts is no field of Company (did you mean 'projects'?)",
            ),
            (
                {"exclude": {"projects.led"}},
                "exclude=): projects.led is no field of Project (did you mean 'lead'?)",
            ),
            ({"include": {"size": {"x"}}}, "size holds no models, and x is nothing in it"),
            ({"include": {"projects": {"a", "lead"}, "b": True}}, "projects.a is no field"),
            ({"include": 7}, "or in a string with commas between them, not 7"),
            ({"include": "projects,"}, "takes the names of fields, not ''"),
            ({"exclude": "projects, tgs"}, "exclude=): tgs is no field of Company (there is"),
            ({"include": {"projects": {"__all__": set()}}}, "says nothing of what is below '__all__'"),
            (
                {"include": "projects." * 3_000 + "x"},
                "projects.projects is no field of Project",
            ),
            ({"exclude": {"projects": {}}}, "says nothing of what is below 'projects': True means all of it"),
            (
                {"exclude": {"projects": {0: True}}},
                "those of all nodes of a list are filled alike: 0 is no name",
            ),
            ({"include": {None}}, "takes the names of fields, not None"),
            ({"include": {"projects."}}, "takes the names of fields, not 'projects.'"),
            ({"include": {"projects": 5}}, "takes names in a set"),
        ],
    )
    def test_unknown_names_and_other_shapes_are_refused(self, run, given, text):
        """Before anything is loaded, all at once."""

        async def law():
            called()
            with pytest.raises(OptionError) as caught:
                await Resolver().resolve(ROWS, into=list[Company], **given)
            assert text in str(caught.value)
            assert not called()

        run(law)

    def test_fields_of_any_class_that_may_stand_there(self, run):
        """Of a union, of subclasses, and of roots of several classes."""

        class Cat(BaseModel):
            id: int = 1
            names: Annotated[list[str], Load(load_tags, by="id")] = []

        class Dog(BaseModel):
            id: int = 2
            friends: list[Cat | Project] = []

        async def law():
            cat, dog = await Resolver().resolve(
                [Cat(), Dog(friends=[Cat(id=3), Project(id=4, lead=None)])], include={"names", "friends.tags"}
            )
            assert cat.names == ["tag 1"]
            assert dog.friends[0].names == []
            assert dog.friends[1].tags == ["tag 4"]

        run(law)

    def test_where_types_do_not_tell_names_are_not_checked(self, run):
        """What stands there has it or has not."""

        class Box(BaseModel):
            content: BaseModel

        async def law():
            box = Box(content=Project(id=1, lead=None))
            await Resolver().resolve(box, include={"content.tags"})
            assert (box.content.tags, box.content.title) == (["tag 1"], "")

        run(law)


class Person(BaseModel):
    id: int
    boss: Annotated[Optional["Person"], Load(load_people, by="boss_id", depth=3)]
    name: str

    def resolve_name(self):
        return f"name {self.id}"


def chain(person):
    ids = []
    while person is not None:
        ids.append(person.id)
        person = person.boss
    return ids


class TestDepth:
    def test_a_load_ends_at_its_depth(self, run):
        """On each way down by itself; other fields are filled there too."""

        async def law():
            called()
            one, two = await Resolver().resolve(
                [{"id": 1, "boss_id": 2}, {"id": 5, "boss_id": 6}], into=list[Person]
            )
            assert chain(one) == [1, 2, 3, 4]
            assert chain(two) == [5, 6, 7, 8]
            assert one.boss.boss.boss.name == "name 4"
            assert load_people.calls == [[2, 6], [3, 7], [4, 8]]

        run(law)

    def test_it_counts_how_often_this_field_was_filled(self, run):
        """Not the levels above, and not those of other fields."""

        class Node(BaseModel):
            id: int
            left: Annotated[Optional["Node"], Load(load_people, by="id", depth=1)] = None
            right: Annotated[Optional["Node"], Load(load_people, by="id", depth=2)] = None

        class Root(BaseModel):
            node: Node

        def shape(node):
            return node and (shape(node.left), shape(node.right))

        async def law():
            root = await Resolver().resolve(Root(node=Node(id=1)))
            leaf = (None, None)
            rr = (leaf, None)  # right twice: left once more
            r_l = (None, leaf)
            left = (None, (None, leaf))
            assert shape(root.node) == (left, (r_l, rr))

        run(law)

    def test_a_subclass_goes_on_counting(self, run):
        """The marker is the same."""

        class Boss(Person):
            pass

        async def law():
            boss = await Resolver().resolve({"id": 1, "boss_id": 2}, into=Boss)
            assert chain(boss) == [1, 2, 3, 4]

        run(law)

    def test_shared_nodes_have_the_answer_of_their_place(self, run):
        """Rows that are nodes, met at several depths."""
        cached: dict[int, Any] = {}
        nodes = Source(lambda key: cached.setdefault(key, Link(id=key, next_id=key + 1)), "nodes")

        class Link(BaseModel):
            id: int
            next_id: int
            next: Annotated[Optional["Link"], Load(nodes, by="next_id", depth=2)] = None

        def ids(link):
            return [] if link is None else [link.id, *ids(link.next)]

        async def law():
            cached.clear()
            links = await Resolver().resolve([Link(id=id, next_id=id + 1) for id in (1, 2, 1)])
            assert [ids(link) for link in links] == [[1, 2, 3], [2, 3, 4], [1, 2, 3]]
            assert all(link.next is None for link in cached.values())

        run(law)

    @pytest.mark.parametrize("depth", [0, -1, "3", 1.0, True], ids=repr)
    def test_a_depth_is_a_positive_number(self, depth):
        """Of a Load and of a resolver."""
        with pytest.raises(OptionError, match=r"Load\(depth=\) takes a positive number"):
            Load(load_people, by="id", depth=depth)
        with pytest.raises(OptionError, match=r"Resolver\(max_depth=\) takes a positive number"):
            Resolver(max_depth=depth)

    def test_a_resolver_ends_all(self, run):
        """So many levels are filled, and the nodes below keep their defaults: no method runs there."""

        class Endless(BaseModel):
            id: int
            next: Annotated[list["Endless"], Load(load_projects, by="id")] = []
            one: Annotated[Optional["Endless"], Load(load_people, by="id")]
            count: int = -1

            def post_count(self):
                return len(self.next)

        async def law():
            root = await Resolver(max_depth=2).resolve({"id": 1}, into=Endless)
            below = root.next[0].next[0]
            assert (below.next, below.one, below.count) == ([], None, -1)
            assert (root.count, root.next[0].count, root.one.one.one) == (2, 2, None)
            root = await Resolver(max_depth=1).resolve({"id": 1}, into=Endless)
            assert (root.count, root.next[0].next, root.next[0].count) == (2, [], -1)

        run(law)

    def test_what_the_last_level_would_show_those_below_is_not_loaded(self, run):
        """Nothing is filled below, so that nobody looks at it."""
        source = Source(str)

        class Leaf(BaseModel):
            seen: str = ""

            def resolve_seen(self, ancestor_context):
                return ancestor_context["name"]

        class Middle(BaseModel):
            id: int
            name: Annotated[str, Load(source, by="id"), ExposeAs("name")] = ""
            leaf: Leaf = Leaf()

        class Top(BaseModel):
            middle: Middle

        async def law():
            for most, seen in ((1, ""), (3, "7")):
                top = await Resolver(max_depth=most).resolve(Top(middle=Middle(id=7)))
                assert (top.middle.name, top.middle.leaf.seen) == (seen, seen)
                assert source.calls == [[7]] * (most > 1)

        run(law)

    def test_plain_nodes_below_the_last_level_are_whole(self, run):
        """They get the defaults that rows do not have, and lose the keys that only these have."""

        class Leaf(BaseModel):
            id: int
            boss: Annotated[Person | None, Load(load_people, by="boss_id")]
            names: Annotated[list[str], Load(load_tags, by="boss_id")] = []

        class Root(BaseModel):
            leaves: list[Leaf]

        async def law():
            root = await Resolver(max_depth=1).resolve({"leaves": [{"id": 1, "boss_id": 2}]}, into=Root)
            assert vars(root.leaves[0]) == {"id": 1, "boss": None, "names": []}
            root = await Resolver().resolve(
                {"leaves": [{"id": 1, "boss_id": 2}]}, into=Root, exclude={"leaves"}
            )
            assert vars(root.leaves[0]) == {"id": 1, "names": []}

        run(law)


def test_a_mapping_of_any_kind_names_fields(run):
    """Not only a dict."""

    class Names(Mapping):
        def __getitem__(self, key):
            return True

        def __iter__(self):
            return iter(["title"])

        def __len__(self):
            return 1

    async def law():
        project = await Resolver().resolve(Project(id=1, lead=None), include=Names())
        assert (project.title, project.tags) == ("title 1", ["default"])

    run(law)


@pytest.mark.parametrize("errors", [None, []])
@pytest.mark.parametrize("several", [False, True])
def test_roots_of_which_nothing_is_filled_have_their_defaults_and_no_keys_of_loads(run, several, errors):
    class Row(BaseModel):
        boss: Annotated[Lead | None, Load(load_people, by="boss_id")]
        tags: Annotated[list[str], Load(load_tags, by="tag_id")] = ["default"]
        title: str = "none"

        def post_title(self):
            return "some"

    row = {"boss_id": 1, "tag_id": 2}
    rows, into = ([row, row], list[Row]) if several else (row, Row)
    found = run(Resolver().resolve, rows, into=into, exclude={"boss", "tags", "title"}, errors=errors)
    for each in found if several else [found]:
        assert each.__dict__ == {"tags": ["default"], "title": "none"}
        assert each.model_fields_set == set()
        assert each.tags is not Row.model_fields["tags"].default


@pytest.mark.parametrize("below", [True, False, None, ...])
def test_what_include_and_exclude_name_is_what_model_dump_has(run, below):
    """Whichever of its leaves stand there."""

    class Leaf(BaseModel):
        id: int = 1
        one: Annotated[str, Load(Source(str, "ones"), by="id")] = ""
        other: Annotated[str, Load(Source(str, "others"), by="id")] = ""

    class Root(BaseModel):
        leaf: Leaf

    async def law():
        for given in (
            {"include": {"leaf": {"one": below}}},
            {"exclude": {"leaf": {"one": below, "id": True}}},
        ):
            root = await Resolver().resolve(Root(leaf=Leaf()), **given)
            filled = {name for name in ("one", "other") if getattr(root.leaf, name)}
            assert filled == set(root.model_dump(**given)["leaf"])

    run(law)


class Chain(BaseModel):
    id: int
    leaf: Annotated[int, Load(Source(lambda key: key, "leaves"), by="id")] = -1
    below: Annotated[
        Optional["Chain"], Load(Source(lambda key: {"id": key + 1}, "chains"), by="id", depth=2_000)
    ] = None


def test_names_of_any_length_lead_down_trees_of_any_depth(run):
    """They are read without recursion, and what a marker has filled above is not counted anew on each level."""

    async def law():
        chain = await Resolver().resolve(Chain(id=0), include="below." * 1_999 + "below,leaf")
        assert chain.leaf == 0
        count = 0
        while chain.below is not None:
            chain, count = chain.below, count + 1
        assert (count, chain.leaf) == (2_000, 2_000)

    run(law)
