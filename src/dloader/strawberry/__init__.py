"""GraphQL with Strawberry: a registry for each operation, and fields that mapped relationships fill.

Needs Strawberry and SQLAlchemy: ``pip install "dloader[strawberry]"``.
"""

# Read in this order, which is the way of a field:
#   _extension    each operation has a registry, and is found by those that run in it (_operations)
#   _fields       what users write: a field looks whether its value was filled beforehand, and else asks ...
#   _operations   ... the operation, which reads once for each place in it what is selected below (_selection) ...
#   _plans        ... and plans what to load for it: the loader, the columns, the fields below (_types)
#   _ahead        what was asked for together is loaded level by level, before graphql-core completes any of it
#   _connections  pages as Relay wants them

try:
    import sqlalchemy as _sqlalchemy
    import strawberry as _strawberry
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'dloader.strawberry needs Strawberry and SQLAlchemy: pip install "dloader[strawberry]"',
        name=error.name,
    ) from error

from dloader.strawberry._connections import Connection, Edge
from dloader.strawberry._extension import LoaderExtension
from dloader.strawberry._fields import connection, related
from dloader.strawberry._operations import fresh, loaders

del _sqlalchemy, _strawberry

__all__ = (
    "Connection",
    "Edge",
    "LoaderExtension",
    "connection",
    "fresh",
    "loaders",
    "related",
)
