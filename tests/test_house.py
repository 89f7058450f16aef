"""The source keeps the limits of `.ci/house.py`, and docs/architecture.md shows its figures of today."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, imported from its file."""
    spec = importlib.util.spec_from_file_location("house", ROOT / ".ci" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module
    spec.loader.exec_module(module)
    return module


def between(page: str, markers: tuple[str, str]) -> list[str]:
    """The lines between two markers, both of which must be there."""
    _, _, rest = page.partition(markers[0])
    text, found, _ = rest.partition(markers[1])
    assert found, f"docs/architecture.md needs the lines {markers[0].strip()} and {markers[1]}"
    return text.splitlines()


class TestHouse:
    def test_it_keeps_its_limits(self, script):
        """Few writes into others, small classes, short modules, few moves of one load, and no word that went."""
        assert list(script.House().problems()) == []

    def test_the_page_shows_the_figures_of_today(self, script):
        """Those that are traced hold for one Python, which the page names."""
        house, page = script.House(), PAGE.read_text(encoding="utf-8")
        here = [*house.static_rows(), *house.traced_rows()]
        labels = {line.split(" | ")[0].removeprefix("| ") for line in between(page, script.MARKERS["table"])}
        missing = [row for row in here if row[0] in labels and f"| {' | '.join(row)} |" not in page]
        assert not missing, "run: python .ci/house.py --write docs/architecture.md"
        assert {row[0] for row in house.static_rows()} <= labels

    def test_the_page_shows_the_path_of_a_load(self, script):
        """From file to file, on the Python that the page names."""
        shown = between(PAGE.read_text(encoding="utf-8"), script.MARKERS["path"])
        path = script.House().path().splitlines()
        assert shown == path or shown[1] != path[1], "run: python .ci/house.py --write docs/architecture.md"

    def test_a_write_into_another_object_is_counted_wherever_it_stands(self, script, tmp_path, monkeypatch):
        """Assignments of every form, deletes, and loops; one's own attributes are not."""
        monkeypatch.setattr(script, "PACKAGE", tmp_path)
        path = tmp_path / "module.py"
        path.write_text(
            "self.a = cls.b = 1\na.b = a.c[0] = 1\nself.a.b += 1\ndel a.b, self.c\nx, (y.z, *a.b) = 1, 2\n"
            "for a.b in c:\n    a.b: int = 1\n"
        )
        assert [place.split(":")[1] for place in sorted(script.Module(path).writes())] == list("2345567")
