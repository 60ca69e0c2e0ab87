"""How does a worker outside the server get its work?

`/redis/v1` speaks Upstash's REST dialect of Redis: a Lane is a list whose elements are the jobs of
one queue, as the worker whose token asks may see them. Popping one is a lease that goes back by
itself when no callback comes in the job type's time; no job is ever only in a list.

`/worker/v1` is the native protocol (`protocol`): claims that wait, renewal, stop signals, and
upload grants in place of a key.

Promised: a token opens its worker's queues and nothing else; a command of Redis that lanes do not
have answers a plain `ERR`; a request that is cut off takes nothing, or a job that comes back.
"""

from tintype.lanes.http import routes

__all__ = ["routes"]
