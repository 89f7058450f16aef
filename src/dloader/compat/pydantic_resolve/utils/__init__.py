"""Modules under the paths that programs of pydantic-resolve import from."""
