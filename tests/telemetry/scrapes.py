"""What Prometheus reads."""

from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.product import Product


class Scrape:
    """One answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.families = {one.name: one for one in text_string_to_metric_families(text)}
        self.samples = [sample for one in self.families.values() for sample in one.samples]

    def __getitem__(self, name: str) -> float:
        """Return the only sample of that name."""
        [found] = [sample.value for sample in self.samples if sample.name == name]
        return found

    def of(self, name: str, **labels: Any) -> float:
        """Return the sum of the samples of that name with these labels; 0 when there is none."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str) -> set[str]:
        """Return every value of every label of that name's samples."""
        return {
            value
            for sample in self.samples
            if sample.name == name
            for value in sample.labels.values()
        }

    @property
    def names(self) -> set[str]:
        """Return the names that an expression may use, those without samples included."""
        names = set()
        for one in self.families.values():
            match one.type:
                case "counter":
                    names.add(f"{one.name}_total")
                case "histogram":
                    names |= {f"{one.name}_{part}" for part in ("bucket", "sum", "count")}
                case _:
                    names.add(one.name)
        return names


async def scrape(product: Product, **headers: str) -> Scrape:
    answer = await ask(product, product.keys.service_role_key, **headers)
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)


async def ask(product: Product, token: str | None, **headers: str) -> httpx2.Response:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return await product.http.get("/metrics", headers=headers)
