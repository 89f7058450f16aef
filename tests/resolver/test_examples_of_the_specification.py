"""Every example of the second seed document, verbatim but for its import lines.

What the document leaves out is provided here and marked so: the functions that read its tables, the missing colon of
`class OfficeLoader(DataLoader)`, `Compay`, a full-width comma, and the order in which its classes are defined.
"""

import json
from typing import List, Literal, Optional

import pytest
from pydantic import BaseModel
from resolving import Source

from dloader import DataLoader, PlanError, build_list, build_object
from dloader.resolver import LoaderDepend, Resolver, copy_dataloader_kls

# -- provided: the tables of the document's examples ----------------------------------------------------------

OFFICES = [
    dict(id=1, company_id=1, name="office-1", status="open", manager="ann"),
    dict(id=2, company_id=1, name="office-2", status="closed", manager="bob"),
    dict(id=3, company_id=2, name="office-3", status="open", manager="eve"),
]
MEMBERS = [
    dict(id=1, office_id=1, name="Tom"),
    dict(id=2, office_id=1, name="Jerry"),
    dict(id=3, office_id=3, name="Spike"),
]


async def get_offices_by_company_ids(company_ids):
    return [office for office in OFFICES if office["company_id"] in company_ids]


async def get_offices_by_company_ids_by_status(company_ids, status):
    return [office for office in await get_offices_by_company_ids(company_ids) if office["status"] == status]


async def get_members_by_office_ids(office_ids):
    return [member for member in MEMBERS if member["office_id"] in office_ids]


@pytest.fixture(autouse=True)
def _counted_from_zero():
    """The loaders below count their calls in attributes that the document does not set."""
    OfficeLoader.calls = MemberLoader.calls = 0


class TestIntroduction:
    """The class that the document starts with, resolved on the class `Resolver` itself."""

    def test_children_and_their_cars(self, run):
        """`Resolver.resolve([...])` fills the cars, then the description."""
        asked = []

        class Car(BaseModel):
            id: int
            name: str

        class CarLoader(DataLoader):
            async def batch_load_fn(self, child_ids):
                asked.append(child_ids)
                return [[dict(id=1, name="Focus"), dict(id=2, name="Seat")] for _ in child_ids]

        class Child(BaseModel):
            id: int
            name: str

            cars: List[Car] = []
            # async def resolve_cars(self):
            #     return await get_cars_by_child(self.id)

            async def resolve_cars(self, loader=LoaderDepend(CarLoader)):
                return await loader.load(self.id)

            description: str = ''
            def post_description(self):
                desc = ', '.join([c.name for c in self.cars])
                return f'{self.name} owns {len(self.cars)} cars, they are: {desc}'

        async def main():
            return await Resolver.resolve([
                Child(id=1, name="Titan"), Child(id=1, name="Siri")])

        children = run(main)
        assert [child.description for child in children] == [
            "Titan owns 2 cars, they are: Focus, Seat",
            "Siri owns 2 cars, they are: Focus, Seat",
        ]
        assert asked == [[1]]


# Schema/ Entity
class Comment(BaseModel):
    id: int
    content: str
    user_id: int

class Blog(BaseModel):
    id: int
    title: str
    content: str

class User(BaseModel):
    id: int
    name: str


# Loaders/ relationships
class CommentLoader(DataLoader):
    async def batch_load_fn(self, comment_ids):
        comments = [
            dict(id=1, content="world is beautiful", blog_id=1, user_id=1),
            dict(id=2, content="Mars is beautiful", blog_id=2, user_id=2),
            dict(id=3, content="I love Mars", blog_id=2, user_id=3),
        ]
        return build_list(comments, comment_ids, lambda c: c['blog_id'])

class UserLoader(DataLoader):
    async def batch_load_fn(self, user_ids):
        users = [ dict(id=1, name="Alice"), dict(id=2, name="Bob"), ]
        return build_object(users, user_ids, lambda u: u['id'])


# Compose schemas and dataloaders together
class CommentWithUser(Comment):
    user: Optional[User] = None
    def resolve_user(self, loader=LoaderDepend(UserLoader)):
        return loader.load(self.user_id)

class BlogWithComments(Blog):
    comments: list[CommentWithUser] = []
    def resolve_comments(self, loader=LoaderDepend(CommentLoader)):
        return loader.load(self.id)


class TestBlogs:
    """The complete program of the document."""

    @pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
    def test_the_program_prints_its_tree(self, run, capsys):
        """It uses Pydantic's deprecated `parse_obj` and `dict`."""

        # Run
        async def main():
            raw_blogs =[
                dict(id=1, title="hello world", content="hello world detail"),
                dict(id=2, title="hello Mars", content="hello Mars detail"),
            ]
            blogs = await Resolver().resolve([BlogWithComments.parse_obj(b) for b in raw_blogs])
            print(json.dumps(blogs, indent=2, default=lambda o: o.dict()))

        run(main)
        first, second = json.loads(capsys.readouterr().out)
        assert first["comments"] == [
            {"id": 1, "content": "world is beautiful", "user_id": 1, "user": {"id": 1, "name": "Alice"}}
        ]
        assert [comment["user"] for comment in second["comments"]] == [{"id": 2, "name": "Bob"}, None]


class TestCreation:
    """The two ways to make a loader."""

    def test_a_subclass_slices_its_keys(self, run):
        """`max_batch_size = 20` makes slices that run concurrently."""
        my_batch_get_users = Source(lambda key: f"user {key}")

        class UserLoader(DataLoader):
            max_batch_size = 20
            async def batch_load_fn(self, keys):
                return await my_batch_get_users(keys)

        class Task(BaseModel):
            owner_id: int
            owner: str = ""
            def resolve_owner(self, loader=LoaderDepend(UserLoader)):
                return loader.load(self.owner_id)

        async def main():
            user_loader = UserLoader()
            assert await user_loader.load(1) == "user 1"
            my_batch_get_users.calls.clear()
            return await Resolver().resolve([Task(owner_id=n) for n in range(50)])

        tasks = run(main)
        assert [task.owner for task in tasks] == [f"user {n}" for n in range(50)]
        assert [len(call) for call in my_batch_get_users.calls] == [20, 20, 10]

    def test_a_batch_function_is_a_dependency(self, run):
        """`LoaderDepend(batch_load_fn)` makes a `DataLoader` of the function."""

        async def batch_load_fn(keys):
            return [f"user {key}" for key in keys]

        class Task(BaseModel):
            owner: str = ""
            def resolve_owner(self, loader=LoaderDepend(batch_load_fn)):
                assert isinstance(loader, DataLoader)
                return loader.load(7)

        async def main():
            return await Resolver().resolve(Task())

        assert run(main).owner == "user 7"


class OfficeLoader(DataLoader):  # the colon is missing in the document
    async def batch_load_fn(self, company_ids):
        OfficeLoader.calls += 1
        offices = await get_offices_by_company_ids(company_ids)
        return build_list(offices, company_ids, lambda x: x['company_id'])  # 假定数据是 dict

class MemberLoader(DataLoader):
    async def batch_load_fn(self, office_ids):
        MemberLoader.calls += 1
        members = await get_members_by_office_ids(office_ids)
        return build_list(members, office_ids, lambda x: x['office_id'])

class Member(BaseModel):
    id: int
    office_id: int
    name: str

class Office(BaseModel):
    id: int
    company_id: int
    name: str

    members: List[Member] = []
    def resolve_members(self, loader=LoaderDepend(MemberLoader)):
        return loader.load(self.id)  # 返回的是 Future

class Company(BaseModel):
    id: int
    name: str

    offices: List[Office] = []
    def resolve_offices(self, loader=LoaderDepend(OfficeLoader)):
        return loader.load(self.id)  # 返回的是 Future


class TestLevels:
    """Companies, their offices and the members of these."""

    def test_each_batch_function_runs_once(self, run):
        """However many offices and members there are."""

        async def main():
            companies = [
                Company(id=1, name='Aston'),
                Company(id=2, name="Nicc"),  # "Compay" in the document
                Company(id=3, name="Carxx")
            ]
            companies = await Resolver().resolve(companies)
            return companies

        companies = run(main)
        assert [[office.name for office in company.offices] for company in companies] == [
            ["office-1", "office-2"],
            ["office-3"],
            [],
        ]
        assert [member.name for member in companies[0].offices[0].members] == ["Tom", "Jerry"]
        assert (OfficeLoader.calls, MemberLoader.calls) == (1, 1)


class TestParameters:
    """Loaders with parameters, and clones of loaders."""

    def test_loader_params_choose_the_open_offices(self, run):
        """`status` is a parameter, since it is annotated and has no default."""

        class OfficeLoader(DataLoader):
            status: Literal['open', 'closed', 'inactive']

            async def batch_load_fn(self, company_ids):
                offices = await get_offices_by_company_ids_by_status(company_ids, self.status)
                return build_list(offices, company_ids, lambda x: x['company_id'])

        class Company(BaseModel):
            id: int
            name: str

            offices: List[Office] = []
            def resolve_offices(self, loader=LoaderDepend(OfficeLoader)):
                return loader.load(self.id)

        async def main(status='open'):
            companies = [
                Company(id=1, name='Aston'),
                Company(id=2, name="Nicc"),
                Company(id=3, name="Carxx")
            ]
            companies = await Resolver(
                loader_params={
                    OfficeLoader: {
                        'status': status
                    }
                }
            ).resolve(companies)
            return companies

        assert [office.id for company in run(main) for office in company.offices] == [1, 3]
        with pytest.raises(PlanError, match="oepn"):
            run(main, 'oepn')

    def test_clones_take_parameters_of_their_own(self, run):
        """Open and closed offices in one resolve."""

        class OfficeLoader(DataLoader):
            status: Literal['open', 'closed', 'inactive']

            async def batch_load_fn(self, company_ids):
                offices = await get_offices_by_company_ids_by_status(company_ids, self.status)
                return build_list(offices, company_ids, lambda x: x['company_id'])

        OfficeLoader1 = copy_dataloader_kls('OfficeLoader1', OfficeLoader)
        OfficeLoader2 = copy_dataloader_kls('OfficeLoader2', OfficeLoader)

        class Company(BaseModel):
            id: int
            name: str

            open_offices: List[Office] = []
            def resolve_open_offices(self, loader=LoaderDepend(OfficeLoader1)):
                return loader.load(self.id)

            closed_offices: List[Office] = []
            def resolve_closed_offices(self, loader=LoaderDepend(OfficeLoader2)):
                return loader.load(self.id)

        async def main():
            companies = [
                Company(id=1, name='Aston'),
                Company(id=2, name="Nicc"),
                Company(id=3, name="Carxx")
            ]
            companies = await Resolver(
                loader_params={
                    OfficeLoader1: {
                        'status': 'open'
                    },  # a full-width comma in the document
                    OfficeLoader2: {
                        'status': 'closed'
                    }
                }
            ).resolve(companies)
            return companies

        companies = run(main)
        assert [office.id for company in companies for office in company.open_offices] == [1, 3]
        assert [office.id for company in companies for office in company.closed_offices] == [2]


class TestReturnValues:
    """What a loader returns is changed before it is written."""

    def test_an_async_method_filters(self, run):
        """The method awaits the loader itself."""

        class Company(BaseModel):
            id: int
            name: str

            offices: List[Office] = []
            async def resolve_offices(self, loader=LoaderDepend(OfficeLoader)):
                offices = await loader.load(self.id)
                return [of for of in offices if of['status'] == 'open']

        async def main():
            return await Resolver().resolve(Company(id=1, name="Aston"))

        assert [office.id for office in run(main).offices] == [1]

    def test_a_method_takes_any_number_of_loaders_under_any_name(self, run):
        """Two here."""

        class ManagerLoader(DataLoader):
            async def batch_load_fn(self, company_ids):
                return [["ann", "eve"] for _ in company_ids]

        class Company(BaseModel):
            id: int
            name: str

            offices: List[Office] = []
            async def resolve_offices(
                    self,
                    office_loader=LoaderDepend(OfficeLoader),
                    manager_loader=LoaderDepend(ManagerLoader)):
                offices = await office_loader.load(self.id)
                managers = await manager_loader.load(self.id)

                offices = [of for of in offices if of['manager'] in managers]
                return offices

        async def main():
            return await Resolver().resolve([Company(id=1, name="Aston"), Company(id=2, name="Nicc")])

        assert [[office.id for office in company.offices] for company in run(main)] == [[1], [3]]


class TestInstances:
    """Loaders made beforehand, and a look at those that a resolve has made."""

    def test_a_primed_loader_needs_no_query(self, run):
        """What was primed is served from its cache."""
        asked = Source(lambda key: [])

        class SomeLoader(DataLoader):
            async def batch_load_fn(self, keys):
                return await asked(keys)

        class Person(BaseModel):
            name: str
            friends: List[str] = []
            def resolve_friends(self, loader=LoaderDepend(SomeLoader)):
                return loader.load(self.name)

        async def main():
            data = [Person(name='tangkikodo'), Person(name='john')]
            loader = SomeLoader()
            loader.prime('tangkikodo', ['tom', 'jerry'])
            loader.prime('john', ['mike', 'wallace'])
            data = await Resolver(loader_instances={SomeLoader: loader}).resolve(data)
            return data

        assert [person.friends for person in run(main)] == [["tom", "jerry"], ["mike", "wallace"]]
        assert asked.calls == []

    def test_printing_the_instances_shows_what_was_loaded(self, run, capsys):
        """Each loader with its batches, keys and values."""

        async def main():
            data = [Company(id=1, name='Aston'), Company(id=3, name="Carxx")]
            resolver = Resolver()
            data = await resolver.resolve(data)
            print(resolver.loader_instance_cache)
            return resolver

        resolver = run(main)
        printed = capsys.readouterr().out
        assert "OfficeLoader: batches=1 keys=2 cache_hits=0" in printed
        assert "  3: []" in printed
        assert "MemberLoader: batches=1 keys=2" in printed
        assert "'name': 'Tom'" in printed
        assert isinstance(resolver.loader_instance_cache[OfficeLoader], OfficeLoader)
