"""Where plans are kept: one model graph for the process, or one of a resolver's own, for any number of threads."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import pytest
from pydantic import BaseModel, create_model
from resolving import Source

from dloader import PlanError
from dloader.resolver import Load, Resolver
from dloader.resolver._plan._model_graph import ModelGraph, model_graph


class TestModelGraph:
    """Plans and subtrees of classes."""

    def test_a_resolver_with_a_graph_of_its_own_leaves_nothing_in_that_of_the_process(self, run):
        """Its plans are compiled anew."""

        class Own(Resolver):
            _graph = ModelGraph()

        class Node(BaseModel):
            name: str = ""

            def resolve_name(self):
                return "x"

        async def law():
            assert (await Own().resolve(Node())).name == "x"
            assert Own._graph.plan(Node).steps
            assert Own._graph.plan(Node) is not model_graph.plan(Node)

        run(law)

    def test_threads_share_a_graph(self):
        """Fresh classes, one of them with problems, are compiled by several threads at once, and each is right."""
        names, bases = Source(str), Source(lambda key: [{"id": key + 1}])
        threads, rounds = 4, 15
        start = threading.Barrier(threads)

        class Own(Resolver):
            _graph = ModelGraph()

        class Wrong(BaseModel):
            def resolve_nothing(self): ...
            def post_default_handler(self): ...

        async def resolved(tree):
            with pytest.raises(PlanError, match="fills no field"):
                await Own().resolve(Wrong())
            return await Own().resolve(tree)

        def work(classes):
            for top in classes:
                start.wait()
                tree = asyncio.run(resolved(top(id=1, given=[Base(id=5)])))
                yield tree.loaded[0].name + tree.given[0].name

        class Base(BaseModel):
            id: int
            name: Annotated[str, Load(names, by="id")] = ""

        loaded = (Annotated[list[Base], Load(bases, by="id")], [])
        tops = [
            create_model(f"Top{number}", id=(int, ...), loaded=loaded, given=(list[Base], []))
            for number in range(rounds)
        ]
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(threads) as pool:
                answers = list(pool.map(lambda _: list(work(tops)), range(threads)))
        finally:
            sys.setswitchinterval(before)
        assert answers == [["25"] * rounds] * threads
        assert len(names.calls) == threads * rounds, "given nodes wait for those that are loaded"

    def test_nothing_is_forgotten_while_something_is_made(self, monkeypatch):
        """A collection may come at any moment, also while a class is compiled."""

        def forget():
            forgotten.append(graph.forget_temporary())
            return int

        class Node(BaseModel):
            id: int = 0

            def resolve_id(self, seed: "forget()" = 1): ...

        monkeypatch.setitem(globals(), "forget", forget)
        graph, forgotten = ModelGraph(), []
        plan = graph.plan(Node)
        assert forgotten == [None]
        assert graph.plan(Node) is plan
        graph.forget_temporary()
        assert graph.plan(Node) is not plan
