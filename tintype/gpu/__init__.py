"""How do your own GPUs do jobs?

    studio = Studio("sdxl_queue")                    # loads the models, or says why not
    async with WorkerClient(url, key) as client:
        await work(client, studio, "sdxl_queue", cache=AdapterCache(folder), stop=stop)

One process has one pipeline, and one thread that renders; the event loop beside it claims, renews,
tells of progress and uploads, through `tintype.worker_client`. What a job asks for is read by
`recipe`, made by `painting` (SDXL and FLUX: text and image to image; WAN 2.x: text to video and
picture), with the `adapters` that the pipeline wears and the prompt of `enhancing`; `pipelines`
loads the models, `studio` puts them together. Trained adapters come by `cache` onto the disk, and
`tensors` finds out whether they fit. How they are trained is `tintype.gpu.training`.

Promised:
- The same recipe with the same seed makes the same picture; a batch has the seeds that follow.
- A job that is canceled stops after the step it is in, and the next begins.
- What does not fit into the GPU's memory is sent back for another try, and less is made at once.
- Weights are read as safetensors; a pickle is never opened.
- A job without adapters is made by the model as it was loaded, whatever was worn before.

This needs `pip install 'tintype[gpu]'`. Nothing of the server is imported.
"""

from tintype.gpu.cache import AdapterCache
from tintype.gpu.studio import Studio
from tintype.gpu.working import work

__all__ = ["AdapterCache", "Studio", "work"]
