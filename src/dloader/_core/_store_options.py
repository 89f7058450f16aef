"""What a loader class may say of stores: apart from what reads it, which only loaders that have a store import."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dloader._stored._kept import Kept

__all__ = ("StoreOptions",)


class StoreOptions:
    """What a loader class may say of stores."""

    store_ttl: float | None = None
    """For how many seconds a store keeps what is loaded; ``None`` keeps nothing there. See `dloader.store`."""
    store_negative_ttl: float | None = None
    """The same for keys that have no value: ``None``, or missing from a mapping."""
    store_namespace: object = None
    """What values depend on beside the parameters: keys of different namespaces are never one in a store."""
    store_type: Any = None
    """The type of the values in a store, where ``DataLoader[key, value]`` does not say it."""
    store_ignore: Collection[str] = ()
    """The parameters that values do not depend on: ways to the source, say."""
    # Not annotated: it would count among the options of a class.
    store_key = None
    if TYPE_CHECKING:

        @property
        def _store_kept(self) -> Kept | None: ...
    else:
        _store_kept = None  # of classes of our own; what users' say is all above
