"""Pages that cite each other, served on this machine, and what the API says of their citations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chaos.polling import poll_until
from tests.e2e.deployment import Client
from tests.unit.content.web_server import Handler

PAGE = "<html><body><main><p>A page about zebras. {}</p></main></body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class CitingLibrary:
    """Asked through its client."""

    client: Client

    def citations(self, resource_id: str, direction: str = "outgoing") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.client.get(f"/resources/{resource_id}/citations", direction=direction)[
            "items"
        ]
        return items

    def targets(self, resource_id: str) -> list[str | None]:
        return [item["target_resource_id"] for item in self.citations(resource_id)]

    def ingested(self, url: str) -> str:
        return str(self.client.post("/ingest", {"url": url})["resource_id"])

    def is_fresh(self) -> bool:
        """Whether nothing is stale, whatever else may wait to be tried again."""
        return all(kind["stale"] == 0 for kind in self.client.get("/consistency")["kinds"].values())

    def ranked(self) -> set[str]:
        return {item["resource_id"] for item in self.client.get("/graph/overview")["top"]}


def page(body: str) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(200, PAGE.format(body).encode(), Content_Type="text/html")


def eventually(what: Callable[[], bool], saying: str) -> None:
    poll_until(what, within_seconds=60, every_seconds=0.2, what=saying)
