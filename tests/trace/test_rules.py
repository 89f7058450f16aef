"""What is found, and what is not: programs that ask badly, and programs that only look like them, really run."""

import asyncio
from functools import partial
from typing import Annotated

import pytest
from loops import Recorder, turns
from pydantic import BaseModel
from trace_data import batch, trace_of

from dloader import BatchRecord, DataLoader, LoaderRegistry, OptionError, RepeatedLoadError, eager
from dloader.resolver import Load, LoaderDepend, Resolver
from dloader.trace import expected, record, statement
from dloader.trace._recorder import Made
from dloader.trace._rules import RULES, find
from dloader.trace._strict import StrictCases


class UserById(DataLoader):
    async def batch_load_fn(self, keys):
        return [{"id": key, "manager_id": key + 1, "name": f"user {key}"} for key in keys]


class TeamById(UserById):
    """The same of teams."""


class Tagged(BaseModel):
    id: int
    user: Annotated[dict | None, Load(UserById, by="id")] = None


class Late(BaseModel):
    id: int
    user: dict | None = None

    async def resolve_user(self, loader: Annotated[UserById, LoaderDepend()]):
        await turns(self.id)
        return await loader.load(self.id)


# -- programs that ask badly: by name, with the rule that says so --------------------------------------------


KEYS = range(0, 80, 10)
"""Not one of them stands in the row of another."""


async def loop():
    users = UserById()
    for key in KEYS:
        await users.load(key)


async def loop_in_a_function():
    async def name_of(users, key):
        return (await users.load(key))["name"]

    users = UserById()
    return [await name_of(users, key) for key in KEYS]


async def loop_of_load_many():
    users = UserById()
    for key in KEYS:
        await users.load_many([key])


async def loop_with_some_hits():
    users = UserById()
    for key in (10, 20, 30, 10, 40, 50, 20, 60, 70):
        await users.load(key)


async def loop_in_a_task():
    await asyncio.create_task(loop())


async def loop_in_a_post():
    class Total(BaseModel):
        ids: list[int]
        names: list[str] = []

        async def post_names(self, loader: Annotated[UserById, LoaderDepend()]):
            return [(await loader.load(id))["name"] for id in self.ids]

    await Resolver().resolve(Total(ids=list(KEYS)))


async def resolve_in_a_loop():
    async with LoaderRegistry() as loaders:
        for id in KEYS:
            await Resolver(registry=loaders).resolve(Tagged(id=id))


async def resolves_at_once():
    await asyncio.gather(*(one_resolve(id) for id in KEYS))


async def one_resolve(id):
    return await Resolver().resolve(Tagged(id=id))


async def loader_per_item():
    for key in KEYS:
        await UserById().load(key)


async def loader_of_a_function_per_item():
    async def load(keys):
        return keys

    for key in KEYS:
        await DataLoader(load).load(key)


async def registry_per_item():
    for key in KEYS:
        async with LoaderRegistry() as loaders:
            await loaders.get(UserById).load(key)


async def limit_of_one():
    await UserById(batch=False).load_many(range(8))


async def methods_that_wait():
    await Resolver().resolve([Late(id=n) for n in KEYS])


async def statements_inside():
    async def load(keys):
        for _ in keys:
            statement()
        return keys

    await DataLoader(load).load_many(range(8))


BAD = {
    loop: "loop",
    loop_in_a_function: "loop",
    loop_of_load_many: "loop",
    loop_with_some_hits: "loop",
    loop_in_a_task: "loop",
    loop_in_a_post: "loop",
    resolve_in_a_loop: "resolve-per-item",
    resolves_at_once: "resolve-per-item",
    loader_per_item: "loader-per-item",
    loader_of_a_function_per_item: "loader-per-item",
    registry_per_item: "loader-per-item",
    limit_of_one: "limit-of-one",
    statements_inside: "inside",
}


# -- programs that are as they should be ---------------------------------------------------------------------


async def one_load_many():
    await UserById().load_many(range(100))


async def gathered():
    users = UserById()
    await asyncio.gather(*map(users.load, range(100)))


async def chunks():
    await UserById(max_batch_size=10).load_many(range(100))


async def chunks_in_a_loop():
    users = UserById()
    for start in range(0, 100, 10):
        await users.load_many(range(start, start + 10))


async def four_in_a_loop():
    users = UserById()
    for key in range(4):
        await users.load(key)


async def polling():
    users = UserById(cache=False)
    for _ in range(20):
        await users.load(1)


async def retries():
    def answer(keys):
        raise ConnectionError

    loader = DataLoader(Recorder(answer))
    for _ in range(20):
        await asyncio.gather(loader.load(1), return_exceptions=True)


async def failing_loop():
    def answer(keys):
        raise ConnectionError

    loader = DataLoader(Recorder(answer))
    for key in range(20):
        await asyncio.gather(loader.load(key), return_exceptions=True)


async def a_page_after_the_other():
    users = UserById()
    for start in range(0, 30, 5):
        await users.load_many(range(start, start + 5))


async def one_tree():
    await Resolver().resolve([Tagged(id=n) for n in range(50)])


async def three_resolves_of_lists():
    for start in range(0, 30, 10):
        await Resolver().resolve([Tagged(id=n) for n in range(start, start + 10)])


async def six_resolves_of_lists():
    for start in range(0, 60, 10):
        await Resolver().resolve([Tagged(id=n) for n in range(start, start + 10)])


async def two_registries():
    for _ in range(2):
        async with LoaderRegistry() as loaders:
            await loaders.get(UserById).load_many(range(10))


async def a_loader_for_each_of_many_tenants():
    for tenant in range(8):
        await UserById(name=f"tenant {tenant}").load_many(range(tenant, tenant + 10))


async def five_loaders_at_five_places():
    one, two, three, four, five = UserById(), UserById(), UserById(), UserById(), UserById()
    for users in (one, two, three, four, five):
        await users.load_many([1, 2, 3])


async def hits_only():
    users = UserById()
    await users.load_many(range(8))
    for key in range(8):
        await users.load(key)


async def statements_for_all():
    async def load(keys):
        statement()
        return keys

    await DataLoader(load).load_many(range(8))


async def a_back_end_without_bulk_calls():
    class PerKey(DataLoader):
        statements_per_key = True

        async def batch_load_fn(self, keys):
            for _ in keys:
                statement()
            return keys

    await PerKey().load_many(range(8))


async def cleared_and_loaded_again():
    users = UserById()
    for _ in range(3):
        await users.load_many(range(10))
        users.clear_all()


GOOD = [
    one_load_many,
    gathered,
    chunks,
    chunks_in_a_loop,
    four_in_a_loop,
    polling,
    retries,
    failing_loop,
    a_page_after_the_other,
    one_tree,
    three_resolves_of_lists,
    six_resolves_of_lists,
    two_registries,
    a_loader_for_each_of_many_tenants,
    five_loaders_at_five_places,
    hits_only,
    statements_for_all,
    a_back_end_without_bulk_calls,
    cleared_and_loaded_again,
]


async def traced(program, **options):
    with record(program.__name__, **options) as trace:
        await program()
    return trace


@pytest.mark.usefixtures("no_gap_is_long")
class TestPrograms:
    @pytest.mark.parametrize("program", BAD, ids=lambda program: program.__name__)
    def test_what_is_bad_is_found_and_explained_once(self, run, program):
        async def law():
            trace = await traced(program)
            [finding] = trace.findings
            assert (finding.rule, finding.severity) == (BAD[program], "warning")
            assert finding.rule in RULES
            assert trace.warnings == [finding]
            assert "N+1" in str(trace)
            assert "No loader was asked in a loop" not in str(trace)

        run(law)

    @pytest.mark.parametrize("program", GOOD, ids=lambda program: program.__name__)
    def test_what_is_good_is_left_alone(self, run, program):
        async def law():
            assert (await traced(program)).warnings == []

        run(law)

    def test_the_message_has_loader_place_and_cure(self, run):
        async def law():
            [finding] = (await traced(loop)).findings
            line = loop.__code__.co_firstlineno + 3
            assert finding.message == (
                f"8 times one key of UserById, one after the other, at test_rules.py:{line} in loop: "
                f"ask for all with load_many, or gather"
            )

        run(law)

    def test_without_places_it_is_found_too(self, run):
        async def law():
            [finding] = (await traced(loop, places=False)).findings
            assert (finding.rule, "at a place that is not known" in finding.message) == ("loop", True)

        run(law)

    def test_with_redacted_keys_it_is_found_too(self, run):
        async def law():
            assert [finding.rule for finding in (await traced(loop, keys=0)).findings] == ["loop"]

        run(law)


@pytest.mark.usefixtures("no_gap_is_long")
class Repository:
    """Has a batch function for a method."""

    async def load(self, keys):
        return keys


async def load_for(tenant, keys):
    return keys


def closure_of(item):
    async def load(keys):
        return [(item, key) for key in keys]

    return load


class TestFunctionsThatAreMadeAnew:
    """A closure, a partial and a bound method are others each time, and what they do is the same."""

    MAKERS = pytest.mark.parametrize(
        "make",
        [closure_of, lambda item: partial(load_for, item), lambda _: Repository().load],
        ids=["closure", "partial", "method"],
    )

    @MAKERS
    def test_one_for_each_item_is_found(self, run, make):
        async def law():
            with record() as trace:
                for item in range(0, 60, 10):
                    await DataLoader(make(item)).load(item)
            assert [found.rule for found in trace.warnings] == ["loader-per-item"]
            assert [total.batches for total in trace.loaders] == [6]
            assert len(trace.summary()) == 1

        run(law)

    @MAKERS
    def test_also_while_it_runs(self, run, make):
        async def law():
            with record(strict=True):
                for item in range(0, 60, 10):
                    await DataLoader(make(item)).load(item)

        with pytest.raises(RepeatedLoadError, match="5 loaders .* made, one for each item"):
            run(law)

    def test_those_with_names_of_their_own_stay_apart(self, run):
        async def law():
            with record() as trace:
                for name in ("users", "teams"):
                    await DataLoader(partial(load_for, name), name=name).load(1)
            assert trace.summary() == {"users": [1], "teams": [1]}

        run(law)


class TestChains:
    """One key comes out of the result before: there is nothing to batch."""

    async def walk(self, key_of, steps=8):
        users = UserById()
        key = 0
        for _ in range(steps):
            key = key_of(await users.load(key))

    def test_walking_up_parents_is_no_warning(self, run):
        async def law():
            with record() as trace:
                await self.walk(lambda user: user["manager_id"])
            [finding] = trace.findings
            assert (finding.rule, finding.severity) == ("chain", "info")
            assert "a recursive query" in finding.message

        run(law)

    def test_what_stands_deeper_than_two_levels_is_no_evidence(self, run):
        class Deep(DataLoader):
            async def batch_load_fn(self, keys):
                return [{"page": {"links": {"next": key + 1}}} for key in keys]

        async def law():
            with record() as trace:
                deep = Deep()
                for key in range(8):
                    await deep.load(key)
            assert [finding.rule for finding in trace.findings] == ["loop"]

        run(law)

    def test_batches_that_never_ran_have_taken_no_time(self):
        loop = [batch("A", opened=n * 10.0, ended=n * 10.0 + 9, key=n) for n in range(6)]
        left = batch("B", opened=5.0, closed=6.0, started=None, ended=50.0, outcome="left")
        findings = find(trace_of([*loop, left]).data)
        assert [(finding.rule, finding.severity) for finding in findings] == [("loop", "warning")]

    @pytest.mark.parametrize(
        "row",
        [
            pytest.param(lambda key: {"page": {"next": key + 1}}, id="two levels"),
            pytest.param(lambda key: [0, (key + 1,)], id="in a list"),
            pytest.param(lambda key: key + 1, id="the value itself"),
            pytest.param(lambda key: object(), id="nowhere"),
        ],
    )
    def test_where_the_key_may_stand(self, run, row):
        async def law():
            loader = DataLoader(Recorder(lambda keys: list(map(row, keys))))
            with record() as trace:
                for key in range(8):
                    await loader.load(key)
            is_chain = type(row(0)) is not object
            assert [finding.rule for finding in trace.findings] == ["chain" if is_chain else "loop"]

        run(law)

    def test_an_object_has_attributes(self, run):
        class Row:
            def __init__(self, key):
                self.next = key + 1

        async def law():
            loader = DataLoader(Recorder(lambda keys: list(map(Row, keys))))
            with record() as trace:
                for key in range(8):
                    await loader.load(key)
            assert [finding.rule for finding in trace.findings] == ["chain"]

        run(law)


@pytest.mark.usefixtures("no_gap_is_long")
class TestAgain:
    def test_keys_that_were_there_already(self, run):
        async def law():
            one, two = UserById(), UserById()
            with record() as trace:
                await one.load_many(range(10))
                await two.load_many(range(5, 15))
            [finding] = trace.findings
            assert (finding.rule, finding.severity) == ("again", "info")
            assert finding.message == "5 of 20 keys of UserById were loaded before, by 2 loaders"

        run(law)

    def test_a_loader_without_a_cache(self, run):
        async def law():
            users = UserById(cache=False)
            with record() as trace:
                await users.load_many(range(10))
                await users.load_many(range(10))
            assert [finding.message for finding in trace.findings] == [
                "10 of 20 keys of UserById were loaded before, without a cache"
            ]

        run(law)

    @pytest.mark.parametrize("forget", ["clear", "clear_all", "prime"])
    def test_what_was_cleared_or_primed_is_no_waste(self, run, forget):
        async def law():
            one, two = UserById(), UserById()
            with record() as trace:
                await one.load_many(range(10))
                if forget == "clear_all":
                    one.clear_all()
                for key in range(10):
                    one.clear(key) if forget == "clear" else one.prime(key, {})
                await two.load_many(range(10))
            assert trace.findings == []

        run(law)

    def test_keys_that_cannot_be_hashed(self, run):
        class ByName(DataLoader):
            def cache_key_fn(self, key):
                return key["name"]

            async def batch_load_fn(self, keys):
                return [key["name"] for key in keys]

        async def law():
            one, two = ByName(), ByName()
            keys = [{"name": str(n)} for n in range(6)]
            with record() as trace:
                await one.load_many(keys)
                await two.load_many(keys)
                for n in range(6):
                    await one.load({"name": f"x{n}"})
            assert sorted(finding.rule for finding in trace.findings) == ["again", "loop"]

        run(law)


class TestTime:
    """What depends on time is decided on traces made by hand."""

    def rules(self, batches, **options):
        return [
            (found.rule, found.severity) for found in find(trace_of(batches, duration=1e9, **options).data)
        ]

    def single(self, count, apart, run, **facts):
        return [
            batch("A", opened=n * (apart + run), ended=n * (apart + run) + run, key=n, places=[0], **facts)
            for n in range(count)
        ]

    PLACES = (("app.py", 3, "handler"),)

    @pytest.mark.parametrize(
        ("apart", "run", "severity"),
        [
            pytest.param(100, 1_000, "warning", id="at once"),
            pytest.param(1_900, 10, "warning", id="within two milliseconds"),
            pytest.param(2_100, 10, "info", id="after more than that"),
            pytest.param(9_000, 10_000, "warning", id="within its own time"),
            pytest.param(11_000, 10_000, "info", id="after more than its own time"),
        ],
    )
    def test_messages_that_come_over_time_are_no_warning(self, apart, run, severity):
        assert self.rules(self.single(6, apart, run), places=self.PLACES) == [("loop", severity)]

    @pytest.mark.parametrize("others", [1, 2, 5])
    def test_loads_of_others_in_between_are_no_work_of_another_kind(self, others):
        """A loop that loads from several loaders: each gap is as long as what the others take."""
        batches = [
            batch("ABCDEF"[n], opened=at, ended=at + 10_000, key=at, places=[0])
            for at in range(0, (others + 1) * 60_000, 10_100)
            for n in [at // 10_100 % (others + 1)]
        ]
        found = self.rules(batches, places=self.PLACES)
        assert found == [("loop", "warning")] * (others + 1)

    def test_a_batch_that_never_ran_took_no_time(self):
        batches = [*self.single(6, 100, 1_000), batch("B", opened=10, started=None, ended=None)]
        assert self.rules(batches, places=self.PLACES) == [("loop", "warning")]

    def test_what_overlaps_is_a_hint(self):
        batches = [batch("A", opened=n, ended=n + 100, key=n, places=[0]) for n in range(6)]
        assert self.rules(batches, places=self.PLACES) == [("staggered", "hint")]

    def test_full_batches_that_overlap_are_fine(self):
        batches = [batch("A", opened=n, ended=n + 100, keys=20, why="full", places=[0]) for n in range(6)]
        assert self.rules(batches, places=self.PLACES, max_batch_size=20) == []

    def test_what_has_not_ended_overlaps(self):
        batches = [
            batch("A", opened=n, ended=None, outcome="unfinished", key=n, places=[0]) for n in range(6)
        ]
        assert self.rules(batches, places=self.PLACES) == [("staggered", "hint")]

    def test_a_lane_that_went_in_pieces(self):
        batches = [batch("A", opened=10 * n, ended=10 * n + 9, keys=3, steps=[0]) for n in range(4)]
        assert self.rules(batches, depths=[0]) == [("split", "warning")]
        assert self.rules(batches[:2], depths=[0]) == []
        assert self.rules(batches, depths=[0], max_batch_size=3) == []
        assert self.rules(batches, depths=[0], max_batch_size=100) == [("split", "warning")]

    def test_the_same_loader_at_other_depths_is_another_lane(self):
        batches = [batch("A", opened=10 * n, ended=10 * n + 9, keys=3, steps=[n]) for n in range(4)]
        assert self.rules(batches, depths=[0, 1, 2, 3]) == []

    def test_few_keys_of_many_batches_are_no_waste(self):
        assert self.rules([batch("A", keys=100, again=4)]) == []
        assert self.rules([batch("A", keys=100, again=19)]) == []
        assert self.rules([batch("A", keys=100, again=20)]) == [("again", "info")]

    def test_warnings_come_first(self):
        hints = [batch("A", opened=n, ended=n + 100, key=n, places=[0]) for n in range(6)]
        warnings = [
            batch("B", opened=1e5 + 9 * n, ended=1e5 + 9 * n + 5, key=n, places=[0]) for n in range(6)
        ]
        assert [rule for rule, _ in self.rules([*hints, *warnings], places=self.PLACES)] == [
            "loop",
            "staggered",
        ]

    @pytest.mark.parametrize(("apart", "refused"), [(1, True), (10_000_000, False), (-1, False)])
    def test_what_comes_over_time_or_overlaps_is_not_refused(self, apart, refused):
        loader = UserById()
        cases = StrictCases()
        seen = {loader: Made(loader, (), is_new=False, before=loader.statistics)}
        now = 1_000
        for key in range(4):
            opened = BatchRecord(loader, key + 1, None, (), now)
            assert cases.problem_with(opened, (), None, seen) is None
            opened.note_started(now)
            opened.note_ended("returned", None, [{"unhashable": key}], 0, [], now + 50)
            cases.note_ended(opened, frozenset())
            now += 50 + apart
        problem = cases.problem_with(BatchRecord(loader, 5, None, (), now), (), None, seen)
        assert (problem is not None) is refused

    def test_while_the_program_runs_other_loads_are_no_work_either(self):
        """Each gap is as long as the other loader's batches take."""
        loaders = UserById(), TeamById()
        cases = StrictCases()
        seen = {each: Made(each, (), is_new=False, before=each.statistics) for each in loaders}
        problems = []
        for key in range(10):
            now = key * 10_000_000
            opened = BatchRecord(loaders[key % 2], key + 1, None, (), now)
            problems.append(cases.problem_with(opened, (), None, seen))
            opened.note_started(now)
            opened.note_ended("returned", None, [key], 0, [], now + 9_999_000)
            cases.note_ended(opened, frozenset())
        assert [problem is not None for problem in problems] == [False] * 8 + [True] * 2


@pytest.mark.usefixtures("no_gap_is_long")
class TestSplit:
    def test_methods_that_wait_for_different_times(self, run):
        async def law():
            trace = await traced(methods_that_wait)
            assert {finding.rule for finding in trace.warnings} & {"loop", "split"}

        run(law)


@pytest.mark.usefixtures("no_gap_is_long")
class TestExpected:
    def test_a_block(self, run):
        async def law():
            with record() as trace:
                with expected("each key is computed from the last"):
                    await asyncio.create_task(loop())
                await loop_in_a_function()
            first, last = trace.findings
            assert (first.expected, first.is_warning) == (None, True)
            assert (last.expected, last.is_warning) == ("each key is computed from the last", False)
            assert trace.warnings == [first]

        run(law)

    def test_a_loader_class(self, run):
        class Single(UserById):
            expected = "the service has no bulk call"

        async def law():
            users = Single()
            with record(strict=True) as trace, expected("because of it"):
                for key in KEYS:
                    await users.load(key)
            assert [finding.expected for finding in trace.findings] == ["because of it"]

        run(law)

    def test_a_loader_class_alone(self, run):
        class Single(UserById):
            expected = "the service has no bulk call"

        async def law():
            users = Single()
            with record() as trace:
                for key in KEYS:
                    await users.load(key)
            assert [finding.expected for finding in trace.findings] == ["the service has no bulk call"]

        run(law)

    def test_a_loader_class_in_a_strict_block(self, run):
        class Single(UserById):
            expected = "the service has no bulk call"

        async def law():
            users = Single()
            with record(strict=True) as trace:
                for key in KEYS:
                    await users.load(key)
                for key in KEYS:
                    await Single().load(key)
            assert trace.warnings == []
            assert {finding.expected for finding in trace.findings} == {"the service has no bulk call"}

        run(law)

    @pytest.mark.parametrize("reason", ["", None, 5])
    def test_what_is_no_reason_is_refused(self, reason):
        with pytest.raises(OptionError, match=r"expected\(\) takes the reason, in words, not"):
            expected(reason)

    @pytest.mark.parametrize("turns", [(1, 3), (3, 1)], ids=str)
    def test_one_block_for_several_tasks_which_leave_in_any_order(self, run, turns):
        computed = expected("each key is computed from the last")

        async def reasons(turns):
            users = UserById()
            with record() as trace:
                with computed:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    await users.load(1)
                await users.load(2)
            return [batch.expected for batch in trace.batches]

        async def law():
            found = await asyncio.gather(*map(reasons, turns))
            assert found == [["each key is computed from the last", None]] * 2

        run(law)

    def test_a_block_that_is_left_twice(self):
        block = expected("x")
        with block:
            pass
        block.__exit__(None, None, None)


@pytest.mark.usefixtures("no_gap_is_long")
class TestStrict:
    @pytest.mark.parametrize(
        ("program", "words"),
        [
            (
                loop,
                r"5 times one key of UserById, one after the other, at test_rules\.py:\d+ in loop: ask for all",
            ),
            (loop_in_a_function, "in name_of"),
            (
                loader_per_item,
                r"5 loaders UserById made, one for each item, at test_rules\.py:\d+ in ",
            ),
        ],
    )
    def test_the_fifth_load_is_refused_where_it_is_made(self, run, program, words):
        async def law():
            with pytest.raises(RepeatedLoadError, match=words):
                await traced(program, strict=True)

        run(law)

    def test_in_a_method_the_error_has_the_path(self, run):
        async def law():
            with pytest.raises(RepeatedLoadError) as caught:
                await traced(loop_in_a_post, strict=True)
            assert "Total" in caught.value.__notes__[0]

        run(law)

    def test_without_places(self, run):
        async def law():
            with pytest.raises(RepeatedLoadError, match="one after the other: ask for all"):
                await traced(loop, strict=True, places=False)

        run(law)

    @pytest.mark.parametrize("program", GOOD, ids=lambda program: program.__name__)
    def test_what_is_good_is_let_through(self, run, program):
        async def law():
            await traced(program, strict=True)

        run(law)

    def test_so_are_chains_and_what_is_expected(self, run):
        async def law():
            with record(strict=True):
                await TestChains().walk(lambda user: user["manager_id"])
                with expected("on purpose"):
                    await loop()

        run(law)

    def test_what_overlaps_is_no_loop(self, run):
        async def law():
            gate = asyncio.Event()

            async def load(keys):
                await gate.wait()
                return keys

            loader = DataLoader(load, dispatch=eager())
            with record(strict=True):
                futures = []
                for key in range(8):
                    futures.append(loader.load(key))
                    await turns(3)
                gate.set()
                await asyncio.gather(*futures)

        run(law)

    def test_the_loader_works_on(self, run):
        async def law():
            users = UserById()
            with record(strict=True):
                with pytest.raises(RepeatedLoadError):
                    await in_a_loop(users)
                assert len(await users.load_many(range(20))) == 20
            assert users.is_idle

        async def in_a_loop(users):
            for key in KEYS:
                await users.load(key)

        run(law)


def test_of_a_loader_per_item_only_the_batches_of_those_loaders_are_meant(run):
    """Not those of a resolver's, nor of one that was made elsewhere, with a loop of its own."""

    async def law():
        with record() as trace:
            await Resolver().resolve([Tagged(id=id) for id in KEYS])
            for key in KEYS:
                await UserById().load(key)
            other = UserById()
            with expected("on purpose"):
                for key in KEYS:
                    await other.load(key)
        return trace

    trace = run(law)
    per_item, loop = trace.findings
    assert (per_item.rule, loop.rule, loop.expected) == ("loader-per-item", "loop", "on purpose")
    assert [trace.batches[index].number for index in per_item.batches] == [1] * len(KEYS)
    assert [trace.batches[index].number for index in loop.batches] == [*range(1, len(KEYS) + 1)]
