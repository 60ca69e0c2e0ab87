"""How is a picture answered in another size?"""

import hashlib

from starlette.requests import Request
from starlette.responses import Response

from tintype.storage import rows, transforms
from tintype.storage.door.downloads import headers_of, is_known
from tintype.storage.door.requests import Callers, object_of, signed_object_of
from tintype.storage.objects import Storage
from tintype.storage.rows import FindRow, ObjectRow
from tintype.storage.transforms import Options, Renderer


class PictureDoor:
    """`/render/image`: what may be read may be rendered, by the same rules."""

    def __init__(self, storage: Storage, callers: Callers) -> None:
        self._storage = storage
        self._callers = callers
        self._renderer = Renderer(storage)

    async def render(self, request: Request) -> Response:
        bucket, name = object_of(request)
        options = transforms.parse(request.query_params)
        find = await self._callers.reader(request, bucket, name)
        return await self._answer(request, find, options)

    async def render_public(self, request: Request) -> Response:
        bucket, name = object_of(request)
        options = transforms.parse(request.query_params)
        await self._callers.require_public(bucket)
        return await self._answer(request, lambda: self._storage.find(bucket, name), options)

    async def render_signed(self, request: Request) -> Response:
        bucket, name = signed_object_of(request)
        token = request.query_params.get("token", "")
        claims = self._storage.signer.verify(token, "download", bucket, name)
        return await self._answer(
            request,
            lambda: self._storage.find(bucket, name),
            # What the signature says and not the query: the holder may not ask for more.
            transforms.parse_signed(str(claims.get("transformations", ""))),
            expires_at=int(claims["exp"]),
        )

    async def _answer(
        self, request: Request, find: FindRow, options: Options, *, expires_at: int | None = None
    ) -> Response:
        output = options.output(request.headers.get("accept", ""))

        async def render(row: ObjectRow) -> Response:
            stored = row.stored()
            headers = headers_of(request, row, stored, expires_at)
            headers["etag"] = _etag(stored.version, options, output)
            headers["vary"] = "Accept"
            headers["accept-ranges"] = "none"
            headers.pop("content-security-policy", None)
            if is_known(request.headers.get("if-none-match"), headers["etag"]):
                return Response(status_code=304, headers=headers)
            rendered = await self._renderer.render(stored, options, output)
            return Response(rendered.data, headers=headers, media_type=rendered.media_type)

        return await rows.as_it_is(find, render)


def _etag(version: str, options: Options, output: str) -> str:
    known = f"{version} {options.signed()} {output}"
    return f'"{hashlib.sha256(known.encode()).hexdigest()[:32]}"'
