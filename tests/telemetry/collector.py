"""An OpenTelemetry collector: OTLP over HTTP on 127.0.0.1, and what it was sent."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.serve import serving

WAIT_SECONDS_MAX = 100


class Sent(msgspec.Struct, frozen=True):
    """One span as it came over the wire, with ids in hexadecimal."""

    name: str
    trace: str
    id: str
    parent: str
    kind: str
    service: str
    attributes: dict[str, Any]
    links: list[str]
    is_error: bool


class Collector:
    """Keeps every span it is sent."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Sent] = []
        self.headers: dict[str, str] = {}
        self._came = asyncio.Condition()

    async def one(self, name: str, **attributes: Any) -> Sent:
        """Return the span of that name with those attributes, waiting until it has come."""
        wanted = {f"tintype.{key}": value for key, value in attributes.items()}.items()
        found: list[Sent] = []

        def has_come() -> bool:
            found[:] = [s for s in self.spans if s.name == name and wanted <= s.attributes.items()]
            return bool(found)

        async with asyncio.timeout(WAIT_SECONDS_MAX), self._came:
            await self._came.wait_for(has_come)
        assert len(found) == 1, [(span.name, span.attributes) for span in found]
        return found[0]

    async def is_inside(self, span: Sent, *names: str) -> bool:
        """Return whether the span lies in spans of these names, the innermost first.

        Waits for them: an inner span may come before the outer ones.
        """

        def way_up() -> list[str]:
            by_id = {one.id: one for one in self.spans}
            found, here = [], span
            while here.parent in by_id:
                here = by_id[here.parent]
                found.append(here.name)
            return found

        async with asyncio.timeout(WAIT_SECONDS_MAX), self._came:
            await self._came.wait_for(lambda: len(way_up()) >= len(names))
        return way_up() == list(names)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.headers = dict(request.headers)
        export = ExportTraceServiceRequest.FromString(body)
        async with self._came:
            for resource in export.resource_spans:
                service = _values(resource.resource.attributes)["service.name"]
                for scope in resource.scope_spans:
                    self.spans += [_sent(span, service) for span in scope.spans]
            self._came.notify_all()
        return Response(
            ExportTraceServiceResponse().SerializeToString(), media_type="application/x-protobuf"
        )


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    async with serving(app) as url:
        collector.url = url
        yield collector


def _sent(span: trace_pb2.Span, service: str) -> Sent:
    return Sent(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        service=service,
        attributes=_values(span.attributes),
        links=[link.trace_id.hex() for link in span.links],
        is_error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
