"""Cache keys for loaders that merge nothing."""

from __future__ import annotations

__all__ = ("Unlike",)


class Unlike:
    """In the place of a cache key: equal to no other, also where keys are equal or cannot be hashed."""

    __slots__ = ("key",)

    def __init__(self, key: object) -> None:
        self.key = key
