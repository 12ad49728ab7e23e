"""On SQLite nothing that is asked again and again reads the whole history of calls."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.api import metrics, operations, queue_service
from app.events import execution, recovery
from app.models.base import now
from app.models.outbox import CallState, TaskCall, in_state
from app.services import consistency
from app.services.library import Library
from app.settings import load_settings
from app.tasks.relay import Relay
from tests.integration.query_plans import plans
from tests.integration.tasks.brokers import RecordingBroker

pytestmark = pytest.mark.integration

READS_ALL = "SCAN task_calls"


def reads_all(found: dict[str, list[str]]) -> list[str]:
    return [
        statement
        for statement, steps in found.items()
        for step in steps
        if step.startswith(READS_ALL) and " USING " not in step
    ]


def test_relay_recovery_leases_and_status_pages_find_open_calls_by_their_index(sqlite_library: Library) -> None:
    library = sqlite_library
    relay = Relay(database=library.database, transport=RecordingBroker(), settings=load_settings())
    moment = now()
    with plans(library, "task_calls") as found:
        relay.round()
        relay.recover()
        with library.database.writer() as session:
            execution.renew(session, ["somebody"], until=moment)
            recovery.extend_leases(session, until=moment)
            recovery.sent(session, before=moment)
            recovery.left_behind(session)
            consistency.overview(session, embedding_model=library.embedding_model)
            queue_service.canaries(session, since=moment - timedelta(hours=1))
            list(metrics.LibraryCollector(library).collect())
            operations._oldest_sent(session)

    assert len(found) >= 12
    assert reads_all(found) == []


def test_a_query_that_would_read_all_is_noticed(sqlite_library: Library) -> None:
    with plans(sqlite_library, "task_calls") as found, sqlite_library.database.reader() as session:
        session.query(TaskCall).where(TaskCall.state.in_((CallState.SENT, CallState.RUNNING))).all()
        session.query(TaskCall).where(in_state(CallState.SENT, CallState.RUNNING)).all()
    assert len(found) == 2
    assert len(reads_all(found)) == 1
