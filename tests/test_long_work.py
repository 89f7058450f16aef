"""The long work (long_work.py), for some seconds: nothing grows, and what would grow is found."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("redis", reason="install the extra test again")

import long_work
from long_work import Sample

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

FEW = 6
FIRST = Sample(100, 80.0, 100_000, 2, 20, 0, 1, 0, 1)


def test_random_work_of_some_seconds_leaves_nothing(capsys):
    assert long_work.run(2.0, 1, FEW) == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(Sample._fields)
    assert [line.split()[0] for line in lines[1:11]] == [f"{number}0%" for number in range(1, 11)]


def test_a_session_that_is_kept_is_found():
    kept = []
    found = long_work.run(0.5, 2, FEW, kept.append)
    assert any(line.startswith("sessions: ") for line in found)


@pytest.mark.parametrize("name", Sample._fields[1:])
def test_whatever_grows_is_named(name):
    now = getattr(FIRST, name)
    last = FIRST._replace(**{name: now + 1 + (now > 10) * now})
    last = last if name != "megabytes" else FIRST._replace(megabytes=90.0)
    assert [line.partition(":")[0] for line in long_work.grown([FIRST] * 5 + [last])] == [name]


def test_what_was_there_in_the_first_half_may_be_there_at_the_end():
    most = FIRST._replace(tasks=3, megabytes=84.0)
    assert long_work.grown([FIRST, most, FIRST, most, FIRST, most]) == []
