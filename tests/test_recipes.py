"""The recipes, each run as a program: what it answers, and how often it asked."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[1] / "examples/recipes"
NEEDS = {
    "django_orm": "django",
    "tortoise_orm": "tortoise",
    "http_backend": "httpx",
    "grpc_backend": "grpc",
    "logfire_console": "logfire",
}
COUNTS = {
    "django_orm": "10 artists in 3 statements",
    "tortoise_orm": "10 artists in 3 statements",
    "http_backend": "500 comments in 3 requests of 100, 100, 50 users",
    "grpc_backend": "500 comments in 1 call of 250 users",
    "logfire_console": "500 comments in 1 batch of 250 users",
}


def test_each_recipe_is_tested():
    assert {path.stem for path in RECIPES.glob("*.py")} == set(NEEDS) == set(COUNTS)


@pytest.mark.parametrize("name", NEEDS)
def test_a_recipe_asks_as_often_as_it_says(name):
    if importlib.util.find_spec(NEEDS[name]) is None:
        assert "DLOADER_TEST_RECIPES" not in os.environ, f"{NEEDS[name]} should be here"
        pytest.skip(f"needs {NEEDS[name]}, of the group recipes")
    command = [sys.executable, "-W", "error", RECIPES / f"{name}.py"]
    output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (output.returncode, output.stderr) == (0, "")
    assert output.stdout.splitlines()[-1] == COUNTS[name]
    if name.endswith("orm"):
        assert re.findall(r"Album \d+|Track \d+", output.stdout) == [
            word
            for album in (0, 10, 20)
            for word in (f"Album {album}", *(f"Track {album + n}" for n in (0, 30, 60, 90)))
        ]
    elif name.startswith("logfire"):
        assert output.stdout.splitlines()[:-1] == [
            "one request",
            "  DataLoader Batch UserById",
            "    asking for 250 users",
        ]
    else:
        assert "text='Comment 0' author=None\ntext='Comment 1' author=UserOut(name='User 1')" in output.stdout
