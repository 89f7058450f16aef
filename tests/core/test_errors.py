"""The errors that dloader raises itself."""

import pickle

import pytest

import dloader
from dloader import DloaderError, PlanError, RecursiveLoadError
from dloader._text import shorten


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

    @pytest.mark.parametrize("length", [58, 59, 1000])
    def test_they_quote_sixty_characters_of_a_value(self, length):
        """A quoted text of 58 is shown as it is; of a longer one both ends."""
        shown = shorten("a" * length)
        assert len(shown) == 60
        assert ("..." in shown) == (length > 58)

    def test_a_recursive_load_names_loader_and_key(self):
        """The message is built where the error is."""
        assert "'users' for key 7" in str(RecursiveLoadError("users", 7))

    @pytest.mark.parametrize("error", [dloader.MissingKeyError("m"), dloader.BatchResultError("b")])
    def test_they_can_be_sent_to_another_process(self, error):
        """As exceptions of worker processes are."""
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
