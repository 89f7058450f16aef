"""`@needs`: a method that waits for other fields of its node."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

import pytest
from pydantic import BaseModel
from resolving import Source, problems_of

from dloader import DataLoader, OptionError
from dloader.resolver import Load, LoaderDepend, Resolver, needs


class Names(DataLoader[int, str]):
    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        return [f"name {key}" for key in keys]


numbers = Source(lambda key: key + 1, "numbers")


class TestSiblings:
    def test_a_method_sees_what_it_needs(self, run):
        """However slow the other is, and in whichever order they stand in the class."""

        class Issue(BaseModel):
            html: str = ""

            @needs("body", "title")
            async def resolve_html(self):
                await asyncio.sleep(0)
                return f"<h1>{self.title}</h1><p>{self.body}</p>"

            body: str = ""

            async def resolve_body(self):
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                return "text"

            title: str = ""

            def resolve_title(self):
                return "T"

        async def law():
            issues = await Resolver().resolve([Issue(), Issue()])
            assert [issue.html for issue in issues] == ["<h1>T</h1><p>text</p>"] * 2

        run(law)

    def test_chains_and_loads_wait_in_their_order(self, run):
        """A Load, a method that needs it and loads, a Load by what that gives, a method that needs two of them."""

        @dataclass
        class Row:
            id: int
            both: str = ""
            third: Annotated[int, Load(numbers, by="second")] = 0
            second: int = 0
            first: Annotated[int, Load(numbers, by="id")] = 0

            @needs("first")
            def resolve_second(self, loader=LoaderDepend(numbers)):
                return loader.load(self.first)

            @needs("first", "third", "id")
            def resolve_both(self):
                return f"{self.first} {self.second} {self.third}"

        async def law():
            (row,) = await Resolver().resolve([Row(1)])
            assert row.both == "2 3 4"

        run(law)

    def test_a_field_that_nobody_fills_is_there_already(self, run):
        """Needing it is no mistake, and waits for nothing."""

        class Row(BaseModel):
            id: int = 1
            name: str = ""

            @needs("id")
            def resolve_name(self, loader=LoaderDepend(Names)):
                return loader.load(self.id)

        async def law():
            assert (await Resolver().resolve(Row())).name == "name 1"

        run(law)

    def test_what_it_writes_into_reaches_no_cache(self, run):
        """A method that sees a filled field may write into it: each node has its own."""

        class Person(BaseModel):
            id: int
            name: str

        source = Source(lambda key: Person(id=key, name="loaded"))

        class Row(BaseModel):
            owner_id: int
            owner: Annotated[Person | None, Load(source, by="owner_id")] = None
            label: str = ""

            @needs("owner")
            def resolve_label(self):
                self.owner.name = self.owner.name.upper()
                return self.owner.name

        async def law():
            resolver = Resolver()
            rows = await resolver.resolve([Row(owner_id=1), Row(owner_id=1)])
            assert [row.label for row in rows] == ["LOADED", "LOADED"]
            assert rows[0].owner is not rows[1].owner
            cached = await resolver.loader_instance_cache[source].load(1)
            assert cached.name == "loaded"

        run(law)


class TestMistakes:
    def test_all_of_them_are_found_before_anything_is_loaded(self, run):
        """Names without a field, fields that come later, circles, and posts that need nothing."""

        class Row(BaseModel):
            body: str = ""
            html: str = ""
            size: int = 0
            total: int = 0
            key: Annotated[str, Load(Names, by="size")] = ""

            @needs("bdy")
            def resolve_html(self):
                return ""

            @needs("total", "key")
            def resolve_size(self):
                return 0

            @needs("html")
            def post_total(self):
                return 0

        problems = [problem[problem.index("Row.") :] for problem in problems_of(run, Row())]
        assert problems == [
            "Row.post_total: a post_ method runs when all fields are filled; needs is for resolve_ methods",
            "Row.resolve_html: needs('bdy') names no field (did you mean 'body'?)",
            "Row.resolve_size: needs('total') wants what post_total computes later; fill it by resolve_total",
            "Row.key: Load(by='size') needs a key that is itself loaded by 'key'",
            "Row.resolve_size: needs('key') makes a circle of 'key', 'size'",
        ]

    @pytest.mark.parametrize("names", [(), (1,), (None,)], ids=str)
    def test_other_things_than_names_are_refused(self, names):
        """When the method is defined."""
        with pytest.raises(OptionError, match="needs takes a name"):
            needs(*names)

    def test_a_method_that_needs_is_meant_for_the_resolver(self, run):
        """Also where it fills no field: that is the mistake."""

        class Row(BaseModel):
            id: int = 1

            @needs("id")
            def resolve_names(self):
                return ""

        (problem,) = problems_of(run, Row())
        assert "fills no field" in problem
