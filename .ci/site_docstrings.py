"""Read docstrings for the site: our ``Example:`` is what the reader of docstrings calls ``Examples:``."""

from __future__ import annotations

import re

from griffe import Extension, Object


class ExampleSections(Extension):
    """Rename the sections as each object is read."""

    def on_object(self, *, obj: Object, **_kwargs: object) -> None:
        """Rename those of one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"(?m)^Example:$", "Examples:", obj.docstring.value)
