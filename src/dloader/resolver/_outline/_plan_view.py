"""ResolvePlan: what users hold of a plan."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dloader import OptionError
from dloader.resolver._outline._mermaid import mermaid
from dloader.resolver._outline._page import page
from dloader.resolver._outline._picture import svg
from dloader.resolver._outline._planned_calls import Outline, PlannedCall, Row
from dloader.resolver._outline._runs import CallRun, TracedRun, runs_of
from dloader.resolver._outline._text import chain_words, head, show

__all__ = ("ResolvePlan",)


class ResolvePlan:
    """What a resolve of a model will do: made by `Resolver.plan`, without loading anything.

    A *round* is one wait for a back end; a *call* is one batch, of one loader at one depth. What only a run knows is
    not in it: a method may load nothing, an ``async def`` method with two loaders may take two rounds, and subclasses
    that no type names may turn up.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import BaseModel
        >>> from dloader import DataLoader
        >>> from dloader.resolver import Load, Resolver
        >>> class UserLoader(DataLoader[int, dict]):
        ...     pass
        >>> class User(BaseModel):
        ...     id: int
        >>> class Task(BaseModel):
        ...     owner_id: int
        ...     owner: Annotated[User | None, Load(UserLoader, by="owner_id")] = None
        >>> plan = Resolver.plan(Task)
        >>> plan.rounds, plan.calls, plan.loaders
        (1, 1, ('UserLoader',))
        >>> print(plan)
        Plan of Task: 1 round, at most 1 call, 1 loader, 2 classes
        <BLANKLINE>
        Round 1
          UserLoader               Task.owner → User  by owner_id
        <BLANKLINE>
    """

    def __init__(
        self, outline: Outline, runs: Mapping[PlannedCall, CallRun] | None = None, run_title: str = ""
    ) -> None:
        """See `Resolver.plan`."""
        self._outline = outline
        self._runs = runs
        self._run_title = run_title

    @property
    def rounds(self) -> int:
        """How often one has to wait for a back end, one time after the other."""
        return max((call.round for call in self._outline.calls), default=0)

    @property
    def calls(self) -> int:
        """How many batches there are at most, unless a loader gets more keys than its ``max_batch_size``."""
        return len(self._outline.calls)

    @property
    def loaders(self) -> Sequence[str]:
        """The names of the loaders that may be used."""
        return tuple(dict.fromkeys(call.name for call in self._outline.calls))

    @property
    def calls_made(self) -> int | None:
        """How many batches the run made that the plan was compared with; None without a run."""
        return None if self._runs is None else sum(run.calls for run in self._runs.values())

    @property
    def head(self) -> str:
        """What it costs, in a line: ``Plan of Feed: 4 rounds, at most 6 calls``."""
        return head(self._outline)

    @property
    def chain(self) -> str:
        """The loaders and fields that make it as many rounds as it has, in words."""
        return chain_words(_longest(self._outline.calls))

    def compare(self, trace: TracedRun) -> Self:
        """Return the same plan with the numbers of a run in it.

        Args:
            trace: A `dloader.trace.Trace` of a resolve of the model; resolves of others in it are left out.
        """
        return type(self)(self._outline, runs_of(self._outline.calls, trace), trace.title)

    def as_json(self) -> dict[str, Any]:
        """Return plain data, as `save` writes it to a ``.json`` file."""
        calls = self._outline.calls
        numbers = {call: number for number, call in enumerate(calls)}
        return {
            "format": "dloader plan 1",
            "roots": list(self._outline.roots),
            "rounds": self.rounds,
            "calls": self.calls,
            "classes": self._outline.classes,
            "parameters": {name: list(wanted) for name, wanted in self._outline.parameters.items()},
            "planned": [_call_json(call, numbers, self._runs) for call in calls],
        }

    def save(self, path: str | Path) -> Path:
        """Write the plan to a file.

        Args:
            path: It says what is written: ``.html`` one page that needs no network, ``.svg`` the picture, ``.mmd`` for
                Mermaid, ``.json`` plain data, ``.txt`` what is printed.

        Returns:
            Where it was written.

        Raises:
            OptionError: The name ends in something else, or Mermaid would not draw it.
        """
        target = Path(path)
        text = self.written_as(target.suffix, target.name)
        target.write_text(text, encoding="utf-8", errors="backslashreplace")
        return target

    def written_as(self, suffix: str, name: str = "") -> str:
        """Return what `save` writes.

        Raises:
            OptionError: The suffix is another one.
        """
        if suffix == ".html":
            return page(self._outline, self._runs, self._run_title)
        if suffix == ".svg":
            return svg(self._outline, self._runs)
        if suffix == ".mmd":
            return mermaid(self._outline)
        if suffix == ".json":
            return json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n"
        if suffix == ".txt":
            return str(self)
        raise OptionError(f"a plan is saved as .html, .svg, .mmd, .json or .txt, not {name or suffix!r}")

    def __str__(self) -> str:
        return show(self._outline, self._runs, self._run_title)

    def __repr__(self) -> str:
        return f"<ResolvePlan of {' | '.join(self._outline.roots)} rounds={self.rounds} calls={self.calls}>"


def _longest(calls: Sequence[PlannedCall]) -> Sequence[Row]:
    """One row of each round, each waiting for the one before."""
    if not calls:
        return ()
    last = max(calls, key=lambda call: call.round)
    chain = [last.rows[0]]
    while chain[-1].call.round > 1:
        call = chain[-1].call
        rows = [source for row in call.rows for source in row.sources]
        chain.append(next(row for row in rows if row.call.round == call.round - 1))
    return chain[::-1]


def _call_json(
    call: PlannedCall, numbers: Mapping[PlannedCall, int], runs: Mapping[PlannedCall, CallRun] | None
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if runs is not None:
        run = runs[call]
        made = {
            "run": {"calls": run.calls, "keys": run.keys, "hits": run.hits, "microseconds": run.microseconds}
        }
    return {
        "loader": call.name,
        "round": call.round,
        "phase": call.phase,
        "depth": call.depth,
        "max_batch_size": call.max_batch_size,
        "repeats": call.repeats,
        "after": sorted(numbers[before] for before in call.waits_for),
        "fields": [
            {"class": row.owner, "field": row.field, "brings": list(row.targets), "how": row.how}
            for row in call.rows
        ],
        **made,
    }
