"""What kills its worker each time is started so often and no more, and what else fails for good is told by the API.

Real workers, as they are shipped: only the delays between attempts are short.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Celery
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.events.hooks import PlannedCall
from app.main import create_app
from app.models.outbox import OPEN_STATES, CallState, TaskCall
from app.services.library import Library
from app.settings import load_settings
from app.tasks.relay import Relay
from app.tasks.tending import Tending
from app.tasks.wake_up import wake_up_of
from app.transports.base import Message
from app.transports.registry import broker_for, open_transport
from chaos.polling import poll_until
from chaos.processes import OwnedProcess
from chaos.stack import ROOT
from tests.integration.libraries import a_library
from tests.integration.tasks.graveyard import Graveyard, a_graveyard

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(420)]

PAIRS = [("sqlite", "redis"), ("postgresql", "rabbitmq")]
CROSSED = [("sqlite", "rabbitmq"), ("postgresql", "redis")]
INNOCENTS = 12
POISON, INNOCENT = 9, 5


class House:
    """A relay and one worker over a database and a broker; the worker is started again whenever it dies."""

    def __init__(self, library: Library, graveyard: Graveyard, directory: Path, *, concurrency: int) -> None:
        self.library = library
        self.graveyard = graveyard
        self.notes = directory / "notes"
        self.api = TestClient(create_app(library), base_url="http://localhost")
        settings = library.settings
        self.worker = OwnedProcess(
            "worker",
            [
                *(sys.executable, "-m", "celery", "-A", "tests.integration.tasks.poison_app", "worker"),
                *("-Q", "default", "-P", "prefork", "-c", str(concurrency), "--without-gossip", "--without-mingle"),
            ],
            log=directory / "worker.log",
            environment={
                "PATH": os.environ.get("PATH", os.defpath),
                "DATABASE_URL": settings.database,
                "BROKER_URL": graveyard.url,
                "CACHE_URL": settings.cache,
                "DATA_DIR": str(directory),
                "NOTES": str(self.notes),
                "RETRY_FIRST_DELAY_SECONDS": "0.2",
            },
            directory=ROOT,
        )

    def started(self) -> Counter[str]:
        """How often each call was started, by its tasks' own notes."""
        return Counter(self.notes.read_text().splitlines() if self.notes.exists() else [])

    def send(self, task: str, name: str, *, priority: int = INNOCENT) -> UUID:
        call: Any = {"task": task, "args": [name], "queue": "default", "priority": priority}
        with self.library.work() as unit:
            unit.enqueue(PlannedCall(**call, delay=timedelta(0), coalesce_key=name))
            return unit.store()[0].id

    def letters(self) -> dict[str, dict[str, Any]]:
        """Dead letters by their reason."""
        return {letter["reason"]: letter for letter in self.api.get("/dead-letters").json()["items"]}

    def calls(self, *ids: UUID) -> list[TaskCall]:
        with self.library.database.reader() as session:
            return [session.get_one(TaskCall, one) for one in ids]

    def keep_up_until(self, is_over: Any, *, within_seconds: float, what: str) -> None:
        """Start the worker as often as it dies, until then."""

        def look() -> bool:
            if not self.worker.running:
                self.worker.start()
            return bool(is_over())

        try:
            poll_until(look, within_seconds=within_seconds, what=what, every_seconds=0.1)
        except AssertionError as error:
            error.add_note(f"{self.started()}\n{self.letters()}\n{self.worker.log_tail(60)}")
            raise


@contextmanager
def a_house(
    request: pytest.FixtureRequest, tmp_path: Path, where: tuple[str, str], *, concurrency: int
) -> Iterator[House]:
    database, broker = where
    sqlite = f"sqlite:///{tmp_path / 'library.sqlite3'}"
    url = request.getfixturevalue("migrated_postgres_url") if database == "postgresql" else sqlite
    broker_url = request.getfixturevalue("rabbit_url" if broker == "rabbitmq" else "redis_url")
    with ExitStack() as stack:
        cache_url = request.getfixturevalue("cache_url")
        library = stack.enter_context(a_library(database_url=url, cache_url=cache_url, broker_url=broker_url))
        graveyard = stack.enter_context(a_graveyard(broker_url))
        house = House(library, graveyard, tmp_path, concurrency=concurrency)
        stack.callback(house.worker.kill)
        stack.enter_context(a_running_relay(library, graveyard))
        yield house


@contextmanager
def a_running_relay(library: Library, graveyard: Graveyard) -> Iterator[None]:
    """As `alexandria relay` runs it, in threads."""
    stop = threading.Event()
    tender = open_transport(graveyard.url)
    tending = Tending(tender, max_deliveries=library.settings.max_deliveries)
    relay = Relay(database=library.database, transport=graveyard.transport, settings=load_settings())

    def run() -> None:
        wake_up = wake_up_of(library.database.engine, stop)
        relay.run(wake_up, stop)
        wake_up.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    tending.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        tending.stop()
        tender.close()


def poisoned(house: House, task: str) -> None:
    """Poison among innocent calls, which are prefetched beside it: it is given up, and they are all done."""
    limit = house.library.settings.max_deliveries
    poison = house.send(task, "poison", priority=POISON)
    innocents = [house.send("poison.innocent", f"innocent {number}") for number in range(INNOCENTS)]

    def is_over() -> bool:
        ended = {call.state for call in house.calls(poison, *innocents)}
        return ended == {CallState.DEAD, CallState.DONE} and "delivery_limit" in house.letters()

    house.keep_up_until(is_over, within_seconds=360, what="poison is dead and the innocent are done")

    assert house.started()["poison"] == limit
    letter = house.letters()["delivery_limit"]
    assert (letter["call_id"], letter["task"], letter["args"]) == (str(poison), task, ["poison"])
    assert letter["history"][-1]["type"] == "delivery-limit"
    assert str(limit) in letter["error"]["detail"]
    for number, call in enumerate(house.calls(*innocents)):
        assert (call.state, call.starts) == (CallState.DONE, 1)
        assert house.started()[f"innocent {number}"] == 1
    poll_until(
        lambda: house.graveyard.witness.count_dead("default") == 0, within_seconds=20, what="the broker holds no letter"
    )


@pytest.mark.parametrize("where", PAIRS + CROSSED, ids="-".join)
def test_a_task_that_kills_its_pool_process_each_time_is_started_so_often_and_no_more(
    request: pytest.FixtureRequest, tmp_path: Path, where: tuple[str, str]
) -> None:
    with a_house(request, tmp_path, where, concurrency=2) as house:
        poisoned(house, "poison.kill_child")


@pytest.mark.parametrize("where", PAIRS, ids="-".join)
def test_a_task_that_kills_its_whole_worker_each_time_is_started_so_often_and_no_more(
    request: pytest.FixtureRequest, tmp_path: Path, where: tuple[str, str]
) -> None:
    with a_house(request, tmp_path, where, concurrency=1) as house:
        poisoned(house, "poison.kill_worker")


@pytest.mark.parametrize("where", PAIRS, ids="-".join)
def test_a_message_of_no_call_that_kills_its_whole_worker_each_time_is_started_so_often_and_no_more(
    request: pytest.FixtureRequest, tmp_path: Path, where: tuple[str, str]
) -> None:
    with a_house(request, tmp_path, where, concurrency=1) as house:
        task = "poison.kill_worker"
        by_hand = Celery("by-hand", set_as_current=False)
        by_hand.conf.update(broker_for(load_settings(broker_url=SecretStr(house.graveyard.url))).celery_config)
        by_hand.send_task(task, ("poison",), queue="default")

        house.keep_up_until(house.letters, within_seconds=360, what="it is a dead letter")

        assert house.started()["poison"] == house.library.settings.max_deliveries
        [letter] = house.letters().values()
        assert (letter["task"], letter["args"]) == (task, ["poison"])


@pytest.mark.parametrize("where", PAIRS + CROSSED, ids="-".join)
def test_what_ran_beside_the_killers_of_its_whole_worker_is_done_in_the_end(
    request: pytest.FixtureRequest, tmp_path: Path, where: tuple[str, str]
) -> None:
    """Two poisons, so that the innocent call has died often enough when the second one is not known yet."""
    with a_house(request, tmp_path, where, concurrency=3) as house:
        limit = house.library.settings.max_deliveries
        poisons = [house.send("poison.kill_everyone", f"poison {number}", priority=POISON) for number in range(2)]
        innocent = house.send("poison.slow_innocent", "innocent", priority=POISON)

        def is_over() -> bool:
            return not {call.state for call in house.calls(*poisons, innocent)} & set(OPEN_STATES)

        house.keep_up_until(is_over, within_seconds=360, what="all have ended")

        assert [call.state for call in house.calls(*poisons, innocent)] == [CallState.DEAD] * 2 + [CallState.DONE]
        started = house.started()
        assert [started[f"poison {number}"] for number in range(2)] == [limit] * 2
        assert 1 < started["innocent"] <= limit


@pytest.mark.parametrize("where", PAIRS, ids="-".join)
def test_whatever_fails_for_good_is_told_with_its_history_and_leaves_the_broker(
    request: pytest.FixtureRequest, tmp_path: Path, where: tuple[str, str]
) -> None:
    with a_house(request, tmp_path, where, concurrency=2) as house:
        house.send("poison.fail", "tried")
        house.send("poison.refuse", "refused")
        unknown = Message(call_id=uuid4(), task="make_tea", args=("earl grey",), queue="default")
        house.graveyard.transport.publish([unknown], deadline_seconds=10)
        unreadable = send_unreadable(house.graveyard)
        reasons = {"retries_exhausted", "permanent_error", "unknown_task", "undecodable"}

        house.keep_up_until(lambda: reasons <= set(house.letters()), within_seconds=90, what=f"{reasons} are told")

        letters = house.letters()
        assert [entry["attempt"] for entry in letters["retries_exhausted"]["history"]] == [1, 2, 3]
        assert letters["retries_exhausted"]["error"] == {"type": "ZeroDivisionError", "detail": "never foreseen"}
        assert letters["permanent_error"]["error"] == {"type": "invalid-input", "detail": "never possible"}
        assert (letters["unknown_task"]["task"], letters["unknown_task"]["args"]) == ("make_tea", ["earl grey"])
        whole = house.api.get(f"/dead-letters/{letters['undecodable']['id']}").json()
        assert unreadable in whole["payload"]["text"]
        assert house.started() == {"tried": 3, "refused": 1}
        poll_until(
            lambda: house.graveyard.transport.depths()["default"].dead == 0,
            within_seconds=20,
            what="the broker is empty",
        )


def send_unreadable(graveyard: Graveyard) -> str:
    """A message that no worker can decode, as another program would send it; what must be kept of it."""
    if graveyard.url.startswith("amqp"):
        graveyard.witness.put("default", b"[[1, 2", content_type="application/json", headers={"id": "x"})
        return "[[1, 2"
    graveyard.witness.put("default", b'{"body": "no envelope')
    return '{"body": "no envelope'
