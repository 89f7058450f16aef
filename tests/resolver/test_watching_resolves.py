"""Who watches a resolve is told, once for all nodes that arrived together, which field asked for what."""

from typing import Annotated

import pytest
from loops import turns
from pydantic import BaseModel

from dloader import DataLoader, Instrument, LoaderRegistry, watch
from dloader.resolver import Load, LoaderDepend, Resolver


class Log(Instrument):
    """Keeps what it is told."""

    def __init__(self):
        self.resolves = []
        self.steps = []
        self.written = []
        self.records = []
        self.events = []

    def record_opened(self, record):
        self.records.append(record)
        self.events.append(f"opened {record.loader.name}")

    def resolve_started(self, resolve):
        self.events.append("started")
        self.resolves.append(resolve)

    def resolve_finished(self, resolve):
        self.events.append("finished")
        assert resolve is self.resolves[-1]

    def step_asked(self, step):
        self.events.append(f"asked {step.field}")
        self.steps.append(step)

    def step_written(self, step):
        self.events.append(f"written {step.field}")
        self.written.append(step)

    def step(self, field, depth=None):
        [step] = [step for step in self.steps if step.field == field and depth in (None, step.depth)]
        return step


class Rows(DataLoader):
    async def batch_load_fn(self, keys):
        return [self.row(key) for key in keys]


class UserById(Rows):
    def row(self, key):
        return {"id": key, "team_id": key % 2}


class TeamById(Rows):
    def row(self, key):
        return {"id": key}


class TasksOf(Rows):
    def row(self, key):
        return [{"id": key * 10 + n, "owner_id": n} for n in range(3)]


class Counts(Rows):
    def row(self, key):
        return key


class Team(BaseModel):
    id: int


class User(BaseModel):
    id: int
    team_id: int
    team: Annotated[Team | None, Load(TeamById, by="team_id")] = None


class Task(BaseModel):
    id: int
    owner_id: int | None
    owner: Annotated[User | None, Load(UserById, by="owner_id")] = None


class Box(BaseModel):
    tasks: list[Task] = []

    def resolve_tasks(self, loader: Annotated[TasksOf, LoaderDepend()]):
        return loader.load(1)


class Project(BaseModel):
    id: int
    box: Box = Box()
    total: int = 0

    async def post_total(self, loader: Annotated[Counts, LoaderDepend()]):
        await turns(2)
        return await loader.load(len(self.box.tasks))


class TestSteps:
    def test_each_says_what_it_asked_for_and_where_its_nodes_came_from(self, run):
        async def law():
            log = Log()
            with watch(log):
                await Resolver().resolve([Project(id=1), Project(id=2)])
            tasks, owner, team, total = map(log.step, ("tasks", "owner", "team", "total"))
            [resolve] = log.resolves
            assert (resolve.roots, resolve.error) == ({Project: 2}, None)
            assert (tasks.owner, tasks.path, tasks.depth, tasks.phase) == (Box, ["box"], 1, "resolve")
            assert (tasks.nodes, tasks.keys, tasks.distinct, tasks.hits) == (2, 2, 1, 0)
            assert tasks.came_from == []
            assert (owner.nodes, owner.keys, owner.distinct, owner.hits) == (6, 6, 3, 0)
            assert (owner.path, owner.came_from) == (["box", "tasks"], [tasks])
            assert (team.keys, team.distinct, team.came_from) == (6, 2, [owner])
            assert total.phase == "post"
            assert {step.field for step in total.came_from} == {"tasks", "owner", "team"}
            assert [(loader.name, number) for loader, number in owner.batches] == [("UserById", 1)]
            assert log.written[0] is tasks
            assert {step.resolve for step in log.steps} == {resolve}
            for step in log.steps:
                assert resolve.started <= step.asked <= step.written <= resolve.ended
            starts = [start for start, _ in resolve.busy]
            assert starts == sorted(starts)
            assert resolve.started <= starts[0]
            assert all(start <= end <= resolve.ended for start, end in resolve.busy)
            assert log.events[0] == "started"
            assert log.events[-1] == "finished"

        run(law)

    def test_null_keys_and_cached_keys(self, run):
        async def law():
            log = Log()
            loader = UserById()
            loader.prime(1, {"id": 1, "team_id": 0})
            with watch(log):
                tasks = [Task(id=n, owner_id=owner) for n, owner in enumerate([None, 1, 1, None])]
                await Resolver(loader_instances={UserById: loader}).resolve(tasks)
                await Resolver().resolve([Task(id=1, owner_id=None)])
            one, none = [step for step in log.steps if step.field == "owner"]
            assert (one.nodes, one.keys, one.distinct, one.hits, one.batches) == (4, 2, 1, 1, [])
            assert (none.nodes, none.keys, none.distinct, none.batches) == (1, 0, 0, [])

        run(law)

    def test_duplicates_that_are_dropped_count_as_loads(self, run):
        async def law():
            loader = UserById()
            tasks = [Task(id=n, owner_id=n % 2) for n in range(10)]
            await Resolver(loader_instances={UserById: loader}).resolve(tasks)
            assert loader.statistics.loads == 10
            assert loader.statistics.merged == 8

        run(law)

    def test_a_key_that_is_loaded_itself_comes_from_that_step(self, run):
        class Chain(BaseModel):
            id: int
            next_id: Annotated[int | None, Load(Counts, by="id")] = None
            next: Annotated[Team | None, Load(TeamById, by="next_id")] = None

        async def law():
            log = Log()
            with watch(log):
                await Resolver().resolve(Chain(id=3))
            assert log.step("next").came_from == [log.step("next_id")]

        run(law)

    def test_the_path_is_cut_in_deep_trees(self, run):
        class Node(BaseModel):
            id: int
            below: Annotated["Node | None", Load(Counts, by="id")] = None

            def resolve_name(self):
                return "x"

            name: str = ""

        class Below(Rows):
            def row(self, key):
                return {"id": key - 1} if key else None

        async def law():
            log = Log()
            with watch(log):
                await Resolver(loader_instances={Counts: TreeLoader()}).resolve(Node(id=30))
            depths = {step.depth: step.path for step in log.steps if step.field == "below"}
            assert depths[5] == ["below"] * 5
            assert depths[30] == ["below"] * 20

        class TreeLoader(Counts):
            def row(self, key):
                return {"id": key - 1} if key else None

        run(law)

    def test_posts_with_nothing_below_come_from_what_brought_their_nodes(self, run):
        class Leaf(BaseModel):
            id: int
            count: int = 0

            def post_count(self, loader: Annotated[Counts, LoaderDepend()]):
                return loader.load(self.id)

        class Top(BaseModel):
            id: int
            leaf: Annotated[Leaf | None, Load(TeamById, by="id")] = None

        async def law():
            log = Log()
            with watch(log):
                await Resolver().resolve(Top(id=3))
            assert log.step("count").came_from == [log.step("leaf")]

        run(law)


class TestScope:
    def test_loaders_of_a_registry_are_seen_and_later_resolves_are_not(self, run):
        async def law():
            log = Log()
            async with LoaderRegistry() as loaders:
                await Resolver(registry=loaders).resolve(Task(id=1, owner_id=1))
                with watch(log):
                    await Resolver(registry=loaders).resolve(Task(id=1, owner_id=3))
                await Resolver(registry=loaders).resolve(Task(id=1, owner_id=4))
            assert [record.loader.name for record in log.records] == ["UserById"]
            assert [record.number for record in log.records] == [2]
            assert (log.step("team").keys, log.step("team").hits) == (1, 1)

        run(law)

    def test_the_step_of_an_async_method_is_known_where_its_batch_opens(self, run):
        from dloader.instruments import current_step

        class Late(BaseModel):
            id: int
            count: int = 0

            async def resolve_count(self, loader: Annotated[Counts, LoaderDepend()]):
                await turns(3)
                return await loader.load(self.id)

        class Steps(Instrument):
            def record_opened(self, record):
                fields.append(current_step.get().field)

        async def law():
            with watch(Steps()):
                await Resolver().resolve([Late(id=1), Late(id=2)])
            assert fields == ["count"]
            assert current_step.get() is None

        fields: list = []
        run(law)

    def test_resolves_nest(self, run):
        class Outer(BaseModel):
            id: int
            inner: Task | None = None

            async def resolve_inner(self):
                return await Resolver().resolve(Task(id=1, owner_id=self.id))

        async def law():
            log = Log()
            log.resolve_finished = lambda resolve: None
            with watch(log):
                await Resolver().resolve(Outer(id=1))
            assert [resolve.roots for resolve in log.resolves] == [{Outer: 1}, {Task: 1}]
            assert [step.resolve for step in log.steps if step.field == "owner"] == log.resolves[::-1]

        run(law)

    @pytest.mark.parametrize("how", ["load", "method"])
    def test_a_resolve_that_fails_is_finished_too(self, run, how):
        class Bad(Rows):
            def row(self, key):
                raise ValueError("no such row")

        class ByMethod(BaseModel):
            def resolve_x(self):
                raise ValueError("no such row")

            x: int = 0

        class ByLoad(BaseModel):
            id: int = 1
            x: Annotated[int, Load(Bad, by="id")] = 0

        async def law():
            log = Log()
            with watch(log), pytest.raises(ValueError, match="no such row"):
                await Resolver().resolve(ByLoad() if how == "load" else ByMethod())
            [resolve] = log.resolves
            assert isinstance(resolve.error, ValueError)
            assert log.events[-1] == "finished"

        run(law)

    def test_the_engine_gives_its_reason_for_closing_a_batch(self, run):
        class Ends(Instrument):
            def batch_ended(self, record):
                ends.append((record.loader.name, record.why))

        async def law():
            with watch(Ends()):
                await Resolver().resolve([Task(id=1, owner_id=1), Task(id=1, owner_id=2)])
            assert ends == [("UserById", "resolver"), ("TeamById", "resolver")]

        ends: list = []
        run(law)
