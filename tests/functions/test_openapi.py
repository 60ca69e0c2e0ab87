"""The page of the functions: what it holds, and that the running product is as it says."""

import asyncio
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from support.project import Project
from tests.functions.described import DOCUMENT
from tests.support.product import FUNCTIONS, Product
from tests.support.reference import error_codes
from tintype.config import FunctionConfig
from tintype.functions import Loader
from tintype.functions.contract import READING_REFUSALS

EXAMPLES_OF_EACH_KIND = 60
# Whoever is turned away at the door is so whatever is said.
EXAMPLES_AT_THE_DOOR = 20
CALL_SECONDS_MAX = 200
# Thousands of requests, one after the other, on a machine that may be busy.
FUZZ_SECONDS_MAX = 900
# Raised with the field's name in front, or of one word: the page of codes does not list them.
UNLISTED = {
    ("aspect_ratio_unknown", 400),
    ("image_size_unknown", 400),
    ("person_generation_unknown", 400),
    ("overloaded", 503),
    # The process that decodes names them.
    ("image_too_many_pixels", 400),
    ("image_too_small", 400),
    ("image_unreadable", 400),
}
ORDER = """
import msgspec
from tintype.functions import Contract

class Order(msgspec.Struct):
    FIELD: int

contract = Contract(
    summary="Take an order.", request=Order, answers=(Order,), refusals={"sold_out": 409}
)
methods = ("POST",)

async def serve(invocation):
    return await invocation.json(Order)
"""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    allow_header_conformance,
]


@schemathesis.check
def readable_by_a_page_of_any_origin(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Every answer carries CORS once, and never says that it is the relay's."""
    headers = response.headers
    assert headers["access-control-allow-origin"] == ["*"]
    assert len(headers["access-control-expose-headers"]) == 1
    assert "x-relay-error" not in headers


def fuzz(
    product: Product, document: dict[str, Any], headers: dict[str, str], examples: int
) -> set[int]:
    """Send what the document allows and what it forbids; return the statuses that came."""
    statuses = set()
    described = schemathesis.openapi.from_dict(document)
    operations = [
        (described[path][method.upper()], operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for operation, told in operations:
        # Where nothing is asked for, nothing can be against the rules.
        allowed, forbidden = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
        for mode in [allowed, forbidden] if "requestBody" in told else [allowed]:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: schemathesis.Case) -> None:
                response = case.call(
                    base_url=product.url + FUNCTIONS, headers=headers, timeout=CALL_SECONDS_MAX
                )
                statuses.add(response.status_code)
                case.validate_response(
                    response, checks=[*CHECKS, readable_by_a_page_of_any_origin], headers=headers
                )

            ask()
    return statuses


@pytest.mark.timeout(FUZZ_SECONDS_MAX)
@pytest.mark.parametrize("caller", ["a user", "the service key", "the anon key", "nobody"])
async def test_no_request_gets_an_answer_that_the_document_does_not_tell(
    product: Product, caller: str
) -> None:
    person = await product.person(1_000)
    every, few = EXAMPLES_OF_EACH_KIND, EXAMPLES_AT_THE_DOOR
    headers, reached, examples = {
        "a user": (person.headers, {200, 400, 404}, every),
        "the service key": (product.service().headers, {200, 400, 403, 404}, every),
        "the anon key": ({"apikey": product.keys.anon_key}, {200, 403}, few),
        "nobody": ({}, {200, 401}, few),
    }[caller]
    document = (await product.http.get(DOCUMENT)).json()
    statuses = await asyncio.to_thread(fuzz, product, document, headers, examples)
    assert reached <= statuses
    await product.assert_ledger_holds()


async def document_of(project: Project) -> dict[str, Any]:
    async with project.serving() as client:
        answer = await client.get(DOCUMENT)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    document: dict[str, Any] = answer.json()
    assert schemathesis.openapi.from_dict(document).validate() is None
    return document


async def test_the_document_is_the_same_for_everybody_and_holds_no_secret(
    product: Product,
) -> None:
    person = await product.person()
    answers = [
        await product.http.get(DOCUMENT, headers=headers)
        for headers in ({}, person.headers, product.service().headers, {"apikey": "nonsense"})
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (200, answers[0].content)
    }
    text = answers[0].text
    keys = product.keys
    for secret in (keys.anon_key, keys.service_role_key, keys.publishable_key, keys.secret_key):
        assert secret not in text
    assert str(product.config.data) not in text and product.url not in text
    assert list(answers[0].json()["paths"]) == [
        "/cancel-job",
        "/delete-generation",
        "/delete-identity",
        "/generate-admin-image",
        "/generate-image",
        "/generate-images",
        "/image-worker",
        "/job-callback",
        "/list-models",
        "/operator",
        "/queue-job",
        "/train-identity",
        "/train-model",
    ]


async def test_the_document_is_read_and_nothing_else(project: Project) -> None:
    project.open("openapi", "async def serve(i): return {}")
    async with project.serving() as client:
        head = await client.head(DOCUMENT)
        assert (head.status_code, head.content) == (200, b"")
        posted = await client.post(DOCUMENT)
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
        assert (await client.options(DOCUMENT)).status_code == 204
        assert (await client.get(f"{DOCUMENT}/more")).status_code == 404


async def test_a_projects_function_is_told_as_far_as_it_says(project: Project) -> None:
    project.write("plain/index.py", "methods = ('GET', 'POST')\nasync def serve(i): return {}")
    project.open("open", "methods = ('POST',)\nasync def serve(i): return {}")
    project.write("broken/index.py", "raise ValueError")
    project.write("off/index.py", "async def serve(i): return {}")
    project.settings["off"] = FunctionConfig(enabled=False)
    document = await document_of(project)
    assert list(document["paths"]) == ["/open", "/plain"]
    plain = document["paths"]["/plain"]
    assert [told["operationId"] for told in plain.values()] == ["get-plain", "plain"]
    assert plain["post"]["security"] == [{"bearer": []}, {"apikey": []}]
    assert {"401", "default"} <= plain["post"]["responses"].keys()
    told = document["paths"]["/open"]["post"]
    assert told["security"][0] == {} and "401" not in told["responses"]


async def test_a_projects_function_may_declare_its_types_as_ours_do(project: Project) -> None:
    project.open("first", ORDER.replace("FIELD", "count"))
    project.open("second", ORDER.replace("FIELD", "size"))
    document = await document_of(project)
    for name, field in (("first", "count"), ("second", "size")):
        told = document["paths"][f"/{name}"]["post"]
        body = told["requestBody"]["content"]["application/json"]["schema"]
        assert body == {"$ref": f"#/components/schemas/{name}.Order"}
        schema = document["components"]["schemas"][f"{name}.Order"]
        assert list(schema["properties"]) == schema["required"] == [field]
        assert told["summary"] == "Take an order."
        assert "`sold_out`" in told["responses"]["409"]["description"]
        assert {"200", "400", "413", "415"} <= told["responses"].keys()


async def test_an_edit_is_in_the_document_without_a_restart(project: Project) -> None:
    project.open("order", ORDER.replace("FIELD", "count"))
    async with project.serving() as client:
        before = (await client.get(DOCUMENT)).json()
        assert before == (await client.get(DOCUMENT)).json()
        project.write("order/index.py", ORDER.replace("FIELD", "quantity"))
        after = (await client.get(DOCUMENT)).json()
    schemas = [one["components"]["schemas"]["order.Order"] for one in (before, after)]
    assert [schema["required"] for schema in schemas] == [["count"], ["quantity"]]


async def test_a_type_that_no_schema_describes_is_the_files_mistake(project: Project) -> None:
    project.open("odd", ORDER.replace("FIELD: int", "FIELD: object").replace("object", "asyncio"))
    async with project.serving() as client:
        assert (await client.get(DOCUMENT)).json()["paths"] == {}
        answer = await client.post("/functions/v1/odd")
    assert (answer.status_code, answer.json()["code"]) == (503, "BOOT_ERROR")


async def test_every_code_that_a_function_declares_is_one_that_is_raised(
    project: Project,
) -> None:
    raised = {
        (code, int(status))
        for code, status in re.findall(r"^\| `(\w+)` \| \w+ \| (\d+) \|", error_codes(), re.M)
    }
    assert set(READING_REFUSALS.items()) <= raised
    for function in await Loader(project.folder, {}).load_all():
        assert function.contract is not None, function.name
        declared = set(function.contract.refusals.items())
        assert declared <= raised | UNLISTED, function.name
