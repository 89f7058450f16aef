"""check_batch_function: finds what breaks the contract of batch functions, and shows it with the least keys."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

import pytest
from hypothesis import strategies as st

from dloader import DataLoader, KeyTypeError, OptionError
from dloader.testing import BatchFunctionError, check_batch_function
from dloader.testing._alike import is_alike
from dloader.trace._sites import shown_file

ROWS = {key: f"u{key}" for key in range(1, 501)}


class Thing:
    """Has no ``==``."""

    def __init__(self, key):
        self.key = key


class Incomparable:
    def __eq__(self, other):
        raise ValueError("ambiguous")

    __hash__ = None

    def __repr__(self):
        return "Incomparable()"


async def wrong_order(keys):
    return [ROWS.get(key) for key in sorted(keys)]


async def drops_missing(keys):
    return [ROWS[key] for key in keys if key in ROWS]


async def pops_from_the_end(keys):
    found = []
    while keys:
        found.append(ROWS.get(keys.pop()))
    return found


async def limit_for_all(keys):
    found, left = [], 5
    for key in keys:
        found.append([(key, n) for n in range(3)][: max(left, 0)])
        left -= 3
    return found


async def falsy_key(keys):
    return [ROWS.get(key) if key or len(keys) == 1 else "no id" for key in keys]


async def a_set(keys):
    return {ROWS.get(key) for key in keys}


async def a_string(keys):
    return "x" * len(keys)


async def too_many_keys(keys):
    if len(keys) > 3:
        raise OverflowError("too many SQL variables")
    return [ROWS.get(key) for key in keys]


async def raises_for_a_key(keys):
    return [ROWS[key] for key in keys]


async def raises_nothing_said(keys):
    raise LookupError


def not_async(keys):
    return list(keys)


async def one_list_for_all(keys):
    return [[]] * len(keys)


async def coroutines(keys):
    return [asyncio.sleep(0) for _ in keys]


async def futures(keys):
    return [asyncio.get_running_loop().create_future() for _ in keys]


async def things(keys):
    return [Thing(key) for key in keys]


async def opaque(keys):
    return [object() for _ in keys]


async def incomparable(keys):
    return [Incomparable() for _ in keys]


async def endless(keys):
    def rows():
        while True:
            yield 1

    return rows()


async def swaps_errors(keys):
    return [ValueError(f"no {key}") if len(keys) == 1 else KeyError(key) for key in keys]


FAULTS = {
    wrong_order: "gave key 1 the result of key 0: keys [1, 0] returned [None, 'u1']; return a list in the order",
    drops_missing: "returned 0 results for 1 keys: keys [0]; return a list",
    pops_from_the_end: "gave key 0 the result of key 1: keys [0, 1] returned ['u1', None]",
    limit_for_all: "gives another result for 1 together with other keys than alone: keys [0, 1]\n"
    "  together [(1, 0), (1, 1)]   alone [(1, 0), (1, 1), (1, 2)]\n",
    falsy_key: "gives another result for 0 together with other keys than alone: keys [0, 1]\n"
    "  together 'no id'   alone None",
    a_set: "returned set; a list in the order of the keys, or a dict, is wanted",
    a_string: "returned str; a list in the order of the keys, or a dict, is wanted",
    too_many_keys: "OverflowError: too many SQL variables (4 keys): set max_batch_size",
    raises_for_a_key: "raised KeyError: 0 for key 0: it fails all others too: put the exception in the place",
    raises_nothing_said: "raised LookupError for key 0",
    not_async: "returned list, which nobody can await: declare it with async def",
    one_list_for_all: "gave keys 0 and 1 the same list: what is added to one is added to both",
    coroutines: "gave <coroutine object sleep at ",
    futures: "gave <Future pending> for key 0, which nobody awaits",
    opaque: "gives another result for 0 each time: pass same=",
    incomparable: "gave Incomparable(), which cannot be compared (ValueError: ambiguous): pass same=",
    endless: "returned 2 results for 1 keys",
    swaps_errors: "gives another result for 0 together with other keys than alone: keys [0, 1]\n"
    "  together KeyError: 0   alone ValueError: no 0",
}


@pytest.mark.parametrize("function", FAULTS, ids=lambda function: function.__name__)
def test_each_fault_is_found_and_shrunk_and_told_with_its_place(function):
    with pytest.raises(BatchFunctionError) as caught:
        check_batch_function(function, st.integers(0, 500), max_examples=100)
    assert isinstance(caught.value, AssertionError)
    line = function.__code__.co_firstlineno
    place = f"{function.__name__} ({shown_file(__file__)}:{line}): "
    assert place in str(caught.value)
    assert FAULTS[function] in str(caught.value)


def test_the_error_of_the_batch_function_is_the_cause():
    with pytest.raises(BatchFunctionError) as caught:
        check_batch_function(raises_for_a_key, st.integers(0, 500))
    cause = caught.value.__cause__
    assert cause is not None
    assert isinstance(cause.__cause__, KeyError)


async def a_list(keys):
    return [ROWS.get(key) for key in keys]


async def a_dict(keys):
    return {key: ROWS[key] for key in keys if key in ROWS}


async def an_iterator(keys):
    return iter([ROWS.get(key) for key in keys])


async def pops_from_the_front(keys):
    found = []
    while keys:
        found.append(ROWS.get(keys.pop(0)))
    return found


async def errors_in_place(keys):
    return [ROWS.get(key, KeyError(key)) for key in keys]


async def lists(keys):
    return [[] for _ in keys]


@pytest.mark.parametrize(
    "function", [a_list, a_dict, an_iterator, pops_from_the_front, errors_in_place, lists]
)
def test_right_functions_pass(function):
    check_batch_function(function, st.integers(0, 500), max_examples=30)
    check_batch_function(function, range(3), max_examples=10)


def test_results_without_equality_are_compared_as_same_says():
    check_batch_function(opaque, [1, 2, 3], same=lambda one, other: type(one) is type(other))


class TestResultsWithoutEquality:
    """Rows of an ORM: what they hold is compared, if nothing else is said."""

    def test_the_same_rows_pass_whatever_they_stand_in_and_lead_to(self):
        async def rows(keys):
            found = []
            for key in keys:
                book, author = Thing(key), Thing(-key)
                book.author, author.books, author._state = author, [book], object()
                found.append({"rows": [book], "pair": (author, 1)})
            return found

        check_batch_function(rows, [1, 2, 3])

    @pytest.mark.parametrize("deep", [False, True])
    def test_other_rows_do_not(self, deep):
        async def rows(keys):
            things = [Thing(key) for key in sorted(keys)]
            for thing in things if deep else ():
                thing.inner, thing.key = [Thing(thing.key)], 0
            return things

        with pytest.raises(BatchFunctionError, match="gave key 2 the result of key 1"):
            check_batch_function(rows, [1, 2])

    @pytest.mark.parametrize(
        ("one", "other"),
        [([1], [1, 2]), ({"a": 1}, {"b": 1}), ([1], (1,)), (Thing(1), 1), ([object()], [object()])],
    )
    def test_things_of_other_sizes_and_kinds(self, one, other):
        assert not is_alike(one, other)


class Users(DataLoader[int, str]):
    tenant = "blue"
    max_batch_size = 3

    async def batch_load_fn(self, keys):
        return await too_many_keys(keys)


def test_a_loader_or_its_class_is_asked_for_as_many_keys_as_it_takes():
    check_batch_function(Users, st.integers(0, 500), max_examples=20)
    check_batch_function(Users(), st.integers(0, 500), max_examples=20)
    with pytest.raises(BatchFunctionError, match=r"Users \(.*test_contract.py:\d+\): Overflow"):
        check_batch_function(Users(max_batch_size=20), st.integers(0, 500))


def test_partials_are_told_with_the_place_of_their_function():
    async def load(keys, tenant):
        return keys[:0]

    with pytest.raises(BatchFunctionError, match=r"test_contract.py:\d+\): returned 0 results"):
        check_batch_function(partial(load, tenant=1), [1])


def test_callables_are_told_without_a_place():
    class Load:
        async def __call__(self, keys):
            return None

    with pytest.raises(BatchFunctionError, match=r"^[^(]*Load: returned NoneType"):
        check_batch_function(Load(), [1])


class TestKeys:
    def test_those_that_are_one_to_the_loader_do_not_come_together(self):
        asked = []

        async def load(keys):
            asked.append([key.lower() for key in keys])
            return [key.lower() for key in keys]

        check_batch_function(DataLoader(load, cache_key_fn=str.lower), list("aAbB"))
        assert all(len(set(keys)) == len(keys) for keys in asked)

    def test_a_batch_is_never_empty_and_its_keys_are_different(self):
        asked = []

        async def load(keys):
            asked.append(list(keys))
            return list(keys)

        check_batch_function(load, [1, 2, 3])
        assert all(0 < len(keys) == len(set(keys)) for keys in asked)

    def test_one_that_is_changed_is_told(self):
        async def load(keys):
            return [key.pop() for key in keys]

        with pytest.raises(BatchFunctionError, match=r"changed the key \[0\] to \[\]"):
            check_batch_function(
                DataLoader(load, cache_key_fn=tuple), st.lists(st.integers(0, 3), min_size=1, max_size=1)
            )

    def test_one_that_cannot_be_copied_or_compared_is_taken_as_it_is(self):
        class Odd:
            def __deepcopy__(self, memo):
                raise TypeError

        async def load(keys):
            return [1 for _ in keys]

        check_batch_function(load, [Odd(), Odd(), Thing(1), (1, 2)])

    def test_one_that_no_loader_takes_is_refused(self):
        with pytest.raises(KeyTypeError):
            check_batch_function(a_list, [None])


def test_one_that_is_cancelled_inside_is_told():
    async def load(keys):
        raise asyncio.CancelledError

    with pytest.raises(BatchFunctionError, match="raised CancelledError for key 0"):
        check_batch_function(load, [0])


def test_who_cancels_the_check_itself_is_heard():
    async def load(keys):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        check_batch_function(load, [0])


def test_a_parameter_that_nobody_gave_is_named_with_the_cure():
    class Users(DataLoader[int, int]):
        factor: int
        least: int = 0

        async def batch_load_fn(self, keys):
            return [key * self.factor for key in keys]

    for load in (Users, Users()):
        with pytest.raises(OptionError, match=r"Users needs its parameter 'factor'.*set `loader\.factor = "):
            check_batch_function(load, [0])
    users = Users()
    users.factor = 2
    check_batch_function(users, [0, 1])


def test_a_function_that_is_not_always_wrong_is_told():
    asked = set()

    async def forgets(keys):
        known = tuple(keys) in asked
        asked.add(tuple(keys))
        return [1 for _ in keys] if known else []

    with pytest.raises(BatchFunctionError, match="returned 0 results") as caught:
        check_batch_function(forgets, st.integers(0, 500))
    assert caught.value.__notes__ == ["Not each time: it depends on something else than the keys."]


@pytest.mark.parametrize(
    ("load", "keys", "options"),
    [
        (a_list, [], {}),
        (a_list, "ab", {}),
        (a_list, 5, {}),
        (a_list, [1], {"max_examples": 0}),
        (a_list, [1], {"max_examples": True}),
        (a_list, [1], {"same": 7}),
        (7, [1], {}),
    ],
)
def test_what_cannot_be_checked_is_refused(load, keys, options):
    with pytest.raises(OptionError):
        check_batch_function(load, keys, **options)


def test_inside_of_an_event_loop_it_is_refused():
    async def law():
        check_batch_function(a_list, [1])

    with pytest.raises(OptionError, match="plain def"):
        asyncio.run(law())


def test_without_hypothesis_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "dloader\[testing\]"'):
        check_batch_function(a_list, [1])
