"""What terminals are shown: inert, and no wider than they are."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from trace_data import batch, trace_of

from dloader._printed import columns, cut, inert, padded, wrapped

texts = st.text(st.sampled_from("ab  -\n\x1b\u202e\u0301\u7528\U0001f600\ud800"), max_size=60) | st.text(
    max_size=60
)


@given(texts)
def test_any_text_is_one_line_that_can_be_printed(text):
    assert inert(text).isprintable()
    assert inert(inert(text)) == inert(text)


@given(texts, st.integers(10, 40), st.integers(0, 5))
def test_lines_fit_and_hold_all_of_it(text, width, indent):
    lines = list(wrapped(text, width, indent=indent))
    assert all(columns(line) <= width for line in lines)
    assert all(line.startswith(" " * indent) for line in lines[1:])
    assert "".join(lines).replace(" ", "") == inert(text).replace(" ", "")
    assert all(line.strip() for line in lines)


@given(texts, st.integers(1, 20))
def test_what_is_cut_fits_and_says_so(text, width):
    short = cut(text, width)
    assert columns(short) <= width
    assert short == inert(text) or short.endswith("…")


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("ab", 2), ("\u7528\u6237", 4), ("e\u0301", 1), ("\U0001f600!", 3), ("\uff21", 2)],
)
def test_columns_of_wide_letters_and_of_marks(text, width):
    assert columns(text) == width
    assert padded(text, 6) == text + " " * (6 - width)


def test_words_are_kept_together_where_they_fit():
    assert list(wrapped("N+1  one two-three four", 12, indent=5)) == [
        "N+1  one",
        "     two-thr",
        "     ee four",
    ]
    assert list(wrapped("aaaa  bb", 5)) == ["aaaa", "bb"]
    assert list(wrapped("aaaaaaa", 3)) == ["aaa", "aaa", "a"]
    assert list(wrapped("   ")) == []


def test_columns_of_a_trace_stand_below_each_other_whatever_the_letters():
    names = ["A", "\u6309\u7f16\u53f7\u52a0\u8f7d\u7528\u6237", "\u7528\u6237" * 20]
    trace = trace_of([batch(name, places=[0]) for name in names], places=[("app/\u7528.py", 3, "f")])
    lines = [line for line in trace.text().splitlines() if "\u2588" in line][:3]
    assert [columns(line.partition("\u2588")[0]) for line in lines] == [54] * 3
    assert all(columns(line) <= 80 for line in trace.text().splitlines())
    compared = trace.compare(trace_of([])).splitlines()
    assert len({columns(line.partition("->")[0]) for line in compared if "->" in line}) == 1
