"""`connection` of `dloader.strawberry`: what Relay's specification says of pages, and what its clients read."""

from __future__ import annotations

from itertools import chain
from typing import Any

import berries
import pytest
import strawberry
import zoo
from databases import Database
from sqlalchemy.ext.asyncio import async_sessionmaker
from strawberry.schema.config import StrawberryConfig

from dloader.strawberry import Connection, LoaderExtension, connection, related

PAGE = """query Page($first: Int, $after: String, $last: Int, $before: String) {
    offices { id page(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { id __typename } }
        pageInfo { endCursor hasNextPage startCursor hasPreviousPage }
    } }
}"""
"""What relay-compiler makes of a fragment with @refetchable and @connection."""


@strawberry.type
class Few:
    """Has short pages."""

    id: int
    members: Connection[berries.Member] = connection(zoo.Office.members, limit=2, max_results=3)
    all: Connection[berries.Member] = connection(zoo.Office.members, name="everybody")


@strawberry.type
class BadgeOfFew:
    """Of an office."""

    office: Few | None = related(zoo.Badge.office)


@strawberry.type
class Query(berries.Query):
    """With further roots."""

    @strawberry.field
    def few(self) -> Few:
        """Oslo."""
        return Few(id=1)

    @strawberry.field
    def nobody(self) -> Few:
        """Has no key."""
        return zoo.Office(id=None)

    @strawberry.field
    def badges(self) -> list[BadgeOfFew]:
        """Lead there."""
        return [zoo.Badge(id=5, office_id=1), zoo.Badge(id=6, office_id=3)]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """With the rows of the zoo."""
    database.fill(zoo.Base, zoo.ROWS)
    return database


def run(database: Database, *operations: tuple[str, dict[str, Any]], **config: Any) -> Any:
    """The results of operations, one after the other; of a single one, its result."""

    async def main(engine):
        async with async_sessionmaker(engine)() as session:
            context = await session.run_sync(berries.context_of)
        database.statements.clear()
        extension = LoaderExtension({"session": async_sessionmaker(engine)})
        schema = strawberry.Schema(Query, extensions=[extension], config=StrawberryConfig(**config))
        return [await schema.execute(query, given, context_value=context) for query, given in operations]

    results = database.run(main)
    return results[0] if len(results) == 1 else results


def right(result: Any) -> Any:
    """The data of a result without errors."""
    assert result.errors is None, result.errors
    return result.data


def everybody() -> dict[int, list[int]]:
    """The members of each office in the order of its pages."""
    rows = sorted(zoo.ROWS[zoo.Member], key=lambda row: row["id"])
    rows.sort(key=lambda row: row["name"], reverse=True)
    return {n: [row["id"] for row in rows if row["office_id"] == n] for n in (1, 2, 3, 4)}


def ids(page: dict[str, Any]) -> list[int]:
    """The nodes of a page."""
    return [edge["node"]["id"] for edge in page["edges"]]


async def walk(schema: strawberry.Schema, context: Any, count: str, cursor: str) -> list[list[int]]:
    """The pages of one office, as Relay's usePaginationFragment asks for them."""
    found: list[list[int]] = []
    given: dict[str, Any] = {count: 2}
    while True:
        [office] = right(await schema.execute(PAGE, given, context_value=context))["offices"]
        page, info = office["page"], office["page"]["pageInfo"]
        found.append(ids(page))
        ends = [edge["cursor"] for edge in page["edges"]]
        assert [info["startCursor"], info["endCursor"]] == ([ends[0], ends[-1]] if ends else [None, None])
        assert {edge["node"]["__typename"] for edge in page["edges"]} <= {"Member"}
        forward = count == "first"
        assert info["hasPreviousPage" if forward else "hasNextPage"] is (cursor in given)
        if not info["hasNextPage" if forward else "hasPreviousPage"]:
            return found
        given = {count: 2, cursor: info["endCursor" if forward else "startCursor"]}


class TestPages:
    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_a_client_walks_to_the_end_and_back(self, filled, number):
        """After endCursor while hasNextPage; before startCursor while hasPreviousPage."""

        async def main(engine):
            async with async_sessionmaker(engine)() as session:
                context = await session.run_sync(berries.context_of)
            context[zoo.Office] = [each for each in context[zoo.Office] if each.id == number]
            extension = LoaderExtension({"session": async_sessionmaker(engine)})
            schema = strawberry.Schema(Query, extensions=[extension])
            forward = await walk(schema, context, "first", "after")
            return forward, await walk(schema, context, "last", "before")

        forward, backward = filled.run(main)
        truth = everybody()[number]
        assert list(chain(*forward)) == truth
        assert list(chain(*reversed(backward))) == truth

    def test_all_parents_are_one_statement(self, filled):
        """Whatever they are called, if the arguments are the same."""
        query = """{ offices {
            page(first: 2) { edges { node { id } } }
            again: page(first: 2) { edges { node { name } } }
            more: page(first: 3) { edges { node { id } } }
        } }"""
        data = right(run(filled, (query, {})))
        assert [
            [len(each[name]["edges"]) for name in ("page", "again", "more")] for each in data["offices"]
        ] == [[min(len(there), n) for n in (2, 2, 3)] for there in everybody().values()]
        assert len(filled.selects) == 2

    def test_a_page_below_is_filled_beforehand(self, filled):
        """With literals, variables, and variables' defaults."""
        query = """query($n: Int = 2) { members {
            office {
                page(first: $n) { edges { node { id } } }
                two: page(last: 1, before: null) { edges { node { id } } }
            }
        } }"""
        data = right(run(filled, (query, {})))
        truth = everybody()
        for row, member in zip(zoo.ROWS[zoo.Member], data["members"], strict=True):
            if row["office_id"] is None:
                assert member["office"] is None
            else:
                assert ids(member["office"]["page"]) == truth[row["office_id"]][:2]
                assert ids(member["office"]["two"]) == truth[row["office_id"]][-1:]
        assert len(filled.selects) == 3

    def test_all_are_counted_only_if_that_is_selected(self, filled):
        """By a statement of its own."""
        query = "query($yes: Boolean!) { offices { page(first: 1) { n: totalCount @include(if: $yes) } } }"
        data = right(run(filled, (query, {"yes": True})))
        assert [each["page"]["n"] for each in data["offices"]] == [len(each) for each in everybody().values()]
        assert sum("count(*)" in each for each in filled.selects) == 1
        right(run(filled, (query, {"yes": False})))
        assert not any("count(*)" in each for each in filled.selects)

    @pytest.mark.parametrize(
        "selected",
        [
            "totalCount",
            "n: totalCount m: totalCount __typename",
            "...Counted edges @skip(if: $yes) { cursor }",
            "... on MemberConnection { totalCount } pageInfo @include(if: $no) { hasNextPage }",
            "totalCount ... @include(if: $no) { edges { node { id } } }",
        ],
    )
    def test_of_what_is_only_counted_no_page_is_read(self, filled, selected):
        """In whichever way that is selected."""
        fragment = "fragment Counted on MemberConnection { totalCount }" if "...Counted" in selected else ""
        query = f"""query($yes: Boolean = true, $no: Boolean = false) {{
            offices {{ name: __typename yes: __typename @skip(if: $yes) no: __typename @include(if: $no)
                       page(first: 1) {{ {selected} }} }}
        }} {fragment}"""
        data = right(run(filled, (query, {})))
        counts = [next(n for n in each["page"].values() if isinstance(n, int)) for each in data["offices"]]
        assert counts == [len(each) for each in everybody().values()]
        assert ["count(*)" in each for each in filled.selects] == [True]

    def test_of_what_is_only_counted_below_no_page_is_read(self, filled):
        """Where it is filled beforehand, and beside a page of the same rows: each with statements of its own."""
        query = """{ badges { office {
            members { totalCount } again: members { totalCount edges { node { id } } }
        } } }"""
        data = right(run(filled, (query, {})))
        truth = everybody()
        assert [each["office"]["members"]["totalCount"] for each in data["badges"]] == [
            len(truth[1]),
            len(truth[3]),
        ]
        assert [len(ids(each["office"]["again"])) for each in data["badges"]] == [2, 2]
        assert sum("count(*)" in each for each in filled.selects) == 1
        assert len(filled.selects) == 3

    def test_wrong_arguments_are_told_though_nothing_is_read(self, filled):
        """As if a page were."""
        query = "{ few { members(first: 1, after: 7) { totalCount } } }".replace("7", '"x"')
        assert "is no cursor of this page" in run(filled, (query, {})).errors[0].message
        assert filled.selects == []

    def test_nothing_is_asked_for_the_name_of_the_type(self, filled):
        """Which the schema knows."""
        data = right(run(filled, ("{ few { members { __typename } } }", {})))
        assert data == {"few": {"members": {"__typename": "MemberConnection"}}}
        assert filled.selects == []

    @pytest.mark.parametrize(
        "selected", ["pageInfo { hasNextPage }", "edges { cursor }", "edges { __typename }"]
    )
    def test_without_nodes_no_columns_are_read_but_those_of_the_order(self, filled, selected):
        """Of the rows of the page; and nothing is made of them."""
        data = right(run(filled, (f"{{ few {{ members {{ {selected} }} }} }}", {})))
        members = data["few"]["members"]
        assert members.get("pageInfo", {"hasNextPage": True}) == {"hasNextPage": True}
        assert len(members.get("edges", "..")) == 2
        [statement] = filled.selects
        assert not any(f"member.{each}" in statement for each in ("e_mail", "salary", "grade", "active"))

    def test_the_size_of_a_page_has_a_default_and_a_limit(self, filled):
        """The field's, and the schema's."""
        data = right(run(filled, ("{ few { members { edges { node { id } } } } }", {})))
        assert len(data["few"]["members"]["edges"]) == 2
        data = right(run(filled, ("{ few { members(first: 3) { edges { node { id } } } } }", {})))
        assert len(data["few"]["members"]["edges"]) == 3
        result = run(filled, ("{ few { members(last: 4) { edges { node { id } } } } }", {}))
        assert result.errors[0].path == ["few", "members"]
        assert "last takes a number that is 3 or less, not 4" in result.errors[0].message
        query = "{ few { everybody { edges { node { id } } } } }"
        data = right(run(filled, (query, {}), relay_max_results=4))
        assert len(data["few"]["everybody"]["edges"]) == 4

    def test_without_a_key_it_is_empty(self, filled):
        """And nothing is asked."""
        query = "{ nobody { members { totalCount edges { cursor node { id } } pageInfo { endCursor hasNextPage } } } }"
        data = right(run(filled, (query, {})))
        info = {"endCursor": None, "hasNextPage": False}
        assert data["nobody"]["members"] == {"totalCount": 0, "edges": [], "pageInfo": info}
        assert filled.selects == []

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"first": -1}, "0 or more"),
            ({"first": 1, "last": 1}, "not both"),
            ({"first": 1, "after": "nonsense"}, "is no cursor of this page"),
        ],
    )
    def test_wrong_arguments_are_errors_of_their_fields(self, filled, given, message):
        """In each parent, and the rest is there."""
        result = run(filled, (PAGE.replace("page(", "city page("), given))
        assert [error.path[:2] for error in result.errors][:1] == [["offices", 0]]
        assert all(error.path[-1] == "page" for error in result.errors)
        assert message in result.errors[0].message

    def test_a_cursor_is_one_of_its_parent(self, filled):
        """The others have an error each, also where they are filled beforehand."""
        [cursors] = [right(run(filled, (PAGE, {"first": 1})))["offices"]]
        after = cursors[0]["page"]["pageInfo"]["endCursor"]
        query = """query($after: String) {
            badges { office { members(first: 1, after: $after) { edges { node { id } } } } }
        }"""
        result = run(filled, (query, {"after": after}))
        assert [error.path for error in result.errors] == [
            ["badges", 0, "office"],
            ["badges", 1, "office"],
        ] or [error.path for error in result.errors] == [["badges", n, "office", "members"] for n in (0, 1)]
        assert all("is no cursor of this page" in error.message for error in result.errors)
