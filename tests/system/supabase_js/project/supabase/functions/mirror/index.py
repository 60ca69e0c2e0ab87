"""Tells what came, or answers in the form that `?as=` names."""

from starlette.responses import StreamingResponse

from tintype.functions import Invocation, Reply


async def serve(invocation: Invocation):
    request = invocation.request
    match request.query_params.get("as"):
        case "text":
            return Reply(200, "grüße")
        case "bytes":
            return Reply(200, bytes([0, 255, 1]), {"content-type": "application/octet-stream"})
        case "events":
            events = (f"data: {number}\n\n" for number in range(3))
            return StreamingResponse(events, media_type="text/event-stream")
        case "nothing":
            return None
    told = {
        "method": request.method,
        "path": invocation.path,
        "query": dict(request.query_params),
        "type": invocation.header("content-type"),
        "role": invocation.principal.role,
        "user": invocation.principal.user_id,
    }
    if (told["type"] or "").startswith("multipart/"):
        form = await request.form()
        files = {name: value for name, value in form.items() if not isinstance(value, str)}
        told["fields"] = {name: value for name, value in form.items() if name not in files}
        told["files"] = {
            name: [file.filename, file.content_type, list(await file.read())]
            for name, file in files.items()
        }
    else:
        told["body"] = (await invocation.body()).decode("latin-1")
    return told
