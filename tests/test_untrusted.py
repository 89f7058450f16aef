"""What comes from outside: parts of a tree as a URL names them, stored values, files of traces; cursors are in sql/.

Whatever they are, there is an answer or one of the errors that the documentation names, soon, and nothing is kept.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from amounts import at_most
from hypothesis import given, strategies as st
from pydantic import BaseModel

from dloader import DataLoader, DloaderError, LoaderRegistry, OptionError
from dloader.cli import main
from dloader.resolver import Load, Resolver
from dloader.store import Got, MemoryStore
from dloader.testing import assert_scales, batch_budget, check_batch_function, recorded
from dloader.trace import Trace, record

DEEP = 100_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def is_short(error: OptionError) -> None:
    """It quotes little of what it was given."""
    assert len(str(error)) < 1_000


async def load_names(keys: list[int]) -> list[str]:
    return [f"name {key}" for key in keys]


async def load_below(keys: list[int]) -> list[list[dict[str, int]]]:
    return [[{"id": key - 1}] if key else [] for key in keys]


class Node(BaseModel):
    id: int
    name: Annotated[str, Load(load_names, by="id")] = ""
    below: Annotated[list[Node], Load(load_below, by="id")] = []


# -- parts of a tree -----------------------------------------------------------------------------------------

parts = st.lists(st.sampled_from(["name", "below", "id", ".", ",", " ", "*", "é", "\0", "__class__"])).map(
    "".join
)


@at_most(150)
@given(st.text(max_size=40) | parts)
def test_any_text_of_a_url_names_a_part_or_is_refused(text):
    async def law():
        for which in ("include", "exclude"):
            try:
                [node] = await Resolver().resolve([{"id": 2}], into=list[Node], **{which: text})
            except OptionError as error:
                is_short(error)
            else:
                assert node.id == 2

    asyncio.run(law())


@pytest.mark.parametrize(
    "text", ["below." * 10_000 + "name", ",".join(["name"] * 100_000), "x" * 1_000_000, "." * 100_000]
)
def test_so_does_a_very_long_one(text):
    """The tree ends long before."""

    async def law():
        try:
            answer = await Resolver().resolve([{"id": 2}], into=list[Node], include=text)
        except OptionError as error:
            is_short(error)
        else:
            assert answer[0].id == 2

    asyncio.run(law())


# -- stored values -------------------------------------------------------------------------------------------


class Poisoned(MemoryStore):
    """Somebody else has written into it."""

    def __init__(self, found: bytes) -> None:
        super().__init__()
        self.found = found

    async def get_many(self, keys: Any, /) -> Got:
        return Got(dict.fromkeys(keys, self.found), {})


class Row(BaseModel):
    id: int
    tags: list[str] = []


class Rows(DataLoader[int, Row]):
    store_ttl = 60.0

    async def batch_load_fn(self, keys: list[int]) -> list[Row]:
        return [Row(id=key) for key in keys]


stored = st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode())


@at_most(150)
@given(stored)
def test_any_stored_bytes_are_a_value_of_the_type_or_a_miss(found):
    async def law():
        async with LoaderRegistry(store=Poisoned(found)) as loaders:
            row = await loaders.get(Rows).load(7)
            assert type(row) is Row
            assert type(row.id) is int

    asyncio.run(law())


@pytest.mark.parametrize(
    "found", [b"[" * DEEP, b'{"id":' * DEEP, b'{"id":' + b"9" * DEEP + b"}", b"\0" * DEEP]
)
def test_so_are_very_deep_and_long_ones(found):
    async def law():
        async with LoaderRegistry(store=Poisoned(found)) as loaders:
            assert await loaders.get(Rows).load(7) == Row(id=7)

    asyncio.run(law())


class Texts(DataLoader[int, str]):
    store_ttl = 60.0

    async def batch_load_fn(self, keys: list[int]) -> list[str]:
        return [f"text {key}" for key in keys]


class Crossing(MemoryStore):
    """Somebody has written values that are right together, and wrong one by one."""

    async def get_many(self, keys: Any, /) -> Got:
        return Got(dict(zip(keys, (b'V"x","y"', b'V"v"', b'V"a', b'Vb"'), strict=True)), {})


def test_no_key_gets_what_is_stored_for_another():
    """Each text is read by itself."""

    async def law():
        async with LoaderRegistry(store=Crossing()) as loaders:
            found = await loaders.get(Texts).load_many([1, 2, 3, 4])
            assert found == ["text 1", "v", "text 3", "text 4"]

    asyncio.run(law())


# -- files of traces -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a real trace has."""
    import asyncio

    async def work() -> Trace:
        with record("work") as trace:
            await Resolver().resolve([{"id": 3}], into=list[Node])
        return trace

    return asyncio.run(work()).as_json()


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(place for name, item in items for place in places(item, (*above, name)))]


def read_and_shown(path: Path) -> None:
    """Read a file, and do with it what people do."""
    try:
        trace = Trace.load(path)
    except OptionError as error:
        is_short(error)
        return
    assert trace.text()
    assert trace.findings is not None
    trace.save(path.with_suffix(".html"))
    trace.save(path.with_name("again.json"))


@at_most(150)
@given(st.data())
def test_a_trace_file_with_anything_anywhere_is_read_or_refused(tmp_path_factory, written, data):
    """One value of a real one is another."""
    changed = json.loads(json.dumps(written))
    *way, last = data.draw(st.sampled_from(places(changed)[1:]))
    inner = changed
    for step in way:
        inner = inner[step]
    inner[last] = data.draw(JSON)
    path = tmp_path_factory.mktemp("trace") / "trace.json"
    path.write_text(json.dumps(changed), encoding="utf-8")
    read_and_shown(path)


@pytest.mark.parametrize(
    ("where", "what", "message"),
    [
        (("batches", "index", 1), 7, "batch 1 says that it is 7"),
        (("batches", "loader", 0), 99, "there is no loader 99"),
        (("batches", "places", 0), [-1], "there is no place -1"),
        (("batches", "came_from", 0), [0], "there is no earlier batch 0"),
        (("batches", "inside", 0), 3, "there is no earlier batch 3"),
        (("batches", "sample", 0), [1], "'sample' of TracedBatch is [1]"),
        (("loaders", 0, "made_at"), [99], "there is no place 99"),
        (("batches", "chained", 0), 1, "'chained' of TracedBatch is 1"),
        (("resolves", 0, "roots"), {"Node": "1"}, "'roots' of ResolveData is"),
        (("resolves", 0, "roots"), [], "'roots' of ResolveData is []"),
        (("steps", 0, "resolve"), 9, "there is no resolve 9"),
        (("duration",), 2**60, "'duration' of TraceData is"),
        (("busy", 0), [1, "x"], "'end' of _Busy is 'x'"),
        (("loaders", 0, "more"), 1, "keyword argument 'more'"),
    ],
)
def test_what_is_damaged_is_said(tmp_path, written, where, what, message):
    """The field, and what it is."""
    changed = json.loads(json.dumps(written))
    inner = changed
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = what
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(OptionError, match="this trace is damaged: ") as caught:
        Trace.load(path)
    assert message in str(caught.value)


ACTS = "\x1b]0;title\x07 \x9b31m \r\b\x00 \u202egnp\u2066 \ud800 \u2028\nforged"
"""What a terminal acts on: escape sequences of 7 and 8 bits, marks that turn text, the end of a line."""


def with_words(value: Any, words: str) -> Any:
    """JSON in which each text is another, those apart that say what it is."""
    if isinstance(value, list):
        return [with_words(each, words) for each in value]
    if isinstance(value, dict):
        fixed = {"format", "outcome", "owner", "field", "phase", "severity"}
        return {name: each if name in fixed else with_words(each, words) for name, each in value.items()}
    return words if isinstance(value, str) else value


def is_inert(printed: str) -> None:
    """No terminal acts on it, no line begins with what others have written, and all of it fits."""
    assert "forged" in printed
    assert all(line.isprintable() for line in printed.split("\n"))
    assert not any(line.lstrip().startswith("forged") for line in printed.split("\n"))
    assert max(map(len, printed.split("\n"))) <= 80


@pytest.mark.parametrize("severity", ["warning", ACTS])
def test_no_text_of_a_trace_file_acts_on_a_terminal(tmp_path, capsys, written, severity):
    """Whichever of its texts it is; and it can be written again."""
    changed = with_words(written, ACTS)
    changed["batches"]["outcome"] = ["failed" for _ in changed["batches"]["outcome"]]
    changed["findings"] = [
        {"rule": ACTS, "severity": severity, "message": ACTS, "batches": [], "expected": reason}
        for reason in (None, ACTS)
    ]
    path, plain = tmp_path / "trace.json", tmp_path / "plain.json"
    path.write_text(json.dumps(changed), encoding="utf-8")
    plain.write_text(json.dumps(written), encoding="utf-8")
    for arguments in ([path], [path, plain], [plain, path]):
        assert main(["trace", *map(str, arguments)]) == 0
        is_inert(capsys.readouterr().out)
    assert main(["plan", f"{__name__}:Node", "--trace", str(path)]) == 0
    is_inert(capsys.readouterr().out)
    for suffix in (".html", ".json", ".chrome.json"):
        Trace.load(path).save(tmp_path / f"again{suffix}")
    assert Trace.load(tmp_path / "again.json").as_json() == changed


@pytest.mark.parametrize(
    "command", [["trace", ACTS], ["plan", ACTS], ["plan", f"{ACTS}:x"], [ACTS], ["plan"]]
)
def test_no_argument_acts_on_a_terminal(capsys, command):
    """Nor does what is said of it."""
    try:
        main([each.replace("\0", "") for each in command])
    except SystemExit:
        pass
    said = capsys.readouterr().err
    assert said.replace("\n", "").isprintable()
    assert not any(line.startswith("forged") for line in said.splitlines())


async def load_nothing(keys: list[int]) -> list[int]:
    raise ValueError(ACTS.partition("\n")[0])


async def in_a_loop(count: int) -> None:
    loader = DataLoader(load_names, name=ACTS)
    for key in range(count):
        await loader.load(key)


async def over_budget() -> None:
    async with batch_budget(batches=1):
        await in_a_loop(6)


async def strictly() -> None:
    with record(strict=True):
        await in_a_loop(6)


async def played(path: Path) -> None:
    async with recorded(path):
        await DataLoader(load_names, name=ACTS).load(1)
    async with recorded(path):
        await DataLoader(load_names, name=ACTS).load(2)


@pytest.mark.parametrize("what", ["budget", "growth", "strict", "contract", "recorded"])
def test_no_failure_of_a_test_acts_on_a_terminal(tmp_path, what):
    """What loaders are called, and what their errors say, may come from anywhere."""
    works = {
        "budget": lambda: asyncio.run(over_budget()),
        "growth": lambda: asyncio.run(assert_scales(in_a_loop)),
        "strict": lambda: asyncio.run(strictly()),
        "contract": lambda: check_batch_function(load_nothing, [1]),
        "recorded": lambda: asyncio.run(played(tmp_path / "names.json")),
    }
    with pytest.raises(DloaderError) as caught:
        works[what]()
    said = str(caught.value)
    assert "\\x1b]0;title" in said
    assert said.replace("\n", "").isprintable()
    assert not any(line.startswith("forged") for line in said.splitlines())


@at_most(150)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_so_is_any_file(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("trace") / "trace.json"
    path.write_bytes(content)
    read_and_shown(path)


@pytest.mark.parametrize(
    "content", ["[" * DEEP, '{"a":' * DEEP, "9" * DEEP, ""], ids=["lists", "dicts", "number", "empty"]
)
def test_so_is_a_very_deep_one(tmp_path, capsys, content):
    """By the command line in one line, without a traceback."""
    path = tmp_path / "trace.json"
    path.write_text(content, encoding="utf-8")
    read_and_shown(path)
    assert main(["trace", str(path)]) != 0
    assert len(capsys.readouterr().err.splitlines()) == 1
