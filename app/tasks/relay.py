"""The relay: claims due calls, publishes them, marks them sent, and sends again what was lost.

    stand     its broker is the active one, or it waits; when another becomes active it ends, to be started again
    look      one statement: what is due, and how many calls are in flight
    claim     one statement a queue and priority: as many as may be in flight, if it still stands
    publish   outside any transaction, with a deadline, one outcome a call
    mark      one statement: sent; what was not sent waits again

Any number may run: claims skip what another holds. Killed between two steps it leaves claims that any relay
returns after a while, and copies that drop themselves at the worker.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.database import Database, get_database
from app.errors import BrokerSwitched, TransientError, TransportRejected, TransportUnavailable
from app.events import dispatch, recovery
from app.events.dispatch import ClaimedCall, Outlook
from app.models.base import now
from app.services import active_broker, failures
from app.services.broker_news import News
from app.services.presence import Heart
from app.services.unit_of_work import UnitOfWork
from app.settings import Settings
from app.tasks.dead_letter_import import DeadLetterImport
from app.tasks.tending import Tending
from app.tasks.tenure import Tenure
from app.tasks.wake_up import WakeUp, wake_up_of
from app.transports.base import Fate, Message, Outcome, QueueDepth, Transport
from app.transports.registry import open_transport

log = structlog.get_logger(__name__)

RECOVERY_INTERVAL = timedelta(seconds=2)
BURST_PAUSE_SECONDS = 0.03
BUSY_PAUSE_SECONDS = 0.1
ENOUGH_IN_FLIGHT = 32
"""Of each queue that has any: more than its workers do in `BUSY_PAUSE_SECONDS`. For a call of another queue, which has
none yet, the relay then looks that much later."""
BACKLOG_POLL_SECONDS = 0.05
OUTAGE_POLL_SECONDS = 0.5
STANDS_STILL_SECONDS = 30.0
REFUSED_DELAY = timedelta(seconds=1)


@dataclass(slots=True)
class RelayCounts:
    """What this relay has done since its start."""

    published: int = 0
    returned: int = 0
    redispatched: int = 0


class Relay:
    """One relay. `tick` sends once, `round` does all that is due, `run` goes on until `stop`."""

    def __init__(
        self,
        *,
        database: Database,
        transport: Transport,
        settings: Settings,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.counts = RelayCounts()
        self._database = database
        self._transport = transport
        self._settings = settings
        self._clock = clock
        self._broker_is_down = False
        self._declared = False
        self._news = News()
        self._tenure = Tenure(database, fingerprint=transport.fingerprint, clock=clock)
        self._sent_lately = False
        self._outlook = Outlook(due_at={}, in_flight={})
        self.went_round_at = time.monotonic()
        self._recovered_at: datetime | None = None
        self._dead_letters = DeadLetterImport(database=database, transport=transport, settings=settings)

    def run(self, wake_up: WakeUp, stop: threading.Event) -> None:
        """Round after round; an outage of database or broker is waited out here.

        Raises `BrokerSwitched` when another broker has become the active one.
        """
        while not stop.is_set():
            self.went_round_at = time.monotonic()
            try:
                pause = self.round()
            except BrokerSwitched:
                raise
            except TransientError as error:
                log.warning("the relay waits", error=error.detail)
                stop.wait(OUTAGE_POLL_SECONDS)
                continue
            rest = min(pause, self._rest())
            stop.wait(rest)
            wake_up.wait(pause - rest)

    def tick(self) -> int:
        """Send what is due; returns how many calls the broker has accepted."""
        if not self._stands():
            return 0
        self._outlook = self._look()
        due = self._outlook.due(self._clock())
        calls = self._claim(due) if due and self._broker_answers() else []
        if not calls:
            self._tenure.look()  # a claim has asked for itself
            return 0
        outcomes = self._publish(calls)
        return self._mark(calls, outcomes)

    def recover(self) -> int:
        """Return to waiting what was lost; returns how many calls will be sent a second time."""
        if not self._stands():
            return 0
        self._tenure.look()
        active_broker.resend_left_behind(self._database)
        moment = self._clock()
        asleep = self._recovered_at is None or abs(moment - self._recovered_at) > 3 * RECOVERY_INTERVAL
        abandoned_before = moment - timedelta(seconds=3 * self._settings.relay_publish_deadline_seconds)
        lost_after = timedelta(seconds=self._settings.relay_lost_after_seconds)
        depths = self._depths()
        with self._database.writer() as session:
            self._tenure.check(session)
            if asleep:
                # This process, the database or its writes stood still, so leases ran out unrenewed, or the clock was
                # set: everyone gets a new one.
                recovery.extend_leases(session, until=moment + timedelta(seconds=self._settings.call_lease_seconds))
            unsent = recovery.abandoned_claims(session, claimed_before=abandoned_before)
            sent = recovery.expired_leases(session, moment=moment)
            sent += recovery.lost_messages(session, depth_of=depths.get, lost_after=lost_after, moment=moment)
            recovery.let_wait_again(session, [*unsent, *sent], moment=moment)
            lost = len(sent)
            if lost:
                recovery.count_redispatched(session, lost)
        self._recovered_at = moment
        self.counts.redispatched += lost
        if lost:
            log.warning("lost calls are sent again", count=lost)
        return lost

    def round(self) -> float:
        """Send, recover, import dead letters: each when it is time to; returns the seconds until the next round."""
        self._sent_lately = self.tick() > 0
        moment = self._clock()
        if self._recovered_at is None or abs(moment - self._recovered_at) >= RECOVERY_INTERVAL:
            if self._sent_lately or self._outlook.in_flight:
                self.recover()
            else:  # an idle system is not written to
                self._recovered_at = moment
        if self._broker_is_down:
            return OUTAGE_POLL_SECONDS
        return BACKLOG_POLL_SECONDS if self._dead_letters.round() else self._pause()

    def _pause(self) -> float:
        """Until the next call is due; while due calls wait for room in flight, a short time."""
        if self._sent_lately:
            self._outlook = self._look()
        due_at = self._outlook.next_due_at
        poll = self._settings.relay_poll_seconds
        if due_at is None:
            return poll
        return min(poll, max(BACKLOG_POLL_SECONDS, (due_at - self._clock()).total_seconds()))

    def _rest(self) -> float:
        """The first call after a rest goes at once; the next wait for company, so that a burst is few batches."""
        flying = self._outlook.in_flight.values()
        if flying and min(flying) >= ENOUGH_IN_FLIGHT:
            return BUSY_PAUSE_SECONDS
        return BURST_PAUSE_SECONDS if self._sent_lately else 0.0

    def _stands(self) -> bool:
        """Whether its broker was the active one when it began; every claim asks again."""
        return self._tenure.begun or (self._broker_answers() and self._tenure.begin())

    def _look(self) -> Outlook:
        with self._database.glance() as session:
            return dispatch.outlook(session)

    def _broker_answers(self) -> bool:
        """While the broker is down it is asked first: claiming would only churn the table."""
        if self._declared and not self._broker_is_down:
            return True
        deadline = self._settings.relay_publish_deadline_seconds
        try:
            self._transport.declare(deadline_seconds=deadline)
            self._news.tell(self._transport.fingerprint, self._transport.health(deadline_seconds=deadline))
        except (TransportUnavailable, TransportRejected) as error:
            self._broker_lost(error.detail)
            return False
        self._declared = True
        if self._broker_is_down:
            log.info("the broker is back", broker=self._transport.fingerprint)
        self._broker_is_down = False
        return True

    def _broker_lost(self, reason: str) -> None:
        if not self._broker_is_down:
            log.warning("the broker is away; calls wait in the outbox", broker=self._transport.fingerprint, why=reason)
        self._broker_is_down = True

    def _claim(self, due: Sequence[tuple[str, int]]) -> list[ClaimedCall]:
        """Of what is due, in that order, what has room in flight."""
        moment = self._clock()
        limit, batch = self._settings.relay_in_flight_per_queue, self._settings.relay_batch_size
        flying = self._outlook.in_flight
        room = {queue: min(batch, limit - flying.get(queue, 0)) for queue, _ in due}
        if not any(left > 0 for left in room.values()):
            return []
        claimed: list[ClaimedCall] = []
        with self._database.step() as session:
            for queue, priority in due:
                if room[queue] > 0:
                    calls = dispatch.claim(
                        session,
                        queue=queue,
                        priority=priority,
                        limit=room[queue],
                        epoch=self._tenure.epoch,
                        moment=moment,
                    )
                    room[queue] -= len(calls)
                    claimed += calls
        if not claimed:  # by another relay, or for another broker
            self._tenure.look_now()
        return claimed

    def _publish(self, calls: Sequence[ClaimedCall]) -> list[Outcome] | None:
        messages = [message_of(call) for call in calls]
        try:
            return self._transport.publish(messages, deadline_seconds=self._settings.relay_publish_deadline_seconds)
        except TransportUnavailable as error:
            self._broker_lost(error.detail)
            return None

    def _mark(self, calls: Sequence[ClaimedCall], outcomes: list[Outcome] | None) -> int:
        moment = self._clock()
        if outcomes is None:
            outcomes = [Outcome(fate=Fate.REFUSED, reason="nothing was sent")] * len(calls)
        known = list(zip(calls, outcomes, strict=True))
        sent = [call for call, outcome in known if outcome.accepted]
        rejected = [(call, outcome.reason) for call, outcome in known if outcome.permanent]
        unsent = [call for call, outcome in known if not (outcome.accepted or outcome.permanent)]
        reasons = {outcome.reason for _, outcome in known if not (outcome.accepted or outcome.permanent)}
        if unsent:
            self._broker_lost("; ".join(sorted(reasons)))
        with self._database.step() as session:
            marked = dispatch.mark_sent(session, sent, moment=moment)
        if unsent or rejected:
            with self._database.writer() as session:
                dispatch.give_back(session, unsent, due_at=moment + REFUSED_DELAY)
                self._bury(session, rejected)
        self.counts.published += marked
        self.counts.returned += len(unsent)
        return marked

    def _bury(self, session: Session, rejected: Sequence[tuple[ClaimedCall, str]]) -> None:
        """What the broker will never take is not offered to it for ever."""
        unit = UnitOfWork(session, debounce_scale=self._settings.debounce_scale)
        for call, reason in rejected:
            log.error("the broker rejects a call", task=call.task, call_id=str(call.id), why=reason)
            failures.bury_rejected(unit, call, TransportRejected(reason))
        unit.close()

    def _depths(self) -> dict[str, QueueDepth]:
        """What the broker holds; empty while it cannot tell, so that nothing is called lost for that."""
        try:
            return self._transport.depths(deadline_seconds=1.0)
        except TransportUnavailable:
            return {}


def message_of(call: ClaimedCall) -> Message:
    """The message of one claim."""
    return Message(
        call_id=call.id,
        task=call.task,
        args=tuple(call.args),
        queue=call.queue,
        priority=call.priority,
        generation=call.generation,
        headers={"correlation_id": call.correlation_id, "causation_id": call.causation_id},
    )


def run(settings: Settings) -> None:
    """`alexandria relay`: until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the signal may come while this one holds the lock inside `stop`.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
    database = get_database("worker")
    transport = open_transport(settings.broker, settings)
    relay = Relay(database=database, transport=transport, settings=settings)
    heart = Heart(
        database,
        role="relay",
        broker=transport.fingerprint,
        details=lambda: {"published": relay.counts.published, "redispatched": relay.counts.redispatched},
        works=lambda: time.monotonic() - relay.went_round_at < STANDS_STILL_SECONDS,
        alive_file=settings.alive_file,
    )
    wake_up = wake_up_of(database.engine, stop)
    tender = open_transport(settings.broker)  # a connection of its own
    tending = Tending(tender, max_deliveries=settings.max_deliveries)
    heart.start()
    tending.start()
    log.info("relay started", broker=transport.fingerprint)
    try:
        relay.run(wake_up, stop)
    finally:
        wake_up.close()
        heart.stop()
        tending.stop()
        tender.close()
        transport.close()
        log.info("relay stopped", published=relay.counts.published)
