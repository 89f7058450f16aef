"""Runs random programs of pydantic-resolve on it, and on the module of dloader that takes its place.

    python .ci/peer_programs.py 500          # as many programs
    python .ci/peer_programs.py 1 --seed 42  # this one, which is printed if the two differ

A program is a tree of models with methods of all kinds, loaders, contexts, collectors and mistakes. The answers must be
the same, and so must be the order of all calls, the batches, the keys of ``loader_instance_cache``, and the classes of
errors.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from collections import Counter
from textwrap import indent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

THEIRS = {"RESOLVE": "pydantic_resolve", "LOAD": "aiodataloader"}
OURS = {"RESOLVE": "dloader.compat.pydantic_resolve", "LOAD": "dloader.compat.aiodataloader"}
HEAD = """
import asyncio
from typing import Annotated, Any, List, Optional
from pydantic import BaseModel
from RESOLVE import Collector, ExposeAs, Loader, Resolver, SendTo, mapper
from LOAD import DataLoader
SEEN = []
"""
BOUND = ("sync", "async", "load", "load", "load async", "map", "post", "post", "post async")
BRINGING = (
    "child",
    "children",
    "made child",
    "made children",
    "loaded child",
    "loaded child",
    "loaded child async",
)
MOST_SECONDS = 2
"""Some trees have no end."""


class Program:
    """A random program: `text` with RESOLVE and LOAD for the names of the libraries."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = self.random.randint(2, 5)
        self.many: list[bool] = []
        """Of each loader, whether it gives lists."""
        loaders = [self._loader(number) for number in range(self.random.randint(1, 3))]
        models = [self._model(number) for number in reversed(range(self.count))]
        rebuild = "".join(f"C{number}.model_rebuild()\n" for number in range(self.count))
        self.text = "\n".join([HEAD, *loaders, *models, rebuild])

    def _loader(self, number: int) -> str:
        chance = self.random
        many = chance.random() < 0.5
        self.many.append(many)
        row = "{'id': k, 'n': k + 1} if k % 4 else None"
        row = "[{'id': k * 2 + j, 'n': k} for j in range(k % 3)]" if many else f"({row})"
        if chance.random() < 0.06:
            row = f"(ValueError('bad key') if k == 2 else {row})"
        lines = [chance.choice(["", "await asyncio.sleep(0)", "await asyncio.sleep(0.001)"])]
        lines.append(f"SEEN.append(('batch', {number}, sorted(set(keys))))")
        if chance.random() < 0.05:
            lines.append("if 3 in keys: raise ValueError('bad batch')")
        body = indent("\n".join([*lines, f"return [{row} for k in keys]"]), "    ")
        kind = chance.choice(["function", "class", "parameter"])
        if kind == "function":
            return f"async def L{number}(keys):\n{body}"
        parameter = "    tag: str\n" if kind == "parameter" else ""
        size = "    max_batch_size = 3\n" if chance.random() < 0.2 else ""
        method = indent(f"async def batch_load_fn(self, keys):\n{body}", "    ")
        return f"class L{number}(DataLoader):\n{parameter}{size}{method}"

    def _model(self, number: int) -> str:
        chance = self.random
        below = list(range(number + 1, self.count)) + [number] * (chance.random() < 0.1)
        exposed = f"Annotated[int, ExposeAs('e{number}')]" if chance.random() < 0.4 else "int"
        is_sent = number > 0 and chance.random() < 0.2
        sent = f"Annotated[int, SendTo('c{chance.randrange(number)}')]" if is_sent else "int"
        names = chance.sample("abcdefghij", chance.randint(1, 4))
        fields = [self._field(number, name, names, below) for name in names]
        last = ""
        if chance.random() < 0.3:
            collector = f", col=Collector('c{number}')" if chance.random() < 0.3 else ""
            value = "len(col.values())" if collector else "1"
            last = f"def post_default_handler(self{collector}):\n    SEEN.append(('last', self.id))\n"
            last += f"    self.n += {value}"
        mistake = "def resolve_zz(self): return 1" if chance.random() < 0.03 else ""
        body = "\n".join([f"id: {exposed} = 0", f"n: {sent} = 0", *fields, last, mistake])
        return f"class C{number}(BaseModel):\n{indent(body, '    ')}"

    def _field(self, number: int, name: str, names: list[str], below: list[int]) -> str:
        """A field, and the method that fills it."""
        chance = self.random
        kind = chance.choice([*BOUND, *BRINGING])
        wanted = [each for each in ("parent", "ancestor_context", "context") if chance.random() < 0.25]
        terms = {
            "parent": "(parent.id if parent is not None else 100)",
            "ancestor_context": "sum(v or 0 for v in ancestor_context.values())",
            "context": "context['k']",
        }
        value = " + ".join(["self.id", *(terms[each] for each in wanted)])
        other = chance.choice(names)
        if kind in ("sync", "async", "post") and chance.random() < 0.3:
            value += f" + (self.{other} if isinstance(self.{other}, int) else 0)"
        loader = chance.randrange(len(self.many))
        given = ", ".join(["self", *wanted])
        loading = f"{given}, loader=Loader(L{loader})"
        above = ", dict(ancestor_context)" if "ancestor_context" in wanted else ""
        note = f"    SEEN.append(('{number}.{name}', self.id{above}))\n"
        load = f"loader.load({value})"
        if kind in BOUND:
            return self._bound_field(number, name, kind, value, given, loading, note, load)
        if not below:
            return f"{name}: int = 0"
        model = f"'C{chance.choice(below)}'"
        if "loaded" in kind:
            annotation = f"List[{model}] = []" if self.many[loader] else f"Optional[{model}] = None"
            is_async = "async " if "async" in kind else ""
            wait = "await " if is_async else ""
            return f"{name}: {annotation}\n{is_async}def resolve_{name}({loading}):\n{note}    return {wait}{load}"
        annotation = f"List[{model}] = []" if "children" in kind else f"Optional[{model}] = None"
        if "made" not in kind:
            return f"{name}: {annotation}"
        row = f"{{'id': ({value}) % 50, 'n': self.n + 1}}"
        made = (
            f"[{row} for _ in range(self.id % 3)]"
            if "children" in kind
            else f"{row} if self.id < 60 else None"
        )
        return f"{name}: {annotation}\ndef resolve_{name}({given}):\n{note}    return {made}"

    def _bound_field(
        self, number: int, name: str, kind: str, value: str, given: str, loading: str, note: str, load: str
    ) -> str:
        collector, collected = "", ""
        if kind == "post" and self.random.random() < 0.5:
            collector, collected = f", col=Collector('c{number}')", " + sum(col.values())"
        rule = "@mapper(lambda v: len(v) if isinstance(v, list) else v['n'])\n"
        methods = {
            "sync": f"def resolve_{name}({given}):\n{note}    return {value}",
            "async": f"async def resolve_{name}({given}):\n{note}    await asyncio.sleep(0)\n{note}    return {value}",
            "load": f"def resolve_{name}({loading}):\n{note}    return {load}",
            "load async": f"async def resolve_{name}({loading}):\n{note}    v = await {load}\n{note}    return v",
            "map": f"{rule}def resolve_{name}({loading}):\n{note}    return {load}",
            "post": f"def post_{name}({given}{collector}):\n{note}    return {value}{collected}",
            "post async": f"async def post_{name}({loading}):\n{note}    return await {load}",
        }
        return f"{name}: {'Any = None' if 'load' in kind or kind == 'post async' else 'int = 0'}\n{methods[kind]}"

    # -- running ---------------------------------------------------------------------------------------------

    def run(self, names: dict[str, str], seed: int) -> tuple[Any, ...]:
        """Run the program on a library; return what came of it."""
        text = self.text
        for word, name in names.items():
            text = text.replace(word, name)
        module: dict[str, Any] = {"__name__": "program"}
        exec(compile(text, "program", "exec"), module)
        chance = random.Random(seed)
        roots = [self._node(chance, module, 0, 0) for _ in range(chance.choice([1, 1, 3]))]
        options: dict[str, Any] = {"context": {"k": 7}} if chance.random() < 0.9 else {}
        options |= {"global_loader_param": {"tag": "t"}} if chance.random() < 0.95 else {}
        options |= {"split_loader_by_type": True} if chance.random() < 0.15 else {}
        resolver = module["Resolver"](**options)
        try:
            asyncio.run(asyncio.wait_for(resolver.resolve(roots), MOST_SECONDS))
        except Exception as error:
            return ("error", next(kind.__name__ for kind in type(error).__mro__))
        seen: list[Any] = module["SEEN"]
        batches = sorted(str(each) for each in seen if each[0] == "batch")
        calls = [each for each in seen if each[0] != "batch"]
        dumps = [(root.model_dump(), sorted(root.model_fields_set)) for root in roots]
        return ("ok", dumps, calls, batches, sorted(resolver.loader_instance_cache))

    def _node(self, chance: random.Random, module: dict[str, Any], number: int, depth: int) -> BaseModel:
        """A node of a class, with nodes in the fields that no method fills."""
        cls: type[BaseModel] = module[f"C{number}"]
        values: dict[str, Any] = {"id": chance.randint(0, 8), "n": chance.randint(0, 5)}
        for name, field in cls.model_fields.items():
            below = [each for each in range(self.count) if f"C{each}]" in str(field.annotation)]
            if not below or hasattr(cls, f"resolve_{name}") or depth > 2:
                continue
            nodes = [self._node(chance, module, below[0], depth + 1) for _ in range(chance.randint(0, 2))]
            is_list = "List" in str(field.annotation)
            values[name] = nodes if is_list else next(iter(nodes), None)
        return cls(**values)


def main() -> int:
    """Run programs; return 1 if the libraries differ in one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    outcomes: Counter[str] = Counter()
    differing = 0
    for seed in range(options.seed, options.seed + options.count):
        program = Program(seed)
        theirs, ours = program.run(THEIRS, seed), program.run(OURS, seed)
        outcomes[theirs[0] if theirs[0] == "ok" else theirs[1]] += 1
        if theirs != ours:
            differing += 1
            print(
                f"--- seed {seed}\n{program.text if options.count == 1 else ''}\ntheirs {theirs}\nours   {ours}"
            )
    print(f"{options.count} programs: {dict(outcomes)}; {differing} differ")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
