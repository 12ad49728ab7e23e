"""Each compose file, from nothing to all-healthy to a searchable document, and again after `down` and `up`.

Run by `make compose-test`, on an engine of its own and with base images made on this machine.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import lxml.html
import pytest

from chaos.polling import poll_until
from tests.compose.composition import ROOT, Composition
from tests.documents import python_doc_pages
from tests.e2e.deployment import Client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

API, FLOWER = "http://127.0.0.1:8000", "http://127.0.0.1:5555"
PAGES = sorted(python_doc_pages(), key=lambda page: page.stat().st_size)[40:76]
HEALTHY_WITHIN_SECONDS = 600
WORKERS = 8
"""As many as docs/deployment.md scales to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A composition that is up, and a key to its API."""

    composition: Composition
    key: str


@pytest.fixture(scope="session")
def images() -> None:
    """The base images of this run, and the Compose plugin. The servers are made beside the build of ours."""
    _set_up("python")
    _set_up("compose")
    with ThreadPoolExecutor() as pool:
        servers = pool.submit(_set_up, "servers")
        Composition(broker="redis").compose("build", "api", within_seconds=900)
        servers.result()


def _set_up(part: str) -> None:
    subprocess.run([ROOT / "setup/local_base_images.sh", part], check=True, timeout=900)


@pytest.fixture(scope="module", params=["redis", "rabbit"])
def running(request: pytest.FixtureRequest, images: None) -> Iterator[Running]:
    composition = Composition(broker=request.param)
    try:
        up(composition)
        key = composition.alexandria("api-key", "create", "test", "--scope", "read", "--scope", "write").strip()
        yield Running(composition=composition, key=key)
    finally:
        if request.session.testsfailed:
            sys.stderr.write(composition.compose("logs", "--tail", "30", check=False))
        composition.compose("down", "--volumes", "--timeout", "20", check=False)


def up(composition: Composition) -> None:
    composition.compose("up", "--detach")
    poll_until(
        composition.all_healthy,
        within_seconds=HEALTHY_WITHIN_SECONDS,
        every_seconds=1.0,
        what="every container is healthy",
    )


def title_of(page: Path) -> str:
    title = lxml.html.parse(page).findtext(".//title")
    return str(title).split(" — ", maxsplit=1)[0]


def client_of(running: Running) -> closing[Client]:
    return closing(Client(API, headers={"X-API-Key": running.key}))


def test_documents_put_in_through_the_published_port_are_found_by_word_and_by_meaning(running: Running) -> None:
    ingest = [sys.executable, "-m", "app.cli", "ingest", "--api", API, "--json", *map(str, PAGES)]
    environment = {**os.environ, "ALEXANDRIA_API_KEY": running.key}
    done = subprocess.run(ingest, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    ids = {Path(item["source"]): item["resource_id"] for item in said["items"]}

    assert said["counts"]["completed"] == len(PAGES)
    with client_of(running) as client:
        poll_until(client.has_converged, within_seconds=600, every_seconds=1.0, what="everything is derived")
        kinds = client.get("/consistency")["kinds"]
        assert {name: kind["fresh"] for name, kind in kinds.items()} == dict.fromkeys(kinds, len(PAGES))
        for page in PAGES[::5]:
            assert ids[page] in client.found(title_of(page), mode="keyword")
        [copy] = [page for page in PAGES if page.name == "copy.html"]
        assert ids[copy] in client.found("duplicate a thing with everything inside it", mode="semantic", limit=3)


def test_no_door_is_open_without_a_key(running: Running) -> None:
    with httpx2.Client(base_url=API, trust_env=False) as stranger:
        assert stranger.get("/livez").status_code == 200
        assert stranger.get("/readyz").json()["ready"] is True
        assert stranger.get("/resources").status_code == 401
        assert stranger.post("/ingest", json={"url": "https://example.org"}).status_code == 401
    said = running.composition.compose("logs", "--no-log-prefix")
    assert running.key not in said
    assert not [name for name, password in running.composition.passwords.items() if password in said]


def test_flower_sees_the_workers_and_asks_for_a_password(running: Running) -> None:
    password = running.composition.passwords["FLOWER_PASSWORD"]
    credentials = base64.b64encode(f"operator:{password}".encode()).decode()
    with httpx2.Client(base_url=FLOWER, trust_env=False, timeout=30) as http:
        assert http.get("/api/workers").status_code == 401
        workers = http.get("/api/workers?refresh=1", headers={"Authorization": f"Basic {credentials}"})
        queues = http.get("/api/queues/length", headers={"Authorization": f"Basic {credentials}"})

    assert {name.split("@")[0] for name in workers.json()} == {"worker", "ml-worker"}
    assert {queue["name"] for queue in queues.json()["active_queues"]} >= {"default", "ingest", "ml_tasks", "batch"}


def test_the_processes_are_nobody_and_can_write_nothing_but_their_own(running: Running) -> None:
    who = running.composition.compose("exec", "-T", "worker", "id", "-u").strip()
    touch = "touch /opt/alexandria/x && echo written || echo refused"
    touched = running.composition.compose("exec", "-T", "worker", "sh", "-c", touch)
    found = running.composition.compose("exec", "-T", "worker", "sh", "-c", "command -v gcc cc g++ clang || true")

    assert who == "10001"
    assert touched.strip() == "refused"
    assert found.strip() == ""


def test_workers_are_scaled_and_stop_warmly(running: Running) -> None:
    running.composition.compose("up", "--detach", "--no-recreate", "--scale", f"worker={WORKERS}")
    poll_until(
        running.composition.all_healthy, within_seconds=240, every_seconds=1.0, what=f"{WORKERS} workers are healthy"
    )

    running.composition.compose("stop", "--timeout", "60", "worker", "ml-worker")

    ended = {name: state for name, state in running.composition.states().items() if "worker" in name}
    assert ended == dict.fromkeys(ended, "exit 0")
    assert len(ended) == WORKERS + 1
    assert "Warm shutdown" in running.composition.compose("logs", "worker")


def test_down_and_up_keeps_everything(running: Running) -> None:
    words = title_of(PAGES[0])
    with client_of(running) as client:
        before = client.found(words, mode="keyword", limit=20)
        assert before

    running.composition.compose("down", "--timeout", "60")
    assert running.composition.states() == {}
    up(running.composition)

    with client_of(running) as client:
        assert client.found(words, mode="keyword", limit=20) == before
        created = client.post("/resources", {"title": "A note", "content": "Seventeen lanterns above the orchard."})
        poll_until(
            lambda: client.found("seventeen lanterns", mode="keyword") == [created["id"]],
            within_seconds=60,
            what="the workers work again",
        )


@pytest.mark.parametrize("missing", ["DB_PASSWORD", "BROKER_PASSWORD", "CACHE_PASSWORD", "FLOWER_PASSWORD"])
@pytest.mark.parametrize("broker", ["redis", "rabbit"])
def test_a_missing_password_is_one_clear_line(images: None, broker: str, missing: str) -> None:
    composition = Composition(broker=broker)
    environment = {**os.environ, **composition.passwords}
    del environment[missing]
    command = ["docker", "compose", "-f", f"docker-compose.{broker}.yml", "up"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode != 0
    assert f"required variable {missing} is missing a value: set it in .env, see docs/deployment.md" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
