"""What is recorded: every batch of a block, who asked for it, why it closed, what it came from."""

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from typing import Annotated

import pytest
from loops import Recorder, turns
from pydantic import BaseModel
from trace_data import batch, trace_of

import dloader.trace
from dloader import DataLoader, LoaderRegistry, OptionError, eager, manual
from dloader.resolver import Load, LoaderDepend, Resolver
from dloader.trace import Trace, expected, record, statement
from dloader.trace._sites import place_of, shown_file, sites_here


class Rows(DataLoader):
    async def batch_load_fn(self, keys):
        return [self.row(key) for key in keys]

    def row(self, key):
        return {"id": key}


class UserById(Rows):
    def row(self, key):
        return {"id": key, "team_id": key % 2}


class TeamById(Rows):
    pass


class PostsOfFeed(Rows):
    def row(self, key):
        return [{"id": n, "author_id": n % 4} for n in range(8)]


class Team(BaseModel):
    id: int


class User(BaseModel):
    id: int
    team_id: int
    team: Annotated[Team | None, Load(TeamById, by="team_id")] = None


class Post(BaseModel):
    id: int
    author_id: int
    author: Annotated[User | None, Load(UserById, by="author_id")] = None


class Feed(BaseModel):
    id: int
    posts: Annotated[list[Post], Load(PostsOfFeed, by="id")] = []


def at(trace, batch):
    return [trace.places[place] for place in batch.places]


class TestBatches:
    def test_counts_and_columns(self, run):
        async def law():
            users = DataLoader(Recorder(), name="users")
            with record("two rounds") as trace:
                await asyncio.gather(users.load(1), users.load(1), users.load_many([2, 2]))
                await asyncio.gather(users.load(1), users.load(3))
            first, second = trace.batches
            assert trace.title == "two rounds"
            assert (trace.loads, trace.keys, trace.hits, trace.merged, trace.rounds) == (6, 3, 1, 2, 2)
            assert trace.summary() == {"users": [2, 1]}
            assert (first.name, first.number, first.keys, first.merged, first.round) == ("users", 1, 2, 1, 1)
            assert first.sample == ["1", "2"]
            assert first.opened <= first.closed <= first.started <= first.ended <= second.opened
            assert second.ended <= trace.duration
            assert (first.outcome, first.error, first.failed, first.inside) == ("returned", "", 0, None)
            [loader] = trace.loaders
            assert (loader.name, loader.batches, loader.keys, loader.hits, loader.merged) == (
                "users",
                2,
                3,
                1,
                2,
            )
            assert 0 < trace.running <= trace.duration
            assert trace.findings == trace.failures == trace.warnings == []
            assert [batch.index for batch in trace.chain] == [0, 1]
            assert repr(trace) == "<Trace 'two rounds' loads=6 batches=2 rounds=2>"

        run(law)

    def test_the_lines_that_asked(self, run):
        async def inner(loader):
            return await loader.load(1)

        async def law():
            users = DataLoader(Recorder())
            with record() as trace:
                await inner(users)
            with record(places=False) as without:
                await users.load(2)
            places = at(trace, trace.batches[0])
            assert [place.function for place in places[:2]] == ["inner", "law"]
            assert places[0].file.endswith("trace/test_record.py")
            assert places[0].line == inner.__code__.co_firstlineno + 1
            assert str(places[0]) == f"test_record.py:{places[0].line} in inner"
            assert without.batches[0].places == []

        run(law)

    def test_a_task_begins_nowhere_else(self, run):
        """What is below it is not who asked, but the loop, or who happened to run it."""

        async def handler(loader):
            await turns(2)
            return await loader.load(1)

        async def law():
            users = DataLoader(Recorder())
            with record() as trace:
                await asyncio.create_task(handler(users))
            assert [place.function for place in at(trace, trace.batches[0])] == ["handler"]

        run(law)

    def test_failures(self, run):
        async def law():
            def answer(keys):
                if keys == ["one"]:
                    return [KeyError("no such row")]
                raise ConnectionError("connection reset\nby peer")

            loader = DataLoader(Recorder(answer))
            with record() as trace:
                await asyncio.gather(loader.load("all"), return_exceptions=True)
                await asyncio.gather(loader.load("one"), return_exceptions=True)
                loader.load("left").cancel()
                await turns(6)
            all_, one, left = trace.batches
            assert (all_.outcome, all_.error) == ("failed", "ConnectionError: connection reset")
            assert (one.outcome, one.failed) == ("returned", 1)
            assert (left.outcome, left.started) == ("left", None)
            assert trace.failures == [all_, one]

        run(law)

    def test_what_had_not_ended(self, run):
        async def law():
            gate = asyncio.Event()

            async def load(keys):
                await gate.wait()
                return keys

            loader = DataLoader(load, dispatch=eager())
            with record() as early:
                first = loader.load(1)
                await turns(3)
            assert early.batches[0].outcome == "unfinished"
            assert early.batches[0].ended is None
            with record() as late:
                second = loader.load(2)
                await turns(3)
            loader.load(3)  # opened after the block
            gate.set()
            await asyncio.gather(first, second)
            assert [batch.outcome for batch in late.batches] == ["returned"]

        run(law)

    def test_inside_and_statements(self, run):
        async def law():
            inner = DataLoader(Recorder(), name="inner")

            async def load(keys):
                statement()
                return await inner.load_many(keys)

            with record() as trace:
                await DataLoader(load, name="outer").load(1)
            outer, nested = trace.batches
            assert (outer.statements, nested.statements) == (1, 0)
            assert nested.inside == outer.index

        run(law)

    def test_above_the_limit_batches_are_only_counted(self, run):
        async def law():
            loader = DataLoader(Recorder())
            with record(limit=2) as trace:
                for key in range(5):
                    await loader.load_many([key, -key - 1])
            assert len(trace.batches) == 2
            assert (trace.keys, trace.loads) == (10, 10)
            assert trace.data.skipped_batches == 3
            assert "5 batches" in str(trace)
            assert "the last 3 batches were only counted" in str(trace)

        run(law)

    def test_it_cannot_be_read_too_early(self, run):
        async def law():
            with record() as trace, pytest.raises(OptionError, match="after the `with record"):
                _ = trace.batches
            assert trace.batches == []
            assert trace.rounds == 0
            assert "No loader was asked in a loop." in str(trace)

        run(law)

    def test_a_task_that_lives_on_is_not_recorded_any_more(self, run):
        async def law():
            ended = asyncio.Event()

            async def later():
                await ended.wait()
                loader = DataLoader(Recorder())
                loader.clear(1)
                await loader.load(1)
                await Resolver().resolve(User(id=1, team_id=2))

            with record() as trace:
                task = asyncio.create_task(later())
            ended.set()
            await task
            assert (trace.batches, trace.resolves, trace.steps, trace.loaders) == ([], [], [], [])

        run(law)

    def test_a_task_that_resolves_on_is_recorded_up_to_the_end(self, run):
        async def law():
            gate = asyncio.Event()

            class Slow(Rows):
                async def batch_load_fn(self, keys):
                    await gate.wait()
                    return [{"id": key, "team_id": key} for key in keys]

            class Node(BaseModel):
                id: int
                user: Annotated[User | None, Load(Slow, by="id")] = None

            with record() as trace:
                task = asyncio.create_task(Resolver().resolve(Node(id=1)))
                await turns(4)
            gate.set()
            await task
            assert [field.path for field in trace.fields] == ["Node.user"]

        run(law)

    def test_a_loader_whose_function_has_no_code(self, run):
        class Callable:
            async def __call__(self, keys):
                return keys

        async def law():
            with record() as trace:
                await DataLoader(Callable(), name="Callable").load(1)
            assert [(loader.name, loader.file) for loader in trace.sources] == [("Callable", "")]

        run(law)

    def test_one_record_may_be_used_again_and_nested(self, run):
        async def law():
            recording = record("again")
            loader = DataLoader(Recorder())
            with recording as outer:
                await loader.load(1)
                with recording as inner:
                    await loader.load(2)
            with recording as later:
                await loader.load(3)
            assert [len(trace.batches) for trace in (outer, inner, later)] == [2, 1, 1]

        run(law)

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"title": 5}, id="title"),
            pytest.param({"keys": -1}, id="keys"),
            pytest.param({"keys": True}, id="keys as a flag"),
            pytest.param({"limit": 1.5}, id="limit"),
        ],
    )
    def test_bad_options(self, options):
        with pytest.raises(OptionError, match="record"):
            record(**options)


class TestResolves:
    def test_how_long_values_took_from_the_last_batch_to_the_nodes(self):
        trace = trace_of(
            [batch("A", ended=30.0), batch("A", ended=50.0), batch("A", ended=None)], depths=[0] * 4
        )
        asked = trace.data.steps[0]
        trace.data.steps = [
            replace(asked, path="two.batches", written=70.0, batches=[0, 1]),
            replace(asked, path="two.batches", written=30.5, batches=[0]),
            replace(asked, path="all.cached", asked=3.0, written=10.0),
            replace(asked, path="under.way", written=90.0, batches=[1, 2]),
            replace(asked, path="never.written", written=None, batches=[0]),
        ]
        assert {field.path: field.writing for field in trace.fields} == {
            "two.batches": 20.5,
            "all.cached": 7.0,
            "under.way": 0.0,
            "never.written": 0.0,
        }

    def test_fields_rounds_and_where_keys_came_from(self, run):
        async def law():
            with record("GET /feed") as trace:
                await Resolver().resolve(Feed(id=5))
            posts, authors, teams = trace.batches
            assert [batch.round for batch in trace.batches] == [1, 2, 3]
            assert (authors.came_from, teams.came_from) == ([posts.index], [authors.index])
            assert [(field.path, field.nodes, field.keys, field.distinct) for field in trace.fields] == [
                ("Feed.posts", 1, 1, 1),
                ("Feed.posts.author", 8, 8, 4),
                ("Feed.posts.author.team", 4, 4, 2),
            ]
            assert trace.fields[1].loaders == ("UserById",)
            assert (trace.loads, trace.keys, trace.merged) == (13, 7, 6)
            [resolve] = trace.resolves
            assert resolve.roots == {"Feed": 1}
            assert trace.places[resolve.place].function == "law"
            assert trace.busy
            assert "Post.author" in str(trace)

        run(law)

    def test_an_async_method_with_two_loaders_takes_two_rounds(self, run):
        class Late(BaseModel):
            id: int
            team: Team | None = None

            async def resolve_team(
                self,
                users: Annotated[UserById, LoaderDepend()],
                teams: Annotated[TeamById, LoaderDepend()],
            ):
                user = await users.load(self.id)
                return await teams.load(user["team_id"])

        async def law():
            with record() as trace:
                await Resolver().resolve([Late(id=1), Late(id=2)])
            assert [(batch.name, batch.round) for batch in trace.batches] == [
                ("UserById", 1),
                ("TeamById", 2),
            ]
            assert {trace.steps[step].field for batch in trace.batches for step in batch.steps} == {"team"}

        run(law)

    def test_a_second_resolve_comes_after_the_first(self, run):
        async def law():
            async with LoaderRegistry() as loaders:
                with record() as trace:
                    await Resolver(registry=loaders).resolve(Feed(id=5))
                    await Resolver(registry=loaders).resolve(User(id=9, team_id=7))
            assert [batch.round for batch in trace.batches] == [1, 2, 3, 4]
            assert trace.batches[-1].came_from == []

        run(law)

    def test_keys_come_from_before_a_field_that_was_cached(self, run):
        """All of its keys were there: what follows it came from where these had come from."""

        async def law():
            users = UserById()
            users.prime_many({key: {"id": key, "team_id": key} for key in range(4)})
            with record() as trace:
                await Resolver(loader_instances={UserById: users}).resolve(Feed(id=5))
            posts, teams = trace.batches
            assert teams.came_from == [posts.index]
            assert [field.loaders for field in trace.fields] == [("PostsOfFeed",), (), ("TeamById",)]
            assert trace.hits == 4

        run(law)

    def test_a_resolve_that_failed(self, run):
        class Broken(BaseModel):
            x: int = 0

            def resolve_x(self):
                raise ValueError("no")

        async def law():
            with record() as trace, pytest.raises(ValueError, match="no"):
                await Resolver().resolve(Broken())
            assert trace.resolves[0].error == "ValueError: no"

        run(law)


class TestPrivacy:
    """Keys may be personal data."""

    SECRET = "ada@example.org"

    async def recorded(self, keys):
        def answer(asked):
            raise LookupError(f"no row for {asked}")

        loader = DataLoader(Recorder(answer), name="users")
        with record("private", keys=keys) as trace:
            await asyncio.gather(loader.load(self.SECRET), return_exceptions=True)
        return trace

    @pytest.mark.parametrize("suffix", [".json", ".chrome.json", ".html"])
    @pytest.mark.parametrize(
        "keys",
        [
            pytest.param(0, id="none"),
            pytest.param(lambda key: "***", id="replaced"),
            pytest.param(lambda key: 1 // 0, id="a function that raises"),
            pytest.param(lambda key: {}[key], id="one whose error holds the key"),
        ],
    )
    def test_nothing_shows_them(self, run, tmp_path, keys, suffix):
        async def law():
            trace = await self.recorded(keys)
            assert self.SECRET not in str(trace)
            assert self.SECRET not in trace.save(tmp_path / f"trace{suffix}").read_text("utf-8")
            assert trace.batches[0].error == "LookupError"

        run(law)

    def test_what_a_function_shows(self, run):
        async def law():
            assert (await self.recorded(lambda key: key[:3])).batches[0].sample == ["ada"]
            assert (await self.recorded(lambda key: "x" * 99)).batches[0].sample == ["x" * 39 + "…"]
            assert (await self.recorded(lambda key: 1 // 0)).batches[0].sample == ["?"]
            assert (await self.recorded(0)).batches[0].sample == []
            assert self.SECRET in (await self.recorded(20)).batches[0].error

        run(law)

    def test_values_are_kept_when_asked_for(self, run):
        async def law():
            loader = DataLoader(Recorder())
            with record(values=True, keys=2) as trace:
                await loader.load_many([1, 2, 3])
            with record() as without:
                await loader.load(4)
            assert (trace.batches[0].sample, trace.batches[0].values) == (["1", "2"], ["10", "20"])
            assert without.batches[0].values == []

        run(law)

    def test_many_batches_keep_few_keys_each(self, run):
        async def law():
            loader = DataLoader(Recorder(), 4, dispatch=manual(), cache=False)
            with record() as trace:
                await loader.load_many(range(4 * 501))
            assert {len(batch.sample) for batch in trace.batches} == {3}

        run(law)

    def test_errors_without_words(self, run):
        class Mute(Exception):
            def __str__(self):
                raise ValueError

        async def law():
            def answer(keys):
                raise errors.pop()

            errors: list = [Mute(), KeyError()]
            loader = DataLoader(Recorder(answer))
            with record() as trace:
                for key in range(2):
                    await asyncio.gather(loader.load(key), return_exceptions=True)
            assert [batch.error for batch in trace.batches] == ["KeyError", "Mute"]

        run(law)


class TestSaved:
    def test_json_is_read_again(self, run, tmp_path):
        async def law():
            with record("GET /feed", values=True) as trace:
                await Resolver().resolve(Feed(id=5))
            again = Trace.load(trace.save(tmp_path / "feed.json"))
            assert str(again) == str(trace)
            assert again.as_json() == trace.as_json()
            assert again.as_json() == json.loads((tmp_path / "feed.json").read_text("utf-8"))
            assert Trace.load(str(again.save(tmp_path / "twice.json"))).as_json() == trace.as_json()

        run(law)

    @pytest.mark.parametrize("name", ["feed.txt", "feed", "feed.json.gz", "html"])
    def test_another_name_is_refused(self, run, tmp_path, name):
        async def law():
            with record() as trace:
                pass
            with pytest.raises(OptionError, match=r"\.html, \.json and \.chrome\.json"):
                trace.save(tmp_path / name)
            assert list(tmp_path.iterdir()) == []

        run(law)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            pytest.param("no json", "it is not JSON", id="text"),
            pytest.param("[1]", "its format is not", id="a list"),
            pytest.param('{"format": "dloader trace 0"}', "its format is not", id="another version"),
            pytest.param('{"format": "dloader trace 1"}', "is damaged: KeyError", id="cut"),
            pytest.param("\xff", "it is not JSON", id="letters"),
        ],
    )
    def test_what_is_no_trace_is_refused(self, tmp_path, text, words):
        (tmp_path / "x.json").write_text(text, "latin-1")
        with pytest.raises(OptionError, match=words) as caught:
            Trace.load(tmp_path / "x.json")
        assert "x.json" in str(caught.value)

    def test_chrome_reads_it(self, run, tmp_path):
        async def law():
            slow = DataLoader(Recorder(), 2, name="slow", dispatch=manual())
            with record("GET /feed") as trace:
                await Resolver().resolve(Feed(id=5))
                await slow.load_many(range(4))
            return json.loads(trace.save(tmp_path / "feed.chrome.json").read_text("utf-8"))["traceEvents"]

        events = run(law)
        spans = [event for event in events if event["ph"] == "X" and event["name"] != "runs"]
        assert [span["name"] for span in spans] == ["PostsOfFeed", "UserById", "TeamById", "slow", "slow"]
        assert spans[0]["args"]["closed because"].startswith("the resolver closed it")
        names = {
            event["tid"]: event["args"]["name"] for event in events if event.get("name") == "thread_name"
        }
        assert names[spans[3]["tid"]] == "slow"
        assert names[spans[4]["tid"]] in {"slow", "slow (2)"}
        by_thread: dict = {}
        for span in spans:
            by_thread.setdefault(span["tid"], []).append((span["ts"], span["ts"] + span["dur"]))
        for lane in by_thread.values():
            assert all(one[1] <= other[0] + 0.2 for one, other in pairwise(lane))
        flows = [event["ph"] for event in events if event.get("name") == "keys came from"]
        assert flows == ["s", "f"] * 2

    def test_batches_one_after_the_other_share_a_thread(self, run, tmp_path):
        batches = [batch("A", opened=n * 10, ended=n * 10 + 5, started=None if n else 1) for n in range(3)]
        trace = trace_of(batches)
        events = json.loads(trace.save(tmp_path / "x.chrome.json").read_text("utf-8"))["traceEvents"]
        assert len({event["tid"] for event in events if event["ph"] == "X"}) == 1
        assert sum(event["name"] == "runs" for event in events) == 1

    def test_batches_that_overlap_get_threads_of_their_own(self, run, tmp_path):
        async def law():
            gate = asyncio.Event()

            async def load(keys):
                await gate.wait()
                return keys

            slow = DataLoader(load, 1, name="load")
            with record() as trace:
                futures = [slow.load(key) for key in range(3)]
                await turns(4)
            gate.set()
            trace.batches
            await asyncio.gather(*futures)
            return json.loads(trace.save(tmp_path / "x.chrome.json").read_text("utf-8"))["traceEvents"]

        names = [event["args"]["name"] for event in run(law) if event.get("name") == "thread_name"]
        assert names == ["load", "load (2)", "load (3)"]


class TestCompared:
    def test_what_changed(self, run):
        async def law():
            one, many = DataLoader(Recorder(), name="likes"), DataLoader(Recorder(), name="likes")
            with record() as before:
                for key in range(6):
                    await one.load(key)
            with record() as after:
                await many.load_many(range(6))
            table = before.compare(after)
            assert [line.split() for line in table.splitlines()[:6]] == [
                ["before", "after"],
                ["rounds", "6", "->", "1"],
                ["batches", "6", "->", "1"],
                ["loads", "6", "->", "6"],
                ["keys", "6", "->", "6"],
                ["likes", "6", "->", "1", "batches"],
            ]
            assert "gone: loop: 6 times one key of likes" in table
            assert "new:" not in table
            assert "new:  loop" in after.compare(before)
            assert "likes" not in before.compare(before)

        run(law)


class TestChain:
    def test_a_place_is_waited_for(self):
        batches = [
            batch("A", opened=0, closed=0, started=0, ended=5_000),
            batch("B", opened=0, closed=0, started=0, ended=100),
            batch("A", opened=10, closed=10, started=5_010, ended=9_000, came_from=[1]),
            batch("A", opened=8_990, closed=8_991, started=9_991, ended=10_000),
        ]
        chain = trace_of(batches, duration=10_000.0).chain
        assert [each.index for each in chain] == [0, 2, 3]

    def test_a_busy_loop_is_no_batch(self):
        """One that waited to start, with nothing of its loader before it."""
        batches = [
            batch("B", opened=0, closed=0, started=0, ended=100),
            batch("A", opened=200, closed=200, started=5_000, ended=6_000),
        ]
        assert [each.index for each in trace_of(batches, duration=6_000.0).chain] == [0, 1]

    def test_what_took_no_time_ends_it(self):
        batches = [batch("A", opened=5, closed=5, started=5, ended=5) for _ in range(3)]
        assert len(trace_of(batches).chain) <= 3


class TestPlaces:
    @pytest.mark.parametrize(
        ("file", "shown"),
        [
            ("/usr/lib/python3/site-packages/app/views.py", "app/views.py"),
            ("/usr/lib/python3/dist-packages/app/views.py", "app/views.py"),
            ("/srv/secret/app/views.py", "app/views.py"),
            ("<string>", "<string>"),
        ],
    )
    def test_files_are_shown_without_what_is_private(self, file, shown):
        assert shown_file(file) == shown

    def test_code_that_is_made_at_run_time_is_not_kept_for_ever(self, monkeypatch):
        monkeypatch.setattr("dloader.trace._sites.MOST_KINDS", 1)
        names: dict = {"sites_here": sites_here}
        exec("def one(): return sites_here()\ndef two(): return one()", names)
        sites, by_resolver = names["two"]()
        assert [place_of(*site).function for site in sites[:2]] == ["one", "two"]
        assert by_resolver is False


def test_the_names_are_there():
    assert callable(dloader.trace.statement)
    with expected("nothing"):
        pass
