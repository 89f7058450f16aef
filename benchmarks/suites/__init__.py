"""The cases, by group."""

from collections.abc import Callable, Iterator

from benchmarks.harness.case import Case, Settings
from benchmarks.suites.database.cases import cases as database_cases
from benchmarks.suites.latency.cases import cases as latency_cases
from benchmarks.suites.loader.cases import cases as loader_cases
from benchmarks.suites.resolver.cases import cases as resolver_cases
from benchmarks.suites.store.cases import cases as store_cases

GROUPS: dict[str, Callable[[Settings], Iterator[Case]]] = {
    "loader": loader_cases, "resolver": resolver_cases, "latency": latency_cases, "database": database_cases,
    "store": store_cases,
}  # fmt: skip


def all_cases(settings: Settings) -> list[Case]:
    """The cases of all groups."""
    return [case for cases in GROUPS.values() for case in cases(settings)]
