"""What does every route answer to everybody? One row a route; the walk fails for a route without.

A row says the route as the app mounts it, what is asked of it (always of what is Ada's), and the
answers, in the words of `told`, in the order of `CALLERS`: nobody, anon, a stranger, the owner,
the service role. One answer stands for all five.
"""

from typing import Any, NamedTuple

from security_site import CHUNK, PASSWORD, TUS, picture

NOBODYS_ID = "00000000-0000-4000-8000-000000000000"
PNG = picture("no secret")
IMAGE = {"content-type": "image/png"}
# What stands in a route's path where the row names no URL of its own.
DEFAULTS = {
    "{bucket}": "uploads",
    "{name:path}": "{owner}/photo.png",
    "{user}": "{owner}",
    "{factor}": NOBODYS_ID,
    "{identity}": NOBODYS_ID,
    "{path:path}": "nothing/here",
    "{topic:path}": "room",
    "{event:path}": "news",
}


class Row(NamedTuple):
    """One question to one route, and its answers."""

    route: str
    answers: tuple[str, ...]
    url: str
    body: Any
    headers: dict[str, str]


def row(
    route: str,
    *answers: str,
    url: str = "",
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Row:
    path = url or route.partition(" ")[2]
    for hole, filling in DEFAULTS.items():
        path = path.replace(hole, filling)
    return Row(route, answers * 5 if len(answers) == 1 else answers, path, body, headers or {})


def auth() -> list[Row]:
    at = "/auth/v1"
    keyless = "401 No API key found in request"
    mail = {"email": "{email}"}

    def disabled(route: str, answer: str) -> Row:
        return row(route, keyless, *[answer] * 4, body=mail if route.startswith("POST") else None)

    def admin(route: str, answer: str, **asked: Any) -> Row:
        return row(route, keyless, *["403 not_admin"] * 3, answer, **asked)

    def own(route: str, stranger: str, owner: str, **asked: Any) -> Row:
        nobody = "403 bad_jwt"
        return row(route, keyless, nobody, stranger, owner, nobody, **asked)

    return [
        row(f"GET {at}/health", "200"),
        row(f"GET {at}/.well-known/jwks.json", "200"),
        row(f"GET {at}/authorize", "400 validation_failed", url=f"{at}/authorize?provider=google"),
        row(f"GET {at}/callback", "400 validation_failed"),
        row(f"GET {at}/verify", "403 otp_expired", url=f"{at}/verify?token=x&type=signup"),
        row(f"GET {at}/settings", keyless, *["200"] * 4),
        row(
            f"POST {at}/signup",
            keyless,
            *["422 user_already_exists"] * 4,
            body=mail | {"password": PASSWORD},
        ),
        row(
            f"POST {at}/token",
            keyless,
            *["400 invalid_credentials"] * 4,
            url=f"{at}/token?grant_type=password",
            body=mail | {"password": "a guess"},
        ),
        row(
            f"POST {at}/token",
            keyless,
            *["400 refresh_token_not_found"] * 4,
            url=f"{at}/token?grant_type=refresh_token",
            body={"refresh_token": "a guess"},
        ),
        own(f"GET {at}/user", "200", "200"),
        own(f"PUT {at}/user", "422 email_exists", "200", body=mail),
        disabled(f"POST {at}/otp", "422 otp_disabled"),
        disabled(f"POST {at}/magiclink", "422 otp_disabled"),
        disabled(f"POST {at}/verify", "403 otp_expired"),
        disabled(f"POST {at}/recover", "422 email_provider_disabled"),
        disabled(f"POST {at}/resend", "422 email_provider_disabled"),
        disabled(f"GET {at}/reauthenticate", "422 email_provider_disabled"),
        disabled(f"POST {at}/sso", "404 saml_provider_disabled"),
        disabled(f"POST {at}/factors", "422 mfa_totp_enroll_not_enabled"),
        disabled(f"POST {at}/factors/{{factor}}/challenge", "404 mfa_factor_not_found"),
        disabled(f"POST {at}/factors/{{factor}}/verify", "404 mfa_factor_not_found"),
        disabled(f"DELETE {at}/factors/{{factor}}", "404 mfa_factor_not_found"),
        disabled(f"GET {at}/user/identities/authorize", "404 manual_linking_disabled"),
        disabled(f"DELETE {at}/user/identities/{{identity}}", "404 manual_linking_disabled"),
        admin(f"POST {at}/invite", "422 email_provider_disabled", body=mail),
        admin(f"POST {at}/admin/generate_link", "422 email_provider_disabled", body=mail),
        admin(f"GET {at}/admin/oauth/clients", "404 feature_disabled"),
        admin(f"POST {at}/admin/oauth/clients", "404 feature_disabled"),
        admin(f"GET {at}/admin/sso/providers", "404 saml_provider_disabled"),
        admin(f"POST {at}/admin/sso/providers", "404 saml_provider_disabled"),
        admin(f"GET {at}/admin/users", "200"),
        admin(f"POST {at}/admin/users", "200", body={"email": "new-{new}@example.com"}),
        admin(f"GET {at}/admin/users/{{user}}", "200"),
        admin(f"PUT {at}/admin/users/{{user}}", "200", body={"ban_duration": "24h"}),
        admin(f"GET {at}/admin/users/{{user}}/factors", "200 []"),
        admin(f"DELETE {at}/admin/users/{{user}}/factors/{{factor}}", "404 mfa_factor_not_found"),
        *(
            row(f"{method} {at}/{{path:path}}", "404 not_found")
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        ),
        # What ends sessions and users comes last.
        own(f"POST {at}/logout", "204", "204", url=f"{at}/logout?scope=others"),
        admin(f"DELETE {at}/admin/users/{{user}}", "200"),
    ]


def lanes() -> list[Row]:
    """Workers' doors open to workers' own secrets: to everybody else they are shut."""
    redis, worker = "401 Unauthorized", "401 worker_key_required"
    said = {
        "attempt": 1,
        "progress": 1,
        "kind": "adapter",
        "outputs": [{"path": "x"}],
        "message": "x",
    }
    return [
        *(
            row(f"{method} /redis/v1{path}", redis, url="/redis/v1/rpop/sdxl_queue")
            for method in ("GET", "POST", "PUT")
            for path in ("", "/{words:path}")
        ),
        row("POST /worker/v1/claim", worker, body={}),
        row("POST /worker/v1/renew", worker, body={"lease_ids": []}),
        *(
            row(
                f"POST /worker/v1/jobs/{{job_id}}/{verb}",
                worker,
                url=f"/worker/v1/jobs/{{job}}/{verb}",
                body=said,
            )
            for verb in ("progress", "grant", "complete", "fail", "release")
        ),
        row("GET /metrics", *["401 metrics_key_required"] * 4, "200"),
    ]


def functions() -> list[Row]:
    at = "/functions/v1"
    keyless = "401 UNAUTHORIZED_NO_AUTH_HEADER"
    nobodys = "403 user_required"
    picture = {"prompt": "a robot", "model": "sandbox", "projectId": "{project}"}
    return [
        row(
            f"POST {at}/generate-image",
            keyless,
            nobodys,
            "404 project_not_found",
            "200",
            nobodys,
            body=picture,
        ),
        row(
            f"POST {at}/cancel-job",
            keyless,
            nobodys,
            "404 job_not_found",
            "200",
            "200",
            body={"jobId": "{job}"},
        ),
        row(
            f"POST {at}/queue-job",
            keyless,
            nobodys,
            "404 project_not_found",
            "200",
            nobodys,
            body={
                "jobType": "image_fast",
                "metadata": {"prompt": "a robot"},
                "projectId": "{project}",
            },
        ),
        row(
            f"POST {at}/generate-images",
            keyless,
            nobodys,
            "404 batch_not_found",
            "202",
            nobodys,
            body={"prompt": "a robot", "model": "sandbox", "batchId": "{batch}"},
        ),
        row(
            f"POST {at}/train-model",
            keyless,
            nobodys,
            "404 model_not_found",
            # More than she has; the pictures were looked at before.
            "402 insufficient_credits",
            nobodys,
            body={"modelId": "{model}", "trainingImageUrls": ["{photo}"]},
        ),
        row(
            f"POST {at}/train-identity",
            keyless,
            nobodys,
            # Before a byte of the pictures is read.
            "402 insufficient_credits",
            "402 insufficient_credits",
            "400 too_few_images",
            body={"identityName": "Ada", "userId": "{owner}", "imageFiles": []},
        ),
        row(
            f"POST {at}/delete-identity",
            keyless,
            nobodys,
            "404 model_not_found",
            "202",
            "202",
            body={"modelId": "{model}"},
        ),
        row(
            f"POST {at}/job-callback",
            "401 callback_not_proved",
            body={"jobId": "{job}", "status": "failed"},
        ),
        row(
            f"POST {at}/generate-admin-image",
            *["403 service_role_required"] * 4,
            "200",
            body={"prompt": "a robot"},
        ),
        row(
            f"POST {at}/operator",
            keyless,
            *["403 operator_required"] * 3,
            "200",
            body={"view": "users"},
        ),
        row(f"GET {at}/openapi.json", "200"),
        # What the models can do and cost is no secret; whoever has a key of the server reads it.
        row(f"GET {at}/list-models", keyless, *["200"] * 4),
        # Open to all, as apps need it: it runs what is due anyway, and says nothing of whose.
        row(f"GET {at}/image-worker", "200"),
        row(f"POST {at}/image-worker", "200", body={}),
    ]


def rest() -> list[Row]:
    rows = [row("GET /rest/v1/", "200")]
    for name, key in (
        ("jobs", {"id": "{job}"}),
        ("generations", {"id": "{generation}"}),
        ("credit_accounts", {"user_id": "{owner}"}),
        *((name, {}) for name in ("credit_entries", "generation_jobs", "photos")),
    ):
        rows += table(name, key, {"user_id": "{owner}"}, *["403 42501"] * 8)
    # A picture or video begins as its owner's pending row; what becomes of it is a job's to say.
    for name in ("images", "videos"):
        rows += table(name, {}, {"user_id": "{owner}"}, "201", *["403 42501"] * 7)
    # Hers to change and remove, and not to give away: a row is always its owner's own.
    hers, the_services = ("201", "403 42501", "403 42501", "200"), ("201", "200", "200", "200")
    for name in ("projects", "templates"):
        key = {"id": f"{{{name[:-1]}}}"}
        rows += table(name, key, {"name": "{new}"}, *hers, *the_services)
    # Hers to begin and to remove; a training identity is begun by its function alone.
    begun = ("201", "403 42501", "403 42501", "200") * 2
    rows += table("batches", {"id": "{draft}"}, {"status": "processing"}, *begun)
    rows += table("models", {"id": "{cup}"}, {"name": "{new}"}, *begun)
    removed = ("403 42501", "403 42501", "403 42501", "200") * 2
    rows += table("trained_identities", {"id": "{likeness}"}, {"identity_name": "{new}"}, *removed)
    rows += table("training_steps", {}, {"user_id": "{owner}"}, *["403 42501"] * 8)
    kernels = ("401 42501", "401 42501", "403 42501", "403 42501")
    places = "/rest/v1/rpc/queue_positions"
    # Only a caller's own jobs are told of, and Ada's waits for its time and stands in no line.
    own_places = ("401 42501", "401 42501", "200 []", "200 []", "403 42501")
    claim, complete = "/rest/v1/rpc/claim_next_job", "/rest/v1/rpc/complete_job_with_result"
    result = {"p_job_id": "{job}", "p_result_urls": ["https://evil.example"], "p_result_count": 1}
    return [
        *rows,
        # A GET is a read-only transaction, in which nobody claims anything.
        row(f"GET {claim}", *kernels, "405 25006"),
        row(f"POST {claim}", *kernels, "200 []", body={}),
        row(f"GET {places}", *own_places, url=f"{places}?p_job_ids={{{{job}}}}"),
        row(f"POST {places}", *own_places, body={"p_job_ids": ["{job}"]}),
        # Nobody has claimed it.
        row(f"POST {complete}", *kernels, "409 TT409", body=result),
        row(
            f"GET {complete}",
            *kernels,
            "405 25006",
            url=f"{complete}?p_job_id={{job}}&p_result_urls={{}}&p_result_count=1",
        ),
    ]


def removals() -> list[Row]:
    """What takes away that which the rows before it ask for."""
    return [
        row(
            "POST /functions/v1/delete-generation",
            "401 UNAUTHORIZED_NO_AUTH_HEADER",
            "403 user_required",
            "404 generation_not_found",
            "200",
            "200",
            body={"ids": ["{generation}"]},
        )
    ]


def table(name: str, key: dict[str, str], body: Any, *answers: str) -> list[Row]:
    """Return the rows of a table that a stranger finds empty; without a key none is replaced.

    `answers` are those to POST, PATCH, PUT and DELETE: the owner's four, then the service role's.
    """
    at = f"/rest/v1/{name}"
    hers = "&".join(f"{column}=eq.{value}" for column, value in key.items())
    stolen = {"user_id": "{stranger}"}
    shown = {"prefer": "return=representation"}
    closed = ("401 42501", "401 42501")
    add, change, replace, remove = zip(answers[:4], answers[4:], strict=True)

    def hidden(answers: tuple[str, ...]) -> str:
        return "200 []" if "200" in answers else "403 42501"

    asked = {"url": f"{at}?{hers or 'user_id=eq.{owner}'}", "headers": shown}
    replaced = (*closed, "403 42501", *replace) if key else ("405 PGRST105",)
    return [
        row(f"GET {at}", *closed, "200 []", "200", "200"),
        row(f"POST {at}", *closed, "403 42501", *add, body={"user_id": "{owner}"} | body),
        row(f"PATCH {at}", *closed, hidden(change), *change, body=stolen, **asked),
        row(f"PUT {at}", *replaced, body=body | stolen | key, **asked),
        row(f"DELETE {at}", *closed, hidden(remove), *remove, **asked),
    ]


def storage() -> list[Row]:
    at, one = "/storage/v1", "/{bucket}/{name:path}"
    keyless = "400 InvalidRequest"
    hidden, missing = "400 NoSuchKey", "400 NoSuchBucket"
    denied = "400 AccessDenied"

    def private(route: str) -> Row:
        return row(f"GET {at}{route}{one}", missing, hidden, hidden, "200", "200")

    def writing(route: str, refusal: str, *answers: str, **asked: Any) -> Row:
        answers = answers or ("200", "200")
        return row(route, keyless, refusal, refusal, *answers, **asked)

    def ticket(route: str, **asked: Any) -> Row:
        path = f"{at}{route}/{{photo}}?token={{ticket}}"
        method = asked.pop("method", "GET")
        return row(f"{method} {at}{route}{one}", "400 InvalidSignature", url=path, **asked)

    def vault(route: str, *answers: str, **asked: Any) -> Row:
        url = route.partition(" ")[2].replace("{bucket}", "{vault}")
        return row(route, keyless, *answers, url=url, **asked)

    return [
        *(
            row(f"GET {at}{route}{one}", missing)
            for route in ("/object/public", "/object/info/public", "/render/image/public")
        ),
        *(
            private(route)
            for route in (
                "/object",
                "/object/authenticated",
                "/object/info",
                "/object/info/authenticated",
                "/render/image/authenticated",
            )
        ),
        # A ticket that Ada has for another place opens none of these.
        ticket("/object/sign"),
        ticket("/render/image/sign"),
        ticket("/object/upload/sign", method="PUT", body=PNG, headers=IMAGE),
        row(
            f"POST {at}/object/sign/{{bucket}}",
            keyless,
            "200 [refused]",
            "200 [refused]",
            "200",
            "200",
            body={"expiresIn": 60, "paths": ["{owner}/photo.png"]},
        ),
        writing(f"POST {at}/object/sign{one}", hidden, body={"expiresIn": 60}),
        writing(
            f"POST {at}/object/upload/sign{one}",
            denied,
            url=f"{at}/object/upload/sign/uploads/{{owner}}/later.png",
            body={},
        ),
        writing(f"POST {at}/object/list/{{bucket}}", "200 []", body={"prefix": "{owner}"}),
        writing(f"POST {at}/object/list-v2/{{bucket}}", "200 []", body={"prefix": "{owner}"}),
        writing(
            f"POST {at}/object{one}",
            denied,
            url=f"{at}/object/uploads/{{owner}}/new.png",
            body=PNG,
            headers=IMAGE,
        ),
        writing(f"POST {at}/object{one}", denied, body=PNG, headers=IMAGE | {"x-upsert": "true"}),
        writing(f"PUT {at}/object{one}", denied, body=PNG, headers=IMAGE),
        *(
            writing(
                f"POST {at}/object/{verb}",
                hidden,
                body={
                    "bucketId": "uploads",
                    "sourceKey": f"{{owner}}/{source}.png",
                    "destinationKey": f"{{self}}/{verb}.png",
                },
            )
            for verb, source in (("copy", "photo"), ("move", "first"))
        ),
        writing(
            f"DELETE {at}/object{one}", hidden, url=f"{at}/object/uploads/{{owner}}/second.png"
        ),
        writing(
            f"DELETE {at}/object/{{bucket}}", "200 []", body={"prefixes": ["{owner}/photo.png"]}
        ),
        vault(f"GET {at}/bucket", *["200 []"] * 3, "200"),
        vault(f"POST {at}/bucket", *[denied] * 3, "200", body={"id": "{new}", "name": "{new}"}),
        vault(f"GET {at}/bucket/{{bucket}}", *[missing] * 3, "200"),
        vault(f"PUT {at}/bucket/{{bucket}}", *[missing] * 3, "200", body={"public": True}),
        vault(f"POST {at}/bucket/{{bucket}}/empty", *["403 AccessDenied"] * 3, "200"),
        vault(f"DELETE {at}/bucket/{{bucket}}", *[missing] * 3, "200"),
        *(
            row(f"{method} {at}/{{path:path}}", "404 NoSuchRoute")
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        ),
    ]


def resumable() -> list[Row]:
    at, signed = "/storage/v1/upload/resumable", "/storage/v1/upload/resumable/sign"
    keyless = "400 headers must have required property 'authorization'"
    row_level = "403 new row violates row-level security policy"
    gone = "404 The file for this url was not found"
    begin = TUS | {"upload-length": "10", "upload-metadata": "{metadata}"}
    tunneled = CHUNK | {"x-http-method-override": "PATCH"}

    def hers(route: str, *answers: str, **asked: Any) -> Row:
        asked.setdefault("headers", TUS)
        refused = (answers[1].partition(" ")[0],) if route.startswith("HEAD") else answers[1:]
        return row(route, answers[0], refused[0], refused[0], *answers[2:], refused[0], **asked)

    def by_ticket(route: str, **asked: Any) -> Row:
        asked.setdefault("headers", TUS)
        head = route.startswith("HEAD")
        return row(route, "400" if head else "400 Invalid Compact JWS", **asked)

    return [
        row(f"POST {at}", keyless, row_level, row_level, "201", "201", headers=begin),
        hers(f"HEAD {at}/{{upload}}", "400", gone, "200"),
        hers(f"PATCH {at}/{{upload}}", keyless, gone, "204", body=b"x", headers=CHUNK),
        hers(
            f"POST {at}/{{upload}}",
            keyless,
            gone,
            "409 Upload-Offset conflict",
            body=b"x",
            headers=tunneled,
        ),
        hers(f"DELETE {at}/{{upload}}", keyless, gone, "204"),
        by_ticket(f"POST {signed}", headers=begin),
        by_ticket(f"HEAD {signed}/{{upload}}"),
        by_ticket(f"PATCH {signed}/{{upload}}", body=b"x", headers=CHUNK),
        by_ticket(f"POST {signed}/{{upload}}", body=b"x", headers=tunneled),
        by_ticket(f"DELETE {signed}/{{upload}}"),
        *(
            row(f"OPTIONS {place}{which}", "204")
            for place in (at, signed)
            for which in ("", "/{upload}")
        ),
    ]


def realtime() -> list[Row]:
    at = "/realtime/v1"
    keyless = "401 Unauthorized"
    news = {"messages": [{"topic": "room", "event": "news", "payload": {}}]}
    one = f"{at}/api/broadcast/{{topic:path}}/events/{{event:path}}"
    return [
        # What the policies on realtime.messages grant is private; they grant nobody anything here.
        row(f"WEBSOCKET {at}/websocket", "401", *["public"] * 3, "public and private"),
        # A public topic is everybody's who has a key.
        row(f"POST {at}/api/broadcast", keyless, *["202"] * 4, body=news),
        row(f"POST {one}", keyless, *["202"] * 4, body={}),
    ]


def web() -> list[Row]:
    """The app's files are for everybody; what they show is asked for at the other doors."""
    return [
        row("GET /config.json", "200"),
        row("GET /{path:path}", "200", url="/gallery"),
        *(
            row(f"{method} /{{path:path}}", "404 Not Found", url="/gallery")
            for method in ("POST", "PUT", "PATCH", "DELETE")
        ),
    ]


WALK = [
    *functions(),
    *lanes(),
    *rest(),
    *removals(),
    *storage(),
    *resumable(),
    *realtime(),
    *auth(),
    *web(),
]
