"""The flows that the seed writes out, through the real processes: a hundred ingestions, its load test.

Its update is in test_response_times.py.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chaos.polling import poll_until
from chaos.processes import OwnedProcess
from chaos.stack import EVERYTHING, ROOT, Stack
from tests.e2e.deployment import Client, Deployment
from tests.e2e.staleness import stale_by_the_tables
from tests.unit.content.pdf_files import encrypted, pdf_with_pages, text_page
from tests.unit.content.web_server import Handler, WebServer, web_server

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("deployment", ["postgresql-redis"], indirect=True, scope="module"),
]

INGESTIONS = 100
LOCUST = (str(Path(sys.executable).with_name("locust")), "-f", "tests/locustfile.py")
"""By its script: it must load `ssl` itself, and a copy of a warm Python has it."""
USERS = 20
ENOUGH = 5
"""Answers to each kind of request. Not Locust's `--run-time`: its clock may have run since long before the first user
came, as the timers of gevent count from when its loop last looked, and loading may take most of the time.
"""
LOADED = ("GET /resources", "GET /search", "GET /resources/{resource_id}", "PUT /resources/{resource_id}")
SETTINGS = {
    "LOG_LEVEL": "WARNING",
    "EMBEDDING_ENGINE": "hashing",
    "CANARY_INTERVAL_SECONDS": "15",
    "INGEST_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A stack, its client, and the servers below it."""

    deployment: Deployment
    stack: Stack
    client: Client


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
        yield Served(deployment=deployment, stack=stack, client=client)
        client.close()


@pytest.fixture
def pages() -> Iterator[WebServer]:
    """As many pages as there are ingestions, each with a word of its own."""
    with web_server() as server:
        server.answers = {f"/paper-{number}.html": _page(number) for number in range(INGESTIONS)}
        yield server


@pytest.mark.performance
def test_concurrent_ingestions(served: Served, pages: WebServer) -> None:
    with (
        httpx2.Client(base_url=served.stack.url, timeout=60, trust_env=False) as http,
        ThreadPoolExecutor(max_workers=INGESTIONS) as executor,
    ):
        answers = list(executor.map(lambda path: http.post("/ingest", json={"url": pages.url(path)}), pages.answers))
    accepted = [answer.json() for answer in answers if answer.status_code == 202]
    poll_until(served.client.has_converged, within_seconds=180, every_seconds=0.5, what="all are read and derived")

    assert [answer.status_code for answer in answers] == [202] * INGESTIONS
    assert len({receipt["resource_id"] for receipt in accepted}) == INGESTIONS
    assert {path for path, _ in pages.requests} == set(pages.answers)
    assert _counts(served, pages) == {
        "completed": INGESTIONS,
        "read": INGESTIONS,
        "indexed": INGESTIONS,
        "embedded": INGESTIONS,
        "scored": INGESTIONS,
    }
    assert stale_by_the_tables(served.deployment) == []
    lost = [number for number in range(INGESTIONS) if len(served.client.found(_word(number), mode="keyword")) != 1]
    assert lost == []


def test_bad_files_among_good_ones_fail_alone_and_say_why(served: Served) -> None:
    """As in tests/integration/ingestion, once through a real worker."""
    files = {
        "before.txt": b"A good text that comes before the bad ones.",
        "locked.pdf": encrypted(pdf_with_pages(text_page("Nobody reads this.")), user_password="secret"),
        "torn.pdf": pdf_with_pages(text_page("Half of this is gone."))[:300],
        "empty.txt": b"",
        "scan.pdf": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        "after.txt": b"A good text that comes after the bad ones.",
    }
    with httpx2.Client(base_url=served.stack.url, timeout=30, trust_env=False) as http:
        answers = {name: http.post("/ingest", files={"file": (name, data)}) for name, data in files.items()}
    assert {answer.status_code for answer in answers.values()} == {202}
    poll_until(served.client.has_converged, within_seconds=60, every_seconds=0.3, what="all are read")

    ends = {name: served.client.get(answer.json()["status_url"])["ingestion"] for name, answer in answers.items()}
    assert {name: (end["error"] or {}).get("type") for name, end in ends.items()} == {
        "before.txt": None,
        "locked.pdf": "document-encrypted",
        "torn.pdf": "document-broken",
        "empty.txt": "document-empty",
        "scan.pdf": "document-mislabelled",
        "after.txt": None,
    }
    assert {name for name, end in ends.items() if end["state"] == "completed"} == {"before.txt", "after.txt"}
    assert served.deployment.query("SELECT count(*) FROM pending_uploads") == [(0,)]
    assert served.deployment.query("SELECT count(*) FROM dead_letters") == [(0,)]
    half_written = "ingestion_status = 'failed' AND (content IS NOT NULL OR content_version > 0)"
    assert served.deployment.query(f"SELECT count(*) FROM resources WHERE {half_written}") == [(0,)]


def test_the_load_test_of_the_seed_drives_the_api(served: Served, tmp_path: Path) -> None:
    for number in range(20):
        served.client.post("/resources", {"title": f"Lecture {number}", "content": "On machine learning, in brief."})
    before = _answered(served)
    options = ["--headless", "--users", str(USERS), "--spawn-rate", str(USERS), "--only-summary"]
    load = OwnedProcess(
        "locust",
        [*LOCUST, *options, "--host", served.stack.url, "--json-file", str(tmp_path / "load")],
        log=tmp_path / "locust.log",
        environment=served.stack.environment,
        directory=ROOT,
    )
    load.start()
    try:
        poll_until(
            lambda: not load.running or all((_answered(served) - before)[route] >= ENOUGH for route in LOADED),
            within_seconds=120,
            every_seconds=0.3,
            what=f"the users have had {ENOUGH} answers to each of {LOADED}",
        )
    except AssertionError as error:
        error.add_note(load.log_tail())
        raise
    finally:
        exit_code = load.terminate()
    assert exit_code == 0, load.log_tail()
    requests: Counter[str] = Counter()
    failures = 0
    for entry in json.loads((tmp_path / "load.json").read_text()):
        requests[f"{entry['method']} {entry['name']}"] += entry["num_requests"]
        failures += entry["num_failures"]

    assert failures == 0, load.log_tail()
    assert set(requests) == {"GET /resources", "GET /search", "GET /resources/[id]", "PUT /resources/[id]"}
    assert min(requests.values()) > 0
    poll_until(served.client.has_converged, within_seconds=60, every_seconds=0.3, what="the edits are derived")
    assert served.deployment.query("SELECT count(*) FROM resources WHERE title = 'Updated title'")[0][0] > 0


def _answered(served: Served) -> Counter[str]:
    """How often the API answered each route with success, by its own metrics."""
    text = httpx2.get(f"{served.stack.url}/metrics", timeout=30, trust_env=False).text
    return Counter(
        {
            f"{sample.labels['method']} {sample.labels['handler']}": int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "http_request_duration_seconds_count" and sample.labels["status"] == "200"
        }
    )


def _page(number: int) -> Any:
    text = f"The {_word(number)} of paper {number} is described here, in a sentence that is long enough to be kept."
    body = f"<html lang='en'><head><title>Paper {number}</title></head><body><main><p>{text}</p></main></body></html>"

    def answer(handler: Handler) -> None:
        handler.reply(200, body.encode(), Content_Type="text/html; charset=utf-8")

    return answer


def _word(number: int) -> str:
    """Letters only, and no two of one stem."""
    return "wort" + "".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}") + "k"


def _counts(served: Served, pages: WebServer) -> dict[str, int]:
    """How far the ingested pages are, by the tables themselves."""
    ours = f"(SELECT id FROM resources WHERE source LIKE 'http://{pages.authority}/%')"
    selects = {
        "completed": f"resources WHERE id IN {ours} AND ingestion_status = 'completed'",
        "read": f"effects WHERE subject IN {ours} AND task = 'ingest_resource_task'",
        "indexed": f"search_documents WHERE resource_id IN {ours}",
        "embedded": f"embeddings WHERE resource_id IN {ours}",
        "scored": f"quality_scores WHERE resource_id IN {ours}",
    }
    return {name: served.deployment.query(f"SELECT count(*) FROM {where}")[0][0] for name, where in selects.items()}
