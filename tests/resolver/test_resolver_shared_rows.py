"""One row given to several nodes: one model of it, in containers of their own."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator
from resolving import Source, notes_of

from dloader.resolver import Load, LoaderDepend, Resolver, SendTo


class Owner(BaseModel):
    id: int
    friends: list[int] = []


def owner_of(key):
    return {"id": key}


class TestOneModel:
    """What a loader or method gives to several nodes at once is converted once."""

    @pytest.mark.parametrize("way", ["load", "sync", "async"])
    def test_nodes_that_are_given_the_same_row_share_its_model(self, run, way):
        """However it comes, and others have models of their own."""
        source = Source(owner_of)

        class Loading(BaseModel):
            id: int
            owner: Annotated[Owner | None, Load(source, by="id")] = None

        class Calling(BaseModel):
            id: int
            owner: Annotated[Owner, Field()] | None = None

            def resolve_owner(self, loader=LoaderDepend(source)):
                return loader.load(self.id)

        class Awaiting(BaseModel):
            id: int
            owner: Owner | None = None

            async def resolve_owner(self, loader=LoaderDepend(source)):
                return await loader.load(self.id)

        model = {"load": Loading, "sync": Calling, "async": Awaiting}[way]

        async def law():
            return await Resolver().resolve([model(id=id) for id in (1, 2, 1, 1)])

        first, second, third, fourth = run(law)
        assert first.owner is third.owner is fourth.owner
        assert [first.owner.id, second.owner.id] == [1, 2]
        assert first.model_fields_set == {"id", "owner"}

    def test_it_is_filled_once(self, run):
        """And has been when the posts of all that hold it look at it."""
        keys = Source(lambda key: [key])
        row = {"id": 7}

        class Person(BaseModel):
            id: int
            friends: Annotated[list[int], Load(keys, by="id")] = []
            calls: int = 0

            def resolve_calls(self):
                return self.calls + 1

        class Task(BaseModel):
            owner: Person | None = None
            seen: list[int] = []

            def resolve_owner(self):
                return row

            def post_seen(self):
                return [*self.owner.friends, self.owner.calls]

        async def law():
            return await Resolver().resolve([Task() for _ in range(3)])

        tasks = run(law)
        assert [task.seen for task in tasks] == [[7, 1]] * 3
        assert keys.calls == [[7]]

    def test_a_row_that_cannot_be_converted_is_told_with_the_first_node_it_is_for(self, run):
        """Whatever stands before it."""
        rows = [{"id": 1}, {"id": 1}, {"id": "x"}]

        class Task(BaseModel):
            row: int
            owner: Owner | None = None

            def resolve_owner(self):
                return rows[self.row]

        async def law():
            with pytest.raises(ValidationError) as caught:
                await Resolver().resolve([Task(row=row) for row in (0, 0, 1, 2, 2)])
            assert "Task[3].owner" in notes_of(caught.value)

        run(law)


class TestContainers:
    """A node's list is its own: changing it changes no other node's."""

    @pytest.mark.parametrize(
        ("annotation", "raw"),
        [
            (list[Owner], [{"id": 1}]),
            (list[Owner] | None, [{"id": 1}]),
            (dict[str, Owner], {"a": {"id": 1}}),
            (dict[str, Annotated[Owner | None, Field()]], {"a": {"id": 1}}),
        ],
        ids=["list", "optional list", "dict", "annotated items"],
    )
    def test_containers_are_their_own_and_their_items_shared(self, run, annotation, raw):
        """Of lists and dicts of models."""

        class Holder(BaseModel):
            owners: annotation = None

            def resolve_owners(self):
                return raw

        async def law():
            return await Resolver().resolve([Holder(), Holder()])

        one, other = (holder.owners for holder in run(law))
        assert one == other
        assert one is not other
        key = 0 if isinstance(one, list) else "a"
        assert one[key] is other[key]

    @pytest.mark.parametrize(
        ("annotation", "raw"),
        [
            (list[list[Owner]], [[{"id": 1}]]),
            (tuple[Owner, list[int]], ({"id": 1}, [1])),
            (list[Owner | Any], [{"id": 1}]),
            (list[dict[str, int]], [{"id": 1}]),
        ],
        ids=["nested", "tuple", "anything", "no models"],
    )
    def test_what_is_not_one_container_of_models_is_converted_for_each(self, run, annotation, raw):
        """So that nothing inside of it can be shared by accident."""

        class Holder(BaseModel):
            owners: annotation = None

            def resolve_owners(self):
                return raw

        async def law():
            return await Resolver().resolve([Holder(), Holder()])

        one, other = (holder.owners for holder in run(law))
        assert one == other
        assert one is not other
        if not isinstance(one, tuple):
            assert one[0] is not other[0]


class TestNotShared:
    """What asks where it stands, or may differ from node to node, is made for each."""

    def test_models_that_ask_where_they_stand(self, run):
        """By `parent`, `ancestor_context` or `SendTo`, in the class or a subclass."""
        row = {"id": 1}

        class Asking(BaseModel):
            id: int
            holder: int = 0

            def resolve_holder(self, parent):
                return parent.id

        class Sending(BaseModel):
            id: Annotated[int, SendTo("ids")]

        class Holder(BaseModel):
            id: int
            asking: Asking | None = None
            sending: list[Sending] = []

            def resolve_asking(self):
                return row

            def resolve_sending(self):
                return [row]

        async def law():
            return await Resolver().resolve([Holder(id=1), Holder(id=2)])

        one, other = run(law)
        assert [one.asking.holder, other.asking.holder] == [1, 2]
        assert one.sending[0] is not other.sending[0]

    def test_values_whose_validator_looks_at_the_node(self, run):
        """It may make another value of the same row."""
        row = {"id": 1}

        class Task(BaseModel):
            number: int
            owner: Owner | None = None

            def resolve_owner(self):
                return row

            @field_validator("owner")
            @classmethod
            def numbered(cls, owner, info):
                return owner.model_copy(update={"id": info.data["number"]})

        async def law():
            return await Resolver().resolve([Task(number=number) for number in (4, 5)])

        assert [task.owner.id for task in run(law)] == [4, 5]
