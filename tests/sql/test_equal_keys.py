"""Keys that the database takes for equal and Python does not, as where case does not count: as lazy loads have it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any

import pytest
from databases import Database
from pydantic import BaseModel
from sqlalchemy import DDL, ForeignKey, Integer, String, TypeDecorator, Uuid, event, func, select
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dloader import KeyTypeError, LoaderRegistry
from dloader.resolver import Resolver
from dloader.sqlalchemy import Aggregate, ByKey, Count, Page, Related
from dloader.sqlalchemy._equal_keys import by_equal_key, naming_of

Text = (
    String(20)
    .with_variant(String(20, collation="NOCASE"), "sqlite")
    .with_variant(String(20, collation="dloader_ci"), "postgresql")
)


class Shouted(TypeDecorator[str]):
    """Text that is sent as capitals."""

    impl = String(20)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.upper()


class Base(DeclarativeBase):
    """What all classes here share."""


event.listen(
    Base.metadata,
    "before_create",
    DDL(
        "CREATE COLLATION dloader_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    ).execute_if(dialect="postgresql"),
)


class Word(Base):
    """By its text."""

    __tablename__ = "word"
    text: Mapped[str] = mapped_column(Text, primary_key=True)
    shout: Mapped[str] = mapped_column(Shouted)
    uses: Mapped[list[Use]] = relationship(back_populates="word", order_by=lambda: Use.id)


class Use(Base):
    """Of a word, spelt as somebody liked."""

    __tablename__ = "word_use"
    id: Mapped[int] = mapped_column(primary_key=True)
    said: Mapped[str | None] = mapped_column(Text, ForeignKey("word.text"))
    word: Mapped[Word | None] = relationship(back_populates="uses")


class Thing(Base):
    """By a UUID that is text to Python."""

    __tablename__ = "thing"
    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    parts: Mapped[list[Part]] = relationship(order_by=lambda: Part.id)


class Part(Base):
    """Of a thing, by the thing's UUID and a number."""

    __tablename__ = "thing_part"
    id: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("thing.id"))


UUIDS = [str(uuid.UUID(int=0xABCDEF << 100 | n)) for n in range(3)]
SPELT = ["Bob", "bob", "BOB", "cat", "Cat", "dog", None]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    """Three words, and seven uses."""
    words = [{"text": each, "shout": each} for each in ("bob", "CAT", "dog")]
    uses = [{"id": n, "said": said} for n, said in enumerate(SPELT, 1)]
    things = [{"id": each} for each in UUIDS[:2]]
    parts = [{"id": n, "thing_id": UUIDS[n % 2]} for n in range(1, 6)]
    database.fill(Base, {Word: words, Use: uses, Thing: things, Part: parts})
    return database


def test_a_key_that_is_spelt_otherwise(filled):
    """Finds what a lazy load finds; it is not missing."""

    class WordOut(BaseModel):
        text: str

    class UseOut(BaseModel):
        id: int
        said: str | None
        word: Annotated[WordOut, ByKey(Word, by="said")]

    async def law(loaders, session):
        uses = (await session.scalars(select(Use).order_by(Use.id))).all()
        lazily = await session.run_sync(lambda _: [use.word and use.word.text for use in uses])
        assert lazily == ["bob", "bob", "bob", "CAT", "CAT", "dog", None]
        rows = [{"id": use.id, "said": use.said} for use in uses[:-1]]
        filled.statements.clear()
        found = await Resolver(registry=loaders).resolve(rows, into=list[UseOut])
        assert [use.word.text for use in found] == lazily[:-1]
        assert len(filled.selects) == 3  # as many as there are spellings of one word

    filled.ask(law)


def test_lists_pages_and_numbers(filled):
    """Of each key all that the database finds, in its order."""

    async def law(loaders, session):
        keys = ["Bob", "bob", "cAt", "dog", "eel"]
        ids = [[1, 2, 3], [1, 2, 3], [4, 5], [6], []]
        rows = await loaders.get(Related(Word.uses)).load_many(keys)
        assert [[row.id for row in each] for each in rows] == ids
        assert await loaders.get(Count(Word.uses)).load_many(keys) == list(map(len, ids))
        most = await loaders.get(Aggregate(Word.uses, func.max(Use.id))).load_many(keys)
        assert most == [3, 3, 5, 6, None]
        for pages in ("lateral", "row_number"):
            loader = loaders.get(Related(Word.uses, pages=pages))
            firsts: list[Page[Any]] = await asyncio.gather(*(loader.page(key, first=2) for key in keys))
            assert [[row.id for row in page.items] for page in firsts] == [each[:2] for each in ids]
            rests = await asyncio.gather(
                *(
                    loader.page(key, first=2, after=page.end_cursor, total=True)
                    for key, page in zip(keys, firsts, strict=True)
                )
            )
            assert [[row.id for row in page.items] for page in rests] == [each[2:] for each in ids]
            assert [page.total for page in rests] == list(map(len, ids))

    filled.ask(law)


def spellings(text: str) -> list[str]:
    return [text, text.upper(), text.replace("-", ""), text[:9] + text[9:].replace("-", "")]


def test_a_uuid_in_text_finds_the_same_whatever_else_is_asked_for(filled):
    """Each spelling what it finds alone: a lookup, a list, a number, a page."""

    async def law(_loaders, session):
        markers = [ByKey(Thing), Related(Thing.parts), Count(Thing.parts)]
        keys = [spelt for each in UUIDS for spelt in spellings(each)]
        for marker in markers:
            alone = []
            for key in keys:
                async with LoaderRegistry({"session": session}) as one:
                    alone.append(await one.get(marker).load(key))
            async with LoaderRegistry({"session": session}) as all_of_them:
                assert await all_of_them.get(marker).load_many(keys) == alone
            assert alone[0]
            assert alone[2] == alone[0]
        async with LoaderRegistry({"session": session}) as loaders:
            pages = await asyncio.gather(
                *(loaders.get(Related(Thing.parts)).page(key, first=2) for key in spellings(UUIDS[0])[::2])
            )
            assert [[part.id for part in page.items] for page in pages] == [[2, 4], [2, 4]]

    filled.ask(law)


def test_a_uuid_in_braces_is_refused(filled):
    """Some databases would, and end the transaction; others would find nothing."""

    async def law(loaders, session):
        loader = loaders.get(ByKey(Thing))
        keys = [f"{{{UUIDS[0]}}}", f"urn:uuid:{UUIDS[0]}", UUIDS[0]]
        *wrong, right = await loader.load_many(keys, return_exceptions=True)
        assert [type(each) for each in wrong] == [KeyTypeError] * 2
        assert "of a UUID, without braces, not" in str(wrong[0])
        assert right["id"] == UUIDS[0]

    filled.ask(law)


def test_what_a_type_makes_of_a_key(filled):
    """It may be sent as something else than it is."""

    async def law(loaders, session):
        loader = loaders.get(ByKey(Word.shout))
        found = await loader.load_many(["bob", "Bob", "CAT", "eel"])
        assert [row and row.text for row in found] == ["bob", "bob", "CAT", None]

    filled.ask(law)


@pytest.mark.parametrize(
    ("kind", "dialect", "is_exact"),
    [
        (String(), "postgresql", True),
        (String(), "sqlite", True),
        (String(), "mariadb", False),
        (String(collation="utf8mb4_bin"), "mysql", True),
        (String(collation="utf8mb4_0900_as_cs"), "mysql", True),
        (String(collation="C"), "postgresql", True),
        (String(collation="dloader_ci"), "postgresql", False),
        (Shouted(), "mysql", False),
        (CITEXT(), "postgresql", False),
        (Integer(), "mysql", True),
    ],
)
def test_what_the_mapping_tells(kind, dialect, is_exact):
    """Where nothing can be equal but a key itself, no text is compared."""
    assert (naming_of([mapped_column("x", kind).column], dialect) is None) == is_exact


def test_keys_that_nobody_foresees():
    """Are read one by one; what is not text is what it is."""
    asked: list[list[Any]] = []
    equal: dict[Any, Any] = {"ß": "s", "s": "s", 1: 1}

    async def read(keys: Any, naming: Any) -> dict[Any, Any]:
        asked.append(list(keys))
        name = naming or (lambda key: key)
        return {name(equal[key]): equal[key] for key in keys if key in equal}

    async def law() -> None:
        assert await by_equal_key(read, ["ß", 1, "z"], None) == {"ß": "s", 1: 1}
        assert asked == [["ß", 1, "z"], ["ß", 1, "z"], ["ß"], [1], ["z"]]
        pairs = [("É ", 1), ("e", 1), ("e", 2)]
        asked.clear()
        equal.update({pair: pair for pair in pairs})
        folded = naming_of([mapped_column("x", String()).column], "mysql")
        assert await by_equal_key(read, pairs, folded) == {pair: pair for pair in pairs}
        assert asked == [[("É ", 1), ("e", 2)], [("e", 1)]]

    asyncio.run(law())
