"""How does the server do, and where does a request's time go?

`GET /metrics` answers Prometheus: `metrics` counts what the events tell, each process for itself;
`readings` asks the database how it stands, at most so often and for so long, so that a scrape costs
little and is answered while the database is away. Only the service role reads it, or whoever has
the `metrics_token`. No label holds a user, a prompt, or anything else without a bound.

`traces` sends the spans of `tintype.spans` to an OpenTelemetry collector, when one is configured.
The log is another reader of the same events, in `tintype.cli.logs`.
"""

from tintype.telemetry.opening import Telemetry, open_telemetry
from tintype.telemetry.serving import serving

__all__ = ["Telemetry", "open_telemetry", "serving"]
