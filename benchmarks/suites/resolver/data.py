"""What the resolver cases are made of: rows, and queries that take next to no time."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
FANOUT = 10
"""Offices per company and members per office."""
OWNERS = 100
"""How many owners there are where there are few."""


def nodes_of(count: int) -> int:
    """How many nodes a tree of `count` companies has."""
    return count * (1 + FANOUT + FANOUT * FANOUT)


def companies(nodes: int) -> list[Row]:
    """The root rows of a tree of about that many nodes."""
    return [
        {"id": number, "name": f"company {number}"} for number in range(1, max(1, nodes // nodes_of(1)) + 1)
    ]


def size_of(nodes: int) -> int:
    """How many nodes a tree of about that many really has."""
    return nodes_of(len(companies(nodes)))


@cache
def _offices(company_id: int) -> tuple[Row, ...]:
    first = company_id * FANOUT
    return tuple(
        {"id": id, "company_id": company_id, "city": f"city {id}"} for id in range(first, first + FANOUT)
    )


@cache
def _members(office_id: int) -> tuple[Row, ...]:
    first = office_id * FANOUT
    return tuple(
        {"id": id, "office_id": office_id, "name": f"member {id}"} for id in range(first, first + FANOUT)
    )


@cache
def _owner(id: int) -> Row:
    return {"id": id, "name": f"owner {id}"}


async def offices_of(company_ids: list[int]) -> list[Row]:
    """``SELECT ... WHERE company_id IN (...)``."""
    return [row for id in company_ids for row in _offices(id)]


async def members_of(office_ids: list[int]) -> list[Row]:
    """``SELECT ... WHERE office_id IN (...)``."""
    return [row for id in office_ids for row in _members(id)]


async def owners(ids: list[int]) -> list[Row]:
    """``SELECT ... WHERE id IN (...)``."""
    return [_owner(id) for id in ids]


async def items_of(counts: list[int]) -> list[Row]:
    """That many rows for the only key."""
    return [{"id": id, "of": count} for count in counts for id in range(count)]


async def steps_after(ids: list[int]) -> list[Row | None]:
    """The step after each; none after 1."""
    return [{"id": id - 1} if id > 1 else None for id in ids]


def nested(nodes: int) -> list[Row]:
    """A whole tree of rows, for the cases that load nothing."""
    return [
        {
            **company,
            "offices": [
                {**office, "members": list(_members(office["id"]))} for office in _offices(company["id"])
            ],
        }
        for company in companies(nodes)
    ]
