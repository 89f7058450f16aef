"""What the figures depend on: date, versions, machine. No names of users or folders."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import dloader

from benchmarks.peers.packages import versions


def machine() -> dict[str, Any]:
    """Date, versions and machine, as they go into the JSON file."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {"dloader": _ours(), **versions()},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _ours() -> str:
    """The version of the dloader that is measured, and the commit if it is a checkout."""
    root = Path(dloader.__file__).parents[2]
    project = root / "pyproject.toml"
    if not project.is_file():
        return importlib.metadata.version("dloader")
    version: str = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    commit, changed = _git(root, "rev-parse", "--short", "HEAD"), _git(root, "status", "--short", "src")
    return f"{version} ({commit}{', changed' if changed else ''})" if commit else version


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
