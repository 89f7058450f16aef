"""Rows -> nodes: a row is validated against what it can carry, and not against what the resolver will fill.

The core schema of a type is taken, and in each model and dataclass in it the fields that markers fill are left out, the
keys of loads that the class does not have are added, and each field is found by its name or its alias. The rest is
the class's own: constraints, validators, strictness, discriminators.

This is the one place that knows Pydantic's core schemas. `_building` knows how they are built without the validators
that classes have already, `_survey` reads them, `_cutting` makes those for rows, `_schemas` keeps what was made;
`_kinds` knows the rows of drivers, `_explain` says what is wrong with some.
"""
