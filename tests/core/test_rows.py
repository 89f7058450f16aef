"""build_list and build_object: from rows to results in the order of the keys."""

from hypothesis import given, strategies as st

from dloader import DataLoader, build_list, build_object

rows = st.lists(st.tuples(st.integers(0, 5), st.integers()))
keys = st.lists(st.integers(0, 7), unique=True)


def first(row):
    """The key of a row."""
    return row[0]


class TestBuildList:
    @given(rows, keys)
    def test_it_is_a_filter_per_key(self, rows, keys):
        """In the order of the rows."""
        assert build_list(rows, keys, first) == [[row for row in rows if row[0] == key] for key in keys]

    def test_empty_lists_are_not_shared(self):
        """A caller may append to theirs."""
        one, two = build_list([], [1, 2], first)
        assert one is not two

    def test_equal_keys_get_a_list_each(self):
        """A batch has no equal keys, but other callers may."""
        one, two = build_list([(1, "a")], [1, 1], first)
        assert one == two == [(1, "a")]


class TestBuildObject:
    @given(rows, keys)
    def test_it_is_the_last_row_of_each_key(self, rows, keys):
        """Or None."""
        expected = [next((row for row in reversed(rows) if row[0] == key), None) for key in keys]
        assert build_object(rows, keys, first) == expected


class TestInABatchFunction:
    def test_both_are_results_of_a_batch_function(self, run):
        """What they return is aligned with the keys."""

        async def law():
            async def offices(keys):
                return build_list([(2, "x"), (1, "y"), (2, "z")], keys, first)

            async def users(keys):
                return build_object([(2, "x"), (1, "y")], keys, first)

            assert await DataLoader(offices).load_many([1, 2, 3]) == [[(1, "y")], [(2, "x"), (2, "z")], []]
            assert await DataLoader(users).load_many([1, 2, 3]) == [(1, "y"), (2, "x"), None]

        run(law)
