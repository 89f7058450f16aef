"""Spans and metrics of batches, for OpenTelemetry.

Needs ``pip install "dloader[opentelemetry]"``. ``opentelemetry-instrument`` finds it; else a program begins with:

    DloaderInstrumentor().instrument()

One span for each batch, a child of the one that asked first, with links to all that wait for it; what the batch
function does is inside. The names are those of the GraphQL working group's draft. Nothing is done for a single load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast, final

try:
    import_module("opentelemetry")
    _instrumentor: Any = import_module("opentelemetry.instrumentation.instrumentor")
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'dloader.opentelemetry needs OpenTelemetry: pip install "dloader[opentelemetry]"',
        name="opentelemetry",
    ) from error

from collections.abc import Callable, Collection
from contextvars import Token
from functools import partial
from itertools import islice
from weakref import WeakSet, finalize

from opentelemetry import context, metrics, trace

from dloader import DataLoader
from dloader.instruments import BatchInfo, BatchRecord, Instrument, everywhere
from dloader.lowlevel import contexts_of, hits_of

__all__ = ("DloaderInstrumentor",)

_SCOPE = "dloader"
_MOST_LINKS = 128
"""What the SDK keeps of a span's links, if nobody says otherwise."""
_MOST_LOOKED_AT = 1000
"""So many callers of a batch are looked at for links."""

if TYPE_CHECKING:

    class _BaseInstrumentor:
        """What checkers are told of OpenTelemetry's class, which is not typed."""

        def instrument(self, **options: object) -> None:
            """Begin."""

        def uninstrument(self, **options: object) -> None:
            """End."""
else:
    _BaseInstrumentor = _instrumentor.BaseInstrumentor


class DloaderInstrumentor(_BaseInstrumentor):
    """Has all loaders traced: those that are made later, and those that are there already.

    There is one in a process. ``instrument()`` begins and ``uninstrument()`` ends; both may be called anew.

    Args of ``instrument``:
        tracer_provider: Default: the global one.
        meter_provider: Default: the global one.
        capture_keys: Whether spans say the keys of their batches. They may be personal data. Default: no.

    Example:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> instrumentor = DloaderInstrumentor()
        >>> instrumentor.instrument(tracer_provider=TracerProvider())
        >>> instrumentor.uninstrument()
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that are instrumented: no other one."""
        return ()

    def _instrument(self, **options: object) -> None:
        given = cast("dict[str, Any]", options)
        tracer = trace.get_tracer(_SCOPE, tracer_provider=given.get("tracer_provider"))
        meter = metrics.get_meter(_SCOPE, meter_provider=given.get("meter_provider"))
        everywhere.append(_Watcher(tracer, meter, bool(options.get("capture_keys", False))))

    def _uninstrument(self, **_: object) -> None:
        for watcher in [each for each in everywhere if isinstance(each, _Watcher)]:
            watcher.stop()
            everywhere.remove(watcher)


@final
class _Watcher(Instrument):
    """Hears of all batches, and has the loaders of these tell when they run."""

    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter, keys: bool) -> None:
        self._spans = _Spans(tracer, keys)
        self._known: WeakSet[Any] = WeakSet()
        self._size = meter.create_histogram("dloader.batch.size", "{key}", "How many keys a batch has.")
        self._duration = meter.create_histogram("dloader.batch.duration", "s", "How long a batch runs.")
        self._loads = meter.create_counter(
            "dloader.loads", "{key}", "How many keys were asked for, by where they came from."
        )

    def stop(self) -> None:
        """Trace nothing any more."""
        self._spans.stop()

    def record_opened(self, record: BatchRecord, /) -> None:
        """See `Instrument.record_opened`."""
        loader = cast("DataLoader[Any, Any]", record.loader)
        if loader not in self._known:
            self._known.add(loader)
            loader.add_instrument(self._spans)
            counted = partial(self._count, {"graphql.dataloader.name": loader.name}, "hit")
            # Hits come after a loader's last batch, too: they are counted when it is done with.
            finalize(loader, _count_hits, hits_of(loader), counted).atexit = False

    def batch_ended(self, record: BatchRecord, /) -> None:
        """See `Instrument.batch_ended`."""
        said = {"graphql.dataloader.name": record.loader.name}
        keys = len(record.keys)
        if record.started:
            self._size.record(keys, said)
            self._duration.record((record.ended - record.started) / 1e9, said)
        failed = record.failed if record.outcome == "returned" else keys
        self._count(said, "loaded", keys - failed)
        self._count(said, "error", failed)
        self._count(said, "merged", record.merged)

    def _count(self, said: dict[str, str], outcome: str, number: int) -> None:
        if number:
            self._loads.add(number, {**said, "dloader.outcome": outcome})


def _count_hits(hits: Callable[[], int], counted: Callable[[int], None]) -> None:
    counted(hits())


@final
class _Spans(Instrument):
    """Makes the spans: each is the current one while its batch function runs."""

    def __init__(self, tracer: trace.Tracer, keys: bool) -> None:
        self._tracer: trace.Tracer | None = tracer
        self._keys = keys
        self._open: dict[tuple[Any, int], tuple[trace.Span, Token[Any]]] = {}
        """Of the batches that run, by loader and number: the span, and what ends its being the current one."""

    def stop(self) -> None:
        """Make no more."""
        self._tracer = None

    def batch_started(self, batch: BatchInfo[Any, Any], /) -> None:
        """See `Instrument.batch_started`."""
        if self._tracer is None:
            return
        attributes: dict[str, Any] = {
            "graphql.processing.type": "dataloader_batch",
            "graphql.dataloader.name": batch.loader.name,
            "graphql.dataloader.batch.size": len(batch.keys),
        }
        if self._keys:
            attributes["graphql.dataloader.batch.keys"] = [str(key) for key in batch.keys]
        links = self._links(cast("DataLoader[Any, Any]", batch.loader), batch.number)
        name = f"DataLoader Batch {batch.loader.name}"
        span = self._tracer.start_span(name, links=links, attributes=attributes)
        token = context.attach(trace.set_span_in_context(span))
        self._open[batch.loader, batch.number] = span, token

    @staticmethod
    def _links(loader: DataLoader[Any, Any], number: int) -> list[trace.Link]:
        """One to each span that waits for the batch; the SDK would drop more."""
        found: dict[int, trace.SpanContext] = {}
        for each in islice(contexts_of(loader, number), _MOST_LOOKED_AT):
            asking = each.run(trace.get_current_span).get_span_context()
            if asking.is_valid:
                found[asking.span_id] = asking
            if len(found) == _MOST_LINKS:
                break
        return [trace.Link(asking) for asking in found.values()]

    def batch_finished(self, batch: BatchInfo[Any, Any], error: BaseException | None, /) -> None:
        """See `Instrument.batch_finished`."""
        opened = self._open.pop((batch.loader, batch.number), None)
        if opened is None:
            return
        span, token = opened
        context.detach(token)
        if error is not None:
            span.record_exception(error)
            span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
            span.set_attribute("error.type", type(error).__qualname__)
        span.end()
