"""A request becomes an answer, over a real server."""

import re
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
import pytest
from joserfc.jwk import OctKey
from supabase import acreate_client
from supabase_functions.errors import FunctionsHttpError

from support.project import STRANGER_KEY, Project, token
from tintype.config import FunctionConfig

WHO = """
async def serve(invocation):
    principal = invocation.principal
    return {"role": principal.role, "user": principal.user_id}
"""


async def asked(project: Project, name: str, **options: Any) -> httpx2.Response:
    async with project.serving() as client:
        return await client.post(f"/functions/v1/{name}", **options)


def assert_refused_by_the_gateway(answer: httpx2.Response, status: int, code: str) -> None:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code)
    assert body.keys() == {"code", "message", "msg"} and body["message"] == body["msg"]
    assert answer.headers["sb-error-code"] == code
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-relay-error" not in answer.headers


async def test_a_user_is_known_by_their_token(project: Project) -> None:
    project.write("who/index.py", WHO)
    user = uuid4()
    for algorithm in ("HS256", "ES256"):
        bearer = f"Bearer {token(user=user, algorithm=algorithm)}"
        answer = await asked(project, "who", headers={"Authorization": bearer})
        assert answer.status_code == 200
        assert answer.json() == {"role": "authenticated", "user": str(user)}


async def test_the_anon_key_passes_the_gateway_as_a_token_or_as_apikey(project: Project) -> None:
    project.write("who/index.py", WHO)
    for headers in ({"Authorization": f"Bearer {token()}"}, {"apikey": token()}):
        answer = await asked(project, "who", headers=headers)
        assert answer.json() == {"role": "anon", "user": None}


async def test_no_credentials_get_the_gateways_401(project: Project) -> None:
    project.write("who/index.py", WHO)
    answer = await asked(project, "who")
    assert_refused_by_the_gateway(answer, 401, "UNAUTHORIZED_NO_AUTH_HEADER")
    assert answer.json()["msg"] == "Missing authorization header"


@pytest.mark.parametrize(
    ("bad", "code", "message"),
    [
        ("not-a-token", "UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT format"),
        ("a.b.c", "UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT format"),
        ("W10.e30.c", "UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT format"),
        ("sb_publishable_x", "UNAUTHORIZED_INVALID_JWT_FORMAT", "Invalid JWT format"),
        (
            token(key=OctKey.generate_key(256)),
            "UNAUTHORIZED_LEGACY_JWT",
            "Invalid JWT",
        ),
        (token(seconds=-60), "UNAUTHORIZED_LEGACY_JWT", "Invalid JWT"),
        (
            token(algorithm="ES256", key=STRANGER_KEY),
            "UNAUTHORIZED_ASYMMETRIC_JWT",
            "Invalid JWT",
        ),
        (
            "eyJhbGciOiJub25lIn0.e30.",
            "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM",
            "Unsupported JWT algorithm none",
        ),
    ],
)
async def test_a_bad_token_is_refused_in_the_gateways_words(
    project: Project, bad: str, code: str, message: str
) -> None:
    project.write("who/index.py", WHO)
    ways = (
        {"Authorization": f"Bearer {bad}"},
        {"authorization": f"bearer  {bad}"},
        {"apikey": bad},
    )
    for headers in ways:
        answer = await asked(project, "who", headers=headers)
        assert_refused_by_the_gateway(answer, 401, code)
        assert answer.json()["msg"] == message


async def test_the_scheme_is_read_in_any_case(project: Project) -> None:
    project.write("who/index.py", WHO)
    headers = {"Authorization": f"bearer {token(key=OctKey.generate_key(256))}"}
    answer = await asked(project, "who", headers=headers)
    assert_refused_by_the_gateway(answer, 401, "UNAUTHORIZED_LEGACY_JWT")


async def test_an_open_function_knows_a_good_token_and_ignores_a_bad_one(project: Project) -> None:
    project.open("who", WHO)
    user = uuid4()
    for given, role in ((token(user=user), "authenticated"), ("nonsense", "anon")):
        answer = await asked(project, "who", headers={"Authorization": f"Bearer {given}"})
        assert answer.json()["role"] == role
    assert (await asked(project, "who")).json() == {"role": "anon", "user": None}


async def test_a_function_that_is_not_there_is_not_found(project: Project) -> None:
    project.open("off", WHO)
    project.settings["off"] = FunctionConfig(enabled=False)
    for name in ("nothing", "off", "", "..%2f..", "..%2Fwho%2F..%2fwho", "%00", "_shared"):
        answer = await asked(project, name)
        assert_refused_by_the_gateway(answer, 404, "NOT_FOUND")
        assert answer.json()["msg"] == "Requested function was not found"


async def test_a_broken_file_hides_the_reason_from_the_caller_and_tells_the_operator(
    project: Project,
) -> None:
    project.open("broken", "raise ValueError('the secret reason')")
    answer = await asked(project, "broken", headers={"x-request-id": "abc-1"})
    assert_refused_by_the_gateway(answer, 503, "BOOT_ERROR")
    assert "secret" not in answer.text
    (failure,) = project.failures
    assert (failure["function"], failure["request"]) == ("broken", "abc-1")
    assert failure["error"].startswith("BOOT_ERROR: ValueError: the secret reason\n")
    assert "index.py" in failure["error"]


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('the secret reason')",
        "import sys; sys.exit('the secret reason')",
        "import asyncio; raise asyncio.CancelledError('the secret reason')",
        "raise TimeoutError('the secret reason')",
        "return {'the secret reason': object()}",
        "return Reply(7, 'the secret reason')",
        "return Reply(200, 'x', {'the secret reason': 'a\\r\\nSet-Cookie: b'})",
    ],
)
async def test_an_exception_is_a_500_that_tells_the_caller_nothing(
    project: Project, body: str
) -> None:
    source = "from tintype.functions.function import Reply\nasync def serve(invocation):\n    "
    project.open("breaks", source + body)
    async with project.serving() as client:
        answer = await client.post("/functions/v1/breaks")
        assert_refused_by_the_gateway(answer, 500, "WORKER_ERROR")
        assert "secret" not in answer.text and "set-cookie" not in answer.headers
        assert (await client.post("/functions/v1/breaks")).status_code == 500
    assert all("WORKER_ERROR" in failure["error"] for failure in project.failures)
    assert len(project.failures) == 2


async def test_a_function_that_does_not_answer_in_time_is_stopped(project: Project) -> None:
    project.answer_seconds_max = 0.05
    project.open("slow", "import asyncio\nasync def serve(i):\n    await asyncio.Event().wait()")
    answer = await asked(project, "slow")
    assert_refused_by_the_gateway(answer, 504, "IDLE_TIMEOUT")
    assert "did not answer in 0.05 s" in project.failures[0]["error"]


async def test_a_function_that_takes_more_memory_than_there_is_has_its_own_code(
    project: Project,
) -> None:
    project.open("hungry", "async def serve(i):\n    raise MemoryError")
    answer = await asked(project, "hungry")
    assert_refused_by_the_gateway(answer, 546, "WORKER_LIMIT")
    assert "MemoryError" in project.failures[0]["error"]


REFUSALS = """
from tintype.errors import InsufficientCredits, TooManyRequests, Unavailable

async def serve(invocation):
    invocation.warnings.append("A word beside it.")
    if invocation.path == "/credits":
        raise InsufficientCredits(required=4, available=1)
    if invocation.path == "/busy":
        raise Unavailable("busy", "Too many are here.", retry_after_seconds=30)
    if invocation.path == "/down":
        raise Unavailable("down", "Nobody knows until when.")
    raise TooManyRequests("too_fast", "Too fast.", retry_after_seconds=7)
"""


async def test_a_refusal_has_its_status_its_code_and_its_details(project: Project) -> None:
    project.open("refuses", REFUSALS)
    answer = await asked(project, "refuses/credits")
    assert answer.status_code == 402
    body = answer.json()
    assert (body["code"], body["required"], body["available"]) == ("insufficient_credits", 4, 1)
    assert body["error"] and body["hint"] and body["warnings"] == ["A word beside it."]
    assert "sb-error-code" not in answer.headers
    assert answer.headers["access-control-allow-origin"] == "*"
    answer = await asked(project, "refuses/often")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    answer = await asked(project, "refuses/busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    answer = await asked(project, "refuses/down")
    assert answer.status_code == 503 and "retry-after" not in answer.headers
    assert not project.failures


ANSWERS = """
import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, StreamingResponse
from tintype.functions.function import Reply

class Job(msgspec.Struct, rename="camel"):
    job_id: str

async def pieces():
    yield b"one, "
    yield b"two"

async def serve(invocation):
    match invocation.path:
        case "/list": return [1, 2]
        case "/struct": return Job("a")
        case "/nothing": return None
        case "/reply": return Reply(201, {"a": 1}, {"X-Own": "yes", "Content-Length": "7"})
        case "/text": return Reply(200, "text")
        case "/empty": return Reply(204, {"not": "sent"})
        case "/bytes": return Reply(200, b"\\x89PNG", {"Content-Type": "image/png"})
        case "/response": return PlainTextResponse("own", 203)
        case "/stream": return StreamingResponse(pieces(), media_type="text/event-stream")
        case "/http": raise HTTPException(418, "A teapot.")
"""


@pytest.mark.parametrize(
    ("path", "status", "kind", "body"),
    [
        ("list", 200, "application/json", b"[1,2]"),
        ("struct", 200, "application/json", b'{"jobId":"a"}'),
        ("nothing", 204, None, b""),
        ("reply", 201, "application/json", b'{"a":1}'),
        ("text", 200, "text/plain; charset=utf-8", b"text"),
        ("empty", 204, None, b""),
        ("bytes", 200, "image/png", b"\x89PNG"),
        ("response", 203, "text/plain; charset=utf-8", b"own"),
        ("stream", 200, "text/event-stream; charset=utf-8", b"one, two"),
        ("http", 418, "application/json", b'{"error":"A teapot.","code":"http_error"}'),
    ],
)
async def test_an_answer_is_sent_as_what_it_is(
    project: Project, path: str, status: int, kind: str | None, body: bytes
) -> None:
    project.open("answers", ANSWERS)
    answer = await asked(project, f"answers/{path}")
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("content-type") == kind
    assert answer.headers["x-request-id"] and "serve;dur=" in answer.headers["server-timing"]
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_the_sub_path_the_query_and_the_method_reach_the_function(project: Project) -> None:
    source = """
        async def serve(invocation):
            request = invocation.request
            return [request.method, invocation.path, dict(request.query_params)]
    """
    project.open("echo", source)
    async with project.serving() as client:
        for method in ("GET", "PUT", "PATCH", "DELETE", "POST"):
            answer = await client.request(method, "/functions/v1/echo/a/b%20c/?x=1&y=%C3%A9")
            assert answer.json() == [method, "/a/b c/", {"x": "1", "y": "é"}]
        head = await client.head("/functions/v1/echo")
        assert (head.status_code, head.content) == (200, b"")


BODIES = """
from starlette.datastructures import UploadFile

async def serve(invocation):
    kind = invocation.header("content-type")
    if kind and kind.startswith("multipart/"):
        form = await invocation.request.form()
        return {name: (await part.read()).decode() if isinstance(part, UploadFile) else part
                for name, part in form.items()}
    return [kind, (await invocation.body()).decode()]
"""


async def test_a_body_of_any_kind_reaches_the_function_as_it_was_sent(project: Project) -> None:
    project.open("body", BODIES)
    async with project.serving() as client:
        for kind in ("application/json", "text/plain;charset=UTF-8", "application/octet-stream"):
            answer = await client.post(
                "/functions/v1/body", content=b'"a"', headers={"Content-Type": kind}
            )
            assert answer.json() == [kind, '"a"']
        untyped = await client.post("/functions/v1/body", content=b"a")
        assert untyped.json() == [None, "a"]
        assert (await client.post("/functions/v1/body")).json() == [None, ""]
        form = {"data": {"name": "Ada"}, "files": {"photo": ("a.png", b"bytes", "image/png")}}
        answer = await client.post("/functions/v1/body", **form)
        assert answer.json() == {"name": "Ada", "photo": "bytes"}


async def test_a_wish_for_a_region_changes_nothing(project: Project) -> None:
    project.open("who", WHO)
    answer = await asked(
        project, "who?forceFunctionRegion=us-east-1", headers={"x-region": "us-east-1"}
    )
    assert answer.json() == {"role": "anon", "user": None}
    assert "x-relay-error" not in answer.headers


async def test_a_method_that_a_function_does_not_take_is_refused(project: Project) -> None:
    project.open("posts", "methods = ('POST',)\n" + WHO)
    async with project.serving() as client:
        answer = await client.get("/functions/v1/posts")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["code"] == "method_not_allowed"


async def test_a_request_keeps_its_id_and_a_bad_one_is_replaced(project: Project) -> None:
    project.open("id", "async def serve(i): return {'id': i.request_id}")
    answer = await asked(project, "id", headers={"x-request-id": "from-the-app_1.2"})
    assert answer.json()["id"] == answer.headers["x-request-id"] == "from-the-app_1.2"
    for bad in ("a b", "x" * 129, "<script>"):
        answer = await asked(project, "id", headers={"x-request-id": bad})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert (await asked(project, "nothing")).headers["x-request-id"]


async def test_the_stages_are_timed(project: Project) -> None:
    project.open("who", WHO)
    timing = (await asked(project, "who")).headers["server-timing"]
    number = r"\d+\.\d\d"
    assert re.fullmatch(f"auth;dur={number}, body;dur={number}, serve;dur={number}", timing)


async def test_a_function_finds_its_environment_headers_and_context(project: Project) -> None:
    source = """
        async def serve(invocation):
            given = [invocation.header(name) for name in ("x-mine", "X-None")]
            return [invocation.environment["SUPABASE_URL"], *given, invocation.context]
    """
    project.environment = {"SUPABASE_URL": "http://127.0.0.1:54321"}
    project.context = "the server's parts"
    project.open("env", source)
    answer = await asked(project, "env", headers={"X-Mine": "yes"})
    assert answer.json() == ["http://127.0.0.1:54321", "yes", None, "the server's parts"]


async def test_an_edit_is_served_without_a_restart(project: Project) -> None:
    project.open("hello", "async def serve(i): return {'v': 1}")
    async with project.serving() as client:
        assert (await client.post("/functions/v1/hello")).json() == {"v": 1}
        project.write("hello/index.py", "async def serve(i): return {'version': 2}")
        assert (await client.post("/functions/v1/hello")).json() == {"version": 2}


async def test_an_upgrade_to_a_socket_is_refused(project: Project) -> None:
    project.open("who", WHO)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    async with project.serving() as client:
        assert (await client.get("/functions/v1/who", headers=headers)).status_code == 403


async def test_the_supabase_client_calls_functions(project: Project) -> None:
    source = """
        import msgspec
        from tintype.errors import InvalidRequest

        class Wanted(msgspec.Struct):
            name: str

        async def serve(invocation):
            wanted = await invocation.json(Wanted)
            if not wanted.name:
                raise InvalidRequest("name_empty", "A name is needed.")
            return {"hello": wanted.name, "role": invocation.principal.role}
    """
    project.write("hello/index.py", source)
    async with project.serving() as client:
        key = token()
        supabase = await acreate_client(str(client.base_url).rstrip("/"), key)
        options = {"body": {"name": "Ada"}, "responseType": "json"}
        assert await supabase.functions.invoke("hello", options) == {"hello": "Ada", "role": "anon"}
        raw = await supabase.functions.invoke("hello", {"body": {"name": "Ada"}})
        assert msgspec.json.decode(raw) == {"hello": "Ada", "role": "anon"}
        with pytest.raises(FunctionsHttpError, match="A name is needed"):
            await supabase.functions.invoke("hello", {"body": {"name": ""}})
        with pytest.raises(FunctionsHttpError, match="The body is empty"):
            await supabase.functions.invoke("hello")
        supabase.functions.set_auth("nonsense")
        with pytest.raises(FunctionsHttpError) as caught:
            await supabase.functions.invoke("hello", options)
        assert caught.value.status == 401
