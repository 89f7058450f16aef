"""A music shop: REST by FastAPI and GraphQL by Strawberry, over the same mapped classes and loaders.

    python -m examples.service        # on SQLite; docs/service.md has the rest

Read it in this order: models (the tables), rest and graph (the answers; no joins, no batch functions), catalogue (one
batch function, whose values Redis keeps), shop (the writes), app (which puts it together). by_selectinload is REST once
more, by SQLAlchemy's own means; load sends it two hundred clients and checks every answer.
"""
