"""dloader: async data loading for Python; ask for one key at a time, load many at once."""

from dloader._core._dispatch import Dispatch, OpenBatch, delay, eager, manual, settle
from dloader._core._hooks import current_batch
from dloader._core._limit import Limit
from dloader._core._loader import DataLoader
from dloader._core._rows import build_list, build_object
from dloader._core._types import BatchResult, LoadFunction, Requested
from dloader.errors import (
    AmbiguousKeyError,
    BatchAbortedError,
    BatchResultError,
    CursorError,
    DloaderError,
    EndlessTreeError,
    KeyTypeError,
    LoaderClosedError,
    LoaderParamError,
    MissingKeyError,
    OptionError,
    PlanError,
    RecursiveLoadError,
    RepeatedLoadError,
    WrongLoopError,
)
from dloader.instruments import BatchInfo, BatchRecord, Instrument, Statistics, watch
from dloader.registry import LoaderRegistry

__all__ = (
    "AmbiguousKeyError",
    "BatchAbortedError",
    "BatchInfo",
    "BatchRecord",
    "BatchResult",
    "BatchResultError",
    "CursorError",
    "DataLoader",
    "Dispatch",
    "DloaderError",
    "EndlessTreeError",
    "Instrument",
    "KeyTypeError",
    "Limit",
    "LoadFunction",
    "LoaderClosedError",
    "LoaderParamError",
    "LoaderRegistry",
    "MissingKeyError",
    "OpenBatch",
    "OptionError",
    "PlanError",
    "RecursiveLoadError",
    "RepeatedLoadError",
    "Requested",
    "Statistics",
    "WrongLoopError",
    "build_list",
    "build_object",
    "current_batch",
    "delay",
    "eager",
    "manual",
    "settle",
    "watch",
)
