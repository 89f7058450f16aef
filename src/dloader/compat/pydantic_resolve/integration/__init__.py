"""Diagrams of entities out of mapped classes."""

import dloader.sqlalchemy as _sqlalchemy  # it says how to install SQLAlchemy where that is missing

del _sqlalchemy
