"""The page of a trace, in a real browser: by keyboard alone, with hostile keys, narrow, and with 10,000 batches."""

import json
import re
from pathlib import Path

import pytest
from browsers import browser
from trace_data import batch, trace_of

from dloader import _pages as pages, trace as traces
from dloader.trace._page import page

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "\"'><b>bold</b>",
    "\u202egnp.exe\u202c",
    "\u2028\u2029\x00",
    "&lt;&amp;",
]
PLACES = [("app/<b>views</b>.py", 3, "handler"), ("app/feed.py", 5, "likes")]


def some_trace(**options):
    """A loop of 24, a failure, batches that came from others, one inside another, one that had not ended."""
    batches = [
        batch("UserById", opened=0, closed=50, started=100, ended=5_000, keys=3, sample=HOSTILE, places=[0]),
        batch(
            "<i>Weather</i>", opened=10, ended=9_000, outcome="failed", error=f"E: {HOSTILE[0]}", places=[0]
        ),
        batch("PostById", opened=6_000, ended=12_000, keys=20, came_from=[0], steps=[0], values=HOSTILE),
        *(
            batch("LikesOf", opened=13_000 + n * 1_000, ended=13_900 + n * 1_000, places=[1], key=n)
            for n in range(24)
        ),
        batch("PostById", opened=38_000, closed=38_000, started=None, ended=39_000, outcome="left", inside=2),
        batch("UserById", opened=39_000, ended=None, outcome="unfinished", came_from=[2], round=4),
    ]
    return trace_of(
        batches, duration=40_000.0, places=PLACES, findings=[(range(3, 27),)], depths=[1], **options
    )


def data_of_page(trace):
    """What its script reads."""
    return json.loads(re.search(r'id="data">(.*)</script>\n<script>', page(trace))[1])


class TestWithoutScript:
    def test_facts_verdict_and_tables_are_there(self):
        text = page(some_trace())
        assert "<h1>made by hand</h1>" in text
        assert "1 finding · 1 failed batch" in text
        assert '<table id="loaders">' in text
        assert "Content-Security-Policy" in text
        assert not re.search(r'(src|href)="(?!#)', text.replace("src=x", ""))

    def test_a_good_one_says_so(self):
        text = page(trace_of([batch("A")]))
        assert "✓ No loader was asked in a loop. 1 call instead of 1." in text

    def test_nothing_at_all(self):
        assert "0 calls" in page(trace_of([], duration=0.0))

    def test_what_was_skipped_is_said(self):
        trace = trace_of([batch("A")])
        trace.data.skipped_batches = 5
        assert "The last 5 batches were only counted" in page(trace)

    def test_long_chains_are_cut(self):
        batches = [batch("AB"[n % 2], opened=n * 3_000, ended=n * 3_000 + 900) for n in range(30)]
        text = page(trace_of(batches, duration=90_000.0))
        assert "Python 2.1 ms" in text
        assert " more → " in text

    def test_of_very_many_batches_some_are_shown_and_all_are_counted(self, monkeypatch):
        """Of each loader the longest, all that failed, and all of findings; of the others how many ran at once."""
        assert data_of_page(some_trace())["rest"] == {}
        monkeypatch.setattr("dloader.trace._quota.MOST_BATCHES", 10)
        monkeypatch.setattr("dloader.trace._quota.LONGEST", 1)
        batches = [
            *(batch("A", opened=n * 100, ended=n * 100 + 50 + n, keys=2) for n in range(10)),
            batch("A", opened=500, ended=501, outcome="failed", error="E"),
            batch("A", opened=0, ended=None, outcome="unfinished"),
            batch("B", opened=0, ended=10),
            batch("B", opened=0, closed=None, started=None, ended=None, outcome="unfinished"),
            *(batch("B", opened=n, ended=n + 1) for n in (1, 2)),
        ]
        trace = trace_of(batches, findings=[([3],)])
        text = page(trace)
        assert "The picture has 4 of 16 batches one by one: of each loader the " in text
        assert "<b>26</b> keys loaded" in text
        data = data_of_page(trace)
        assert data["batches"]["label"] == ["A 4", "A 11", "A 12", "B 1"]
        assert data["batches"]["before"] == [None, None, 1, None]
        assert sum(map(len, data["rows"])) == 4
        a, b = data["rest"]["0"], data["rest"]["1"]
        assert (a["batches"], a["keys"], a["ran"]) == (9, 18, sum(50 + n for n in range(10) if n != 3))
        assert (b["batches"], b["keys"], b["ran"]) == (3, 3, 2)
        assert {len(a["density"]), len(b["density"])} == {2_000}
        assert sum(a["density"]) / 2_000 * trace.duration == pytest.approx(a["ran"], rel=1e-3)
        assert b["density"][:8] == [0, 0, 1, 1, 1, 1, 0, 0]

    def test_no_time_at_all(self, monkeypatch):
        monkeypatch.setattr("dloader.trace._quota.MOST_BATCHES", 0)
        monkeypatch.setattr("dloader.trace._quota.LONGEST", 0)
        data = data_of_page(trace_of([batch("A", ended=0.0)], duration=0.0))
        assert (data["rest"]["0"]["batches"], sum(data["rest"]["0"]["density"])) == (1, 0)

    def test_when_resolvers_held_the_loop_is_added_up_and_gaps_that_nobody_sees_are_closed(self):
        trace = trace_of([batch("A")], duration=10_000.0)
        trace.data.busy = [(100.0, 900.0), (902.0, 1_500.0), (1_400.0, 2_000.0), (4_000.0, 5_000.0)]
        assert "for 2.9 ms resolvers held the event loop" in page(trace)
        assert data_of_page(trace)["busy"] == [[100, 2_000], [4_000, 5_000]]
        assert "a batch was running</span>" in page(trace_of([batch("A")]))

    def test_expected_findings_are_remarks(self):
        from dataclasses import replace

        trace = trace_of([batch("A", key=n) for n in range(6)], findings=[(range(6),), ((),)])
        trace.data.findings = [replace(found, expected="on purpose") for found in trace.findings]
        assert "(expected: on purpose)" in page(trace)
        assert "2 remarks" in page(trace)

    def test_fields_that_were_cached(self):
        from dataclasses import replace

        trace = trace_of([batch("A", steps=[0])], depths=[0, 1])
        trace.data.steps = [
            replace(trace.steps[0], hits=2, path="Root.a"),
            replace(trace.steps[1], path="Root.b"),
        ]
        text = page(trace)
        assert "all from cache" in text
        assert "1 distinct, 2 from cache" in text


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A browser, and a folder for pages."""
    with browser() as session:
        yield session, tmp_path_factory.mktemp("pages")


@pytest.fixture
def show(seen):
    """Shows a trace, and checks at the end that nothing was said and nothing fetched."""
    session, folder = seen
    file = folder / "page.html"

    def opened(trace, **size):
        file.write_text(page(trace), "utf-8")
        session.open(file, **size)
        assert session.run("return document.documentElement.dataset.ready") == "true"
        return session

    yield opened
    assert session.messages() == []
    assert session.requests() == [file.as_uri()]
    assert session.run("return window.hacked === undefined")


PICKED = "return document.querySelector('[aria-selected=true]').getAttribute('aria-label')"
ROWS = "return [...document.querySelectorAll('#space [role=row]')].map((row) => row.firstChild.textContent)"


class TestInABrowser:
    def test_hostile_keys_stay_inert(self, show):
        session = show(some_trace())
        detail = session.run("return document.getElementById('detail').innerText")
        for key in HOSTILE[:3]:
            assert key in detail
        assert session.run("return document.querySelectorAll('img, b:not(.facts b)').length") == 0

    def test_marks_that_turn_text_are_shown_as_such(self, show):
        session = show(trace_of([batch("a\u202eb", sample=["\u202egnp.exe"])]))
        assert "\\u202egnp.exe" in session.run("return document.getElementById('detail').innerText")
        assert "a\\u202eb" in session.run("return document.getElementById('loaders').innerText")
        assert not session.run(
            "return /[\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]/.test(document.body.innerText)"
        )

    @pytest.mark.parametrize(("dark", "back"), [(False, "rgb(255, 255, 255)"), (True, "rgb(13, 17, 23)")])
    def test_it_is_light_or_dark_as_the_machine_is(self, show, dark, back):
        session = show(some_trace(), dark=dark)
        assert session.run("return getComputedStyle(document.body).backgroundColor") == back

    def test_what_a_screen_reader_is_told(self, show):
        """A tree grid of rows that are sentences, tables beside the pictures, and a name for all that has the focus."""
        told = show(some_trace()).told()
        [grid] = [facts for role, name, facts in told if (role, name) == ("treegrid", "Batches")]
        assert grid["activedescendant"]["relatedNodes"][0]["idref"] == "r-b0"
        rows = {name: facts for role, name, facts in told if role == "row" and ", asked by " in name}
        assert len(rows) == 6
        [loop] = [name for name in rows if name.startswith("LikesOf ") and ", 24 keys" in name]
        assert (rows[loop]["level"], rows[loop]["expanded"]) == (1, False)
        assert [facts["selected"] for facts in rows.values()] == [True] + [False] * 5
        assert [role for role, _, _ in told].count("table") == 2
        [picture] = [name for role, name, _ in told if role == "image"]
        assert "the table of loaders below says the same" in picture
        reached = [
            (role, name) for role, name, facts in told if facts.get("focusable") and role != "rowgroup"
        ]
        assert [role for role, name in reached if not name] == []

    def test_a_walk_by_keyboard(self, show):
        session = show(some_trace())
        session.run("document.getElementById('all').focus()")
        session.press("Tab", "Tab", "Tab")
        assert session.run("return document.activeElement.id") == "grid"
        rows = session.run(ROWS)
        assert len(rows) == 6
        assert "N+1" in rows[3]
        session.press("Down", "Down")
        assert session.run(PICKED).startswith("PostById 1, asked by Node.field, 20 keys")
        active = session.run("return document.getElementById('grid').getAttribute('aria-activedescendant')")
        assert (
            session.run(f"return document.getElementById('{active}').getAttribute('aria-selected')") == "true"
        )
        session.press("p")
        assert session.run(PICKED).startswith("UserById 1")
        session.press("c")
        assert session.run(PICKED).startswith("PostById 1")
        session.press("n", "Right", "Down")
        assert session.run(PICKED).startswith("LikesOf 1")
        assert len(session.run(ROWS)) > 20
        session.press("Left", "Left")
        assert len(session.run(ROWS)) == 6
        session.press("n")
        assert session.run(PICKED).startswith("PostById 2")
        session.press("N", "N")
        assert session.run(PICKED).startswith("<i>Weather</i>")
        session.press("End")
        assert session.run(PICKED).startswith("UserById 2")
        assert "had not ended" in session.run("return document.getElementById('detail').innerText")
        session.press("Home", "z", "+", "-", "]", "[", "0", "t")
        assert session.run("return document.documentElement.dataset.theme") in {"dark", "light"}
        session.press("?")
        assert session.run("return document.getElementById('help').open")
        session.press("Escape", "/")
        assert session.run("return document.activeElement.id") == "filter"
        session.press("l", "i", "k", "e")
        assert session.run("return document.getElementById('count').textContent") == "24 batches"
        session.press("Down")
        assert session.run("return document.activeElement.id") == "grid"

    def test_the_batch_before_is_a_link_to_it(self, show):
        apart = [batch("Apart", opened=n * 1_000, ended=n * 1_000 + 900, instance=n) for n in range(2)]
        first = [batch("Same", opened=n * 1_000, closed=n * 1_000, ended=n * 1_000 + 900) for n in (2, 3)]
        session = show(trace_of([*apart, *first], duration=5_000.0))
        why = """
            const terms = [...document.querySelectorAll('#detail dt')];
            const term = terms.find((each) => each.textContent.startsWith('why'));
            return term ? term.nextSibling.textContent + ' -> ' + term.nextSibling.querySelector('a').textContent : '';
        """
        session.run("document.getElementById('grid').focus()")
        session.press("Home")
        assert session.run(why) == ""
        session.press("Down")
        assert session.run(why) == "Apart 1 belongs to another loader of the same class -> Apart 1"
        session.press("End")
        assert re.fullmatch(
            r"Same 1 had closed \(.*\); this key came 1.0 ms later -> Same 1", session.run(why)
        )
        session.run("[...document.querySelectorAll('#detail a')][0].click()")
        assert session.run(PICKED).startswith("Same 1")

    def test_orders_filters_and_tables(self, show):
        session = show(some_trace())
        for order, count in (("loader", 4), ("asked", 3)):
            session.run(
                f"const s = document.getElementById('order'); s.value = '{order}'; s.dispatchEvent(new Event('change'))"
            )
            assert session.run("return document.getElementById('grid').getAttribute('aria-rowcount')") >= str(
                count
            )
        session.run("document.getElementById('bad').click()")
        assert session.run("return document.getElementById('count').textContent") == "26 batches"
        session.run("document.querySelector('#loaders tbody tr').click()")
        session.run("document.querySelectorAll('#loaders th button')[1].click()")
        assert session.run("return document.querySelector('#loaders th[aria-sort]').textContent") == "batches"
        assert session.run("return document.querySelector('#loaders tbody td').textContent") == "LikesOf"

    def test_when_a_resolver_held_the_loop_is_drawn_and_said(self, show):
        session = show(some_trace())
        assert session.run("return document.getElementById('held').hidden")
        trace = some_trace()
        trace.data.busy = [(0.0, 50.0), (2_000.0, 4_500.0), (39_500.0, 40_000.0)]
        session = show(trace)
        assert not session.run("return document.getElementById('held').hidden")
        held = (
            "return [...document.querySelectorAll('#space [role=row]')]"
            ".map((row) => row.querySelectorAll('.bar.held').length)"
        )
        assert session.run(held) == [1, 1, 0, 0, 0, 1]
        assert "for 2.5 ms of this a resolver held the event loop" in session.run(
            "return document.getElementById('detail').innerText"
        )
        session.run("document.getElementById('grid').focus()")
        session.press("Down", "Down")
        assert "held the event loop" not in session.run("return document.getElementById('detail').innerText")

    @pytest.mark.parametrize("width", [400, 760])
    def test_narrow(self, show, width):
        """Nothing is wider, time has two ends, the longest chain is marked, buttons stay together."""
        session = show(some_trace(), width=width, height=800)
        assert session.run("return document.documentElement.scrollWidth <= innerWidth")
        ticks = session.run(
            "return [...document.querySelectorAll('#scale .tick')].map((node) => node.textContent)"
        )
        assert (ticks[0], ticks[-1]) == ("0", "40.0 ms")
        inside = """
            return [...document.querySelectorAll('.label .mark')].map((mark) =>
                mark.getBoundingClientRect().right <= mark.parentElement.getBoundingClientRect().right);
        """
        assert set(session.run(inside)) == {True}
        tops = (
            "return ['out', 'in', 'all'].map((id) => document.getElementById(id).getBoundingClientRect().top)"
        )
        assert len(set(session.run(tops))) == 1

    def test_what_is_not_shown_one_by_one_is_in_numbers_and_pictures(self, show, monkeypatch):
        monkeypatch.setattr("dloader.trace._quota.MOST_BATCHES", 500)
        monkeypatch.setattr("dloader.trace._quota.LONGEST", 10)
        many = [
            batch(f"Loader{n % 2}", opened=n * 10.0, ended=n * 10.0 + 9, keys=2, places=[n % 2])
            for n in range(1_000)
        ]
        session = show(trace_of(many, duration=20_000.0, places=PLACES))
        counted = "return document.getElementById('count').textContent"
        assert session.run(counted) == "20 of 1,000 batches"
        session.run(
            "const s = document.getElementById('order'); s.value = 'loader'; s.dispatchEvent(new Event('change'))"
        )
        assert session.run(counted) == "1,000 batches"
        assert session.run(ROWS) == ["▸Loader0 \u00d7 500◆", "▸Loader1 \u00d7 500◆"]
        assert "Loader0 \u00d7 500, asked by " in session.run(PICKED)
        assert "1,000 keys, ran 4.5 ms" in session.run(PICKED)
        assert "500, of which 10 are here one by one" in session.run(
            "return document.getElementById('detail').innerText"
        )
        painted = """
            const canvas = document.querySelector('.comb'), width = canvas.width;
            const line = canvas.getContext('2d').getImageData(0, 18, width, 1).data;
            return [0.1, 0.4, 0.8].map((x) => line[4 * Math.floor(x * width) + 3] > 0);
        """
        assert session.run(painted) == [True, True, False]
        session.run("document.getElementById('grid').focus()")
        session.press("Right", "Down")
        assert session.run(PICKED).startswith("Loader0 ")
        assert len(session.run(ROWS)) == 12

    def test_ten_thousand_batches(self, show):
        many = [
            batch(
                f"Loader{n % 7}", opened=float(n * 100), ended=float(n * 100 + 90), places=[n % 2], keys=n % 9
            )
            for n in range(10_000)
        ]
        session = show(trace_of(many, duration=1e6, places=PLACES))
        assert session.run("return document.getElementById('count').textContent") == "10,000 batches"
        assert session.run("return document.querySelectorAll('#space *').length") < 2_000
        session.run("document.getElementById('grid').focus()")
        session.press("Right", "End", "Up", "PageUp", "PageDown", "Home")
        assert session.run(PICKED).startswith("Loader")

    def test_contrast(self, show):
        """Of every text that is to be read, in both themes: 4.5 to 1 or better."""
        session = show(some_trace())
        for _ in range(2):
            worst = session.run(CONTRAST)
            assert worst[0] >= 4.5, worst
            session.run("document.activeElement.blur()")
            session.press("t")


class TestStyle:
    def test_the_page_of_a_trace_is_thirty_kilobytes(self):
        """Markup, style and script of our own: no library is needed, and none fits beside them."""
        parts = [*Path(pages.__file__).parent.glob("page.*"), *Path(traces.__file__).parent.glob("page.*")]
        assert 20_000 < sum(part.stat().st_size for part in parts) < 34_000

    @pytest.mark.parametrize(("theme", "text", "grey", "hue"), [(0, 15.5, 6, 4.6), (1, 15.5, 7, 6.4)])
    def test_colors_stand_out(self, theme, text, grey, hue):
        style = (Path(pages.__file__).parent / "page.css").read_text("utf-8")
        colors = dict(re.findall(r"--(\w+):(#\w+)", style.split("}")[theme]))
        back = luminance(colors["bg"])
        contrast = {name: ratio(luminance(color), back) for name, color in colors.items()}
        assert contrast["text"] >= text
        assert contrast["grey"] >= grey
        assert min(contrast[f"h{number}"] for number in range(7)) >= hue
        for name in ("warn", "good"):
            assert ratio(luminance(colors[name]), luminance(colors[f"{name}bg"])) >= 5


def luminance(color):
    """Of #rgb or #rrggbb, as WCAG has it."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(one, two):
    return (max(one, two) + 0.05) / (min(one, two) + 0.05)


CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
