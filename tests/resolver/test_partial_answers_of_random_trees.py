"""Random trees with failures at random places, filled with `errors=` and by a naive recursive reference."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

from amounts import at_most
from hypothesis import given, strategies as st
from loops import turns
from pydantic import BaseModel

from dloader.resolver import (
    Collector,
    ExposeAs,
    FieldError,
    Load,
    LoaderDepend,
    Resolver,
    SendTo,
    needs,
)

IDS = 5
GONE: Any = object()
"""In the place of a node that failed."""


class World:
    """What loaders answer, what fails, and how long it takes."""

    def __init__(
        self, fails: set[tuple[str, int]], down: set[str], unfit: set[int], delays: list[int]
    ) -> None:
        self.fails = fails
        self.down = down
        """Tables of which every batch fails as a whole."""
        self.unfit = unfit
        """The numbers that do not validate."""
        self.delays = itertools.cycle(delays or [0])

    def has(self, what: str, key: int) -> bool:
        return not (what in self.down or (what, key) in self.fails)


world: Any = None


class Table:
    def __init__(self, name: str, answer: Any) -> None:
        self.__qualname__ = self.__name__ = name
        self.answer = answer

    async def __call__(self, keys: list[Any]) -> list[Any]:
        await turns(next(world.delays))
        if self.__name__ in world.down:
            raise ConnectionError("down")
        name = self.__name__
        return [self.answer(key) if world.has(name, key) else LookupError(f"{name} {key}") for key in keys]


def check(what: str, key: int) -> None:
    if not world.has(what, key):
        raise ArithmeticError(f"{what} {key}")


def number_of(key: int) -> Any:
    return "none" if key in world.unfit else key


def some_of(key: int) -> list[int]:
    return list(range(key))


NAMES = Table("names", lambda key: f"name {key}")
NUMBERS = Table("numbers", number_of)
LEAVES = Table("leaves", lambda key: {"id": key})
MANY = Table("many", lambda key: [{"id": other} for other in some_of(key)])
KEYS = Table("keys", lambda key: key)
TOTALS = Table("totals", lambda key: key)


class Leaf(BaseModel):
    id: int
    name: Annotated[str | None, Load(NAMES, by="id"), SendTo("names")]
    number: Annotated[int, Load(NUMBERS, by="id")]
    place: str = "nowhere"
    note: str

    def resolve_place(self, ancestor_context):
        check("place", self.id)
        return f"{ancestor_context['title']}/{self.id}"

    def post_note(self):
        check("note", self.id)
        return f"{self.name} {self.number}"


class Branch(BaseModel):
    id: int
    keyed: Annotated[str | None, Load(NAMES, by="key")]
    key: Annotated[int, Load(KEYS, by="id")] = -1
    leaf: Annotated[Leaf | None, Load(LEAVES, by="leaf_key")]
    leaves: list[Leaf] = []
    named: dict[str, Leaf | None]
    below: list[Branch]
    maybe: list[Branch | None] = []
    title: Annotated[str, ExposeAs("title")]
    shout: str = "-"
    sent: list[str | None] = []
    total: int

    def resolve_leaves(self, loader=LoaderDepend(MANY)):
        check("asking", self.id)
        return loader.load(self.id)

    async def resolve_named(self, loader=LoaderDepend(MANY)):
        await turns(next(world.delays))
        check("named", self.id)
        return {str(row["id"]): row for row in await loader.load(self.id)}

    def resolve_title(self):
        check("title", self.id)
        return f"title {self.id}"

    @needs("title")
    async def resolve_shout(self):
        check("shout", self.id)
        return self.title.upper()

    def post_sent(self, names=Collector("names")):
        return names.values()

    async def post_total(self, loader=LoaderDepend(TOTALS)):
        return await loader.load(self.id) + len(self.leaves)

    def post_default_handler(self):
        check("final", self.id)
        self.shout += "!"


# -- the naive reference -------------------------------------------------------------------------------------

Answer = tuple[Any, list[str], list[Any]]
"""A node as it must become, or GONE; the paths of what failed; and what it and those below send."""


def expected_leaf(key: int, path: str, title: str) -> Answer:
    errors: list[str] = []
    fails = False

    def value(field: str, is_there: bool, found: Any, otherwise: Any = GONE) -> Any:
        nonlocal fails
        if is_there:
            return found
        errors.append(f"{path}.{field}")
        fails = fails or otherwise is GONE
        return otherwise

    answer = {
        "id": key,
        "name": value("name", world.has("names", key), f"name {key}", None),
        "number": value("number", world.has("numbers", key) and key not in world.unfit, key),
        "place": value("place", world.has("place", key), f"{title}/{key}", "nowhere"),
    }
    if fails:
        return GONE, errors, []
    answer["note"] = value("note", world.has("note", key), f"{answer['name']} {answer['number']}")
    return (GONE, errors, []) if fails else (answer, errors, [answer["name"]])


class Fields:
    """The fields of one branch, filled one after the other in the order of the class."""

    def __init__(self, path: str, is_buried: bool) -> None:
        self.path = path
        self.is_buried = is_buried
        """Whether nothing below is looked at: its title is wanted there, and there is none."""
        self.answer: dict[str, Any] = {}
        self.errors: list[str] = []
        self.sent: list[Any] = []
        self.fails = False

    def put(self, name: str, is_there: bool, value: Any, otherwise: Any) -> None:
        if not is_there:
            self.errors.append(f"{self.path}.{name}")
            self.fails = self.fails or otherwise is GONE
        self.answer[name] = value if is_there else otherwise

    def put_below(
        self, name: str, found: dict[str, Answer], kind: Any, takes_none: bool, otherwise: Any
    ) -> None:
        """Put nodes into a field: all of them, or what there is instead."""
        if self.is_buried:
            return
        for _, errors, _ in found.values():
            self.errors += errors
        if any(answer is GONE for answer, _, _ in found.values()) and not takes_none:
            self.fails = self.fails or otherwise is GONE
            self.answer[name] = otherwise
            return
        for _, _, sent in found.values():
            self.sent += sent
        nodes = {key: None if answer is GONE else answer for key, (answer, _, _) in found.items()}
        self.answer[name] = nodes if kind is dict else list(nodes.values())


def expected_branch(row: dict[str, Any], path: str) -> Answer:
    key, leaf_key = row["id"], row["leaf_key"]
    title = f"title {key}"
    has_title = world.has("title", key)
    fields = Fields(path, not has_title)
    fields.answer["id"] = key
    has_key = world.has("keys", key)
    fields.put("keyed", not has_key or world.has("names", key), f"name {key}" if has_key else None, None)
    fields.put("key", has_key, key, -1)
    if leaf_key is None or not world.has("leaves", leaf_key):
        fields.put("leaf", leaf_key is None, None, None)
    else:
        answer, errors, sent = expected_leaf(leaf_key, f"{path}.leaf", title)
        if has_title:
            fields.answer["leaf"] = None if answer is GONE else answer
            fields.errors += errors
            fields.sent += sent
    if not (world.has("asking", key) and world.has("many", key)):
        fields.put("leaves", False, None, [])
    else:
        leaves = {
            at: expected_leaf(other, f"{path}.leaves[{at}]", title) for at, other in enumerate(some_of(key))
        }
        fields.put_below("leaves", leaves, list, takes_none=False, otherwise=[])
    if not (world.has("named", key) and world.has("many", key)):
        fields.put("named", False, None, GONE)
    else:
        named = {
            str(other): expected_leaf(other, f"{path}.named['{other}']", title) for other in some_of(key)
        }
        fields.put_below("named", named, dict, takes_none=True, otherwise=GONE)
    for name, takes_none, otherwise in (("below", False, GONE), ("maybe", True, [])):
        found = {
            at: expected_branch(below, f"{path}.{name}[{at}]") for at, below in enumerate(row.get(name, []))
        }
        fields.put_below(name, found, list, takes_none, otherwise)
    fields.put("title", has_title, title, GONE)
    if has_title:
        fields.put("shout", world.has("shout", key), title.upper(), "-")
    if fields.fails:
        return GONE, fields.errors, []
    fields.answer["sent"] = fields.sent
    fields.put("total", world.has("totals", key), key + len(fields.answer["leaves"]), GONE)
    if fields.fails:
        return GONE, fields.errors, []
    if world.has("final", key):
        fields.answer["shout"] += "!"
    else:
        fields.errors.append(f"{path}.post_default_handler")
    return fields.answer, fields.errors, fields.sent


# -- random worlds and trees ---------------------------------------------------------------------------------

METHODS = ("asking", "named", "place", "note", "title", "shout", "final")
TABLES = ("names", "numbers", "leaves", "many", "totals", "keys")

worlds = st.builds(
    World,
    st.sets(st.tuples(st.sampled_from([*METHODS, *TABLES]), st.integers(0, IDS - 1)), max_size=6),
    st.sampled_from([set(), set(), set(), *({name} for name in TABLES)]),
    st.sets(st.integers(0, IDS - 1), max_size=1),
    st.lists(st.integers(0, 8), max_size=5),
)

keys = st.integers(0, IDS - 1)
rows: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.fixed_dictionaries({"id": keys, "leaf_key": st.none() | keys, "below": st.just([])}),
    lambda below: st.fixed_dictionaries(
        {"id": keys, "leaf_key": st.none() | keys, "below": st.lists(below, max_size=2)},
        optional={"maybe": st.lists(below, max_size=3)},
    ),
    max_leaves=6,
)


def unfit_or(row: dict[str, Any], is_fit: bool) -> dict[str, Any]:
    return row if is_fit else {**row, "id": "no number"}


@st.composite
def roots(draw: Any) -> list[dict[str, Any]]:
    return draw(st.lists(st.builds(unfit_or, rows, st.sampled_from([True, True, True, False])), max_size=4))


def expected(tree: list[dict[str, Any]]) -> list[Answer]:
    return [
        expected_branch(row, f"Branch[{at}]") if row["id"] != "no number" else (GONE, [f"Branch[{at}]"], [])
        for at, row in enumerate(tree)
    ]


class TestRandomFailures:
    """What the resolver makes of any tree in which anything fails."""

    @at_most(100)
    @given(worlds, roots())
    def test_answer_and_failures_are_those_of_the_naive_walk(self, run, drawn, tree):
        """Each failure once, in the order of the tree, whatever comes first."""
        global world
        world = drawn
        wanted = expected(tree)
        errors: list[FieldError] = []
        answer = run(lambda: Resolver(share=False).resolve(tree, into=list[Branch], errors=errors))
        assert [error.path for error in errors] == [path for _, paths, _ in wanted for path in paths]
        assert [node.model_dump() for node in answer] == [node for node, _, _ in wanted if node is not GONE]
        assert [list(node.model_dump()) for node in answer] == [list(Branch.model_fields)] * len(answer)

    @at_most(100)
    @given(worlds, roots())
    def test_places_that_take_none_have_none(self, run, drawn, tree):
        """Also where rows do not fit. Rows that are shared give the same answer, and tell each failure once."""
        global world
        world = drawn
        wanted = expected(tree)
        errors: list[FieldError] = []
        answer = run(lambda: Resolver().resolve(tree, into=list[Branch | None], errors=errors))
        paths = [error.path for error in errors]
        assert len(set(paths)) == len(paths)
        assert set(paths) <= {path for _, paths, _ in wanted for path in paths}
        shown = [None if node is None else node.model_dump() for node in answer]
        assert shown == [None if node is GONE else node for node, _, _ in wanted]

    @at_most(100)
    @given(worlds, roots())
    def test_a_tree_without_failures_is_the_same_with_and_without_errors(self, run, drawn, tree):
        """And loads in as many batches."""
        global world
        fits = [row for row in tree if row["id"] != "no number"]
        world = World(set(), set(), set(), [next(drawn.delays)])

        async def law() -> None:
            errors: list[FieldError] = []
            counts: list[list[str]] = []
            answers: list[Any] = []
            for given_errors in (None, errors):
                resolver = Resolver()
                answers.append(await resolver.resolve(fits, into=list[Branch], errors=given_errors))
                counts.append(
                    [str(loader.statistics.batches) for loader in resolver.loader_instance_cache.values()]
                )
            assert answers[0] == answers[1]
            assert counts[0] == counts[1]
            assert not errors

        run(law)


# -- random graphs of given nodes ----------------------------------------------------------------------------


class Knot(BaseModel):
    """May be held by any others, and by itself."""

    number: int
    name: Annotated[str, Load(NAMES, by="number")]
    others: list[Knot]
    one: Knot | None
    some: list[Knot] = []
    maybe: dict[str, Knot | None]
    total: int

    async def post_total(self, loader=LoaderDepend(TOTALS)):
        return await loader.load(self.number)


Links = tuple[list[int], int | None, list[int], list[int]]
"""Which knots a knot holds, field by field."""
numbers = st.integers(0, 6)
links: st.SearchStrategy[Links] = st.tuples(
    st.lists(numbers, max_size=1),
    st.none() | numbers,
    st.lists(numbers, max_size=2),
    st.lists(numbers, max_size=2),
)


def knots(graph: list[Links]) -> list[Knot]:
    made = [Knot.model_construct(number=number) for number in range(7)]
    for knot, (others, one, some, maybe) in zip(made, graph, strict=True):
        knot.others, knot.some = [made[at] for at in others], [made[at] for at in some]
        knot.one = None if one is None else made[one]
        knot.maybe = {str(at): made[at] for at in maybe}
    return made


def knots_that_fail(graph: list[Links]) -> set[int]:
    """Those that cannot be, and those that must hold one of them."""
    failed = {
        number for number in range(7) if not (world.has("names", number) and world.has("totals", number))
    }
    while more := {number for number in range(7) if failed.intersection(graph[number][0])} - failed:
        failed |= more
    return failed


class TestRandomGraphs:
    """What becomes of nodes that hold each other in any way."""

    @at_most(100)
    @given(
        st.builds(
            World,
            st.sets(st.tuples(st.sampled_from(["names", "totals"]), numbers), max_size=3),
            st.just(set()),
            st.just(set()),
            st.lists(st.integers(0, 8), max_size=5),
        ),
        st.lists(links, min_size=7, max_size=7),
        st.lists(numbers, min_size=1, max_size=4),
    )
    def test_no_node_that_failed_is_held_by_one_that_did_not(self, run, drawn, graph, roots):
        """And no node fails for another reason."""
        global world
        world = drawn
        made = knots(graph)
        tree = [made[at] for at in roots]
        errors: list[FieldError] = []
        failed = knots_that_fail(graph)
        answer = run(lambda: Resolver().resolve(tree, errors=errors))
        assert answer is tree
        assert [knot.number for knot in answer] == [at for at in roots if at not in failed]
        seen: dict[int, Knot] = {}
        unseen = list(answer)
        while unseen:
            knot = unseen.pop()
            if knot.number in seen:
                continue
            seen[knot.number] = knot
            others, one, some, maybe = graph[knot.number]
            assert [each.number for each in knot.others] == others
            assert (knot.one and knot.one.number) == (None if one in failed else one)
            assert [each.number for each in knot.some] == ([] if failed.intersection(some) else some)
            held = {name: each and each.number for name, each in knot.maybe.items()}
            assert held == {str(at): None if at in failed else at for at in maybe}
            assert (knot.name, knot.total) == (f"name {knot.number}", knot.number)
            unseen += [each for each in (*knot.others, knot.one, *knot.some, *knot.maybe.values()) if each]
        assert len({error.path for error in errors}) == len(errors)
        assert {error.field for error in errors} <= {"name", "total"}
