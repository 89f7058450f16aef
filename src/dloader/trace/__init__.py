"""See what was loaded: ``with record("GET /feed") as trace:``, then ``print(trace)`` or ``trace.save("feed.html")``.

Needs nothing but the standard library, and is imported by nobody who does not use it.

Read in this order: `_record` (the block), `_recorder` (what is noted while it runs), `_sites` (the lines that asked),
`_build` and `_data` (what becomes of it, as plain columns), `_rounds`, `_gaps`, `_rules` and `_strict` (what follows),
`_reading` and `_trace` (how it is read); then `_words`, `_terminal`, `_page`, `_chrome`, `_compare` (how it is shown),
`_middleware` and `_requests` (of an ASGI application).
"""

from dloader.lowlevel import note_statement as statement
from dloader.trace._data import Finding, LoaderData, PlaceData, ResolveData, StepData, TracedBatch
from dloader.trace._middleware import TraceMiddleware
from dloader.trace._reading import LoaderTotals, TracedField
from dloader.trace._record import expected, record
from dloader.trace._trace import Trace

__all__ = (
    "Finding",
    "LoaderData",
    "LoaderTotals",
    "PlaceData",
    "ResolveData",
    "StepData",
    "Trace",
    "TraceMiddleware",
    "TracedBatch",
    "TracedField",
    "expected",
    "record",
    "statement",
)
