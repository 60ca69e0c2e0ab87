"""Forty pictures in one body arrive as files, however the body is written and cut."""

import base64
import json
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.identities.bodies import arriving, base64_of, body_of, cut, document, image_file, picture
from tintype.errors import RequestError
from tintype.identities.receiving import TrainIdentity, receive

PICTURES = [picture(seed=1), picture("PNG", seed=2), picture(seed=3)]
NAMES = ["photo1.jpg", "photo2.png", "photo3.jpg"]
FILES = [image_file(data, name) for data, name in zip(PICTURES, NAMES, strict=True)]
TINY = [b"\xff\xd8\xff" + bytes(range(20, 20 + length)) for length in (7, 8, 9, 10)]


async def received(body: bytes, folder: Path, size: int = 2**20) -> TrainIdentity:
    folder.mkdir(exist_ok=True)
    return await receive(arriving(cut(body, size)), folder)


def contents(request: TrainIdentity) -> list[bytes]:
    return [file.path.read_bytes() for file in request.imageFiles]


def told(request: TrainIdentity) -> tuple[Any, ...]:
    files = [(file.name, file.path.read_bytes(), file.bytes) for file in request.imageFiles]
    return request.identityName, request.userId, files, request.extra


async def test_the_pictures_are_files_and_the_rest_is_text(tmp_path: Path) -> None:
    body = body_of(FILES, steps=500, learningRate=0.0004, consent={"given": True, "by": "ê"})
    request = await received(body, tmp_path)
    assert (request.identityName, request.userId) == ("John", "a-user")
    assert contents(request) == PICTURES
    assert [file.name for file in request.imageFiles] == NAMES
    assert [file.bytes for file in request.imageFiles] == [len(data) for data in PICTURES]
    consent = {"given": True, "by": "ê"}
    assert request.extra == {"steps": 500, "learningRate": 0.0004, "consent": consent}
    assert {path.parent for path in tmp_path.iterdir()} == {tmp_path}


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "data:image/jpeg;base64,{}",
        "data:image/png;base64,{}",
        "data:;base64,{}",
        "DATA:Image/JPEG;Base64,{}",
        "data:image/jpeg;name=my%20photo.jpg;charset=utf-8; base64,{}",
        "  \n data:image/jpeg;base64,\n{}",
        "\r\n{}\n",
    ],
)
async def test_a_data_url_and_bare_base64_are_the_same(tmp_path: Path, form: str) -> None:
    files = [image_file(form.format(base64_of(data))) for data in PICTURES]
    assert contents(await received(body_of(files), tmp_path)) == PICTURES


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 2**20])
async def test_base64_of_any_alphabet_padding_and_breaks_is_read(tmp_path: Path, size: int) -> None:
    def written(data: bytes) -> list[str]:
        lines = base64.encodebytes(data * 9).decode()
        return [lines, lines.replace("\n", "\r\n"), " ".join(base64_of(data * 9))]

    for number, data in enumerate(TINY):
        url_safe = base64.urlsafe_b64encode(data).decode()
        bare = base64_of(data)
        forms = [bare, bare.rstrip("="), url_safe, url_safe.rstrip("="), *written(data)]
        folder = tmp_path / str(number)
        request = await received(body_of([image_file(form) for form in forms]), folder, size)
        assert contents(request) == [data] * 4 + [data * 9] * 3


async def test_escapes_of_json_inside_the_data_are_read(tmp_path: Path) -> None:
    data = b"\xff\xd8\xff" + b"\xff\xef\xbe" * 30
    bare = base64_of(data)
    assert "/" in bare and "+" in bare
    escaped = "".join(f"\\u{ord(character):04X}" for character in bare)
    slashed = bare.replace("/", "\\/")
    mixed = "data:image\\/jpeg;base64,\\r\\n" + slashed.replace("+", "\\u002b")
    text = json.dumps(document([image_file(str(number)) for number in range(3)]))
    for number, form in enumerate((escaped, slashed, mixed)):
        text = text.replace(f'"data": "{number}"', f'"data": "{form}"')
    for size in (1, 4, 7, 2**20):
        request = await received(text.encode(), tmp_path / str(size), size)
        assert contents(request) == [data] * 3


async def test_members_may_stand_in_any_order_under_escaped_names(tmp_path: Path) -> None:
    files = [{"size": {"data": "x"}, "data": file["data"], "name": file["name"]} for file in FILES]
    text = json.dumps({"imageFiles": files, "data": ["name"], "identityName": "J", "userId": "u"})
    text = text.replace('"data": "data', '"d\\u0061ta": "data').replace("imageF", "image\\u0046")
    for size in (1, 2**20):
        request = await received(text.encode(), tmp_path / str(size), size)
        assert contents(request) == PICTURES
        assert request.extra == {"data": ["name"]}


async def test_a_member_named_like_a_path_is_no_picture(tmp_path: Path) -> None:
    likenesses = {"imageFiles.item": {"data": "not a picture"}, "x": {"imageFiles": [{"data": 1}]}}
    request = await received(body_of(FILES, **likenesses), tmp_path)
    assert request.extra == likenesses
    assert contents(request) == PICTURES


async def test_a_clients_names_name_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    files = [image_file(data, name) for data in PICTURES for name in ("../x", "/etc/passwd", "")]
    request = await received(body_of(files), folder)
    assert [file.name for file in request.imageFiles][:3] == ["../x", "/etc/passwd", ""]
    assert list(tmp_path.iterdir()) == [folder]
    assert {file.path.parent for file in request.imageFiles} == {folder}


async def test_white_space_around_everything_is_read(tmp_path: Path) -> None:
    body = b" \n" + json.dumps(document(FILES), indent=4).encode() + b"\r\n\t "
    assert contents(await received(body, tmp_path)) == PICTURES


async def test_forty_pictures_are_taken(tmp_path: Path) -> None:
    request = await received(body_of([image_file(TINY[1])] * 40), tmp_path)
    assert contents(request) == [TINY[1]] * 40


WRITTEN = json.dumps(
    document(
        [
            image_file("data:image/jpeg;base64," + base64.encodebytes(TINY[3] * 5).decode()),
            image_file(base64.urlsafe_b64encode(TINY[0]).decode().rstrip("="), 'a "b" \\ ü 😀'),
            image_file(TINY[1]),
            image_file(TINY[2]),
        ],
        identityName="Zoë 😀",
        consent=[True, None, {"a": "\\u0041\\/"}],
        steps=100,
    )
).encode()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, len(WRITTEN)), max_size=30))
async def test_it_is_the_same_however_the_body_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WRITTEN)]
    pieces = [WRITTEN[a:b] for a, b in pairwise(places)]
    with TemporaryDirectory() as whole, TemporaryDirectory() as parts:
        wanted = told(await receive(arriving([WRITTEN]), Path(whole)))
        assert told(await receive(arriving(pieces), Path(parts))) == wanted
    assert wanted[0] == "Zoë 😀" and wanted[2][1][0] == 'a "b" \\ ü 😀'


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, len(WRITTEN) - 1),
    st.integers(0, 4),
    st.sampled_from(
        [b"", b'"', b"\\", b"\\u", b"{", b"}", b",", b"=", b"A", b"\0", b"\xff", b"\n", b":"]
    ),
    st.integers(1, 9),
)
async def test_a_damaged_body_is_refused_or_says_what_any_parser_reads(
    place: int, removed: int, put: bytes, size: int
) -> None:
    damaged = WRITTEN[:place] + put + WRITTEN[place + removed :]
    found = []
    for pieces in ([damaged], cut(damaged, size)):
        with TemporaryDirectory() as folder:
            try:
                found.append(told(await receive(arriving(pieces), Path(folder))))
            except RequestError:
                found.append(None)
    assert found[0] == found[1]
    if found[0] is not None:
        name, user, files, extra = found[0]
        read = json.loads(damaged)
        assert read.pop("identityName").strip() == name and read.pop("userId") == user
        for file, (told_name, data, _) in zip(read.pop("imageFiles"), files, strict=True):
            bare = "".join(file["data"].rpartition(",")[2].split()).rstrip("=")
            same = base64.b64decode(bare.replace("-", "+").replace("_", "/") + "==")
            assert (file["name"], same) == (told_name, data)
        assert read == extra
