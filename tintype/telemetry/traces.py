"""How do spans reach an OpenTelemetry collector?

By OTLP over HTTP, in batches, from a thread of the SDK's own: a collector that is slow or away
costs spans, never a request. The SDK is an extra, imported only when an endpoint is configured.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from tintype import __version__, events, spans
from tintype.config import TelemetryConfig
from tintype.errors import OperatorError, RequestError, TintypeError

TRACES_PATH = "/v1/traces"
EXPORT_SECONDS_MAX = 3.0
# What is left is sent when the server stops; it does not wait longer for a collector.
FLUSH_SECONDS_MAX = 5.0
QUEUED_SPANS_MAX = 8192
BATCH_SECONDS = 1.0
PREFIX = "tintype."
# Which side of an exchange a span is; the others are inside. Names of OpenTelemetry's SpanKind.
KINDS = {
    "request": "SERVER",
    "submission": "PRODUCER",
    "attempt": "CONSUMER",
    "callback": "CONSUMER",
    "provider call": "CLIENT",
}


@asynccontextmanager
async def tracing(config: TelemetryConfig) -> AsyncIterator[None]:
    """Send every span to the collector of `otlp_endpoint` while open; without one do nothing.

    At the end what is left is sent, for `FLUSH_SECONDS_MAX` at most. Raises `OperatorError`
    `otel_extra_missing`, `otlp_endpoint_invalid` or `otlp_headers_invalid`.
    """
    if config.otlp_endpoint is None:
        yield
        return
    tracer = _open(config)
    remove = spans.install(tracer)
    try:
        yield
    finally:
        remove()
        await tracer.close()


def _open(config: TelemetryConfig) -> "_Tracer":
    endpoint = (config.otlp_endpoint or "").rstrip("/")
    if not endpoint.startswith(("http://", "https://")):
        raise OperatorError(
            "otlp_endpoint_invalid",
            f"{endpoint} is no collector's URL.",
            hint="OTEL_EXPORTER_OTLP_ENDPOINT looks like http://127.0.0.1:4318.",
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise OperatorError(
            "otel_extra_missing",
            f"Traces need {error.name}, which is not installed.",
            hint="pip install 'tintype[otel]', or leave OTEL_EXPORTER_OTLP_ENDPOINT out.",
        ) from error
    # What it says for every lost batch is an event here.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(
        endpoint=endpoint + TRACES_PATH,
        headers=_headers(config.otlp_headers),
        timeout=EXPORT_SECONDS_MAX,
    )
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(config.trace_share),
        resource=Resource.create(
            {"service.name": config.service_name, "service.version": __version__}
        ),
        shutdown_on_exit=False,
    )
    watched: Any = _Watched(exporter)
    provider.add_span_processor(
        BatchSpanProcessor(
            watched,
            max_queue_size=QUEUED_SPANS_MAX,
            schedule_delay_millis=BATCH_SECONDS * 1000,
        )
    )
    return _Tracer(provider)


def _headers(given: str | None) -> dict[str, str]:
    """Return `name=value,…` as OpenTelemetry's OTEL_EXPORTER_OTLP_HEADERS has it."""
    headers = {}
    for pair in (given or "").split(","):
        name, equals, value = pair.partition("=")
        if name.strip() and equals:
            headers[name.strip().lower()] = unquote(value.strip())
        elif pair.strip():
            raise OperatorError(
                "otlp_headers_invalid", "OTEL_EXPORTER_OTLP_HEADERS is not name=value,name=value."
            )
    return headers


class _Watched:
    """An exporter whose failures are events. It has the shape of the SDK's SpanExporter."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter

    def export(self, batch: Sequence[Any]) -> Any:
        result = self._exporter.export(batch)
        if result.name != "SUCCESS":
            events.emit(
                events.LoopFailed(
                    loop="traces",
                    error=f"The collector did not take {len(batch)} spans; they are lost.",
                    delay_seconds=BATCH_SECONDS,
                )
            )
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))


class _Tracer:
    """Makes OpenTelemetry's spans of ours."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace

        self._provider = provider
        self._tracer = provider.get_tracer("tintype", __version__)
        self._api: Any = trace
        self._kinds = {name: trace.SpanKind[kind] for name, kind in KINDS.items()}

    def begin(
        self, name: str, fields: Mapping[str, Any], *, parent: str | None, link: str | None
    ) -> "_Trace":
        api = self._api
        context = None
        if parent is not None:
            outer = api.NonRecordingSpan(self._context(parent))
            context = api.set_span_in_context(outer)
        return _Trace(
            api,
            self._tracer.start_span(
                name,
                # An empty one: the SDK's own idea of what is current is not ours.
                context=context
                if context is not None
                else api.set_span_in_context(api.INVALID_SPAN),
                kind=self._kinds.get(name, api.SpanKind.INTERNAL),
                attributes=_attributes(fields),
                links=[api.Link(self._context(link))] if link is not None else None,
                record_exception=False,
                set_status_on_exception=False,
            ),
        )

    async def close(self) -> None:
        # A thread of the loop's own would keep the process until the last batch was given up.
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, FLUSH_SECONDS_MAX)

    def _context(self, traceparent: str) -> Any:
        _, trace_id, span_id, flags = traceparent.split("-")
        return self._api.SpanContext(
            int(trace_id, 16), int(span_id, 16), True, self._api.TraceFlags(int(flags, 16) & 1)
        )


class _Trace:
    """One of OpenTelemetry's spans."""

    __slots__ = ("_api", "_span", "traceparent")

    def __init__(self, api: Any, span: Any) -> None:
        self._api = api
        self._span = span
        told = span.get_span_context()
        self.traceparent = (
            f"00-{told.trace_id:032x}-{told.span_id:016x}-{int(told.trace_flags) & 1:02x}"
        )

    def note(self, fields: Mapping[str, Any]) -> None:
        self._span.set_attributes(_attributes(fields))

    def end(self, error: BaseException | None) -> None:
        if error is not None:
            # Its message may hold what a user wrote.
            kind = error.code if isinstance(error, TintypeError) else type(error).__name__
            self._span.set_attribute("error.type", kind)
            if not isinstance(error, RequestError | asyncio.CancelledError):
                self._span.set_status(self._api.StatusCode.ERROR)
        self._span.end()


def _attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {PREFIX + name: value for name, value in fields.items() if value is not None}
