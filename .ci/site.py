"""Build the documentation as a site, into build/site: `python .ci/site.py` with the group `docs` installed.

The pages in docs/ are written for readers of the repository too, so they link to files beside them. Here these become
pages of the site; then Zensical builds all of it, with warnings as errors, and every link of the site is followed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "build/site-source"
SITE = ROOT / "build/site"
LINK = re.compile(r"(\]\()((?!\w+:|#)[^)\s#]+)((?:#[^)\s]*)?\))")
MODULES = (
    "dloader",
    "dloader.resolver",
    "dloader.sqlalchemy",
    "dloader.fastapi",
    "dloader.strawberry",
    "dloader.store",
    "dloader.redis",
    "dloader.opentelemetry",
    "dloader.trace",
    "dloader.testing",
    "dloader.instruments",
    "dloader.lowlevel",
)
"""What the reference has a page of each of: the modules that users import from."""


def stage() -> None:
    """Gather what the site is made of: docs/, what it links to, and a page of the reference for each module."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", STAGE, ignore=shutil.ignore_patterns("*.py"))
    waiting = sorted((ROOT / "docs").glob("*.md"))
    done = set(waiting)
    while waiting:
        page = waiting.pop()
        found = [target for target in write(page) if target not in done]
        done.update(found)
        waiting.extend(found)
    for module in MODULES:
        text = f"# {module}\n\n::: {module}\n    options:\n      show_root_heading: false\n"
        place = STAGE / "reference" / f"{module}.md"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")


def place_of(file: Path) -> Path:
    """Return where the page of a file is, in the site's source."""
    if file.is_relative_to(ROOT / "docs"):
        return STAGE / file.relative_to(ROOT / "docs")
    inside = STAGE / "repository" / file.relative_to(ROOT)
    return inside if file.suffix in {".md", ".svg", ".png"} else inside.with_name(f"{inside.name}.md")


def write(file: Path) -> list[Path]:
    """Write the page of a file, or of a folder; return what it links to in the repository."""
    place = place_of(file)
    up = "../" * len(place.parent.relative_to(STAGE).parts)
    folder = file if file.is_dir() else file.parent
    targets: list[Path] = []

    def moved(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        if not target.exists():
            return match[0]
        targets.append(target)
        return f"{match[1]}{up}{place_of(target).relative_to(STAGE)}{match[3]}"

    place.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix in {".svg", ".png"}:
        shutil.copyfile(file, place)
    elif file.suffix == ".md":
        place.write_text(LINK.sub(moved, file.read_text(encoding="utf-8")), encoding="utf-8")
    elif file.is_dir():
        names = sorted(each.name for each in file.iterdir() if each.suffix in {".py", ".md"})
        listed = "".join(f"- [{name}]({name})\n" for name in names)
        place.write_text(f"# {file.relative_to(ROOT)}\n\n{LINK.sub(moved, listed)}", encoding="utf-8")
    else:
        code = file.read_text(encoding="utf-8")
        place.write_text(f"# {file.relative_to(ROOT)}\n\n```{file.suffix[1:]}\n{code}```\n", encoding="utf-8")
    return targets


class Links(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {""}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what leads somewhere, and where one can be led to."""
        named = dict(attrs)
        self.anchors.update(filter(None, (named.get("id"), named.get("name"))))
        name = {"a": "href", "link": "href", "img": "src", "script": "src"}.get(tag)
        if name and (link := named.get(name)):
            self.links.append(link)


def broken_links() -> list[str]:
    """Follow every link of the site that stays in it, and return those that lead nowhere."""
    pages = {page: Links(page) for page in SITE.rglob("*.html") if page.name != "404.html"}
    broken = []
    for page, found in pages.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].anchors if target in pages else {unquote(parts.fragment)}
            if not target.exists() or unquote(parts.fragment) not in known:
                broken.append(f"{page.relative_to(SITE)}: {link}")
    return broken


def main() -> int:
    """Build the site; return 1 if something is wrong with it."""
    stage()
    subprocess.run([sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=ROOT, check=True)
    broken = broken_links()
    print(*(f"broken link: {each}" for each in broken), sep="\n")
    print(f"{len(list(SITE.rglob('*.html')))} pages in {SITE}, {len(broken)} broken links")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
