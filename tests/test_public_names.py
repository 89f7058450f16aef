"""What is public stands in `__all__` and has a docstring; a missing extra fails with its pip line."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import itertools
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest
from extras import is_missing, skip_without_extra

import dloader


def found_modules() -> list[str]:
    return ["dloader", *(info.name for info in pkgutil.walk_packages(dloader.__path__, "dloader."))]


def is_public(name: str) -> bool:
    """Modules with an underscore are private, and of the demo only the package is there to be imported."""
    return not any(part.startswith("_") for part in name.split(".")) and not name.startswith("dloader.demo.")


MODULES = found_modules()
PUBLIC = list(filter(is_public, MODULES))
PROGRAMS = {"dloader.cli", "dloader.demo"}
"""Modules that are run, and hardly ever imported."""

public_module = pytest.mark.parametrize("name", PUBLIC)


def syntax_of(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those that run when the module is imported, the ones inside `try` included."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.Try):
            yield from statements(statement.body)


def defined(module: ModuleType) -> set[str]:
    """The public names that a module makes itself."""
    names: set[str] = set()
    for statement in statements(syntax_of(module).body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return {
        name
        for name in names
        if not name.startswith("_") and not isinstance(getattr(module, name, None), TypeVar)
    }


OURS = {"dloader", "_dloader_pytest_plugin"}


def imported(module: ModuleType) -> set[str]:
    """The public names that a module takes from elsewhere in dloader, or from the plugin that stands beside it."""
    froms = [node for node in statements(syntax_of(module).body) if isinstance(node, ast.ImportFrom)]
    own = [node for node in froms if node.level or (node.module or "").split(".")[0] in OURS]
    names = {alias.asname or alias.name for node in own for alias in node.names}
    return {name for name in names if not name.startswith("_")}


def public_names(module: ModuleType) -> tuple[str, ...]:
    """``__all__``; a package that only holds modules needs none."""
    return module.__all__ if defined(module) | imported(module) else getattr(module, "__all__", ())


@public_module
def test_a_public_module_lists_what_it_defines_and_nothing_it_has_not(name):
    skip_without_extra(name)
    module = importlib.import_module(name)
    listed = public_names(module)
    assert type(listed) is tuple
    assert list(listed) == sorted(set(listed)), "__all__ is sorted and names nothing twice"
    assert all(hasattr(module, each) for each in listed)
    if name not in PROGRAMS:
        assert defined(module) <= set(listed)
        assert set(listed) <= defined(module) | imported(module)


def test_the_core_lists_all_that_it_imports():
    assert set(dloader.__all__) == imported(dloader)


@functools.cache
def documented_aliases() -> set[str]:
    """Names assigned at the top of a module with a docstring below."""
    found: set[str] = set()
    for name in (name for name in MODULES if not is_missing(name)):
        body = syntax_of(importlib.import_module(name)).body
        for statement, below in itertools.pairwise(body):
            is_docstring = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and is_docstring
            ):
                found.add(statement.target.id)
    return found


@public_module
def test_every_public_object_has_a_docstring_of_its_own(name):
    skip_without_extra(name)
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    aliases = documented_aliases()
    missing: list[str] = []
    for each in public_names(module):
        found = getattr(module, each)
        if inspect.isclass(found):
            missing += [f"{each}.{member}" for member in undocumented_members(found)]
            missing += [] if vars(found).get("__doc__") else [each]
        elif inspect.isroutine(found):
            missing += [] if found.__doc__ else [each]
        elif each not in aliases and not isinstance(found, TypeVar):
            missing.append(each)
    assert not missing, f"{name}: no docstring: {', '.join(missing)}"


def undocumented_members(cls: type) -> Iterator[str]:
    for name, member in vars(cls).items():
        function = getattr(member, "__func__", member)
        if (
            not name.startswith("_")
            and (inspect.isfunction(function) or isinstance(member, property))
            and not inspect.getdoc(function)
        ):
            yield name


# -- extras --------------------------------------------------------------------------------------------------

WITHOUT = """
import importlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
try:
    importlib.import_module({module!r})
except ModuleNotFoundError as error:
    print(type(error).__name__, error.name, error)
else:
    print("imported")
"""


def import_without(missing: str, module: str) -> str:
    """What happens when `module` is imported in a Python that lacks the package `missing`."""
    code = WITHOUT.format(missing=missing, module=module)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8"
    ).stdout.strip()


@pytest.mark.parametrize(
    ("module", "extra", "missing"),
    [
        ("dloader.resolver", "resolver", "pydantic"),
        ("dloader.compat.pydantic_resolve", "resolver", "pydantic"),
        ("dloader.compat.pydantic_resolve.integration.sqlalchemy", "sqlalchemy", "sqlalchemy"),
        ("dloader.fastapi", "fastapi", "fastapi"),
        ("dloader.opentelemetry", "opentelemetry", "opentelemetry"),
        ("dloader.redis", "redis", "redis"),
        ("dloader.strawberry", "strawberry", "strawberry"),
    ]
    + [("dloader.sqlalchemy", "sqlalchemy", each) for each in ("sqlalchemy", "greenlet", "pydantic")]
    + [("dloader.demo", "demo", each) for each in ("pydantic", "aiosqlite", "rich", "sqlalchemy")],
)
def test_a_missing_extra_fails_at_import_with_the_line_that_installs_it(module, extra, missing):
    said = import_without(missing, module)
    assert said.startswith(f"ModuleNotFoundError {missing} ")
    assert f'pip install "dloader[{extra}]"' in said


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("dloader.fastapi", "fastapi"),
        ("dloader.opentelemetry", "opentelemetry"),
        ("dloader.redis", "redis"),
        ("dloader.sqlalchemy", "sqlalchemy"),
        ("dloader.strawberry", "strawberry"),
    ],
)
def test_a_missing_extra_keeps_its_name(monkeypatch, name, missing):
    """In this process, where its lines are counted."""
    monkeypatch.setitem(sys.modules, missing, None)
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.loader is not None
    with pytest.raises(ModuleNotFoundError, match=r'pip install "dloader\[') as caught:
        found.loader.exec_module(importlib.util.module_from_spec(found))
    assert caught.value.name == missing


@pytest.mark.parametrize("module", ["dloader", "dloader.cli", "dloader.compat.aiodataloader"])
def test_what_needs_no_extra_imports_without_pydantic(module):
    assert import_without("pydantic", module) == "imported"
