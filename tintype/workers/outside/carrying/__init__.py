"""Can a team's own Redis carry a queue to its workers?

A Carrier claims jobs and puts them on a list of a Redis, or of an Upstash database over REST, where
workers pop them. Postgres stays the record: a job on the list is leased to `carrier:<queue>`, and
stays so after it was popped, for as long as its type may take. Whatever Redis forgets, pops twice
or never gets comes back when that lease expires; whatever is done twice counts once, by its
callback. A list holds at most `depth_max` jobs.

One server at a time carries a queue; another takes over when it is gone.
"""

from tintype.workers.outside.carrying.carrier import Carrier, open_carriers
from tintype.workers.outside.carrying.lists import RedisLists, UpstashLists

__all__ = ["Carrier", "RedisLists", "UpstashLists", "open_carriers"]
