"""Clients: each asks, checks what it was answered, and asks again."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx

from examples.service.load.truth import Sale, Truth, WrongAnswerError, expect

TENANTS = (3, 4, 5)
GRACE = 3.0
"""Seconds after a server is back in which there may still be errors: pools find out one by one."""

CUSTOMERS = """query ($after: Int!, $first: Int!) { customers(after: $after, first: $first) {
  id name country agent { name manager { name } }
  invoices(first: 3) { edges { node { id reference lines { track {
    id name album { title artist { name } } } } } } pageInfo { hasNextPage } } } }"""
ALBUMS = """query ($after: Int!, $first: Int!) { albums(after: $after, first: $first) {
  id title artist { name } tracks { id name genre { name } } } }"""
BUY = """mutation ($customer: Int!, $tracks: [Int!]!, $reference: String!) {
  buy(customerId: $customer, trackIds: $tracks, reference: $reference) { id invoices(last: 100) {
    edges { node { id reference lines { track { id name album { title artist { name } } } } } } } } }"""


class RefusedError(Exception):
    """An answer that is an error: allowed while a server is away."""


@dataclass(slots=True)
class Report:
    """What all clients saw."""

    seconds: list[float] = field(default_factory=list)
    statements: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    errors: int = 0
    wrong: list[str] = field(default_factory=list)
    sales: int = 0
    names: int = 0


@dataclass(slots=True)
class Outages:
    """When servers were away: the database, and Redis."""

    database: list[list[float]] = field(default_factory=list)
    redis: list[list[float]] = field(default_factory=list)

    @staticmethod
    def touches(periods: list[list[float]], start: float, end: float) -> bool:
        """Whether one was away in that time, or just before."""
        return any(since <= end and start <= until + GRACE for since, until in periods)


class Client:
    """One of them, of one tenant at a time."""

    def __init__(
        self, http: httpx.AsyncClient, truth: Truth, report: Report, outages: Outages, number: int
    ) -> None:
        self.http, self.truth, self.report, self.outages, self.number = http, truth, report, outages, number
        self.draw = random.Random(number)
        self.tenant = TENANTS[0]
        self.sent = 0.0
        self.count = 0

    async def run(self, until: float, kinds: dict[str, int]) -> None:
        """Ask until then, what is drawn from the kinds by their weights."""
        while (start := time.monotonic()) < until:
            self.tenant = self.draw.choice(TENANTS)
            [kind] = self.draw.choices(list(kinds), list(kinds.values()))
            try:
                await getattr(self, kind)()
            except (RefusedError, httpx.HTTPError) as error:
                self.report.errors += 1
                if not self.outages.touches(self.outages.database, start, time.monotonic()):
                    self.report.wrong.append(f"{kind}: an error while no server was away: {error!r}")
                await asyncio.sleep(0.05)
            except (WrongAnswerError, KeyError, TypeError) as error:
                self.report.wrong.append(f"{kind}: {error!r}"[:1000])

    async def ask(self, kind: str, method: str, url: str, **options: Any) -> Any:
        """Send a request; return what is answered."""
        self.sent = time.monotonic()
        answer = await self.http.request(method, url, headers={"tenant": str(self.tenant)}, **options)
        self.report.seconds.append(time.monotonic() - self.sent)
        if answer.status_code == 404:
            return None
        if answer.status_code not in {200, 201}:
            raise RefusedError(f"{answer.status_code} {answer.text[:200]}")
        found = answer.json()
        if url == "/graphql":
            if found.get("errors"):
                raise RefusedError(str(found["errors"])[:300])
            found = found["data"]
        self.report.statements[kind].add(int(answer.headers["x-statements"]))
        return found

    async def graphql(self, kind: str, query: str, **variables: Any) -> Any:
        return await self.ask(kind, "POST", "/graphql", json={"query": query, "variables": variables})

    def range(self, most: int) -> dict[str, int]:
        return {"after": self.draw.randrange(most), "first": self.draw.choice((1, 5, 20))}

    # REST

    async def customers(self) -> None:
        asked = self.range(50)
        found = await self.ask("GET /customers", "GET", "/customers", params=asked)
        own = self.truth.customers_of[self.tenant]
        expect([each["id"] for each in found] == self.truth.page(own, **asked), "another page", found)
        for customer in found:
            self.truth.check_customer(customer, self.tenant, self.sent)

    async def customers_by_selectinload(self) -> None:
        asked = self.range(50)
        found = await self.ask("selectinload", "GET", "/by_selectinload/customers", params=asked)
        expect(
            [each["id"] for each in found] == self.truth.page(self.truth.customers_of[self.tenant], **asked)
        )

    async def albums(self) -> None:
        asked = self.range(340)
        found = await self.ask("GET /albums", "GET", "/albums", params=asked)
        numbers = self.truth.page(sorted(self.truth.albums), **asked)
        expect([each["id"] for each in found] == numbers, "another page", found)
        for album in found:
            self.truth.check_album(album, self.sent)

    async def invoices(self) -> None:
        """All pages of one customer; or of another tenant's, who has none for us."""
        tenant = self.draw.choice(TENANTS)
        customer = self.draw.choice(self.truth.customers_of[tenant])
        cursor, items, begun = None, [], time.monotonic()
        while True:
            asked = {"first": 7, **({"after": cursor} if cursor else {})}
            page = await self.ask("GET /invoices", "GET", f"/customers/{customer}/invoices", params=asked)
            if tenant != self.tenant:
                expect(page is None, "another tenant's customer", page)
                return
            items += page["items"]
            cursor = page["end_cursor"]
            if not page["has_more"] or len(items) > 40:
                break
        self.truth.check_pages(items, customer, begun, is_all=not page["has_more"])

    def sale(self) -> tuple[int, Sale]:
        """A purchase of a customer of ours that nobody has made yet."""
        self.count += 1
        customer = self.draw.choice(self.truth.customers_of[self.tenant])
        tracks = self.draw.sample(sorted(self.truth.tracks), self.draw.randrange(1, 4))
        sale = Sale(f"{self.number}-{self.count}", tracks)
        self.truth.sales[customer][sale.reference] = sale
        return customer, sale

    async def buy(self) -> None:
        customer, sale = self.sale()
        body = {"track_ids": sale.track_ids, "reference": sale.reference}
        found = await self.ask("POST /invoices", "POST", f"/customers/{customer}/invoices", json=body)
        sent, self.report.sales = self.sent, self.report.sales + 1
        self.truth.check_customer(found, self.tenant, sent)
        seen = [item["reference"] for item in found["newest"]["items"]]
        expect(sale.reference in seen or len(seen) == 3, "not what was written", sale, seen)
        sale.acknowledged = time.monotonic()

    async def rename(self) -> None:
        """Give one of a few artists its next name. Each client has its own ones: names have an order."""
        artist = 1 + self.number % 275
        names = self.truth.names[artist]
        self.count += 1
        version = len(names.versions)
        names.versions.append(f"name {version} by {self.number}")
        start = time.monotonic()
        found = await self.ask(
            "PUT /artists", "PUT", f"/artists/{artist}", json={"name": names.versions[version]}
        )
        expect(found["name"] == names.versions[version], "not what was written", found)
        away = self.outages.touches(self.outages.redis, start, time.monotonic())
        self.truth.renamed(artist, version, away)
        self.report.names += 1

    # GraphQL

    async def graphql_customers(self) -> None:
        asked = self.range(50)
        found = (await self.graphql("customers", CUSTOMERS, **asked))["customers"]
        own = self.truth.customers_of[self.tenant]
        expect([each["id"] for each in found] == self.truth.page(own, **asked), "another page", found)
        for customer in found:
            number = self.truth.check_person(customer, self.tenant)
            items = [edge["node"] for edge in customer["invoices"]["edges"]]
            is_all = not customer["invoices"]["pageInfo"]["hasNextPage"]
            self.truth.check_pages(items, number, self.sent, is_all)

    async def graphql_albums(self) -> None:
        asked = self.range(340)
        for album in (await self.graphql("albums", ALBUMS, **asked))["albums"]:
            self.truth.check_album(album, self.sent)

    async def graphql_buy(self) -> None:
        customer, sale = self.sale()
        asked = {"customer": customer, "tracks": sale.track_ids, "reference": sale.reference}
        bought = (await self.graphql("mutation buy", BUY, **asked))["buy"]
        self.report.sales += 1
        items = [edge["node"] for edge in bought["invoices"]["edges"]]
        expect(bought["id"] == customer, "another customer", bought)
        for item in items:
            self.truth.check_lines(item, customer, self.sent)
        seen = {item["reference"] for item in items}
        expect(sale.reference in seen or len(items) == 100, "not what was written", sale)
        sale.acknowledged = time.monotonic()


MIXED = {
    "customers": 25,
    "albums": 20,
    "invoices": 10,
    "buy": 5,
    "rename": 2,
    "graphql_customers": 20,
    "graphql_albums": 13,
    "graphql_buy": 5,
}
