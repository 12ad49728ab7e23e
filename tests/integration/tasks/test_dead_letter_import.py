"""The importer of dead letters: every dead message ends in the truth of its row, on both brokers and databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery.exceptions import Reject
from fastapi.testclient import TestClient

from app.errors import InvalidInput, TransportUnavailable
from app.events import dispatch, execution
from app.events.dispatch import ClaimedCall
from app.main import create_app
from app.models.base import now
from app.models.outbox import CallState, DeadLetter, LetterOrigin
from app.services import consistency
from app.services.library import Library, Work
from app.settings import load_settings
from app.tasks.dead_letter_import import DeadLetterImport
from app.tasks.relay import Relay
from app.tasks.task_names import TaskName
from app.transports.base import DeadMessage, Message, Transport
from app.transports.registry import open_transport
from tests.integration.outbox.claims import claim_due
from tests.integration.tasks.brokers import RecordingBroker
from tests.integration.tasks.delivery import Outbox, call_for, deliver, task_of
from tests.integration.tasks.graveyard import Graveyard

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def importer_of(library: Library, transport: Transport, **settings: Any) -> DeadLetterImport:
    return DeadLetterImport(database=library.database, transport=transport, settings=load_settings(**settings))


def drain(library: Library, graveyard: Graveyard) -> None:
    importer_of(library, graveyard.transport).drain()
    assert {depth.dead for depth in graveyard.transport.depths().values()} == {0}


def wrong(library: Library, resource_id: UUID, *, work: Work) -> None:
    raise InvalidInput("this can never be done")


def listed(library: Library) -> list[dict[str, Any]]:
    """As the API shows them."""
    client = TestClient(create_app(library), base_url="http://localhost")
    items: list[dict[str, Any]] = client.get("/dead-letters").json()["items"]
    return items


def read(library: Library, letter_id: str) -> dict[str, Any]:
    client = TestClient(create_app(library), base_url="http://localhost")
    letter: dict[str, Any] = client.get(f"/dead-letters/{letter_id}").json()
    return letter


def start(library: Library, call: ClaimedCall) -> execution.StartedCall:
    with library.database.writer() as session:
        started = execution.start(
            session, call.id, generation=call.generation, owner="me", lease=timedelta(seconds=15), moment=now()
        )
    assert started is not None
    return started


# What the life of a call may be when one of its messages is found dead; each leaves the call as it is.


def is_dead(library: Library, call: ClaimedCall) -> CallState:
    with pytest.raises(Reject):
        deliver(task_of(wrong), call)
    return CallState.DEAD


def runs(library: Library, call: ClaimedCall) -> CallState:
    start(library, call)
    return CallState.RUNNING


def is_done(library: Library, call: ClaimedCall) -> CallState:
    started = start(library, call)
    with library.work(call=started):
        pass
    return CallState.DONE


def waits_to_be_tried_again(library: Library, call: ClaimedCall) -> CallState:
    started = start(library, call)
    with library.database.writer() as session:
        execution.try_again(session, started, error=ValueError("no"), delay=timedelta(0), moment=now())
    return CallState.WAITING


def is_sent_anew(library: Library, call: ClaimedCall) -> CallState:
    waits_to_be_tried_again(library, call)
    with library.database.writer() as session:
        claimed = claim_due(session, queue=call.queue, limit=1, moment=now())
        dispatch.mark_sent(session, claimed, moment=now())
    return CallState.SENT


def is_superseded(library: Library, call: ClaimedCall) -> CallState:
    Outbox(library).store(call_for(call.subject or uuid4()))
    waits_to_be_tried_again(library, call)
    return CallState.SUPERSEDED


@pytest.mark.parametrize("life", [is_dead, runs, is_done, waits_to_be_tried_again, is_sent_anew, is_superseded])
def test_the_dead_message_of_a_call_whose_row_knows_better_is_acked_away(
    library: Library, outbox: Outbox, graveyard: Graveyard, life: Callable[[Library, ClaimedCall], CallState]
) -> None:
    call = outbox.claimed(call_for(outbox.resource()))
    state = life(library, call)
    generation, letters = outbox.call(call.id).generation, len(outbox.dead_letters())
    graveyard.bury(call)

    drain(library, graveyard)

    assert (outbox.state(call.id), outbox.call(call.id).generation) == (state, generation)
    assert len(outbox.dead_letters()) == letters == (state == CallState.DEAD)


@pytest.mark.parametrize("is_marked", [True, False], ids=["sent", "claimed"])
def test_a_message_given_up_before_any_start_makes_its_call_dead_with_the_broker_s_reason(
    library: Library, outbox: Outbox, graveyard: Graveyard, is_marked: bool
) -> None:
    resource_id = outbox.resource()
    call = outbox.claimed(call_for(resource_id))
    if is_marked:
        with library.database.writer() as session:
            dispatch.mark_sent(session, [call], moment=now())
    graveyard.bury(call)

    drain(library, graveyard)

    assert outbox.state(call.id) == CallState.DEAD
    [letter] = listed(library)
    assert (letter["reason"], letter["call_id"], letter["resource_id"]) == ("rejected", str(call.id), str(resource_id))
    assert [entry["type"] for entry in letter["history"]] == ["rejected"]
    assert read(library, letter["id"])["headers"]["x-death"][0]["reason"] == "rejected"
    with library.database.reader() as session:
        assert (
            consistency.overview(session, embedding_model=library.embedding_model)["kinds"]["embedding"]["failed"] == 1
        )
    with library.database.writer() as session:
        assert dispatch.mark_sent(session, [call], moment=now()) == 0  # the relay comes late


def test_a_message_without_a_call_becomes_a_letter_with_its_bytes(library: Library, graveyard: Graveyard) -> None:
    known = Message(call_id=uuid4(), task=TaskName.CANARY, args=("default",), queue="batch", priority=7)
    unknown = Message(call_id=uuid4(), task="make_tea", args=("earl grey", {"sugar": 2}), queue="ingest", priority=3)
    graveyard.let_die(known, unknown)

    drain(library, graveyard)

    letters = {letter["task"]: letter for letter in listed(library)}
    assert set(letters) == {"canary_task", "make_tea"}
    tea = letters["make_tea"]
    assert (tea["reason"], tea["queue"], tea["priority"]) == ("unknown_task", "ingest", 3)
    assert (tea["args"], tea["call_id"], tea["origin"]) == (["earl grey", {"sugar": 2}], None, "message")
    assert letters["canary_task"]["reason"] == "rejected"
    whole = read(library, tea["id"])
    assert whole["headers"]["id"] == str(unknown.call_id)
    assert whole["headers"]["x-death"][0]["queue"] == "ingest"
    assert (whole["payload"]["size_bytes"], whole["payload"]["is_whole"]) == (len(_payload(library, tea)), True)
    assert "make_tea" in whole["not_replayable_because"]


@pytest.mark.parametrize("raw", [b"\x00\xff\xfe", b"", b"not json", b'["half", {}', b"<script>alert(1)</script>"])
def test_an_undecodable_message_becomes_a_letter_with_its_bytes(
    library: Library, graveyard: Graveyard, raw: bytes
) -> None:
    graveyard.witness.put("default", raw)
    graveyard.witness.let_die("default")

    drain(library, graveyard)

    [letter] = listed(library)
    assert (letter["reason"], letter["task"], letter["args"]) == ("undecodable", "(unreadable)", [])
    assert _payload(library, letter) == raw
    payload = read(library, letter["id"])["payload"]
    assert payload["text"] == (None if raw.startswith(b"\x00") else raw.decode())


def test_text_that_no_database_stores_is_kept_as_bytes(library: Library, graveyard: Graveyard) -> None:
    body = json.dumps([["nul \x00", "half \ud800"], {}, {}]).encode()
    headers = {"task": "make\x00tea", "id": "\ud800"}
    if graveyard.url.startswith("redis"):
        raw = json.dumps(
            {"body": body.decode(), "headers": headers, "properties": {}, "content-type": "application/json"}
        )
        graveyard.witness.put("default", raw.encode())
    else:
        graveyard.witness.put("default", body, content_type="application/json", headers={"task": "make\x00tea"})
    graveyard.witness.let_die("default")

    drain(library, graveyard)

    [letter] = listed(library)
    assert (letter["reason"], letter["args"]) == ("undecodable", [])


def test_a_letter_is_one_however_often_its_message_is_taken(
    library: Library, outbox: Outbox, graveyard: Graveyard
) -> None:
    call = outbox.claimed(call_for(outbox.resource()))
    graveyard.bury(call)
    graveyard.let_die(
        *(Message(call_id=uuid4(), task="make_tea", args=(number,), queue="default") for number in range(5))
    )
    graveyard.witness.put(
        "default.dead", b"{}", headers={"task": "make_tea"}
    )  # by a stranger: nobody says when it died

    for _ in range(3):  # killed after the commit, before the broker forgot
        with pytest.raises(TransportUnavailable):
            importer_of(library, DiesBeforeItForgets(graveyard.transport)).drain()
        assert len(outbox.dead_letters()) == 7
    drain(library, graveyard)

    assert len(outbox.dead_letters()) == 7
    assert len({letter.call_id for letter in outbox.dead_letters()}) == 7


def test_killed_before_the_commit_nothing_is_lost(library: Library, outbox: Outbox, graveyard: Graveyard) -> None:
    graveyard.bury(outbox.claimed(call_for(outbox.resource())))
    dying = open_transport(graveyard.url)
    assert len(dying.take_dead()) == 1
    dying.close()

    drain(library, graveyard)

    assert len(outbox.dead_letters()) == 1


def test_two_importers_at_once_are_harmless(library: Library, outbox: Outbox, graveyard: Graveyard) -> None:
    calls = [outbox.claimed(call_for(outbox.resource())) for _ in range(20)]
    graveyard.bury(*calls)
    graveyard.let_die(
        *(Message(call_id=uuid4(), task="make_tea", args=(number,), queue="default") for number in range(20))
    )
    transports = [open_transport(graveyard.url) for _ in range(2)]

    def run(transport: Transport) -> None:
        importer = importer_of(library, transport)
        for _ in range(5):
            importer.drain()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, transports))
    for transport in transports:
        transport.close()
    drain(library, graveyard)

    letters = outbox.dead_letters()
    assert len(letters) == 40
    assert {letter.call_id for letter in letters if letter.origin == LetterOrigin.CALL} == {call.id for call in calls}
    assert {outbox.state(call.id) for call in calls} == {CallState.DEAD}


@pytest.mark.parametrize("is_wanted", [True, False])
def test_the_relay_imports_unless_told_to_leave_them(
    library: Library, outbox: Outbox, graveyard: Graveyard, is_wanted: bool
) -> None:
    graveyard.let_die(Message(call_id=uuid4(), task="make_tea", queue="default"))
    settings = load_settings(dead_letter_import=is_wanted)
    relay = Relay(database=library.database, transport=graveyard.transport, settings=settings)

    relay.round()

    assert graveyard.witness.count_dead("default") == (not is_wanted)
    assert len(outbox.dead_letters()) == is_wanted


@pytest.mark.parametrize("reason", ["expired", "maxlen"])
def test_what_a_policy_of_the_broker_dropped_is_sent_again(library: Library, outbox: Outbox, reason: str) -> None:
    call = outbox.claimed(call_for(outbox.resource()))
    broker = RecordingBroker()
    broker.dead = [a_dead_message(call, reason=reason)]

    importer_of(library, broker).drain()

    row = outbox.call(call.id)
    assert (row.state, outbox.dead_letters(), broker.dead) == (CallState.WAITING, [], [])
    assert row.due_at > now() + timedelta(seconds=5)


def test_one_that_cannot_be_settled_stays_and_stops_no_other(library: Library, outbox: Outbox) -> None:
    call = outbox.claimed(call_for(outbox.resource()))
    other = outbox.claimed(call_for(outbox.resource()))
    broker = RecordingBroker()
    impossible = {"x": object()}  # no driver gives this: it stands for a mistake of ours
    broker.dead = [a_dead_message(call, headers=impossible), a_dead_message(other)]
    first = broker.dead[0]

    importer_of(library, broker).drain()

    assert broker.dead == [first]
    assert (outbox.state(call.id), outbox.state(other.id)) == (CallState.CLAIMED, CallState.DEAD)


def a_dead_message(
    call: ClaimedCall, *, reason: str = "rejected", headers: dict[str, Any] | None = None
) -> DeadMessage:
    return DeadMessage(
        queue=call.queue,
        reason=reason,
        count=1,
        died_at=now(),
        payload=b"",
        headers=headers or {},
        task=call.task,
        message_id=str(call.id),
        generation=call.generation,
        args=call.args,
        kwargs={},
        priority=call.priority,
        receipt=None,
    )


class DiesBeforeItForgets:
    """A transport whose process ends between the commit and the broker's answer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.fingerprint = transport.fingerprint
        self.publish = transport.publish
        self.declare = transport.declare
        self.depths = transport.depths
        self.health = transport.health
        self.tend = transport.tend
        self.close = transport.close
        self.take_dead = transport.take_dead

    def forget_dead(self, messages: Sequence[DeadMessage], *, deadline_seconds: float = 5.0) -> int:
        raise TransportUnavailable("cut")


def _payload(library: Library, letter: dict[str, Any]) -> bytes:
    with library.database.reader() as session:
        payload = session.get_one(DeadLetter, UUID(letter["id"])).payload
    assert payload is not None
    return payload
