"""Random programs of loaders, registries, a store and the resolver together, beside a plain model of what may be said.

The database counts the versions of each row; every row that is answered says which one it is of, whose it is and where
it stands. The model knows for each question, when it is asked, how old the answer may be:

- no older than what the database said when somebody cleared the key whom the one who asks must hear;
- no older than the database was when its registry was opened, or, behind a store, when what the store had ended last;
- in one registry the same, whoever asks, loader or resolver, until the key is cleared or primed there;
- what was primed, if it was.

Whoever asks has an answer in the end, whatever others do; only who was cancelled is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from loops import KINDS, new_loop, turns
from pydantic import BaseModel

from dloader import DataLoader, Limit, LoaderClosedError, LoaderRegistry
from dloader.resolver import Load, LoaderDepend, Resolver
from dloader.store import MemoryStore

TENANTS = ("blue", "green")
LANGUAGES = ("en", "de")
NUMBERS = (1, 2)
TTL = 30.0
LONGEST = 1.1 * TTL
MOST_REQUESTS = 4
TURNS = 20
"""In so many turns of the loop whatever can be answered is."""
END = 3_000
"""Who has no answer after so many waits for ever."""

language: ContextVar[str] = ContextVar("language", default="en")
world: ContextVar[EverythingMachine] = ContextVar("world")

Row = dict[str, Any]
Place = tuple[str, int, str]
"""A table, a key, and a language where the table has some."""


class Boom(Exception):
    """The database fails."""


class FromDatabase(DataLoader[int, Row]):
    """Who asks for rows of a tenant."""

    tenant: str
    store_ttl = TTL


class Authors(FromDatabase):
    """One row for each key."""

    async def batch_load_fn(self, keys):
        return await world.get().read("author", self.tenant, "", keys)


class Books(FromDatabase):
    """The same in the language of who asks."""

    partition = language.get

    async def batch_load_fn(self, keys):
        return await world.get().read("book", self.tenant, language.get(), keys)


TABLES: dict[str, type[FromDatabase]] = {"author": Authors, "book": Books}


class Book(BaseModel):
    """Below an author, and nobody writes into it."""

    row: Row

    @classmethod
    def all(cls, found):
        return [cls(row=row) for row in found]


class Author(BaseModel):
    """Who has it writes into it."""

    id: int
    tenant: str
    version: int
    shelf: int = 0
    book: Annotated[Row | None, Load(Books, by="id")] = None


class Shelf(BaseModel):
    """A root."""

    id: int
    author_id: int
    author: Annotated[Author | None, Load(Authors, by="author_id")] = None
    same: Row = {}
    mark: int = 0

    def resolve_same(self, loader=LoaderDepend(Authors)):
        return loader.load(self.author_id)

    def post_mark(self):
        assert self.author is not None
        self.author.shelf = self.id
        return self.id


@dataclass(eq=False)
class Request:
    """A registry, and what the model knows of it."""

    loaders: LoaderRegistry
    tenant: str
    has_store: bool
    floors: Counter[Place]
    """No answer is older than this, whatever happens."""
    is_closed: bool = False
    epochs: Counter[Place] = field(default_factory=Counter)
    """How often what it knows was changed by a clear or prime."""
    known: dict[Place, int] = field(default_factory=dict)
    """The version that it has said since."""
    primed: dict[Place, set[int]] = field(default_factory=dict)
    """What was primed since its loader was cleared."""


@dataclass(eq=False)
class Question:
    """What somebody asks, and what was known then."""

    request: Request
    booms: int
    floors: Counter[Place]
    epochs: Counter[Place]
    primed: dict[Place, set[int]]
    task: asyncio.Task[None] = field(init=False)
    is_cancelled: bool = False


class EverythingMachine(RuleBasedStateMachine):
    """Drives some requests of two tenants that share a store."""

    kind: ClassVar[str]

    @initialize(limit=st.sampled_from([None, None, 2]))
    def begin(self, limit):
        """With or without a limit that all share."""
        self.loop = new_loop(self.kind)
        self.reports: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.reports.append(context))
        self.now = 0.0
        self.store: Any = MemoryStore(clock=lambda: self.now)
        self.store.wait, self.store.deadline = 0.0, 60.0  # a busy machine is no failure here
        self.limit = None if limit is None else Limit(limit)
        self.database: dict[str, Counter[Place]] = {tenant: Counter() for tenant in TENANTS}
        self.cleared: dict[str, Counter[Place]] = {tenant: Counter() for tenant in TENANTS}
        self.ended: dict[str, Counter[Place]] = {tenant: Counter() for tenant in TENANTS}
        self.failing = self.holding = False
        self.held: list[asyncio.Future[None]] = []
        self.requests: list[Request] = []
        self.questions: list[Question] = []
        self.closing: list[asyncio.Task[None]] = []
        self.booms = self.primes = 0
        for tenant in TENANTS:
            self.open(tenant, True)

    # -- the database ----------------------------------------------------------------------------------------

    async def read(self, table, tenant, spoken, keys):
        """What the batch functions say: read at once, answered when it is let go."""
        if self.failing:
            self.booms += 1
            raise Boom
        rows = [self.row(table, tenant, spoken, key) for key in keys]
        if self.holding:
            self.held.append(self.loop.create_future())
            await self.held[-1]
        return rows

    def row(self, table, tenant, spoken, key, version=None):
        """A row as it is now."""
        if version is None:
            version = self.database[tenant][table, key, spoken]
        return {"table": table, "tenant": tenant, "language": spoken, "id": key, "version": version}

    # -- the model -------------------------------------------------------------------------------------------

    def question(self, request):
        """What is known now."""
        floors = Counter(request.floors)
        if request.has_store:
            floors |= self.cleared[request.tenant]
        earlier = [each.booms for each in self.questions if each.request is request]
        primed = {place: set(versions) for place, versions in request.primed.items()}
        return Question(request, min([self.booms, *earlier]), floors, Counter(request.epochs), primed)

    def check(self, question, table, spoken, key, row):
        """A row is the right one, and not too old; and says what was said before."""
        place, request = (table, key, spoken), question.request
        version = row["version"]
        assert row == self.row(table, request.tenant, spoken, key, version)
        if version < 0:
            assert version in question.primed.get(place, ()) or version in request.primed.get(place, ())
        else:
            assert question.floors[place] <= version <= self.database[request.tenant][place], (place, row)
        if question.epochs[place] == request.epochs[place]:
            assert request.known.setdefault(place, version) == version

    def forget(self, request, places, *, primed=False):
        """A registry has heard that something has changed."""
        for place in places:
            request.epochs[place] += 1
            request.known.pop(place, None)
            if primed:
                request.primed.pop(place, None)

    def spawn(self, question, work, *args, spoken):
        """Begin something in a language."""

        async def asked():
            world.set(self)
            language.set(spoken)
            await work(question, *args, spoken)

        question.task = self.loop.create_task(asked())
        self.questions.append(question)

    def do(self, work):
        """Do something at once."""

        async def done():
            world.set(self)
            work()

        self.loop.run_until_complete(done())

    def some_request(self, number):
        """One of those that are open."""
        return self.requests[number % len(self.requests)]

    # -- what the world does ---------------------------------------------------------------------------------

    WHICH = st.integers(0, 5)
    TABLE = st.sampled_from(sorted(TABLES))
    KEY = st.sampled_from(NUMBERS)
    SPOKEN = st.sampled_from(LANGUAGES)
    TENANT = st.sampled_from(TENANTS)

    @rule(table=TABLE, tenant=TENANT, key=KEY)
    def write(self, table, tenant, key):
        """A row has another version, in all languages."""
        for spoken in LANGUAGES if table == "book" else ("",):
            self.database[tenant][table, key, spoken] += 1

    @rule(failing=st.booleans())
    def fail(self, failing):
        """The database fails from now on, or works again."""
        self.failing = failing

    @rule(holding=st.booleans())
    def hold(self, holding):
        """The database reads and does not answer; or it answers."""
        self.holding = holding
        if not holding:
            for future in self.held:
                if not future.done():  # its batch was cancelled
                    future.set_result(None)
            self.held.clear()

    @rule(number=st.integers(1, 20))
    def turn(self, number):
        """The loop turns."""
        self.loop.run_until_complete(turns(number))

    @rule(seconds=st.sampled_from([3.0, 40.0]))
    def time_passes(self, seconds):
        """Leases end, or values do: of what was written by now none is found any more."""
        self.turn(TURNS)
        self.now += seconds
        if seconds > LONGEST and not self.questions:
            self.ended = {tenant: Counter(versions) for tenant, versions in self.database.items()}

    # -- what programs do ------------------------------------------------------------------------------------

    @rule(tenant=TENANT, has_store=st.booleans())
    def begin_a_request(self, tenant, has_store):
        """With a store behind its loaders, or without."""
        self.open(tenant, has_store)

    def open(self, tenant, has_store):
        """A request begins; if there are many, the oldest ends."""
        if len(self.requests) >= MOST_REQUESTS:
            self.close(0, True)
        store = self.store if has_store else None
        loaders = LoaderRegistry({"tenant": tenant}, store=store, max_concurrency=self.limit)
        floors = self.ended[tenant] if has_store else self.database[tenant]
        self.requests.append(Request(loaders, tenant, has_store, Counter(floors)))
        return self.requests[-1]

    @rule(which=WHICH, drain=st.booleans())
    def close(self, which, drain):
        """A request ends, with what it waits for or without."""
        if len(self.requests) > 2:
            request = self.some_request(which)
            self.requests.remove(request)
            request.is_closed = True
            self.closing.append(self.loop.create_task(request.loaders.aclose(drain=drain)))
            self.turn(1)

    @rule(which=WHICH, table=TABLE, keys=st.lists(KEY, min_size=1, max_size=2), spoken=SPOKEN)
    def ask(self, which, table, keys, spoken, request=None):
        """Somebody loads."""
        question = self.question(request or self.some_request(which))
        self.spawn(question, self.load, table, keys, spoken=spoken)

    async def load(self, question, table, keys, spoken):
        """By one key, or by several."""
        loader = question.request.loaders.get(TABLES[table])
        rows = [await loader.load(keys[0])] if len(keys) == 1 else await loader.load_many(keys)
        for key, row in zip(keys, rows, strict=True):
            self.check(question, table, spoken if table == "book" else "", key, row)

    @rule(which=WHICH, keys=st.lists(KEY, min_size=1, max_size=3), spoken=SPOKEN)
    def resolve(self, which, keys, spoken, request=None):
        """Somebody has a tree filled, in which authors stand several times."""
        question = self.question(request or self.some_request(which))
        self.spawn(question, self.fill, keys, spoken=spoken)

    async def fill(self, question, keys, spoken):
        """Each shelf has an author of its own, that it writes into."""
        shelves = [Shelf(id=number, author_id=key) for number, key in enumerate(keys)]
        await Resolver(registry=question.request.loaders).resolve(shelves)
        for number, (shelf, key) in enumerate(zip(shelves, keys, strict=True)):
            author = shelf.author
            assert author is not None
            assert author.book is not None
            assert (shelf.mark, author.shelf) == (number, number)
            row = self.row("author", author.tenant, "", author.id, author.version)
            self.check(question, "author", "", key, row)
            self.check(question, "author", "", key, shelf.same)
            self.check(question, "book", spoken, key, author.book)

    @rule(which=st.integers(-4, 4))
    def cancel(self, which):
        """Somebody asks no more."""
        if self.questions:
            question = self.questions[which % len(self.questions)]
            question.is_cancelled = True
            question.task.cancel()

    @rule(which=WHICH, table=TABLE, key=st.none() | KEY, spoken=SPOKEN)
    def clear(self, which, table, key, spoken, request=None):
        """Somebody clears a key, or all."""
        request = request or self.some_request(which)
        self.do(lambda: self._clear(request, table, key, spoken))

    def _clear(self, request, table, key, spoken):
        language.set(spoken)
        loader = request.loaders.get(TABLES[table])
        here = LANGUAGES if table == "book" else ("",)
        there = [spoken] if table == "book" else [""]
        if key is not None:
            loader.clear(key)
            here = there
        else:
            loader.clear_all()
        keys = NUMBERS if key is None else (key,)
        everywhere = [(table, each, which) for each in keys for which in there]
        self.forget(request, [(table, each, which) for each in keys for which in here], primed=True)
        now = {place: self.database[request.tenant][place] for place in everywhere}
        if request.has_store:
            self.cleared[request.tenant] |= Counter(now)
            for other in self.requests:
                if other is not request and other.has_store and other.tenant == request.tenant:
                    self.forget(other, everywhere)
        else:
            request.floors |= Counter(now)

    @rule(which=WHICH, table=TABLE, key=KEY, spoken=SPOKEN)
    def prime(self, which, table, key, spoken):
        """Somebody knows better than the database."""
        request = self.some_request(which)
        spoken = spoken if table == "book" else ""
        self.primes -= 1
        row = self.row(table, request.tenant, spoken, key, self.primes)

        def primed():
            language.set(spoken)
            request.loaders.get(TABLES[table]).prime(key, row)

        self.do(primed)
        place = (table, key, spoken)
        self.forget(request, [place])
        request.known[place] = self.primes
        request.primed.setdefault(place, set()).add(self.primes)

    @rule(which=WHICH, table=TABLE)
    def dispatch(self, which, table):
        """Somebody does not wait for more keys."""
        loader = self.some_request(which).loaders.get(TABLES[table])
        self.do(loader.dispatch)

    # -- whole stories ---------------------------------------------------------------------------------------

    def settle(self):
        """The database works, and what was asked before is answered."""
        self.fail(False)
        self.hold(False)
        self.turn(2 * TURNS)

    def all_ask(self, tenant, key, spoken):
        """Every request of a tenant, one after another, by loaders and resolver."""
        for request in [each for each in self.requests if each.tenant == tenant]:
            for table in TABLES:
                self.ask(0, table, [key], spoken, request)
            self.resolve(0, [key, key], spoken, request)
            self.turn(TURNS)

    STORY = {"tenant": TENANT, "table": TABLE, "key": KEY, "spoken": SPOKEN, "everything": st.booleans()}

    @rule(**STORY, by_oldest=st.booleans())
    def change(self, tenant, table, key, spoken, everything, by_oldest):
        """What is known everywhere is written and cleared, and asked for again."""
        self.settle()
        first, last = self.open(tenant, True), self.open(tenant, True)
        self.all_ask(tenant, key, spoken)
        self.write(table, tenant, key)
        self.clear(0, table, None if everything else key, spoken, first if by_oldest else last)
        self.open(tenant, True)
        self.all_ask(tenant, key, spoken)

    @rule(**STORY, late=st.booleans())
    def change_while_it_is_read(self, tenant, table, key, spoken, everything, late):
        """What was read before the clear comes after it: only those may have it who asked before."""
        self.settle()
        reader, writer = self.open(tenant, True), self.open(tenant, True)
        self.clear(0, table, None, spoken, writer)
        self.turn(TURNS)
        self.hold(True)
        for _ in range(2):
            self.ask(0, table, [key], spoken, reader)
            self.turn(TURNS)
        self.cancel(-2)  # the second has joined, and waits
        self.turn(TURNS)
        self.write(table, tenant, key)
        self.clear(0, table, None if everything else key, spoken, writer)
        self.turn(TURNS)
        if late:
            self.hold(False)
        for request in (reader, writer):
            self.turn(TURNS)
            self.ask(0, table, [key], spoken, request)
        self.turn(TURNS)
        self.hold(False)
        self.turn(TURNS)
        self.open(tenant, True)
        self.all_ask(tenant, key, spoken)

    @rule(key=KEY)
    def everybody_asks_at_once(self, key):
        """Tenants and languages ask for the same keys at one moment."""
        self.settle()
        for request in (self.requests[-1], *map(self.open, TENANTS, (True, True))):
            for spoken in LANGUAGES:
                self.ask(0, "book", [key], spoken, request)
                self.resolve(0, [key, key], spoken, request)
        self.turn(TURNS)

    @rule(tenant=TENANT, table=TABLE, key=KEY, spoken=SPOKEN)
    def grow_old(self, tenant, table, key, spoken):
        """A store keeps nothing for longer than a loader class says, and a tenth."""
        self.settle()
        self.open(tenant, True)
        self.all_ask(tenant, key, spoken)
        self.write(table, tenant, key)
        self.no_answer_is_wrong()
        self.time_passes(40.0)
        self.open(tenant, True)
        self.all_ask(tenant, key, spoken)

    @rule(tenant=TENANT, table=TABLE, keys=st.lists(KEY, min_size=1, max_size=2), spoken=SPOKEN)
    def fail_in_the_middle(self, tenant, table, keys, spoken):
        """An error is for those who have asked; the next one loads."""
        self.settle()
        request = self.open(tenant, False)
        self.fail(True)
        self.ask(0, table, keys, spoken, request)
        self.resolve(0, keys, spoken, request)
        self.turn(TURNS)
        self.fail(False)
        self.all_ask(tenant, keys[0], spoken)

    # -- what holds ------------------------------------------------------------------------------------------

    @invariant()
    def no_answer_is_wrong(self):
        """Nobody got what he must not, and nobody was cancelled but who was."""
        if not hasattr(self, "loop"):
            return
        for question in [each for each in self.questions if each.task.done()]:
            self.questions.remove(question)
            if not question.is_cancelled:
                self.end_of(question)
        assert not self.reports

    def end_of(self, question):
        """It has an answer, which was checked, or an error that it must expect."""
        try:
            question.task.result()
        except LoaderClosedError:
            assert question.request.is_closed
        except Boom:
            assert self.booms > question.booms

    def teardown(self):
        """Nobody waits for ever, and nothing is left."""
        if not hasattr(self, "loop"):
            return
        try:
            self.fail(False)
            self.hold(False)
            self.wait_for(lambda: all(each.task.done() for each in self.questions))
            self.no_answer_is_wrong()
            for tenant in TENANTS:
                self.change(tenant, "author", 1, "en", False, False)
            self.no_answer_is_wrong()
            assert not self.questions
            assert all(loader.is_idle for each in self.requests for loader in each.loaders)
            for request in self.requests:
                self.closing.append(self.loop.create_task(request.loaders.aclose()))
            self.wait_for(lambda: all(task.done() for task in self.closing))
            for task in self.closing:
                task.result()
            self.turn(TURNS)
            assert asyncio.all_tasks(self.loop) == set()
            assert not self.reports
        finally:
            self.loop.close()

    def wait_for(self, condition):
        """Turn the loop, but not for ever."""
        for _ in range(END):
            if condition():
                return
            self.turn(1)
        raise AssertionError("somebody waits for ever")


@pytest.mark.in_full
@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_is_wrong_and_nobody_waits_for_ever(kind):
    """Most examples are on one kind of loop: the laws of each part are checked on all."""
    most = settings().max_examples
    run_state_machine_as_test(
        type("Machine", (EverythingMachine,), {"kind": kind}),
        settings=settings(
            max_examples=max(24, most) if kind == "asyncio" else most // 2, stateful_step_count=20
        ),
    )
