"""The life of a call under every interleaving: two relays, two workers, edits, deletes, crashes, late messages.

Each rule is one step of one process: one transaction, or one thing done to the broker. A crash is a process that never
takes its next step. The broker is a bag of messages that may deliver late, twice, or never.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database import Database, open_database
from app.errors import FetchUnavailable
from app.events import dispatch, execution, recovery
from app.events.dispatch import ClaimedCall
from app.events.event_system import EventEmitter
from app.events.event_types import EventType
from app.events.execution import StaleOwner, StartedCall
from app.models.active_broker import ActiveBroker
from app.models.base import Base, new_id, now
from app.models.derived import DerivedKind, DerivedState
from app.models.outbox import OPEN_STATES, CallState, TaskCall
from app.models.resource import Resource
from app.services import derived_states
from app.services.unit_of_work import UnitOfWork, unit_of_work
from app.settings import load_settings
from app.transports.base import QueueDepth
from tests.integration.outbox.claims import claim_due

KIND = DerivedKind.SEARCH_INDEX
QUEUES = ("default", "ml_tasks")
LEASE = timedelta(seconds=15)
LOST_AFTER = timedelta(seconds=60)
MAX_ATTEMPTS = 3
DEBOUNCE_SCALE = 10.0
"""Every wait is a multiple of 5 s, and so are the steps of time: what is due depends on no moment of the real clock."""


class NoCache:
    """A cache with nothing in it."""

    def delete_all(self, patterns: Iterable[str]) -> bool:
        return True

    def supersede(self, key: str, value: object, *, version: int) -> bool:
        return False


class BrokeDown(Exception):
    """The database, with what it had not yet written to its disk."""


@dataclass(frozen=True)
class Execution:
    """A worker between its start and its effect, with the version it has read."""

    call: StartedCall
    version: int | None


DIRECTORY = TemporaryDirectory()


@cache
def library() -> Database:
    """One engine for all examples: another would compile every statement anew."""
    database = open_database(load_settings(data_dir=Path(DIRECTORY.name)))
    Base.metadata.create_all(database.engine)
    return database


@cache
def witness() -> sqlite3.Connection:
    """It looks after every step, and is nothing of ours."""
    return sqlite3.connect(f"file:{library().engine.url.database}?mode=ro", uri=True)


def seen(question: str) -> list[tuple[Any, ...]]:
    return witness().execute(question).fetchall()


class CallMachine(RuleBasedStateMachine):
    claims = Bundle("claims")
    published = Bundle("published")
    messages = Bundle("messages")
    executions = Bundle("executions")

    def __init__(self) -> None:
        super().__init__()
        self.database = library()
        with self.database.writer() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
            session.add(ActiveBroker(id=1, fingerprint="", epoch=0, is_served=False))
        self.ahead = timedelta(0)
        self.resources: list[UUID] = []
        self.on_broker: list[ClaimedCall] = []
        self.newest_built: dict[str, int] = {}

    def teardown(self) -> None:
        self._everything_ends_well()

    # --- the world -----------------------------------------------------------------------------------------------

    @property
    def moment(self) -> datetime:
        return now() + self.ahead

    def _work(self, call: StartedCall | None = None) -> AbstractContextManager[UnitOfWork]:
        return unit_of_work(
            self.database,
            emitter=EventEmitter(),
            cache=NoCache(),
            debounce_scale=DEBOUNCE_SCALE,
            call=call,
        )

    @initialize()
    def two_resources(self) -> None:
        for _ in range(2):
            with self._work() as unit:
                resource = Resource(id=new_id(), title="t", content="c", content_version=1)
                unit.session.add(resource)
                unit.session.flush()
                self._tell(unit, EventType.RESOURCE_CREATED, resource)
                self.resources.append(resource.id)

    def _tell(self, unit: UnitOfWork, event: EventType, resource: Resource) -> None:
        versions = {"version": resource.version, "content_version": resource.content_version}
        unit.emit(event, {"resource_id": str(resource.id), **versions})

    # --- requests ------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1))
    def edit(self, which: int) -> None:
        with self._work() as unit:
            resource = derived_states.lock_resource(unit.session, self.resources[which])
            if resource is None:
                return
            resource.version += 1
            self._tell(unit, EventType.RESOURCE_UPDATED, resource)

    @rule()
    def delete_the_second(self) -> None:
        with self._work() as unit:
            resource = derived_states.lock_resource(unit.session, self.resources[1])
            if resource is None:
                return
            resource.deleted_at = now()
            resource.version += 1
            self._tell(unit, EventType.RESOURCE_DELETED, resource)

    @rule(seconds=st.sampled_from([5, 10, 20, 70]))
    def time_passes(self, seconds: int) -> None:
        self.ahead += timedelta(seconds=seconds)

    # --- two relays: claim, publish and mark are steps of their own ----------------------------------------------

    @rule(target=claims, queue=st.sampled_from(QUEUES), limit=st.integers(1, 3))
    def relay_claims(self, queue: str, limit: int) -> list[ClaimedCall]:
        with self.database.writer() as session:
            return claim_due(session, queue=queue, limit=limit, moment=self.moment)

    @rule(target=published, queue=st.sampled_from(QUEUES), limit=st.integers(1, 3), arrives=st.booleans())
    def relay_publishes_what_the_database_forgets(self, queue: str, limit: int, arrives: bool) -> list[ClaimedCall]:
        """PostgreSQL answers a claim before it is on the disk: a server that breaks down may lose it."""
        with suppress(BrokeDown), self.database.writer() as session:
            claim = claim_due(session, queue=queue, limit=limit, moment=self.moment)
            raise BrokeDown
        if arrives:
            self.on_broker += claim
        return claim

    @rule(target=published, claim=claims, arrives=st.booleans())
    def relay_publishes(self, claim: list[ClaimedCall], arrives: bool) -> list[ClaimedCall]:
        if arrives:
            self.on_broker += claim
        return claim

    @rule(claim=published)
    def relay_marks_sent(self, claim: list[ClaimedCall]) -> None:
        with self.database.writer() as session:
            dispatch.mark_sent(session, claim, moment=self.moment)

    @rule(claim=published)
    def relay_gives_back(self, claim: list[ClaimedCall]) -> None:
        with self.database.writer() as session:
            dispatch.give_back(session, claim, due_at=self.moment)

    @rule()
    def relay_recovers(self) -> None:
        with self.database.writer() as session:
            lost = recovery.abandoned_claims(session, claimed_before=self.moment - timedelta(seconds=15))
            lost += recovery.expired_leases(session, moment=self.moment)
            lost += recovery.lost_messages(
                session,
                depth_of=lambda queue: QueueDepth(ready=[one.queue for one in self.on_broker].count(queue), unacked=0),
                lost_after=LOST_AFTER,
                moment=self.moment,
            )
            recovery.let_wait_again(session, lost, moment=self.moment)

    # --- the broker ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.on_broker)
    @rule(data=st.data())
    def message_is_lost(self, data: st.DataObject) -> None:
        self.on_broker.pop(data.draw(st.integers(0, len(self.on_broker) - 1)))

    @precondition(lambda self: self.on_broker)
    @rule(data=st.data())
    def message_is_doubled(self, data: st.DataObject) -> None:
        self.on_broker.append(self.on_broker[data.draw(st.integers(0, len(self.on_broker) - 1))])

    # --- two workers: start, and how it ends, are steps of their own ---------------------------------------------

    @precondition(lambda self: self.on_broker)
    @rule(target=executions, data=st.data(), acked=st.booleans())
    def worker_starts(self, data: st.DataObject, acked: bool) -> Execution | None:
        place = data.draw(st.integers(0, len(self.on_broker) - 1))
        message = self.on_broker[place] if not acked else self.on_broker.pop(place)
        return self._start(message)

    def _start(self, message: ClaimedCall) -> Execution | None:
        with self.database.writer() as session:
            call = execution.start(
                session,
                message.id,
                generation=message.generation,
                owner=str(new_id()),
                lease=LEASE,
                moment=self.moment,
            )
        if call is None:
            return None
        assert call.generation == message.generation, "a copy of an older sending was started"
        with self.database.reader() as session:
            version = None
            if call.kind == KIND and call.subject is not None:
                version = session.scalar(select(Resource.version).where(Resource.id == call.subject))
        return Execution(call, version)

    @rule(run=executions)
    def worker_writes_its_effect(self, run: Execution | None) -> None:
        if run is not None:
            self._write(run)

    def _write(self, run: Execution) -> None:
        try:
            with self._work(run.call) as unit:
                if run.version is None or run.call.subject is None:
                    return
                unit.built(run.version)
                locked = derived_states.lock_for_build(unit.session, run.call.subject, KIND, version=run.version)
                if locked is not None:
                    derived_states.mark_built(unit.session, run.call.subject, KIND, version=run.version)
        except StaleOwner:
            return

    @rule(run=executions)
    def worker_fails_and_tries_again(self, run: Execution | None) -> None:
        if run is None:
            return
        with self.database.writer() as session:
            if run.call.attempt < MAX_ATTEMPTS:
                execution.try_again(
                    session,
                    run.call,
                    error=FetchUnavailable("away"),
                    delay=timedelta(seconds=10),
                    moment=self.moment,
                )
            else:
                self._bury(session, run)

    def _bury(self, session: Session, run: Execution) -> None:
        buried = execution.bury(
            session,
            run.call,
            reason="retries_exhausted",
            error={"type": "x", "detail": "y"},
            traceback=None,
            moment=self.moment,
        )
        resource = derived_states.lock_resource(session, run.call.subject) if run.call.subject else None
        if buried and run.call.kind == KIND and resource is not None:
            derived_states.mark_failed(
                session, resource.id, KIND, version=resource.version, error={"type": "x", "detail": "y"}
            )

    # --- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def no_effect_happens_twice(self) -> None:
        assert not seen("SELECT call_id FROM effects GROUP BY call_id HAVING count(*) > 1")

    @invariant()
    def versions_only_go_forward(self) -> None:
        for key, built_from in seen("SELECT resource_id || kind, built_from FROM derived_states"):
            assert built_from >= self.newest_built.get(key, 0)
            self.newest_built[key] = built_from

    @invariant()
    def one_call_of_a_key_waits(self) -> None:
        waiting = f"SELECT coalesce_key FROM task_calls WHERE state = '{CallState.WAITING}'"
        assert not seen(f"{waiting} AND coalesce_key IS NOT NULL GROUP BY coalesce_key HAVING count(*) > 1")

    def _everything_ends_well(self) -> None:
        """All processes work again and nothing is edited: each open call ends, and nothing stays stale."""
        if not self.resources:
            return
        for _ in range(60):
            self.ahead += timedelta(seconds=71)
            self.relay_recovers()
            with self.database.writer() as session:
                claim = [
                    one for queue in QUEUES for one in claim_due(session, queue=queue, limit=50, moment=self.moment)
                ]
            self.on_broker += claim
            self.relay_marks_sent(claim)
            while self.on_broker:
                run = self._start(self.on_broker.pop(0))
                if run is not None:
                    self._write(run)
            if not self._open_calls():
                break
        assert not self._open_calls(), "a call never came to an end"
        self._nothing_is_stale()

    def _open_calls(self) -> int:
        with self.database.reader() as session:
            return session.scalar(select(func.count()).where(TaskCall.state.in_(OPEN_STATES))) or 0

    def _nothing_is_stale(self) -> None:
        with self.database.reader() as session:
            for resource in session.scalars(select(Resource).where(Resource.deleted_at.is_(None))):
                state = session.get(DerivedState, (resource.id, KIND))
                assert state is not None
                given_up = (state.failed_version or 0) >= resource.version
                assert state.built_from == resource.version or given_up, "an edit was lost"


CallMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestCallStateMachine = pytest.mark.timeout(240)(CallMachine.TestCase)
