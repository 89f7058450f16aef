"""Decorators of another module than the methods that they stand around, as in any service."""

import functools

__all__ = ("by_name", "in_async", "own_name", "plain", "twice", "without_wraps")


def plain(function):
    """Passes on everything as it comes."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def by_name(function):
    """Takes everything by name."""

    @functools.wraps(function)
    def inner(self, **kwargs):
        return function(self, **kwargs)

    return inner


def own_name(function):
    """Calls what it takes as it likes, and takes it by position."""

    @functools.wraps(function)
    def inner(node, first):
        return function(node, first)

    return inner


def in_async(function):
    """Awaits what an async method gives."""

    @functools.wraps(function)
    async def inner(*args, **kwargs):
        return await function(*args, **kwargs)

    return inner


def twice(function):
    """One around another."""
    return plain(by_name(function))


def without_wraps(function):
    """Hides what it stands around."""

    def inner(self, *args, **kwargs):
        return function(self, *args, **kwargs)

    return inner
