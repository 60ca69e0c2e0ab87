"""How does telemetry begin and end with its process?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from starlette.routing import Route

from tintype import events
from tintype.config import TelemetryConfig
from tintype.database import Pool
from tintype.telemetry.http import Authenticate, routes
from tintype.telemetry.metrics import Metrics
from tintype.telemetry.readings import Readings
from tintype.telemetry.traces import tracing


class Telemetry(msgspec.Struct, frozen=True):
    """What one process counts and reads."""

    config: TelemetryConfig
    metrics: Metrics
    readings: Readings

    def routes(self, authenticate: Authenticate) -> list[Route]:
        """Return the routes to mount at the root: `/metrics`."""
        token = self.config.metrics_token
        return routes(self.metrics.registry, self.readings, authenticate, token=token)


@asynccontextmanager
async def open_telemetry(config: TelemetryConfig, pool: Pool) -> AsyncIterator[Telemetry]:
    """Count events, and send traces where the configuration says so, until the end.

    `pool` acts as the kernel. Raises `OperatorError` for an endpoint that cannot be used.
    """
    metrics = Metrics()
    readings = Readings(pool)
    metrics.registry.register(readings)
    async with tracing(config):
        forget = events.subscribe(metrics.read)
        try:
            yield Telemetry(config, metrics, readings)
        finally:
            forget()
            await readings.close()
