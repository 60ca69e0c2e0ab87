"""The routes of `/storage/v1`, as supabase-js, supabase-py and supabase_flutter call them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tintype.errors import NotFound
from tintype.storage.door.buckets import BucketDoor
from tintype.storage.door.listings import ListingDoor
from tintype.storage.door.objects import ObjectDoor
from tintype.storage.door.pictures import PictureDoor
from tintype.storage.door.refusals import as_refusal, refusal
from tintype.storage.door.requests import Authenticate, Callers, Handler
from tintype.storage.door.resumable import ResumableDoor
from tintype.storage.objects import Storage

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
PATH_CHARACTERS_SHOWN_MAX = 200


def routes(storage: Storage, authenticate: Authenticate) -> list[Route]:
    """Return the routes to mount at `/storage/v1`.

    `authenticate` returns who calls (anon without a token) and raises `Unauthenticated`. Public and
    signed reads never ask it. Every error is answered here, in storage-api's words.
    """
    callers = Callers(storage, authenticate)
    doors = (
        ObjectDoor(storage, callers),
        ListingDoor(storage, callers),
        BucketDoor(storage, callers),
    )
    table = [*_object_routes(*doors), *_picture_routes(PictureDoor(storage, callers))]
    return [
        *ResumableDoor(storage, callers).routes(),
        *(Route(path, _refusing(handler), methods=[method]) for method, path, handler in table),
        Route("/{path:path}", _refusing(_nowhere), methods=METHODS),
    ]


def _object_routes(
    objects: ObjectDoor, listings: ListingDoor, buckets: BucketDoor
) -> list[tuple[str, str, Handler]]:
    at = "/{bucket}/{name:path}"
    return [
        ("GET", f"/object/public{at}", objects.read_public),
        ("GET", f"/object/sign{at}", objects.read_signed),
        ("GET", f"/object/authenticated{at}", objects.read),
        ("GET", f"/object/info/public{at}", objects.info_public),
        ("GET", f"/object/info/authenticated{at}", objects.info),
        ("GET", f"/object/info{at}", objects.info),
        ("POST", "/object/sign/{bucket}", objects.sign_many),
        ("POST", f"/object/sign{at}", objects.sign),
        ("POST", f"/object/upload/sign{at}", objects.sign_upload),
        ("PUT", f"/object/upload/sign{at}", objects.upload_signed),
        ("POST", "/object/list/{bucket}", listings.list_objects),
        ("POST", "/object/list-v2/{bucket}", listings.list_pages),
        ("POST", "/object/move", objects.move),
        ("POST", "/object/copy", objects.copy),
        ("GET", f"/object{at}", objects.read),
        ("POST", f"/object{at}", objects.upload),
        ("PUT", f"/object{at}", objects.update),
        ("DELETE", f"/object{at}", objects.remove_one),
        ("DELETE", "/object/{bucket}", objects.remove),
        ("GET", "/bucket", buckets.list_buckets),
        ("POST", "/bucket", buckets.create_bucket),
        ("GET", "/bucket/{bucket}", buckets.get_bucket),
        ("PUT", "/bucket/{bucket}", buckets.update_bucket),
        ("DELETE", "/bucket/{bucket}", buckets.delete_bucket),
        ("POST", "/bucket/{bucket}/empty", buckets.empty_bucket),
    ]


def _picture_routes(pictures: PictureDoor) -> list[tuple[str, str, Handler]]:
    at = "/{bucket}/{name:path}"
    return [
        ("GET", f"/render/image/public{at}", pictures.render_public),
        ("GET", f"/render/image/authenticated{at}", pictures.render),
        ("GET", f"/render/image/sign{at}", pictures.render_signed),
    ]


async def _nowhere(request: Request) -> Response:
    path = f"/{request.path_params['path']}"[:PATH_CHARACTERS_SHOWN_MAX]
    raise NotFound("route_unknown", f"Route {request.method}:{path} not found")


def _refusing(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:
            return refusal(as_refusal(request, error))

    return answer
