"""What answers must be: computed from the rows that were put in, and from the writes that were sent."""

from __future__ import annotations

import bisect
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from examples.service.catalogue import Artists
from examples.service.models import (
    Album,
    Artist,
    Customer,
    Employee,
    Genre,
    Invoice,
    InvoiceLine,
    Track,
    chinook,
)

STALE = 1.0
"""Seconds after which a new name must be seen by all: it is cleared in Redis when the answer is already on its way."""


class WrongAnswerError(AssertionError):
    """An answer that must not be."""


def expect(fact: object, *words: object) -> None:
    """Raise unless something is so."""
    if not fact:
        raise WrongAnswerError(*words)


@dataclass(slots=True)
class Sale:
    """An invoice that was sent; `acknowledged` is when the answer came, if it came."""

    reference: str
    track_ids: list[int]
    acknowledged: float = float("inf")


@dataclass(slots=True)
class Names:
    """What an artist is called: one version after the other, each from when it was acknowledged."""

    versions: list[str]
    known: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])
    uncertain_until: float = 0.0
    """While Redis is away nobody can tell the other processes: until then they may know any version."""


class Truth:
    """The shop, as its clients must see it."""

    def __init__(self) -> None:
        rows = chinook()
        by_id = {table: {row["id"]: row for row in of_table} for table, of_table in rows.items()}
        self.tracks, self.genres = by_id[Track], by_id[Genre]
        self.albums, self.employees = by_id[Album], by_id[Employee]
        self.customers, self.invoices = by_id[Customer], by_id[Invoice]
        self.names = {number: Names([row["name"]]) for number, row in by_id[Artist].items()}
        self.lines: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in rows[InvoiceLine]:
            self.lines[row["invoice_id"]].append(row)
        self.invoices_of: dict[int, list[int]] = defaultdict(list)
        for row in rows[Invoice]:
            self.invoices_of[row["customer_id"]].append(row["id"])
        self.customers_of: dict[int, list[int]] = defaultdict(list)
        for row in rows[Customer]:
            self.customers_of[row["tenant_id"]].append(row["id"])
        self.tracks_of: dict[int, list[int]] = defaultdict(list)
        for row in rows[Track]:
            self.tracks_of[row["album_id"]].append(row["id"])
        self.sales: dict[int, dict[str, Sale]] = defaultdict(dict)

    def page(self, numbers: list[int], after: int, first: int) -> list[int]:
        """What a page of sorted numbers has."""
        start = bisect.bisect_right(numbers, after)
        return numbers[start : start + first]

    # What was written.

    def known_sales(self, customer: int, sent: float) -> list[Sale]:
        """Those that an answer to a request sent at this time must know."""
        return [sale for sale in self.sales[customer].values() if sale.acknowledged < sent]

    def check_name(self, artist: int, name: str, sent: float) -> None:
        """Not older than what was acknowledged a moment before."""
        names = self.names[artist]
        if sent < names.uncertain_until:
            expect(name in names.versions, "an artist of no name", artist, name)
            return
        least = max(version for since, version in names.known if since <= max(sent - STALE, 0.0))
        expect(name in names.versions[least:], "an old name", artist, name, names.versions[least:])

    def renamed(self, artist: int, version: int, redis_is_away: bool) -> None:
        """Note that a new name was acknowledged."""
        names = self.names[artist]
        names.known.append((time.monotonic(), version))
        if redis_is_away:
            names.uncertain_until = time.monotonic() + Artists.store_ttl * 1.1 + STALE

    # What was answered.

    def check_lines(self, invoice: dict[str, Any], customer: int, sent: float) -> None:
        """An invoice that was put in, or one that was sent, whole and of this customer."""
        number = invoice.get("id")
        tracks = [line["track"] for line in invoice["lines"]]
        if number in self.invoices:
            expect(self.invoices[number]["customer_id"] == customer, "an invoice of another customer", number)
            expected = [line["track_id"] for line in self.lines[number]]
        else:
            sale = self.sales[customer].get(invoice["reference"])
            expect(sale is not None, "an invoice that nobody wrote", customer, invoice)
            assert sale is not None
            expected = sale.track_ids
        expect([track["id"] for track in tracks] == expected, "other lines", invoice, expected)
        for track in tracks:
            row = self.tracks[track["id"]]
            album = self.albums[row["album_id"]]
            expect(track["name"] == row["name"], "another track", track)
            expect(track["album"]["title"] == album["title"], "another album", track)
            self.check_name(album["artist_id"], track["album"]["artist"]["name"], sent)

    def check_person(self, customer: dict[str, Any], tenant: int) -> int:
        """A customer of the tenant, with its agent and the agent's manager."""
        row = self.customers[customer["id"]]
        expect(row["tenant_id"] == tenant, "a customer of another tenant", customer["id"], tenant)
        expect((customer["name"], customer["country"]) == (row["name"], row["country"]), "another", customer)
        agent = self.employees[row["tenant_id"]]
        expect(customer["agent"]["name"] == agent["name"], "another agent", customer)
        manager = self.employees[agent["manager_id"]]["name"]
        expect(customer["agent"]["manager"]["name"] == manager, "another manager", customer)
        return int(row["id"])

    def check_customer(self, customer: dict[str, Any], tenant: int, sent: float) -> None:
        """An answer of REST."""
        number = self.check_person(customer, tenant)
        own = self.invoices_of[number]
        known, all_sales = self.known_sales(number, sent), list(self.sales[number].values())
        count = customer["invoice_count"]
        expect(len(own) + len(known) <= count <= len(own) + len(all_sales), "another count", customer)
        base = sum(line["cents"] * 1 for invoice in own for line in self.lines[invoice])
        least, most = (
            base + sum(self.tracks[n]["cents"] for sale in sales for n in sale.track_ids)
            for sales in (known, all_sales)
        )
        expect(least <= (customer["spent"] or 0) <= most, "another sum", customer["spent"], least, most)
        items = customer["newest"]["items"]
        order = [(item["day"], item["id"]) for item in items]
        expect(order == sorted(order, reverse=True), "another order", order)
        for item in items:
            self.check_lines(item, number, sent)
        old = [item["id"] for item in items if item["id"] in self.invoices]
        newest = sorted(own, key=lambda n: (self.invoices[n]["day"], n), reverse=True)
        expect(old == newest[: len(old)], "not the newest", old, newest)
        expect(len(items) == min(3, count) or len(items) >= min(3, len(own)), "too few", customer)
        seen = {item["reference"] for item in items}
        if old:  # then all that is newer is here
            expect(seen.issuperset(sale.reference for sale in known), "one is missing", customer)

    def check_pages(self, items: list[dict[str, Any]], customer: int, sent: float, is_all: bool) -> None:
        """Invoices of a customer in the order of their numbers, from the first."""
        own = self.invoices_of[customer]
        numbers = [item["id"] for item in items]
        expect(numbers == sorted(set(numbers)), "another order", numbers)
        expect(numbers[: len(own)] == own[: len(numbers)], "others", numbers, own)
        for item in items:
            self.check_lines(item, customer, sent)
        if is_all:
            seen = {item["reference"] for item in items}
            missing = [sale for sale in self.known_sales(customer, sent) if sale.reference not in seen]
            expect(not missing, "some are missing", customer, missing)

    def check_album(self, album: dict[str, Any], sent: float) -> None:
        """An album with all its tracks."""
        row = self.albums[album["id"]]
        self.check_name(row["artist_id"], album["artist"]["name"], sent)
        expected = [
            (n, self.tracks[n]["name"], self.genres[self.tracks[n]["genre_id"]]["name"])
            for n in self.tracks_of[row["id"]]
        ]
        tracks = [(track["id"], track["name"], track["genre"]["name"]) for track in album["tracks"]]
        expect((album["title"], tracks) == (row["title"], expected), "another album", album)
