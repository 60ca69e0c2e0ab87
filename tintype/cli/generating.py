"""How does a person get pictures from the running server?"""

from pathlib import Path
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from tintype import app as server
from tintype.cli import asking
from tintype.cli.people import find_user
from tintype.cli.reach import Data, configured, opened_pool, run, server_url, where
from tintype.cli.telling import Json, err, out, print_json


def generate(
    prompt: Annotated[str, Parameter(help="What the pictures show.")],
    /,
    *,
    user: Annotated[str, Parameter(help="Who pays: an e-mail address or an id.")],
    quantity: Annotated[int, Parameter(help="How many pictures, 1 to 4.")] = 1,
    aspect_ratio: Annotated[str | None, Parameter(help="Such as 16:9.")] = None,
    image_size: Annotated[str | None, Parameter(help="1K, 2K or 4K.")] = None,
    model: Annotated[str | None, Parameter(help="A model's id (default: the server's).")] = None,
    seed: Annotated[int | None, Parameter(help="The same seed, the same picture.")] = None,
    image: Annotated[
        list[str] | None, Parameter(help="A reference, bucket/path or URL.", negative="")
    ] = None,
    output: Annotated[Path, Parameter(help="Folder for the pictures.")] = Path(),
    data: Data = None,
    json: Json = False,
) -> None:
    """Ask the running server for pictures and download them.

    The names of the files go to standard output, the progress to standard error.
    Ctrl-C stops waiting; the job goes on.

    For example:
      tintype generate "a robot" --user you@example.com
      tintype generate "a lighthouse" --user you@example.com --aspect-ratio 16:9
    """
    chosen = configured(data)
    url = server_url(chosen)
    wanted = {
        "prompt": prompt,
        "quantity": quantity,
        "aspectRatio": aspect_ratio,
        "imageSize": image_size,
        "model": model,
        "seed": seed,
        "imageUrls": image,
    }
    body = {name: value for name, value in wanted.items() if value is not None}
    accepted: list[UUID] = []

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            payer = await find_user(pool, user)
            token = server.open_keys(chosen).mint(payer.id, email=payer.email)
            answer = await asking.submit(url, token, body)
            accepted.append(UUID(answer["jobId"]))
            job = await asking.watch(pool, accepted[0], err)
        files = await asking.download(job.result_urls, output, prompt)
        if json:
            print_json({"job": job, "files": [str(file) for file in files]})
        else:
            for file in files:
                out.print(str(file))
        if job.status != "completed":
            raise SystemExit(1)

    try:
        run(work())
    except KeyboardInterrupt:
        for job_id in accepted:
            err.print(f"The job {job_id} goes on.")
            err.print(f"  See it:     tintype jobs show {job_id}{where(chosen)}")
            err.print(f"  Cancel it:  tintype jobs cancel {job_id}{where(chosen)}")
        raise
