"""The resolver cases written by hand: one query per level, one dict per level, one validation per list."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from benchmarks.suites.resolver.data import items_of, members_of, offices_of, owners, steps_after
from benchmarks.suites.resolver.nodes import Owner
from benchmarks.suites.resolver.trees import Member


class Office(BaseModel):
    id: int
    company_id: int
    city: str
    members: list[Member] = []


class Company(BaseModel):
    id: int
    name: str
    offices: list[Office] = []


OFFICES, MEMBERS, OWNERS = TypeAdapter(list[Office]), TypeAdapter(list[Member]), TypeAdapter(list[Owner])


async def fill_tree(companies: list[Company]) -> list[Company]:
    offices = OFFICES.validate_python(await offices_of([company.id for company in companies]))
    members = MEMBERS.validate_python(await members_of([office.id for office in offices]))
    by_office: defaultdict[int, list[Member]] = defaultdict(list)
    for member in members:
        by_office[member.office_id].append(member)
    by_company: defaultdict[int, list[Office]] = defaultdict(list)
    for office in offices:
        office.members = by_office[office.id]
        by_company[office.company_id].append(office)
    for company in companies:
        company.offices = by_company[company.id]
    return companies


class PostedMember(Member):
    label: str = ""


class PostedOffice(Office):
    members: list[PostedMember] = []  # type: ignore[assignment]
    size: int = 0


class PostedCompany(Company):
    offices: list[PostedOffice] = []  # type: ignore[assignment]
    size: int = 0


POSTED_OFFICES, POSTED_MEMBERS = TypeAdapter(list[PostedOffice]), TypeAdapter(list[PostedMember])


async def fill_posted_tree(companies: list[PostedCompany]) -> list[PostedCompany]:
    offices = POSTED_OFFICES.validate_python(await offices_of([company.id for company in companies]))
    members = POSTED_MEMBERS.validate_python(await members_of([office.id for office in offices]))
    by_office: defaultdict[int, list[PostedMember]] = defaultdict(list)
    for member in members:
        member.label = f"{member.name}!"
        by_office[member.office_id].append(member)
    by_company: defaultdict[int, list[PostedOffice]] = defaultdict(list)
    for office in offices:
        office.members = by_office[office.id]
        office.size = len(office.members)
        by_company[office.company_id].append(office)
    for company in companies:
        company.offices = by_company[company.id]
        company.size = sum(office.size for office in company.offices)
    return companies


class SentCompany(Company):
    names: list[str] = []


async def fill_collected(companies: list[SentCompany]) -> list[SentCompany]:
    for company in companies:
        company.names = [member.name for office in company.offices for member in office.members]
    return companies


class Task(BaseModel):
    id: int
    owner_id: int
    owner: Owner | None = None


async def fill_owners(tasks: list[Task]) -> list[Task]:
    """An owner of several tasks is one object."""
    found = OWNERS.validate_python(await owners(list(dict.fromkeys(task.owner_id for task in tasks))))
    by_id = {owner.id: owner for owner in found}
    for task in tasks:
        task.owner = by_id[task.owner_id]
    return tasks


async def fill_own_owners(tasks: list[Task]) -> list[Task]:
    """Every task has an owner object of its own, as dloader gives it."""
    unique = list(dict.fromkeys(task.owner_id for task in tasks))
    rows = dict(zip(unique, await owners(unique), strict=True))
    found = OWNERS.validate_python([rows[task.owner_id] for task in tasks])
    for task, owner in zip(tasks, found, strict=True):
        task.owner = owner
    return tasks


async def in_tasks(tasks: list[Task]) -> list[Task]:
    """The least that an ``async def`` method costs: a task that starts at once and awaits a bare future."""
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[Any]] = []

    async def resolve_owner(_: Task) -> Any:
        futures.append(future := loop.create_future())
        return await future

    started = [_start(loop, resolve_owner(task)) for task in tasks]
    if not futures:  # before Python 3.12 tasks cannot start at once
        await asyncio.sleep(0)
    unique = list(dict.fromkeys(task.owner_id for task in tasks))
    by_id = dict(zip(unique, await owners(unique), strict=True))
    for future, task in zip(futures, tasks, strict=True):
        future.set_result(by_id[task.owner_id])
    for task, owner in zip(tasks, OWNERS.validate_python(await asyncio.gather(*started)), strict=True):
        task.owner = owner
    return tasks


def _start(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    return loop.create_task(coroutine)


class Labelled(BaseModel):
    id: int
    label: str = ""


async def fill_labels(nodes: list[Labelled]) -> list[Labelled]:
    _label(nodes)
    return nodes


def _label(nodes: Iterable[Any]) -> None:
    for node in nodes:
        node.label = f"node {node.id}"


class Link(BaseModel):
    id: int
    child: Link | None = None
    label: str = ""
    height: int = 0


async def fill_chain(root: Link) -> Link:
    links: list[Link] = []
    link: Link | None = root
    while link is not None:
        links.append(link)
        link.label = f"node {link.id}"
        link = link.child
    for height, link in enumerate(reversed(links), 1):
        link.height = height
    return root


class Step(BaseModel):
    id: int
    next: Step | None = None


async def fill_steps(root: Step) -> Step:
    step = root
    while (row := (await steps_after([step.id]))[0]) is not None:
        step.next = step = Step.model_validate(row)
    return root


class Root(BaseModel):
    id: int
    items: list[Labelled] = []


LABELLED = TypeAdapter(list[Labelled])


async def fill_wide(root: Root) -> Root:
    root.items = LABELLED.validate_python(await items_of([root.id]))
    _label(root.items)
    return root


async def nothing(tree: Any) -> Any:
    """There is nothing to do."""
    return tree
