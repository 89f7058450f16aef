"""The errors that dloader raises itself."""

import pickle

import pytest

import dloader
from dloader import DloaderError, PlanError, RecursiveLoadError


class TestErrors:
    def test_they_have_one_base_class(self):
        """One except clause catches all that dloader raises itself."""
        from dloader import errors

        for name in errors.__all__:
            assert issubclass(getattr(errors, name), DloaderError)

    def test_their_str_is_their_message(self):
        """Also of those that are KeyErrors."""
        assert str(dloader.MissingKeyError("no such key")) == "no such key"

    def test_problems_are_listed_one_by_one(self):
        """All at once."""
        error = PlanError(["one", "two"])
        assert error.problems == ("one", "two")
        assert str(error) == "2 problems found before resolving:\n  - one\n  - two"
        assert str(PlanError(["one"])).startswith("1 problem found")

    def test_a_recursive_load_names_loader_and_key(self):
        """The message is built where the error is."""
        assert "'users' for key 7" in str(RecursiveLoadError("users", 7))

    @pytest.mark.parametrize("error", [dloader.MissingKeyError("m"), dloader.BatchResultError("b")])
    def test_they_can_be_sent_to_another_process(self, error):
        """As exceptions of worker processes are."""
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
