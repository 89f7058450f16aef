"""How a trace looks in a terminal, and what is said of its batches."""

import asyncio
from dataclasses import replace

import pytest
from loops import Recorder, turns
from trace_data import batch, trace_of

from dloader import DataLoader
from dloader.trace import record
from dloader.trace._words import Words, closed_because, duration, ended_how, plural


class TestTerminal:
    def test_all_marks_in_their_places(self):
        trace = trace_of(
            [
                batch("A", opened=0, closed=100, started=200, ended=500),
                batch("B", opened=500, closed=500, started=500, ended=1000, outcome="failed", error="E: x"),
                batch("C", opened=900, closed=None, started=None, ended=950, outcome="left"),
            ],
            duration=1000,
        )
        lines = trace.text(width=64).splitlines()
        assert [line[53:] for line in lines if line[:1] and line[0] in "ABCb"] == [
            " ░·███",
            "      ▒▒▒▒▒",
            "          ▒",
            "   ████████",
        ]
        assert "FAIL B: E: x" in lines

    def test_one_that_waits_still(self):
        trace = trace_of(
            [batch("A", opened=0, closed=500, started=None, ended=None, outcome="unfinished")],
            duration=1000.0,
        )
        assert any(line.rstrip().endswith("░░░░░·····") for line in trace.text(width=64).splitlines())

    def test_it_fits(self, run):
        async def law():
            loader = DataLoader(Recorder(), name="a name that is much longer than its column")
            with record("title") as trace:
                for key in range(3):
                    await loader.load_many([key, -1 - key])
            for width in (40, 80, 120, 400):
                assert max(map(len, trace.text(width=width).splitlines())) <= max(width, 70)

        run(law)

    def test_so_do_large_numbers_and_long_names(self):
        most = 2.0**53 - 1
        long = "LikesOfPostThatSomebody" * 20
        batches = [batch("A", keys=10**n, opened=n * most / 17, ended=(n + 1) * most / 17) for n in range(16)]
        one = trace_of([*batches, batch(long, keys=2**53 - 1)], duration=most, findings=[([0],)])
        one.data.findings[0] = replace(one.findings[0], message=f"{long}: ask for all", severity=long)
        one.data.title = long
        for text in (one.text(), one.compare(trace_of([])), trace_of([]).compare(one)):
            assert max(map(len, text.splitlines())) <= 80
        assert any("1000000000000000 " in line for line in one.text().splitlines())

    def test_colors_are_an_addition(self, run):
        async def law():
            def answer(keys):
                if keys == [99]:
                    raise ValueError("x")
                return keys

            loader = DataLoader(Recorder(answer))
            with record() as trace:
                for key in range(5):
                    await loader.load(key)
                await asyncio.gather(loader.load(99), return_exceptions=True)
            plain, colored = trace.text(), trace.text(color=True)
            for code in ("33", "31", "2"):
                assert f"\x1b[{code}m" in colored
                colored = colored.replace(f"\x1b[{code}m", "")
            assert colored.replace("\x1b[0m", "") == plain
            assert plain.isascii() is False
            assert trace.text(ascii_only=True).isascii()

        run(law)

    def test_many_rows_are_grouped_by_loader(self, run):
        async def law():
            loaders = [DataLoader(Recorder(), name=f"loader{n}") for n in range(2)]
            with record() as trace:
                for key in range(30):
                    for loader in loaders:
                        await loader.load_many([key, -key - 1])
            lines = trace.text().splitlines()
            assert [line.split()[:2] for line in lines[4:6]] == [["loader0", "x30"], ["loader1", "x30"]]
            assert len(trace.text(verbose=True).splitlines()) > 60

        run(law)

    def test_different_callers_in_one_row(self):
        several = [batch("A", opened=n, ended=n + 1, key=n, places=[n % 2]) for n in range(8)]
        trace = trace_of(several, places=[("a.py", 1, "f"), ("b.py", 2, "g")], findings=[(range(8),)])
        assert "2 places" in trace.text()

    def test_what_was_expected_is_shown_and_is_no_warning(self, run):
        async def law():
            from dloader.trace import expected

            loader = DataLoader(Recorder())
            with record() as trace, expected("computed keys"):
                for key in range(6):
                    await loader.load(key)
            assert trace.warnings == []
            assert "(expected: computed keys)" in " ".join(trace.text().split())
            assert "No loader was asked in a loop." in trace.text()

        run(law)


class TestWords:
    @pytest.mark.parametrize(
        ("microseconds", "words"),
        [
            (0, "0 us"),
            (870.4, "870 us"),
            (12_345, "12.3 ms"),
            (999_949, "999.9 ms"),
            (999_950, "1.00 s"),
            (12_345_678, "12.35 s"),
        ],
    )
    def test_durations(self, microseconds, words):
        assert duration(microseconds) == words

    def test_plurals(self):
        assert (plural(1, "key"), plural(1_200, "key"), plural(2, "batch", "batches")) == (
            "1 key",
            "1,200 keys",
            "2 batches",
        )

    @pytest.mark.parametrize(
        ("why", "words"),
        [
            ("full", "max_batch_size 20"),
            ("policy", "eager()"),
            ("idle", "nothing else was ready"),
            ("quiet", "brought no new key"),
            ("most", "keys kept coming"),
            ("manual", "dispatch() was called"),
            ("draining", "finished what was open"),
            ("resolver", "nothing under way"),
            ("", "it never closed"),
        ],
    )
    def test_why_it_closed(self, why, words):
        trace = trace_of([batch("A", why=why)], max_batch_size=20, policy="eager()")
        assert words in closed_because(trace.batches[0], trace.data)

    @pytest.mark.parametrize(
        ("facts", "words"),
        [
            ({}, ""),
            ({"failed": 1}, "1 key failed"),
            ({"outcome": "failed", "error": "E: x"}, "E: x"),
            ({"outcome": "left"}, "left by everybody"),
            ({"outcome": "left", "started": None}, "left by everybody before it started"),
            ({"outcome": "shut_down"}, "shut down"),
            ({"outcome": "shut_down", "started": None}, "shut down before it started"),
            ({"outcome": "lost"}, "its event loop was closed"),
            ({"outcome": "unfinished", "ended": None}, "had not ended"),
        ],
    )
    def test_how_it_ended(self, facts, words):
        assert ended_how(batch("A", **facts)) == words

    @pytest.mark.parametrize(
        ("before", "facts", "words"),
        [
            ({"instance": 0}, {"instance": 1}, "A 1 belongs to another loader of the same class"),
            ({"why": "full", "keys": 20}, {}, "A 1 was full at 20 keys (max_batch_size 20)"),
            ({"closed": None, "ended": None}, {}, "was still open"),
            ({"why": "idle"}, {}, "had closed (nothing else was ready to run); this key came 95 us later"),
            ({}, {"came_from": [1]}, "these keys came from B, which ended 15 us after that"),
            ({"steps": [0]}, {"steps": [1]}, "A 1 was for depth 1 of the tree, this is for depth 2"),
            ({"steps": [0]}, {"steps": [0]}, "this key came 95 us later"),
        ],
    )
    def test_why_two_batches(self, before, facts, words):
        first = batch("A", **{"opened": 0, "closed": 5, "started": 6, "ended": 10, **before})
        between = batch("B", opened=8, closed=9, started=10, ended=20)
        trace = trace_of([first, between, batch("A", opened=100, **facts)], max_batch_size=20, depths=[1, 2])
        said = Words(trace.data)
        assert words in said.why_not_before(trace.batches[2])
        assert said.why_not_before(trace.batches[0]) == ""
        assert [said.label(each) for each in trace.batches] == ["A 1", "B", "A 2"]

    def test_where_the_other_loader_was_made(self, run):
        """In the block, by the program or by a resolver; before it, nobody has seen that."""

        class Users(DataLoader):
            async def batch_load_fn(self, keys):
                return keys

        async def law():
            before = Users()
            with record() as trace:
                one, two = Users(), Users()
                for loader in (before, one, two):
                    await loader.load(1)
            return trace

        trace = run(law)
        words = Words(trace.data)
        here = f"test_words.py:{law.__code__.co_firstlineno + 3}"
        assert [words.why_not_before(each) for each in trace.batches] == [
            "",
            "Users 1 belongs to another loader of the same class",
            f"Users 2 belongs to another loader of the same class, made at {here}",
        ]

    def test_it_holds_of_what_was_run(self, run):
        async def law():
            loader = DataLoader(Recorder(), 2)
            with record() as trace:
                await loader.load_many([1, 2, 3])
                await turns(1)
                await loader.load(4)
            said = Words(trace.data)
            assert "was full at 2 keys" in said.why_not_before(trace.batches[1])
            assert "had closed" in said.why_not_before(trace.batches[2])

        run(law)
