"""The document that the server gives of its functions, and whether an answer is as it says."""

from typing import Any

import httpx2
import schemathesis

from tests.support.product import FUNCTIONS, Product

DOCUMENT = f"{FUNCTIONS}/openapi.json"


class Described:
    """A document, ready to judge answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = document["paths"]
        self._schema = schemathesis.openapi.from_dict(document)

    async def judge(self, response: httpx2.Response) -> None:
        """Raise unless this status, these headers and this body are told for the operation."""
        await response.aread()
        path = response.request.url.path.removeprefix(FUNCTIONS)
        method = response.request.method
        operation = self._paths.get(path, {}).get(method.lower())
        if operation is None:
            return
        assert str(response.status_code) in operation["responses"], response.text
        self._schema[path][method].validate_response(response)


async def judge_every_answer(product: Product) -> None:
    """Make the product's client raise at an answer that the document does not tell."""
    answer = await product.http.get(DOCUMENT)
    product.http.event_hooks = {"response": [Described(answer.json()).judge]}
