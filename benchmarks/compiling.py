"""A copy of the package under another name, its modules compiled in place."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ("MINIMAL", "NAME", "Compiled", "compile_package")

NAME, MINIMAL = "dloader_compiled", "dloader_minimal"
NEEDS = {"cython": ("cython>=3.1", "setuptools"), "mypyc": ("mypy[mypyc]>=1.18", "setuptools", "pydantic")}
DIRECTIVES = ("language_level=3", "annotation_typing=False", "binding=True")
"""Annotations stay what they are in Python; compiled functions stay bound to instances, as ours are."""


@dataclass
class Compiled:
    """What was compiled, and what was not and why."""

    compiler: str
    modules: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def compile_package(package: Path, folder: Path, compiler: str, only: str | None) -> Compiled:
    """Copy the package to ``folder/dloader_compiled`` and compile what can be compiled there."""
    copy = folder / NAME
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "demo", "compat", "cli.py"))
    for path in copy.rglob("*.py"):
        path.write_text(_renamed(path.read_text(encoding="utf-8")), encoding="utf-8")
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDS[compiler]], check=True)
    found = Compiled(compiler)
    modules = list(_modules(copy, only))
    if compiler == "mypyc":  # all together: they call one another
        _note(found, ", ".join(map(_name, modules)), _mypyc(python, modules, folder))
        return found
    for path in modules:
        _note(found, _name(path), _cython(python, path, folder))
    minimal = Path(shutil.copy(Path(__file__).with_name("minimal.pyx"), folder / f"{MINIMAL}.pyx"))
    _note(found, MINIMAL, _cython(python, minimal, folder))
    return found


def _renamed(text: str) -> str:
    return re.sub(r"^(\s*(?:from|import) )dloader\b", rf"\1{NAME}", text, flags=re.MULTILINE)


def _modules(copy: Path, only: str | None) -> Iterator[Path]:
    """The private modules: the public ones only re-export, or are not on the way of a load."""
    folders = {"core": copy, "resolver": copy / "resolver"}
    for part, folder in folders.items():
        if only in (None, part):
            yield from sorted(path for path in folder.glob("_*.py") if path.stem != "__init__")


def _name(path: Path) -> str:
    return f"{'resolver.' if path.parent.name == 'resolver' else ''}{path.stem}"


def _note(found: Compiled, name: str, error: str | None) -> None:
    if error is None:
        found.modules.append(name)
    else:
        found.failed[name] = error


def _cython(python: str, path: Path, folder: Path) -> str | None:
    """Compile one module; returns what went wrong."""
    c = path.with_suffix(".c")
    options = [word for directive in DIRECTIVES for word in ("-X", directive)]
    command = [
        python,
        "-m",
        "cython",
        *options,
        "--module-name",
        _module_name(path, folder),
        str(path),
        "-o",
        str(c),
    ]
    error = _failure(command, folder)
    if error is None:
        error = _failure([*_c_compiler(), str(c), "-o", str(path.with_suffix(_suffix()))], folder)
    c.unlink(missing_ok=True)
    return error


def _module_name(path: Path, folder: Path) -> str:
    return ".".join(path.relative_to(folder).with_suffix("").parts)


def _c_compiler() -> list[str]:
    include = sysconfig.get_paths()["include"]
    return ["cc", "-O2", "-fPIC", "-shared", "-w", f"-I{include}"]


def _suffix() -> str:
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def _mypyc(python: str, modules: list[Path], folder: Path) -> str | None:
    paths = [str(path.relative_to(folder)) for path in modules]
    return _failure([python, "-m", "mypyc", "--ignore-missing-imports", *paths], folder)


def _failure(command: list[str], folder: Path) -> str | None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    errors = [line for line in said if "rror" in line] or said
    return f"{len(errors)} errors, the first: {errors[0]}" if errors else f"failed ({done.returncode})"


if sys.platform == "win32":
    raise SystemExit("compiled.py calls cc: it runs where there is one")
