"""Hands: the work between a job's claim and its end.

A Worker claims jobs, runs many at once and renews their leases from a thread of its own.
`execution` tells one attempt from top to bottom; `delivery` makes a picture the user's;
`settlement` ends a job and resolves its hold in one transaction; `pauses` lets all workers know
which provider must rest. `outside` is for workers that run elsewhere: a Lane (a queue as such a
worker sees it) and a Callback.

When a process dies, its leases expire and rescue returns the jobs: pictures that were delivered
stay, pictures that were stored are adopted, and only what is missing is made.
"""

from tintype.workers import delivery, outside, pauses
from tintype.workers.execution import REFUSED_POSITIONS, Conclusion, give_back, give_up
from tintype.workers.kernel import Kernel
from tintype.workers.references import STORAGE_SCHEME
from tintype.workers.settlement import Completion, Settler, cancel
from tintype.workers.settlement import tell as tell_ended
from tintype.workers.worker import Perform, Worker

__all__ = [
    "REFUSED_POSITIONS",
    "STORAGE_SCHEME",
    "Completion",
    "Conclusion",
    "Kernel",
    "Perform",
    "Settler",
    "Worker",
    "cancel",
    "delivery",
    "give_back",
    "give_up",
    "outside",
    "pauses",
    "tell_ended",
]
