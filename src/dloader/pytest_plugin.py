"""The names of the pytest plugin, for annotations: ``def test_feed(batch_budget: MakeBudget)``. PYTEST_DONT_REWRITE.

pytest finds the plugin itself in another module, outside the package: a run that does not use it imports nothing of
dloader.
"""

from _dloader_pytest_plugin import (
    MakeBudget,
    batch_budget,
    pytest_addoption,
    pytest_configure,
    pytest_runtest_call,
    pytest_runtest_makereport,
)

__all__ = (
    "MakeBudget",
    "batch_budget",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
)
