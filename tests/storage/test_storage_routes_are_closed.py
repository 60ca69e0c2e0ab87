"""Every route that takes a name, with names and tokens that are not what they should be."""

from uuid import UUID

import pytest
from storage_site import PNG, SECRET, Site, bearer, token

from tintype.storage.signatures import Signer

READING = (
    "/object/{at}",
    "/object/authenticated/{at}",
    "/object/public/{at}",
    "/object/info/{at}",
    "/object/info/public/{at}",
    "/object/sign/{at}?token={token}",
    "/render/image/public/{at}?width=10",
    "/render/image/authenticated/{at}?width=10",
    "/render/image/sign/{at}?token={token}",
)
NAMES = (
    "..%2f..%2f..%2fkeys.json",
    "%2e%2e%2f%2e%2e%2fkeys.json",
    "%252e%252e%252fkeys.json",
    "..%5c..%5ckeys.json",
    "..%c0%afkeys.json",
    "a%00.png",
    "a%2500.png",
    "%ef%bc%8e%ef%bc%8e%2fkeys.json",
    "%e2%80%ae.png",
    "a" * 1025,
    "a/" * 500 + "a",
    "/etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "' or true --",
    "a;drop table storage.objects",
)


@pytest.mark.parametrize("name", NAMES)
async def test_no_name_leads_out_of_its_bucket(site: Site, ada: UUID, name: str) -> None:
    secret = site.storage.config.data / "keys.json"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("top secret")
    service = {"Authorization": f"Bearer {token('service_role')}"}
    for bucket in ("uploads", "generations"):
        signed = Signer(SECRET).download(bucket, name, 60)
        for route in READING:
            url = route.format(at=f"{bucket}/{name}", token=signed)
            for method in ("GET", "HEAD"):
                answer = await site.http.request(method, url, headers=service)
                assert answer.status_code in (400, 404, 405)
                assert b"top secret" not in answer.content
        for method, url in (
            ("DELETE", f"/object/{bucket}/{name}"),
            ("PUT", f"/object/upload/sign/{bucket}/{name}?token={signed}"),
        ):
            answer = await site.http.request(method, url, headers=service, content=b"")
            assert answer.status_code in (400, 404, 405)
    assert secret.read_text() == "top secret"
    assert site.files() == set()


@pytest.mark.parametrize("name", ["../a", "%2e%2e/a", "a\0", "a\\b", "x" * 1025, "ü", "", "a//b"])
async def test_no_name_in_a_body_leads_out_either(site: Site, ada: UUID, name: str) -> None:
    await site.user(ada).from_("uploads").upload(f"{ada}/a.png", PNG)
    for verb in ("move", "copy"):
        for source, target in ((f"{ada}/a.png", name), (name, f"{ada}/b.png")):
            body = {"bucketId": "uploads", "sourceKey": source, "destinationKey": target}
            answer = await site.http.post(f"/object/{verb}", headers=bearer(ada), json=body)
            assert answer.status_code == 400
    signed = await site.http.post(
        "/object/sign/uploads", headers=bearer(ada), json={"expiresIn": 60, "paths": [name]}
    )
    assert signed.json()[0]["signedURL"] is None
    removed = await site.http.request(
        "DELETE", "/object/uploads", headers=bearer(ada), json={"prefixes": [name]}
    )
    assert removed.json() == []
    assert await site.rows() == {("uploads", f"{ada}/a.png")}


@pytest.mark.parametrize("bucket", ["..", ".uploads", ".staging", "%2e%2e", "%00", "a" * 101])
async def test_no_bucket_is_a_folder_of_the_server(site: Site, bucket: str) -> None:
    service = {"Authorization": f"Bearer {token('service_role')}"}
    made = await site.http.post("/bucket", headers=service, json={"id": bucket, "name": bucket})
    if not bucket.startswith("%"):
        assert made.status_code == 400
    for route in READING[:5]:
        url = route.format(at=f"{bucket}/a.png")
        assert (await site.http.get(url, headers=service)).status_code in (400, 404, 405)
    listed = await site.http.post(f"/object/list-v2/{bucket}", headers=service, json={})
    assert listed.status_code in (400, 404, 405)


async def test_a_token_that_does_not_verify_opens_no_route(site: Site, ada: UUID) -> None:
    await site.user(ada).from_("uploads").upload(f"{ada}/a.png", PNG)
    unsigned = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoic2VydmljZV9yb2xlIn0."
    for given in (unsigned, token("service_role", secret=b"x" * 32), "sb_secret_made_up"):
        headers = {"Authorization": f"Bearer {given}"}
        for method, url in (
            ("GET", f"/object/uploads/{ada}/a.png"),
            ("GET", f"/object/info/uploads/{ada}/a.png"),
            ("GET", f"/render/image/authenticated/uploads/{ada}/a.png"),
            ("POST", f"/object/sign/uploads/{ada}/a.png"),
            ("POST", "/object/list/uploads"),
            ("POST", "/object/list-v2/uploads"),
            ("POST", f"/object/upload/sign/uploads/{ada}/b.png"),
            ("POST", f"/object/uploads/{ada}/b.png"),
            ("DELETE", f"/object/uploads/{ada}/a.png"),
            ("GET", "/bucket"),
        ):
            answer = await site.http.request(method, url, headers=headers)
            assert (answer.status_code, answer.json()["statusCode"]) == (400, "403")
    assert await site.storage.read("uploads", f"{ada}/a.png") == PNG
