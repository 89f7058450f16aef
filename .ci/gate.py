"""Runs the gate's jobs (jobs.py) in as many lanes as there are cores, each in a copy of the tree. `.ci/run` starts it.

A job whose log ends in pytest's closing line counts as these tests, any other as one.

This is no noxfile: nox runs one session at a time, and neither copies the tree nor adds up what pytest says, so that
this file would be needed beside it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock

import jobs

ROOT = Path(__file__).resolve().parents[1]
FOREIGN = ("CONDA_", "COVERAGE_", "HYPOTHESIS_", "MYPY", "PYTEST_", "PYTHON", "RUFF_", "VIRTUAL_ENV")
"""How environment variables begin that the machine's user has set for these tools."""
MOST_SECONDS = 1800
"""How long one command of a job may take."""


def find_python(version: str) -> str | None:
    """Return the interpreter of a version. pyenv's shims of versions not selected are on PATH but do not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    code = f"import sys, venv; '%d.%d' % sys.version_info[:2] == '{version}' or sys.exit(1); print(sys.executable)"
    for candidate in ("python3", f"python{version}", *map(str, pyenv.glob(f"{version}.*/bin/python"))):
        with suppress(OSError, subprocess.CalledProcessError):
            return subprocess.run(
                [candidate, "-c", code], capture_output=True, check=True, text=True
            ).stdout.strip()
    return None


class Gate:
    """What all jobs share: a temporary folder, the Pythons, uv, the tree and the wheel."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.pythons = {version: found for version in jobs.SUPPORTED if (found := find_python(version))}
        versions = list(self.pythons) or sys.exit(
            f"none of Python {', '.join(jobs.SUPPORTED)} is on this machine"
        )
        self.oldest, self.newest = versions[0], versions[-1]
        self.between = versions[-2] if len(versions) > 2 else self.newest
        self.on_request = set(jobs.ON_REQUEST) | (
            {f"tests-{self.oldest}", f"tests-{self.between}"} - {f"tests-{self.newest}"}
        )
        """What other jobs do better, or do too."""
        caches = Path("~/.cache").expanduser()
        env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.env = {"PIP_CACHE_DIR": str(caches / "pip"), "UV_CACHE_DIR": str(caches / "uv")} | env
        self.env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_PYTHON_DOWNLOADS": "never"}
        self.env |= {"XDG_CACHE_HOME": str(work / "cache")}
        self.jobs: dict[str, Callable[[Place], None]] = {
            f"tests-{version}": partial(jobs.tests, version=version) for version in reversed(self.pythons)
        }
        self.jobs |= {job.__name__.replace("_", "-"): job for job in jobs.JOBS}
        self.running: set[subprocess.Popen[bytes]] = set()
        self.is_stopped = False
        self.lock = Lock()
        self.failures: list[str] = []
        """What failed, a line for each test, or for each job that runs none."""

    def set_up(self, names: list[str]) -> None:
        """Copy what git knows, new files too unless they are ignored; install what jobs share; build the wheel."""
        for folder in ("tree", "jobs"):
            (self.work / folder).mkdir()
        listing = [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]
        listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():  # and not deleted
                (self.work / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.work / "tree" / name)
        place = Place(self, "setting-up")
        if set(names) - set(jobs.WITHOUT_BROWSER):
            jobs.install_browser(place)
        place.run(sys.executable, "-m", "venv", self.work / "uv")
        place.run(self.work / "uv/bin/pip", "install", "--quiet", "uv")
        place.uv("build", "--python", self.pythons[self.newest], "--out-dir", self.work / "dist")

    def stop(self) -> None:
        """Stop what runs, when the gate itself is stopped; nothing starts any more."""
        self.is_stopped = True
        for process in list(self.running):
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a command, and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Place:
    """Where a job runs: a copy of the tree, whose `.venv` is the environment of its commands."""

    def __init__(self, gate: Gate, name: str) -> None:
        self._gate = gate
        self.pythons, self.oldest, self.between, self.newest = (
            gate.pythons,
            gate.oldest,
            gate.between,
            gate.newest,
        )
        self.folder = gate.work / "jobs" / name
        self.log = gate.work / "jobs" / f"{name}.log"
        shutil.copytree(gate.work / "tree", self.folder)

    def glob(self, pattern: str) -> list[Path]:
        """Files of the tree."""
        return sorted(self.folder.glob(pattern))

    def run(self, *line: str | Path, **env: str) -> None:
        """Run a command; raise if it fails."""
        if self._gate.is_stopped:
            raise InterruptedError("the gate was stopped")
        env["PATH"] = f"{self.folder}/.venv/bin:{self._gate.env['PATH']}"
        with self.log.open("a") as log:
            print("\n$", *line, file=log, flush=True)
            process = subprocess.Popen(
                ["/usr/bin/env", *line],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._gate.env | env,
                start_new_session=True,
            )
        self._gate.running.add(process)
        try:
            code = process.wait(MOST_SECONDS)
        except BaseException:
            end(process)
            raise
        finally:
            self._gate.running.discard(process)
        if code:
            raise subprocess.CalledProcessError(code, list(line))

    def run_all(self, *lines: str) -> None:
        """Run all of these, also after one has failed."""
        errors = []
        for line in lines:
            try:
                self.run(*line.split())
            except subprocess.CalledProcessError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def uv(self, *line: str | Path, quiet: bool = True) -> None:
        """Run uv."""
        self.run(self._gate.work / "uv/bin/uv", *(("--quiet",) if quiet else ()), *line)

    def install(self, version: str, *what: str | Path) -> None:
        """Make an environment of that Python, with these packages."""
        self.uv("venv", "--python", self.pythons[version], ".venv")
        self.uv("pip", "install", "--python", ".venv/bin/python", *what)

    def install_wheel(self, version: str, *more: str | Path, extra: str = "test") -> None:
        """Make an environment with the built wheel: from here on `dloader` can be nothing else."""
        shutil.rmtree(self.folder / "src")
        [wheel] = (self._gate.work / "dist").glob("*.whl")
        self.install(version, f"dloader[{extra}] @ file://{wheel}", *more)
        self.run("python", "-c", "import dloader, sys; sys.exit('site-packages' not in dloader.__file__)")


def counted(log: str) -> list[int]:
    """Return passed, failed and skipped of pytest's closing line, zeros without one."""
    closing = re.findall(r"^.*\d+ (?:passed|failed|error|skipped).* in [0-9.]+s.*$", log, re.MULTILINE)
    found = {word: int(count) for count, word in re.findall(r"(\d+) ([a-z]+?)s?\b", "".join(closing[-1:]))}
    return [found.get("passed", 0), found.get("failed", 0) + found.get("error", 0), found.get("skipped", 0)]


def told_failures(log: str) -> list[str]:
    """Return pytest's lines of what failed: the log above them may be cut where somebody reads it."""
    return re.findall(r"^(?:FAILED|ERROR) \S.*$", log, re.MULTILINE)


def run(gate: Gate, name: str) -> list[int]:
    """Run one job and say how it went: all of it if it failed, else its last lines. Return what was counted."""
    start, place, broken = time.monotonic(), Place(gate, name), ""
    try:
        gate.jobs[name](place)
    except Exception as error:
        broken = f"\n{type(error).__name__}: {error}"
    log = place.log.read_text(encoding="utf-8", errors="replace") if place.log.exists() else ""
    if os.environ.get("CI") and re.search("SKIPPED.*needs a (server|browser)", log):
        broken += "\nservers and a browser are there in CI: nothing may be skipped for want of one"
    passed, failed, skipped = counted(log)
    failed = failed or bool(broken)
    how = "passed" if not failed else "FAILED, as it may" if name in jobs.MAY_FAIL else "FAILED"
    with gate.lock:
        print(f"\n== {name}: {how} in {time.monotonic() - start:.0f} s")
        print(log + broken if failed else "\n".join(log.splitlines()[-12:]), flush=True)
        gate.failures += [
            f"{name}: {line:.200}" for line in told_failures(log) or broken.split("\n")[-1:] if failed
        ]
    return [passed or not failed, 0 if name in jobs.MAY_FAIL else failed, skipped]


def run_all(gate: Gate, names: list[str]) -> dict[str, list[int]]:
    """Run jobs in their lanes; then, one by one, those that come last."""
    with ThreadPoolExecutor(os.cpu_count()) as lanes:
        futures = {name: lanes.submit(run, gate, name) for name in names if name not in jobs.AT_LAST}
        try:
            counts = {name: future.result() for name, future in futures.items()}
        except BaseException:
            lanes.shutdown(wait=False, cancel_futures=True)
            gate.stop()
            raise
    return counts | {name: run(gate, name) for name in names if name in jobs.AT_LAST}


def chosen(gate: Gate, asked: list[str]) -> list[str]:
    """Return the names of the jobs to run, in their order; exit where one is none."""
    names = set(asked)
    if unknown := names - gate.jobs.keys():
        known = "\n  ".join(gate.jobs)
        sys.exit(f"the gate has no job {', '.join(sorted(unknown))}; it has:\n  {known}")
    return [name for name in gate.jobs if name in names or (not names and name not in gate.on_request)]


def main() -> int:
    """Run the gate; return 1 if something failed."""
    parser = argparse.ArgumentParser(prog=".ci/run", description="Run the gate, or some of its jobs.")
    parser.add_argument("job", nargs="*", help="a job; without one, all of them")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(jobs.QUICK)}: for daily work")
    parser.add_argument("--list", action="store_true", help="list the jobs")
    options = parser.parse_args()
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="dloader-ci.", ignore_cleanup_errors=True) as folder:
        gate = Gate(Path(folder))
        if options.list:
            for name, job in gate.jobs.items():
                doc = job.func.__doc__ if isinstance(job, partial) else job.__doc__
                print(f"{name:14} {doc}")
            return 0
        names = chosen(gate, [*options.job, *(jobs.QUICK if options.quick else ())])
        for version in jobs.SUPPORTED:
            found = gate.pythons.get(version, "not on this machine, so its part of the gate is left out")
            print(f"Python {version}: {found}", flush=True)
        gate.set_up(names)
        counts = run_all(gate, names)
    print(f"\n== the gate took {time.monotonic() - start:.0f} s")
    print("".join(f"{line}\n" for line in gate.failures), end="")
    passed, failed, skipped = map(sum, zip(*counts.values(), strict=True))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
