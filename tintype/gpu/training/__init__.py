"""How does a GPU of your own learn a face, a product or a style?

    trainer = Trainer()                              # loads a base when a job needs it
    async with WorkerClient(url, key) as client:
        await work(client, trainer, stop=stop)       # `tintype gpu-worker --queue training`

A job is one training: a low-rank adapter on the attention of FLUX or SDXL, from a handful of
pictures. `order` says what is asked for, `buckets` in which size each picture is seen, `flux` and
`sdxl` how each base learns, `adapter` what is trained, `course` goes through the steps,
`checkpoints` keeps what is needed to go on, `trainer` has the base in memory, `working` talks to
the server meanwhile.

Promised:
- Only the adapter is trained; the base is the same before and after.
- The same order with the same pictures makes the same adapter, and a training that was broken off
  and goes on from its checkpoint makes it too: bit by bit on a processor, and on a GPU as far as
  its own sums are the same every time.
- A checkpoint of another training, or one that is not whole, is never used.
- A job that is canceled stops after the step it is in. A worker that is told to end stops as soon,
  uploads a checkpoint, and gives the job back.
- Weights are read and written as safetensors; a pickle is never opened.

FLUX.1-dev is under a licence of its own that does not let everybody earn money with it, and its
repository asks for consent first: set HF_TOKEN. SDXL base 1.0 is under CreativeML Open RAIL++-M.
"""

from tintype.gpu.training.trainer import Trainer
from tintype.gpu.training.working import work

__all__ = ["Trainer", "work"]
