"""What programs ask for does not depend on how busy the machine is on which the tests run."""

import pytest

from dloader.trace import _gaps


@pytest.fixture
def no_gap_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop with a pause is a loop."""
    monkeypatch.setattr(_gaps, "SHORT_GAP", 10_000.0)
