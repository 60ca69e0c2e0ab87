"""`/worker/v1`: the native protocol, for workers that can wait, renew and stop.

    POST /worker/v1/claim                    {queues?, capacity?, wait_seconds?, lease_seconds?}
    POST /worker/v1/renew                    {lease_ids, lease_seconds?}
    POST /worker/v1/jobs/{id}/progress       {attempt, progress, training?}
    POST /worker/v1/jobs/{id}/grant          {attempt, kind, step?}
    POST /worker/v1/jobs/{id}/complete       {attempt, outputs: [{path, seed?}], enhanced_prompt?,
                                              adapter?: {path, sha256}, training?: {steps, loss?}}
    POST /worker/v1/jobs/{id}/fail           {attempt, message, retry?}
    POST /worker/v1/jobs/{id}/release        {attempt}

A claim waits until there is work, and hands out each job with what it needs: the bytes it starts
from as signed URLs, and one upload grant for each output, which opens that one name and nothing
else. The lease is renewed from outside the work; the answer names the jobs to stop. `attempt` is
the fencing token: what is said for another attempt is 404 `job_not_held`.

A training asks for a grant for each further file: a `checkpoint` or `sample` of a step, the
`adapter`, or the `sheet` of samples anew. It tells of its course with its progress: `{step, steps,
loss?, learning_rate?, sample?: path, checkpoint?: {path, step}}`. Whoever takes it next is given
the last checkpoint told. It is completed with the adapter, and with the sheet as its output.
"""

from tintype.lanes.protocol.door import ProtocolDoor

__all__ = ["ProtocolDoor"]
