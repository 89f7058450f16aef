"""How much of a long test is done: all of it by the gate's job `properties`, elsewhere enough to see that it runs.

That job runs what hypothesis marks itself, and what is marked ``in_full``: what takes long, and would take longer still
where lines are measured, which such tests are not needed for.
"""

from __future__ import annotations

import os
from typing import TypeVar

from hypothesis import settings

T = TypeVar("T")

IN_FULL = os.environ.get("HYPOTHESIS_PROFILE") in {"ci", "explore"}


def amount(full: T, few: T) -> T:
    """The one where tests search longer, else the other."""
    return full if IN_FULL else few


def at_most(examples: int) -> settings:
    """As many random examples as all tests draw, but no more than these: each takes long."""
    return settings(max_examples=min(settings.default.max_examples, examples))
