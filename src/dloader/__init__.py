"""dloader: async data loading for Python; ask for one key at a time, load many at once."""

from dloader._dispatch import Dispatch, OpenBatch, delay, eager, manual, settle
from dloader._events import Requested, Statistics
from dloader._loader import BatchResult, DataLoader, LoadFunction
from dloader._rows import build_list, build_object
from dloader.errors import (
    BatchAbortedError,
    BatchResultError,
    DloaderError,
    EndlessTreeError,
    KeyTypeError,
    LoaderClosedError,
    LoaderParamError,
    MissingKeyError,
    OptionError,
    PlanError,
    RecursiveLoadError,
    WrongLoopError,
)
from dloader.instruments import BatchInfo, Instrument
from dloader.registry import LoaderRegistry

__all__ = (
    "BatchAbortedError",
    "BatchInfo",
    "BatchResult",
    "BatchResultError",
    "DataLoader",
    "Dispatch",
    "DloaderError",
    "EndlessTreeError",
    "Instrument",
    "KeyTypeError",
    "LoadFunction",
    "LoaderClosedError",
    "LoaderParamError",
    "LoaderRegistry",
    "MissingKeyError",
    "OpenBatch",
    "OptionError",
    "PlanError",
    "RecursiveLoadError",
    "Requested",
    "Statistics",
    "WrongLoopError",
    "build_list",
    "build_object",
    "delay",
    "eager",
    "manual",
    "settle",
)
