"""Loaders of SQLAlchemy's mapped classes: name a relationship, and there is its loader.

Needs SQLAlchemy with asyncio, and Pydantic: ``pip install "dloader[sqlalchemy]"``.
"""

# Read in this order, which is the way of a key:
#   _markers      what users write; each stands for a loader class
#   _relationships  a relationship is read once: where targets are found, by which columns of the parent (_relations)
#   _expressions  where and order, which are compared to tell which markers mean the same
#   _loader       one class for each look-up; checks keys (_key_types), gets a session (_sessions) ...
#   _lookup       ... has the select of the wanted columns (_columns), restricted to the keys (_keys) ...
#   _rows         ... and makes rows of what comes back
#   _parts        pages: parts of each parent's rows (_page_selects), in an order (_orders), from a cursor (_cursors)
#   _aggregates   one number for each parent
#   _transactions what a session's transaction writes clears its caches; its end waits for the statement that runs
#   _kept         what look-ups keep in a store, for whom; as which bytes (_json_types), until when (_written)

try:
    import greenlet as _greenlet  # which SQLAlchemy brings only if it is asked for asyncio
    import pydantic as _pydantic
    import sqlalchemy as _sqlalchemy
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'dloader.sqlalchemy needs SQLAlchemy and Pydantic: pip install "dloader[sqlalchemy]"', name=error.name
    ) from error

from dloader.sqlalchemy._aggregate_markers import Aggregate, Count
from dloader.sqlalchemy._markers import ByKey, Query, Related
from dloader.sqlalchemy._models import From
from dloader.sqlalchemy._pages import Page
from dloader.sqlalchemy._rows import Row
from dloader.sqlalchemy._select_for import select_for
from dloader.sqlalchemy._sessions import exclusive

del _greenlet, _pydantic, _sqlalchemy

__all__ = (
    "Aggregate",
    "ByKey",
    "Count",
    "From",
    "Page",
    "Query",
    "Related",
    "Row",
    "exclusive",
    "select_for",
)
