"""Runs another library's own tests against the module of dloader that takes its place: only import lines change.

    python .ci/peer_suites.py aiodataloader

The tests come out of the library's source package, which pip gets by its name. What is left out, and why, stands in
docs/pydantic-resolve.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple


class Suite(NamedTuple):
    """The tests of a release."""

    release: str
    """As pip names it."""
    paths: tuple[str, ...]
    """The tests, in the unpacked source package."""
    moves: tuple[tuple[str, str], ...]
    """Packages, and the modules that their import lines name instead."""
    needs: tuple[str, ...]
    """What the tests import."""
    left_out: tuple[str, ...] = ()
    """Tests of private insides, and files of them."""
    private: tuple[str, ...] = ()
    """Modules whose import lines are taken out of files that test more than those."""


AIODATALOADER = ("aiodataloader", "dloader.compat.aiodataloader")
PYDANTIC_RESOLVE = ("pydantic_resolve", "dloader.compat.pydantic_resolve")
METADATA = (
    "test_field_mix",
    "test_field_pydantic",
    "test_field_pydantic_error",
    "test_field_validate_and_create_loader_instance",
    "test_scan_post_method",
    "test_scan_resolve_method",
    "test_specific_type",
)
"""Files about the dicts that it keeps of classes and loaders."""
HELPERS = (
    "core/test_field.py",
    "resolver/test_45_cache.py",
    "utils/test_class_annotations_py314.py",
    "utils/test_forward_ref.py",
    "utils/test_parse.py",
    "utils/test_types.py",
    "utils/test_union_types.py",
    "core/test_loader_context.py::test_loader_requires_context_detection",
    "utils/test_utils.py::test_get_class_field_annotations",
    "utils/test_utils.py::test_copy_dataloader_kls_inherits_parent_annotations",
    "utils/test_utils.py::test_auto_mapper_2",
    "utils/test_utils.py::test_auto_mapper_3",
    "utils/test_utils.py::test_auto_mapper_4",
    "integration/sqlalchemy/test_loader.py",
    "integration/sqlalchemy/test_build_relationship.py::test_contrib_loader_uses_query_meta_fields",
)
"""What calls functions of its own: for annotations, late names, conversions and loaders of relationships."""
SUITES = {
    "aiodataloader": Suite(
        "aiodataloader==0.4.3", ("test_aiodataloader.py",), (AIODATALOADER,), ("pytest-asyncio>=1.2",)
    ),
    "pydantic-resolve": Suite(
        "pydantic-resolve==6.3.0",
        (
            "tests/core",
            "tests/resolver",
            "tests/er_diagram",
            "tests/utils",
            "tests/integration/sqlalchemy",
            "tests/test_memleak.py",
        ),
        (AIODATALOADER, PYDANTIC_RESOLVE),
        ("pytest-asyncio>=1.2", "sqlalchemy[asyncio]>=2.0.36", "aiosqlite>=0.20", "psutil"),
        (*(f"tests/core/{name}.py" for name in METADATA), *(f"tests/{name}" for name in HELPERS)),
        ("pydantic_resolve.analysis",),
    ),
}
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"


def unpack(release: str, folder: Path) -> Path:
    """Get a source package, and return the folder that it unpacks to."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-binary=:all:", "--no-deps", "--dest")
    subprocess.run([*pip, str(folder), release], check=True)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def move(text: str, package: str, module: str) -> str:
    """Change the import lines of a file: what is imported, and what is written where a name was bound by `import`."""
    text = re.sub(rf"^(\s*from ){package}\b", rf"\1{module}", text, flags=re.MULTILINE)
    text = re.sub(rf"^(\s*import ){package}\b(?=.* as )", rf"\1{module}", text, flags=re.MULTILINE)
    if re.search(rf"^\s*import {package}\b", text, re.MULTILINE):
        text = re.sub(rf"(?<![\w.'\"/]){package}(?=\.|\n)", module, text)
    return text


def run(suite: Suite) -> int:
    """Run a suite; return pytest's exit code."""
    with tempfile.TemporaryDirectory() as name:
        source = unpack(suite.release, Path(name))
        for path in source.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for module in suite.private:
                text = re.sub(rf"^from {module} import .*\n", "", text, flags=re.MULTILINE)
            for package, module in suite.moves:
                text = move(text, package, module)
            path.write_text(text, encoding="utf-8")
        for package, _ in suite.moves:  # nothing of it is to be found but the tests
            for part in source.glob(f"{package}*"):
                part.rename(source / f"_{part.name}")
        (source / "pytest.ini").write_text(INI, encoding="utf-8")
        left_out = [f"--deselect={test}" if "::" in test else f"--ignore={test}" for test in suite.left_out]
        line = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            *left_out,
            *suite.paths,
        ]
        return subprocess.run(line, cwd=source, check=False).returncode


if __name__ == "__main__":
    sys.exit(run(SUITES[sys.argv[1]]))
