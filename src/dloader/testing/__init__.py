"""Proof in tests: how many batches a piece of code takes, that they do not grow, that a batch function is a right one.

Needs nothing but the standard library; `check_batch_function` alone needs Hypothesis. pytest is not needed either:
with it, a plugin brings a fixture, a marker and ``--dloader-trace``.

Read in this order: `_budget` and `_report` (batch_budget, and what its failures say), `_scale` (assert_scales),
`_contract`, `_calls` and `_alike` (check_batch_function), `_recorded`, `_tape` and `_values` (recorded),
`_test_pages` (what the pytest plugin does once it is used).
"""

from dloader.testing._budget import BatchBudget, BatchBudgetExceeded, batch_budget, exactly
from dloader.testing._calls import BatchFunctionError
from dloader.testing._contract import check_batch_function
from dloader.testing._recorded import recorded
from dloader.testing._scale import CallsGrowError, assert_scales
from dloader.testing._tape import NotRecordedError

__all__ = (
    "BatchBudget",
    "BatchBudgetExceeded",
    "BatchFunctionError",
    "CallsGrowError",
    "NotRecordedError",
    "assert_scales",
    "batch_budget",
    "check_batch_function",
    "exactly",
    "recorded",
)
