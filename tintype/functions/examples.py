"""Which example pictures does a request name, and may its caller use them?

A reference is a data URL, a path or URL of an object here that its caller may read, or an https
URL. What can be judged now is judged now, before anything is held: data URLs and objects are
decoded; an https URL is checked by the guard and fetched when the job runs.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit
from uuid import UUID

from tintype.auth import Principal
from tintype.errors import InvalidRequest, NotFound, RequestError, Unavailable
from tintype.functions.context import Context
from tintype.functions.submission import Acceptance, Submission
from tintype.providers import REFERENCE_BYTES_MAX, inspect_reference, read_data_url
from tintype.storage import BackendFailed
from tintype.workers import STORAGE_SCHEME

UPLOADS = "uploads"
OBJECT_ROUTE = "/storage/v1/object/"
OBJECT_ACCESSES = ("public/", "sign/", "authenticated/")
REFERENCE_CHARACTERS_SHOWN_MAX = 200
# What `gather` may refuse with; the operator's own policies and limits of `uploads` are in it.
EXAMPLE_REFUSALS = {
    "reference_invalid": 400,
    "reference_not_an_image": 400,
    "reference_too_large": 400,
    "reference_too_many_pixels": 400,
    "url_not_allowed": 400,
    "url_unreachable": 400,
    "row_level_security": 403,
    "bucket_not_found": 404,
    "object_not_found": 404,
    "reference_not_found": 404,
    "object_too_large": 413,
    "mime_type_not_supported": 415,
    "backend_unavailable": 503,
}
# A scheme or a host: not a path of an object here.
_ELSEWHERE = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:|//)")


async def submit_with(
    context: Context,
    principal: Principal,
    submission: Submission,
    urls: Sequence[str],
    *,
    known: Sequence[str] = (),
    only_here: bool = False,
) -> Acceptance:
    """Store the references and submit. What was stored goes again unless this very job needs it,
    or might: when nobody knows whether it was accepted, it stays.

    `known` are references that come first and need no look, as the payload names them. With
    `only_here` a reference elsewhere is refused: `InvalidRequest` `reference_elsewhere`. Raises
    what `Examples.gather` and `Submitter.submit` do.
    """
    folder = folder_of(submission.user_id, submission.job_id)
    examples = Examples(context, principal, folder)
    try:
        await examples.gather(urls)
        if only_here and not all(name.startswith(STORAGE_SCHEME) for name in examples.names):
            raise InvalidRequest(
                "reference_elsewhere",
                "The reference picture is not an object of this server.",
                hint="Upload it to the bucket uploads and name it by its path.",
            )
        if known or examples.names:
            submission.payload["references"] = [*known, *examples.names]
        acceptance = await context.submitter.submit(submission)
    except Unavailable:
        raise
    except RequestError:
        await examples.drop()
        raise
    if acceptance.job_id != submission.job_id:
        await examples.drop()
    return acceptance


class Examples:
    """The references of one request. `names` go into the payload; `drop` undoes `gather`."""

    def __init__(self, context: Context, principal: Principal, folder: str) -> None:
        """`folder` is where data URLs are stored, in the bucket `uploads`: of this job alone, so
        that one request's `drop` never takes a picture from another's job."""
        self._context = context
        self._principal = principal
        self._folder = folder
        self._stored: list[str] = []
        self.names: list[str] = []

    async def gather(self, urls: Sequence[str]) -> None:
        """Judge every reference, then store those that came as data URLs.

        Raises `InvalidRequest` or `NotFound` for the first that cannot be used, before any is
        stored; `Unavailable` when the object store is away.
        """
        try:
            await self._gather(urls)
        except BackendFailed as error:
            raise Unavailable(
                "backend_unavailable", "The object store cannot be used at the moment."
            ) from error

    async def drop(self) -> None:
        """Remove what this request stored; for one that was refused after all."""
        if self._stored:
            await self._context.storage.remove(UPLOADS, self._stored)

    async def _gather(self, urls: Sequence[str]) -> None:
        pictures: list[tuple[bytes, str, str] | str] = []
        for url in urls:
            if url[:5].lower() == "data:":
                data = read_data_url(url)
                picture = await inspect_reference(data)
                pictures.append((data, picture.media_type, picture.extension))
            else:
                pictures.append(await self._named(url))
        for one in pictures:
            self.names.append(one if isinstance(one, str) else await self._store(*one))

    async def _store(self, data: bytes, media_type: str, extension: str) -> str:
        name = f"{self._folder}/{len(self.names)}.{extension}"
        await self._context.storage.put(self._principal, UPLOADS, name, data, media_type=media_type)
        self._stored.append(name)
        return f"{STORAGE_SCHEME}{UPLOADS}/{name}"

    async def _named(self, url: str) -> str:
        bucket, name = object_of(self._context, url)
        if not bucket:
            await self._context.providers.fetcher.check(url)
            return url
        storage = self._context.storage
        stored = await storage.stat(bucket, name, self._principal)
        if stored is None:
            raise NotFound(
                "reference_not_found",
                "A reference picture does not exist or is not yours.",
                details={"reference": url[:REFERENCE_CHARACTERS_SHOWN_MAX]},
            )
        await inspect_reference(await storage.read(bucket, name, bytes_max=REFERENCE_BYTES_MAX))
        return f"{STORAGE_SCHEME}{bucket}/{name}"


def object_of(context: Context, url: str) -> tuple[str, str]:
    """Return bucket and name of an object of this server, or two empty strings for another place.

    Raises `InvalidRequest` `reference_invalid` for what names neither.
    """
    route = context.config.public_url + OBJECT_ROUTE
    if url.startswith((OBJECT_ROUTE, route)):
        path = unquote(_path(url).partition(OBJECT_ROUTE)[2])
        for access in OBJECT_ACCESSES:
            if path.startswith(access):
                path = path.removeprefix(access)
                break
    elif _ELSEWHERE.match(url):
        return "", ""
    else:
        path = url.lstrip("/")
    bucket, _, name = path.partition("/")
    if not bucket or not name:
        raise _malformed(url)
    return bucket, name


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        raise _malformed(url) from None


def _malformed(url: str) -> InvalidRequest:
    return InvalidRequest(
        "reference_invalid",
        "A reference is a data URL, an https URL, or bucket/path of an object here.",
        details={"reference": url[:REFERENCE_CHARACTERS_SHOWN_MAX]},
    )


def folder_of(user_id: UUID, job_id: UUID) -> str:
    """Return where the references of one job lie, below the user's own folder."""
    return f"{user_id}/references/{job_id}"
