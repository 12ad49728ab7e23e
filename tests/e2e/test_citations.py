"""Citations through the real processes, on both brokers: each event happens through the API, each row is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from chaos.polling import poll_until
from chaos.stack import EVERYTHING, Stack
from tests.e2e.deployment import Client, Deployment
from tests.unit.content.web_server import Handler, WebServer, web_server

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("deployment", ["postgresql-redis", "postgresql-rabbitmq"], indirect=True, scope="module"),
]

SETTINGS = {
    "LOG_LEVEL": "WARNING",
    "EMBEDDING_ENGINE": "hashing",
    "INGEST_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
    "DEBOUNCE_SCALE": "0.05",
}
PAGE = "<html><body><main><p>A page about zebras. {}</p></main></body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A stack and its client."""

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

    def ranked(self) -> set[str]:
        return {item["resource_id"] for item in self.client.get("/graph/overview")["top"]}


@pytest.fixture(scope="module")
def served(deployment: Deployment) -> Iterator[Served]:
    with Stack(
        database_url=deployment.database_url,
        broker_url=deployment.broker_url,
        cache_url=deployment.cache_url,
        processes=(EVERYTHING,),
        environment=SETTINGS,
    ) as stack:
        client = Client(stack.url)
        yield Served(client=client)
        client.close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def page(body: str) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(200, PAGE.format(body).encode(), Content_Type="text/html")


def eventually(what: Callable[[], bool], saying: str) -> None:
    poll_until(what, within_seconds=60, every_seconds=0.2, what=saying)


def test_pages_that_link_to_each_other_become_a_ranked_graph_without_ghosts(served: Served, web: WebServer) -> None:
    web.answers["/one"] = page("<a href='two#top'>The other page</a> and doi:10.1234/late.")
    web.answers["/two"] = page("Nothing is cited here.")
    one = served.ingested(web.url("/one"))
    eventually(lambda: len(served.citations(one)) == 2, "the citations are extracted")

    two = served.ingested(web.url("/two"))
    late = served.client.post("/resources", {"title": "Late", "content": "Late.", "doi": "10.1234/LATE"})["id"]
    eventually(lambda: served.targets(one) == [two, late], "targets that came later are found")
    eventually(lambda: served.ranked() == {one, two, late}, "what is linked is ranked")

    [linked, _] = served.citations(one)
    assert (linked["url"], linked["raw"]) == (web.url("/two"), "The other page")
    assert [item["resource_id"] for item in served.citations(late, "incoming")] == [one]
    near = served.client.get(f"/resources/{two}/neighbors", hops=2)["items"]
    assert {item["resource_id"]: item["hops"] for item in near} == {one: 1, late: 2}

    served.client.put(f"/resources/{late}", {"doi": "10.1234/other"})
    eventually(lambda: served.targets(one) == [two, None], "a target that is another one now is let go")

    served.client.put(f"/resources/{one}", {"content": "Only doi:10.1234/other is cited now."})
    eventually(lambda: served.targets(one) == [late], "an edit is read again")

    served.client.delete(f"/resources/{late}")
    assert served.targets(one) == [None]
    eventually(lambda: served.ranked() == set(), "nothing is linked any more")
    eventually(served.client.has_converged, "everything is derived")
