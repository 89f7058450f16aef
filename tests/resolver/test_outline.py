"""The plan before the run: rounds, calls, what waits for what; and the same with the numbers of a run in it."""

import asyncio
import json
import re
import sys
from typing import Annotated, TypeVar
from xml.etree import ElementTree as ET

import pytest
from amounts import at_most
from browsers import browser
from hypothesis import given, strategies as st
from pydantic import BaseModel, create_model

from dloader import DataLoader, OptionError, PlanError
from dloader.cli import main
from dloader.demo.models import Continent
from dloader.resolver import Load, LoaderDepend, Resolver
from dloader.resolver._outline._call_reader import _set_round
from dloader.resolver._outline._layout import lay_out
from dloader.resolver._outline._picture import svg
from dloader.resolver._outline._planned_calls import Outline, PlannedCall, Row
from dloader.trace import record


class Rows(DataLoader):
    """A row for each key, or three."""

    many = False

    async def batch_load_fn(self, keys):
        await asyncio.sleep(0)
        return [[self.row(key, n) for n in range(3)] if self.many else self.row(key, 0) for key in keys]

    def row(self, key, n):
        return {name: (key * 3 + n) % 1_000 for name in NAMES}


NAMES = ("id", "user_id", "manager_id", "head_id", "owner_id", "lead_id", "author_id", "currency", "rate")


class ManyRows(Rows):
    many = True


class OfficesOfCompany(ManyRows):
    pass


class MembersOfOffice(ManyRows):
    pass


class TeamsOfOffice(ManyRows):
    pass


class UserById(Rows):
    pass


class ProjectsOfTeam(ManyRows):
    pass


class BudgetOfProject(Rows):
    pass


class RateOfCurrency(Rows):
    def row(self, key, n):
        return 1.5


class TasksOfProject(ManyRows):
    pass


class CommentsOf(ManyRows):
    async def batch_load_fn(self, keys):
        return [[self.row(key, n) for n in range(2)] if key < 900 else [] for key in keys]

    def row(self, key, n):
        return {"id": 900 + key % 50 + n, "author_id": key}


class Counts(Rows):
    def row(self, key, n):
        return key


class User(BaseModel):
    id: int


class Comment(BaseModel):
    id: int
    author_id: int
    author: Annotated[User | None, Load(UserById, by="author_id")] = None
    replies: Annotated[list["Comment"], Load(CommentsOf, by="id")] = []


class Task(BaseModel):
    id: int
    owner_id: int
    owner: Annotated[User | None, Load(UserById, by="owner_id")] = None
    comments: list[Comment] = []

    def resolve_comments(self, loader: Annotated[CommentsOf, LoaderDepend()]):
        return loader.load(self.id)


class Budget(BaseModel):
    currency: int
    rate: Annotated[float, Load(RateOfCurrency, by="currency")] = 0.0


class Project(BaseModel):
    id: int
    owner_id: int
    owner: Annotated[User | None, Load(UserById, by="owner_id")] = None
    budget: Annotated[Budget | None, Load(BudgetOfProject, by="id")] = None
    tasks: Annotated[list[Task], Load(TasksOfProject, by="id")] = []


class Team(BaseModel):
    id: int
    head_id: int
    head: Annotated[User | None, Load(UserById, by="head_id")] = None
    projects: Annotated[list[Project], Load(ProjectsOfTeam, by="id")] = []


class Member(BaseModel):
    user_id: int
    manager_id: int
    user: Annotated[User | None, Load(UserById, by="user_id")] = None
    manager: Annotated[User | None, Load(UserById, by="manager_id")] = None


class Office(BaseModel):
    id: int
    members: Annotated[list[Member], Load(MembersOfOffice, by="id")] = []
    teams: Annotated[list[Team], Load(TeamsOfOffice, by="id")] = []


class Company(BaseModel):
    id: int
    offices: Annotated[list[Office], Load(OfficesOfCompany, by="id")] = []
    total: int = 0

    def post_total(self, loader: Annotated[Counts, LoaderDepend()]):
        return loader.load(len(self.offices))


TEXT = """\
Plan of Company: 7 rounds, at most 14 calls, 10 loaders, 9 classes

Round 1
  OfficesOfCompany         Company.offices → Office  by id
Round 2
  MembersOfOffice          Office.members → Member  by id
  TeamsOfOffice            Office.teams → Team  by id
Round 3
  UserById                 Member.user → User  by user_id
                           Member.manager → User  by manager_id
                           Team.head → User  by head_id
  ProjectsOfTeam           Team.projects → Project  by id
Round 4
  UserById                 Project.owner → User  by owner_id
  BudgetOfProject          Project.budget → Budget  by id
  TasksOfProject           Project.tasks → Task  by id
Round 5
  RateOfCurrency           Budget.rate  by currency
  UserById                 Task.owner → User  by owner_id
  CommentsOf               Task.comments → Comment  (method)
Round 6
  UserById                 Comment.author → User  by author_id
  CommentsOf ↻             Comment.replies → Comment  by id
Round 7
  Counts                   Company.total  (method)  after all below

"""


class TestPlans:
    def test_a_tree_of_nine_classes(self):
        plan = Resolver.plan(Company)
        assert (plan.rounds, plan.calls, len(plan.loaders)) == (7, 14, 10)
        assert str(plan).splitlines() == [
            *TEXT.splitlines(),
            "UserById is called once at each of the depths 2, 3, 4, 5; keys seen before come",
            "from its cache.",
            "CommentsOf is called once at each of the depths 4, 5; keys seen before come from",
            "its cache.",
            "↻ Comment leads to Comment again: one more call for each level that the data",
            "has.",
        ]
        assert repr(plan) == "<ResolvePlan of Company rounds=7 calls=14>"
        assert max(map(len, str(plan).splitlines())) <= 80

    def test_no_loop_and_no_load_is_needed(self):
        class Broken(DataLoader):
            needed: str

            async def batch_load_fn(self, keys):
                raise AssertionError

        class Node(BaseModel):
            id: int
            below: Annotated[User | None, Load(Broken, by="id")] = None

        plan = Resolver.plan(list[Node])
        assert "Parameters to give: needed (Broken)" in str(plan)

    def test_nothing_to_do(self):
        plan = Resolver.plan(User)
        assert (plan.rounds, plan.calls, plan.loaders) == (0, 0, ())
        assert str(plan).startswith("Plan of User: 0 rounds, at most 0 calls, 0 loaders, 1 class\n")
        assert plan.chain.startswith("The chain that makes 0")

    def test_several_roots(self):
        plan = Resolver.plan(list[Member | Team])
        assert str(plan).startswith("Plan of Member | Team: ")
        assert plan.rounds == 4

    def test_a_key_that_is_loaded_itself_comes_one_round_later(self):
        class Node(BaseModel):
            id: int
            second_id: Annotated[int, Load(Counts, by="id")] = 0
            third_id: Annotated[int, Load(Counts, by="second_id")] = 0
            user: Annotated[User | None, Load(UserById, by="third_id")] = None

        plan = Resolver.plan(Node)
        assert (plan.rounds, plan.calls, plan.loaders) == (3, 3, ("Counts", "UserById"))

    def test_a_method_with_two_loaders_stands_in_two_lanes(self):
        class Node(BaseModel):
            user: User | None = None

            def resolve_user(
                self, one: Annotated[UserById, LoaderDepend()], two: Annotated[Counts, LoaderDepend()]
            ):
                return one.load(1)

        assert Resolver.plan(Node).loaders == ("UserById", "Counts")

    def test_methods_without_loaders_pass_nodes_on(self):
        class Box(BaseModel):
            task: Task | None = None

            def resolve_task(self):
                return None

        plan = Resolver.plan(Box)
        assert str(plan).splitlines()[2:4] == [
            "Round 1",
            "  UserById                 Task.owner → User  by owner_id",
        ]

    def test_the_same_class_reached_twice(self):
        class Pair(BaseModel):
            left: Task | None = None
            right: Task | None = None

        assert Resolver.plan(Pair).calls == 4

    def test_nodes_that_two_calls_bring_go_into_one(self):
        class Both(BaseModel):
            id: int
            one: Annotated[Team | None, Load(Counts, by="id")] = None
            two: Annotated[Team | None, Load(UserById, by="id")] = None

        planned = Resolver.plan(Both).as_json()["planned"]
        [heads] = [call for call in planned if any(field["field"] == "head" for field in call["fields"])]
        assert heads["after"] == [0, 1]
        assert heads["round"] == 2

    def test_what_types_do_not_tell(self):
        class Loose(BaseModel):
            anything: BaseModel | None = None
            something: BaseModel | None = None

            def resolve_something(self):
                return None

        assert "Not in the plan: what Loose.something, Loose.anything may hold" in " ".join(
            str(Resolver.plan(Loose)).split()
        )

    def test_posts_of_one_class_go_together_and_the_last_handler_after_them(self):
        class Node(BaseModel):
            id: int
            one: int = 0
            two: int = 0

            def post_one(self, loader: Annotated[Counts, LoaderDepend()]):
                return loader.load(1)

            def post_two(self, loader: Annotated[Counts, LoaderDepend()]):
                return loader.load(2)

            async def post_default_handler(self, loader: Annotated[UserById, LoaderDepend()]):
                await loader.load(3)

        plan = Resolver.plan(Node)
        assert (plan.rounds, plan.calls) == (2, 2)

    def test_a_post_comes_after_those_below_it(self):
        """They are done when it begins, what they load included."""

        class Leaf(BaseModel):
            id: int = 1
            rate: int = 0

            def post_rate(self, loader=LoaderDepend(RateOfCurrency)):
                return loader.load(self.id)

        class Root(BaseModel):
            leaf: Leaf = Leaf()
            user: dict = {}

            def post_user(self, loader=LoaderDepend(UserById)):
                return loader.load(1)

        plan = Resolver.plan(Root)
        assert (plan.rounds, plan.calls) == (2, 2)
        assert str(plan).index("RateOfCurrency") < str(plan).index("UserById")

    def test_functions_are_loaders_too_and_defaults_need_not_be_given(self):
        async def load_users(keys):
            return keys

        class Chosen(Rows):
            needed: int
            optional: int = 5

        class Node(BaseModel):
            id: int
            one: Annotated[User | None, Load(load_users, by="id")] = None
            two: Annotated[User | None, Load(Chosen, by="id")] = None

        plan = Resolver.plan(Node)
        assert plan.loaders == ("load_users", "Chosen")
        assert "Parameters to give: needed (Chosen)\n" in str(plan)

    def test_from_a_class_further_down(self):
        """As if its nodes were given, where they first stand: the depths are those of the whole tree."""
        whole, part = (Resolver.plan(Company, start=start).as_json() for start in (None, "Project"))
        assert (whole["rounds"], part["rounds"], part["roots"]) == (7, 3, ["Project"])
        assert [call["depth"] for call in part["planned"]] == [3, 3, 3, 4, 4, 4, 5, 5]
        assert Resolver.plan(list[Company], start=Project).as_json() == part
        assert Resolver.plan(Company, start=f"{__name__}.Project").as_json() == part
        assert Resolver.plan(Company, start="User").calls == 0
        assert Resolver.plan(Company, start="Company").as_json() == whole

    def test_from_no_class_or_from_several(self):
        class Other(BaseModel):
            user: User | None = None
            named: "list[Named]" = []

        class Named(BaseModel):
            user: BaseModel | None = None

        Named.__qualname__ = "User"
        Other.model_rebuild(_types_namespace={"Named": Named})
        with pytest.raises(OptionError, match="2 classes of this plan are named 'User': "):
            Resolver.plan(Other, start="User")
        with pytest.raises(OptionError, match=r"there is no class 'Usr' in this plan: did you mean 'User'\?"):
            Resolver.plan(Other, start="Usr")
        with pytest.raises(OptionError, match="there is no class 'Company' in this plan"):
            Resolver.plan(Other, start=Company)

    def test_it_fits_80_columns_whatever_the_names(self):
        long = "Long" * 30
        node = create_model(
            f"{long}Node",
            first_and_longest_of_all_keys=(int, 0),
            second_and_a_little_shorter_key=(int, 0),
            **{
                f"{long.lower()}{n}": (
                    Annotated[
                        User | None,
                        Load(
                            type(f"{name}Loader", (Rows,), {"max_batch_size": 10**n}),
                            by=("first_and_longest_of_all_keys", "second_and_a_little_shorter_key"),
                        ),
                    ],
                    None,
                )
                for n, name in enumerate(["Short", "AboutAsLongAsItsColumn", long])
            },
        )
        plan = Resolver.plan(node)
        for text in (str(plan), plan.chain):
            assert max(map(len, text.splitlines())) <= 80
            assert "…" not in plan.chain
        assert "\n  AboutAsLongAsItsColumnLoader\n                           LongLong" in str(plan)

    def test_sizes_are_said(self):
        class Small(Rows):
            max_batch_size = 20

        class Node(BaseModel):
            id: int
            one: Annotated[User | None, Load(Small, by="id")] = None
            two: Annotated[User | None, Load(UserById, by="id")] = None

        assert "More calls above 20 keys (max_batch_size): Small." in str(Resolver.plan(Node))

    def test_mistakes(self):
        class Bad(BaseModel):
            id: int
            user: Annotated[User | None, Load(UserById, by="id")] = None

            def resolve_no_such_field(self):
                return None

        with pytest.raises(PlanError, match="no_such_field"):
            Resolver.plan(Bad)
        for wrong in (5, int, "Company"):
            with pytest.raises(OptionError, match=r"Resolver\.plan\(\)"):
                Resolver.plan(wrong)


class TestRuns:
    async def traced(self):
        with record("GET /companies") as trace:
            await Resolver().resolve([Company(id=1), Company(id=2)])
        return trace

    def test_every_lane_was_seen_in_its_round(self, run):
        async def law():
            trace = await self.traced()
            plan = Resolver.plan(Company).compare(trace)
            planned = {
                (lane["loader"], lane["depth"], lane["phase"]): lane for lane in plan.as_json()["planned"]
            }
            seen: dict = {}
            for batch in trace.batches:
                step = trace.steps[batch.steps[0]]
                seen.setdefault((batch.name, step.depth, step.phase), set()).add(batch.round)
            for key, lane in planned.items():
                if lane["run"]["calls"]:
                    assert seen[key] == {lane["round"]}, key
            assert set(seen) <= set(planned)
            assert plan.calls_made == len(trace.batches)
            assert Resolver.plan(Company).calls_made is None
            assert sum(lane["run"]["keys"] for lane in planned.values()) == trace.keys

        run(law)

    def test_text_has_the_numbers(self, run):
        async def law():
            text = str(Resolver.plan(Company).compare(await self.traced()))
            assert "In the run 'GET /companies': " in text
            assert "1 call · 2 keys · " in text

        run(law)

    def test_what_was_cached_and_what_was_not_used(self, run):
        async def law():
            users = UserById()
            users.prime_many({key: {"id": key} for key in range(10)})
            with record("cached") as trace:
                await Resolver(loader_instances={UserById: users}).resolve(Member(user_id=1, manager_id=2))
                await Resolver(loader_instances={UserById: users}).resolve(Budget(currency=1))
            assert "no call: 2 keys from cache" in str(Resolver.plan(Member).compare(trace))
            assert "not used in this run" in str(Resolver.plan(Office).compare(trace))
            assert "1 call · 1 key · " in str(Resolver.plan(Budget).compare(trace))
            with record("cached") as trace:
                await Resolver(loader_instances={UserById: users}).resolve(Comment(id=999, author_id=1))
            assert "no call: 1 key from cache" in str(Resolver.plan(Comment).compare(trace))

        run(law)

    def test_batches_in_pieces(self, run):
        class Small(Rows):
            max_batch_size = 2

        class Node(BaseModel):
            id: int
            user: Annotated[User | None, Load(Small, by="id")] = None

        async def law():
            with record() as trace:
                await Resolver().resolve([Node(id=n) for n in range(6)])
            assert "3 calls · 6 keys" in str(Resolver.plan(Node).compare(trace))

        run(law)


def call_of(name, fields=("field",), phase="resolve"):
    call = PlannedCall(name, phase, 0, None)
    call.rows += [Row(call, "Owner", field, ("Target",), "by id") for field in fields]
    return call


def outline_of(calls):
    for call in calls:
        _set_round(call)
    return Outline(("Root",), sorted(calls, key=lambda call: call.round), 1, {}, ())


def layout_of(calls):
    outline = outline_of(calls)
    return lay_out(outline, dict.fromkeys(outline.calls, "one call"))


@st.composite
def outlines(draw):
    """Calls of some fields, each of which may wait for fields of some calls before."""
    calls = []
    for number in range(draw(st.integers(0, 12))):
        fields = ["field" * draw(st.integers(1, 4)) + str(n) for n in range(draw(st.integers(1, 4)))]
        call = call_of(f"Loader{number % 9}", fields, draw(st.sampled_from(["resolve", "resolve", "post"])))
        for row in call.rows if calls else ():
            earlier = st.sampled_from([row for before in calls for row in before.rows])
            row.add_sources(draw(st.lists(earlier, max_size=3)))
        calls.append(call)
    return outline_of(calls)


def assert_lines_are_clear(outline):
    """As it is drawn: no point of a line is in a box, and in a round no two lie on each other."""
    picture = ET.fromstring(svg(outline, None))
    svg_name = "{http://www.w3.org/2000/svg}"
    boxes = [
        [float(rect.get(name)) for name in ("x", "y", "width", "height")]
        for group in picture.iter(f"{svg_name}g")
        if group.get("class", "").startswith("lane")
        for rect in group.findall(f"{svg_name}rect[@class='box']")
    ]
    assert len(boxes) == len(outline.calls) + 1
    passing = {}
    for group in picture.iter(f"{svg_name}g"):
        if group.get("class", "").startswith("edge"):
            path = group.find(f"{svg_name}path").get("d")
            points = list(points_of(path))
            inside = [
                (point, box)
                for point in points
                for box in boxes
                if 0.2 < point[0] - box[0] < box[2] - 0.2 and 0.2 < point[1] - box[1] < box[3] - 0.2
            ]
            assert not inside, (group.attrib, inside[0])
            for y, x in re.findall(r" ([\d.]+)H([\d.]+)", path)[1:]:
                passing.setdefault((x, y), set()).add(path.partition("H")[0])
            assert all(0 <= y <= float(picture.get("height")) for _, y in points)
    assert all(len(lines) == 1 for lines in passing.values())


def points_of(path):
    """Along a path of M, H and C."""
    x = y = 0.0
    for kind, words in re.findall(r"([MHC])([^MHC]*)", path):
        numbers = list(map(float, words.split()))
        if kind == "H":
            yield from ((x + (numbers[0] - x) * n / 20, y) for n in range(21))
            x = numbers[0]
        elif kind == "C":
            ends = [(x, y), *zip(numbers[::2], numbers[1::2], strict=True)]
            for n in range(41):
                t = n / 40
                weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                yield tuple(
                    sum(weight * end[axis] for weight, end in zip(weights, ends, strict=True))
                    for axis in (0, 1)
                )
            x, y = ends[-1]
        else:
            x, y = numbers


class TestPictures:
    def test_the_picture_is_one_and_the_same(self):
        plan = Resolver.plan(Company)
        picture = plan.written_as(".svg")
        assert picture == Resolver.plan(Company).written_as(".svg")
        root = ET.fromstring(picture)
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert texts[:8] == ["given", *(f"round {n}" for n in range(1, 8))]
        assert texts.count("UserById") == 4
        assert "↻" in texts

    def test_all_that_is_drawn_has_a_style(self):
        for root in (Company, Member):
            picture = Resolver.plan(root).written_as(".svg")
            used = {name for names in re.findall(r'class="([^"]*)"', picture) for name in names.split()}
            assert used - set(re.findall(r"\.([a-z]\w*)", picture)) == {"lane"}  # for the page's script

    def test_boxes_do_not_overlap(self):
        from dloader.resolver._outline._call_reader import read_outline
        from dloader.resolver._outline._layout import lay_out
        from dloader.resolver._plan._model_graph import model_graph

        outline = read_outline(model_graph, [Company])
        layout = lay_out(outline, dict.fromkeys(outline.calls, "one call"))
        boxes = list(layout.boxes.values())
        for one in boxes:
            assert one.x + one.width <= layout.width
            assert one.y + one.height <= layout.height
            for other in boxes:
                apart = (
                    one.x + one.width < other.x
                    or other.x + other.width < one.x
                    or one.y + one.height < other.y
                    or other.y + other.height < one.y
                )
                assert apart or one is other
        chain = [box for box in boxes if box.y == min(each.y for each in boxes)]
        assert len({box.x for box in chain}) >= 6  # the longest chain is a straight line along the top

    @pytest.mark.parametrize("root", [Company, Project, Continent])
    def test_no_line_runs_through_a_box(self, root):
        assert_lines_are_clear(Resolver.plan(root)._outline)

    @at_most(100)
    @given(outlines())
    def test_nor_in_any_plan(self, outline):
        assert_lines_are_clear(outline)

    def test_nor_where_only_names_are_drawn(self, monkeypatch):
        monkeypatch.setattr("dloader.resolver._outline._layout.MOST_OPEN", 5)
        assert_lines_are_clear(Resolver.plan(Company)._outline)

    def test_lines_that_pass_go_where_there_is_room(self):
        """Between two boxes three, and one above the first; what leaves one row shares a line."""
        first, *others = calls = [call_of(f"Loader{n}") for n in range(8)]
        for n, call in enumerate(others):
            call.rows[0].add_sources(first.rows if n < 3 else calls[1].rows if n == 3 else ())
        calls[4].rows[0].add_sources([*calls[0].rows, *calls[2].rows, *calls[3].rows])
        layout = layout_of(calls)
        passing = [line for line in layout.lines if len(line.gaps) > 1]
        assert {len(line.gaps) for line in passing} == {2}
        height = max(box.y + box.height for box in layout.boxes.values())
        assert all(42 < point[1] < height + 5 for line in passing for gap in line.gaps for point in gap)

    def test_lines_into_one_box_do_not_cross(self):
        """The fields of a box stand in the order of what their lines come from."""
        picture = Resolver.plan(Company).written_as(".svg")
        box = picture.partition("UserById")[2].partition("</g>")[0]
        assert re.findall(r'y="([\d.]+)">\w+\.<', box) == sorted(
            re.findall(r'y="([\d.]+)">\w+\.<', box), key=float
        )
        ends: dict[str, list[tuple[float, float]]] = {}
        for target, start, end in re.findall(
            r'data-to="(\d+)"><path d="M[\d.]+ ([\d.]+)H.* ([\d.]+)"/><path', picture
        ):
            ends.setdefault(target, []).append((float(end), float(start)))
        assert any(len(lines) > 2 for lines in ends.values())
        for lines in ends.values():
            starts = [start for _, start in sorted(lines)]
            assert starts == sorted(starts)

    def test_a_post_hangs_on_the_last_of_those_that_it_waits_for(self):
        """What these have waited for themselves needs no line."""
        plan = Resolver.plan(Company)
        numbers = {each["loader"]: number for number, each in enumerate(plan.as_json()["planned"])}
        counts = numbers["Counts"]
        assert numbers["OfficesOfCompany"] in plan.as_json()["planned"][counts]["after"]
        sources = set(map(int, re.findall(rf'data-from="(\d+)" data-to="{counts}"', plan.written_as(".svg"))))
        waited_for = {before for each in plan.as_json()["planned"][:counts] for before in each["after"]}
        assert sources == set(range(counts)) - waited_for
        page = plan.written_as(".html")
        assert "<td>Company.total (method)</td>" in page
        assert "OfficesOfCompany" not in page.partition("Company.total (method)")[2].partition("</tr>")[0]

    def test_of_many_boxes_names_are_drawn_and_the_fields_of_the_one_that_is_chosen(
        self, monkeypatch, tmp_path
    ):
        plan = Resolver.plan(Company)
        open_picture = ET.fromstring(plan.written_as(".svg"))
        lines = plan.written_as(".svg").count("data-from")
        monkeypatch.setattr("dloader.resolver._outline._layout.MOST_OPEN", 5)
        picture = plan.written_as(".svg")
        assert "one call · 3 fields" in picture
        assert "one call · 1 field<" in picture
        assert picture.count("data-from") < lines
        assert float(ET.fromstring(picture).get("height")) < float(open_picture.get("height"))
        seen = (
            "return [...document.querySelectorAll('.more')]"
            ".filter((node) => getComputedStyle(node).display !== 'none').length"
        )
        with browser() as session:
            session.open(plan.save(tmp_path / "company.html"))
            assert session.run(seen) == 0
            session.run("document.getElementById('picture').focus()")
            session.press("Enter", "Right", "Right", "Down")
            assert session.run(seen) == 1
            assert session.run(
                "return document.querySelector('svg').lastElementChild.classList.contains('pick')"
            )
            session.press("Escape")
            assert session.run(seen) == 0
            assert session.messages() == []

    def test_of_very_many_there_is_the_table_alone(self, monkeypatch, tmp_path):
        monkeypatch.setattr("dloader.resolver._outline._page.MOST_DRAWN", 5)
        with browser() as session:
            session.open(Resolver.plan(Company).save(tmp_path / "company.html"))
            assert session.run("return document.documentElement.dataset.ready") == "true"
            assert session.run("return document.querySelector('svg')") is None
            assert "Too many calls for a picture" in session.run("return document.body.innerText")
            assert (
                session.run("return document.querySelectorAll('tbody tr').length")
                == Resolver.plan(Company).calls
            )
            assert session.messages() == []

    @pytest.mark.parametrize("width", [400, 760])
    def test_a_narrow_page(self, tmp_path, width):
        with browser() as session:
            session.open(Resolver.plan(Company).save(tmp_path / "company.html"), width=width, height=800)
            assert session.run("return document.documentElement.scrollWidth <= innerWidth")
            session.run("document.getElementById('picture').focus()")
            session.press("Enter", *["Right"] * 6)
            box, frame = session.run(
                "return [document.querySelector('.pick'), document.getElementById('picture')]"
                ".map((node) => [node.getBoundingClientRect().left, node.getBoundingClientRect().right])"
            )
            assert frame[0] <= box[0] < frame[1], "what is chosen is scrolled into view"
            session.run("document.getElementById('fit').click()")
            assert session.run(
                "return document.querySelector('svg').clientWidth <= document.getElementById('picture').clientWidth"
            )

    def test_the_table_of_a_page_says_what_stands_in_it(self):
        page = Resolver.plan(Company).written_as(".html")
        heads = re.findall(r"<th[^>]*>([^<]*)</th>", page)
        assert [head for head in heads if head] == ["round", "loader", "fields", "after", "calls"]

    def test_saved_by_suffix(self, tmp_path):
        plan = Resolver.plan(Company)
        for suffix, words in {
            ".html": "Round by round",
            ".svg": "<svg",
            ".mmd": "flowchart LR",
            ".json": '"format": "dloader plan 1"',
            ".txt": "Plan of Company",
        }.items():
            assert words in plan.save(tmp_path / f"company{suffix}").read_text("utf-8")
        assert json.loads((tmp_path / "company.json").read_text("utf-8"))["rounds"] == 7
        with pytest.raises(OptionError, match=r"\.html, \.svg, \.mmd, \.json or \.txt, not 'company\.png'"):
            plan.save(tmp_path / "company.png")

    def test_mermaid(self):
        class Node(BaseModel):
            id: int
            user: Annotated[User | None, Load(UserById, by="id")] = None
            count: int = 0

            def post_count(self, loader: Annotated[Counts, LoaderDepend()]):
                return loader.load(1)

        assert Resolver.plan(Node).written_as(".mmd") == (
            "flowchart LR\n"
            '  given["Node"]\n'
            '  subgraph round1["round 1"]\n'
            '    l0["<b>UserById</b><br/>Node.user → User"]\n'
            "  end\n"
            '  subgraph round2["round 2"]\n'
            '    l1["<b>Counts</b><br/>Node.count"]\n'
            "  end\n"
            "  given --> l0\n"
            "  l0 -.-> l1\n"
        )

    def test_more_than_mermaid_draws(self, monkeypatch):
        monkeypatch.setattr("dloader.resolver._outline._mermaid.MOST_EDGES", 3)
        with pytest.raises(OptionError, match="draws at most 3"):
            Resolver.plan(Company).written_as(".mmd")

    def test_in_a_browser(self, tmp_path):
        detail = "return document.getElementById('detail').innerText"
        faded = "return document.querySelectorAll('.lane.faded').length"
        with browser() as session:
            file = Resolver.plan(Company).save(tmp_path / "company.html")
            session.open(file)
            assert session.run("return document.documentElement.dataset.ready") == "true"
            session.run("document.getElementById('picture').focus()")
            session.press("Right", "Right")
            assert session.run(detail).startswith(("TeamsOfOffice", "MembersOfOffice"))
            session.press("Down", "Up", "Left", "Left")
            assert session.run(detail).startswith("OfficesOfCompany")
            assert session.run(faded) == 0
            session.press("Escape")
            assert session.run(detail).startswith("Nothing chosen")
            session.press("/")
            session.press(*"currency")
            assert session.run(detail).startswith("RateOfCurrency")
            way = "OfficesOfCompany → TeamsOfOffice → ProjectsOfTeam → BudgetOfProject → RateOfCurrency"
            assert way in session.run(detail)
            assert session.run(faded) > 5
            session.press("Enter", "Down", "Enter", "Escape", "Down", "Escape", "Enter", "t")
            for button in ("fit", "actual"):
                session.run(f"document.getElementById('{button}').click()")
            session.click('.lane[data-lane="2"] text')
            assert session.run(detail).startswith(("TeamsOfOffice", "MembersOfOffice"))
            assert session.messages() == []
            assert session.requests() == [file.as_uri()]


class TestCommand:
    NAME = f"{__name__}:Company"

    @pytest.fixture(autouse=True)
    def importable(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "company_models", sys.modules[__name__])

    def plan(self, *options):
        return main(["plan", "company_models:Company", *options])

    def test_prints(self, capsys):
        assert self.plan() == 0
        assert capsys.readouterr().out == str(Resolver.plan(Company))

    @pytest.mark.parametrize("form", ["--json", "--mermaid", "--svg"])
    def test_prints_in_other_forms(self, capsys, form):
        assert self.plan(form) == 0
        assert capsys.readouterr().out[:1] in {"{", "f", "<"}

    @pytest.mark.parametrize(
        ("limits", "code", "wanted"),
        [
            (["--max-rounds", "7", "--max-calls", "14"], 0, ""),
            (["--max-rounds", "6"], 1, "Wanted: at most 6 rounds."),
            (["--max-calls", "13"], 1, "Wanted: at most 13 calls."),
            (["--max-calls", "1", "--max-rounds", "1"], 1, "Wanted: at most 1 round, at most 1 call."),
        ],
    )
    def test_limits(self, capsys, limits, code, wanted):
        assert self.plan(*limits) == code
        printed = capsys.readouterr()
        if code:
            assert printed.out == ""
            assert wanted in " ".join(printed.err.split())
            assert "The chain that makes 7: OfficesOfCompany → TeamsOfOffice → ProjectsOfTeam" in printed.err

    def test_from_a_class(self, capsys):
        assert self.plan("--from", "Project") == 0
        assert capsys.readouterr().out.startswith("Plan of Project: 3 rounds, at most 8 calls, ")

    def test_limits_are_said_in_80_columns(self, capsys):
        assert self.plan("--max-rounds", "1") == 1
        said = capsys.readouterr().err.splitlines()
        assert said[0] == "Plan of Company: 7 rounds, at most 14 calls. Wanted: at most 1 round."
        assert max(map(len, said)) <= 80

    def test_a_run_in_it(self, capsys, run, tmp_path):
        async def law():
            (await TestRuns().traced()).save(tmp_path / "run.json")

        run(law)
        assert self.plan("--trace", str(tmp_path / "run.json"), "-o", str(tmp_path / "x.html")) == 0
        assert "calls made" in (tmp_path / "x.html").read_text("utf-8")
        assert capsys.readouterr().out == f"Written: {tmp_path / 'x.html'}\n"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["Company"], "write package.module:Model"),
            (["company_models:"], "write package.module:Model"),
            (["no_such_module:Company"], "No module named 'no_such_module'"),
            (["company_models:Nothing"], "company_models has no Nothing"),
            (["company_models:Company", "--from", "Nothing"], "there is no class 'Nothing' in this plan"),
            (["company_models:TEXT"], "is only a name"),
            (["company_models:TestCommand.NAME"], "only a name"),
            (["company_models:Company", "-o", "x.png"], "a plan is saved as"),
            (["company_models:Company", "--trace", "missing.json"], "missing.json"),
        ],
    )
    def test_what_cannot_be_planned(self, capsys, arguments, words):
        assert main(["plan", *arguments]) == 2
        assert words in capsys.readouterr().err

    def test_mistakes_are_told_one_by_one(self, capsys, monkeypatch):
        class Bad(BaseModel):
            id: int
            user: Annotated[User | None, Load(UserById, by="id")] = None

            def resolve_one(self):
                return None

            def resolve_two(self):
                return None

        monkeypatch.setattr(sys.modules[__name__], "Bad", Bad, raising=False)
        assert main(["plan", "company_models:Bad"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 2

    def test_without_pydantic(self, capsys, imported_anew):
        imported_anew("dloader.resolver", without="pydantic")
        assert self.plan() == 2
        assert 'pip install "dloader[resolver]"' in capsys.readouterr().err


async def odd(keys):
    return [{"id": key * 2 + 1} for key in keys]


async def even(keys):
    return [{"id": key * 2 + 2} for key in keys]


async def numbers_after(keys):
    return [key + 1 for key in keys]


class Chain(BaseModel):
    id: int
    below: Annotated["Chain | None", Load(odd, by="id", depth=3)] = None


class Ping(BaseModel):
    id: int
    pong: Annotated["Pong | None", Load(odd, by="id", depth=2)] = None


class Pong(BaseModel):
    id: int
    ping: Annotated[Ping | None, Load(even, by="id")] = None


class TwoWays(BaseModel):
    id: int
    left: Annotated["TwoWays | None", Load(odd, by="id", depth=2)] = None
    right: Annotated["TwoWays | None", Load(even, by="id", depth=1)] = None


class Held(BaseModel):
    id: int
    held: list["Held"] = []
    below: Annotated["Held | None", Load(odd, by="id", depth=2)] = None


class Needed(BaseModel):
    """A field that is filled so often only, and further on for another that has its key there."""

    id: int
    next_id: Annotated[int | None, Load(numbers_after, by="id", depth=1)] = None
    below: Annotated["Needed | None", Load(odd, by="next_id", depth=3)] = None


class Endless(BaseModel):
    id: int
    below: Annotated["Endless | None", Load(odd, by="id")] = None


class FarDown(BaseModel):
    id: int
    below: Annotated["FarDown | None", Load(odd, by="id", depth=70)] = None


class ManyWays(BaseModel):
    id: int
    a: Annotated["ManyWays | None", Load(odd, by="id", depth=9)] = None
    b: Annotated["ManyWays | None", Load(odd, by="id", depth=9)] = None
    c: Annotated["ManyWays | None", Load(odd, by="id", depth=9)] = None
    d: Annotated["ManyWays | None", Load(odd, by="id", depth=9)] = None
    e: Annotated["ManyWays | None", Load(odd, by="id", depth=9)] = None
    f: Annotated["ManyWays | None", Load(odd, by="id", depth=9)] = None


class TestModelsThatHoldThemselves:
    @pytest.mark.parametrize("model", [Chain, Ping, Pong, TwoWays, Held, Needed])
    def test_where_depth_ends_them_the_plan_is_what_a_run_takes(self, run, model):
        async def law():
            with record() as trace:
                await Resolver().resolve(model(id=0))
            plan = Resolver.plan(model).compare(trace)
            assert (plan.rounds, plan.calls) == (trace.rounds, len(trace.batches))
            assert plan.calls_made == plan.calls
            assert "↻" not in str(plan)

        run(law)

    @pytest.mark.parametrize(("model", "options"), [(Endless, {"max_depth": 3}), (FarDown, {"max_depth": 3})])
    def test_a_call_that_repeats_has_the_numbers_of_all_levels_of_a_run(self, run, model, options):
        async def law():
            with record() as trace:
                await Resolver(**options).resolve(model(id=0))
            plan = Resolver.plan(model).compare(trace)
            assert (plan.calls, plan.calls_made) == (1, 3)
            assert "In the run: 3 calls\n" in str(plan)
            assert "3 calls · 3 keys" in str(plan)
            assert f"↻ {model.__name__} leads to {model.__name__} again" in str(plan)

        run(law)

    def test_where_there_are_too_many_ways_down_they_repeat(self):
        assert "↻ ManyWays leads to ManyWays again" in str(Resolver.plan(ManyWays))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Chain(id=1), r"names no model or dataclass: Chain\(.*; give its class, Chain$"),
        (TypeVar("Anything"), "names no model or dataclass: ~Anything does not tell what it holds"),
    ],
    ids=["instance", "type variable"],
)
def test_what_names_no_model_is_refused_with_the_cure(model, message):
    with pytest.raises(OptionError, match=message):
        Resolver.plan(model)
