"""The importer of dead letters: takes what the broker gave up, writes its end into the rows, and then removes it there.

    take      the broker keeps the message
    settle    one transaction a message; nothing to write for a copy of what the rows know
    forget    the broker removes it

Killed between two steps it leaves a message that is taken again, by any relay, and is a copy by then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import structlog

from app.database import Database
from app.errors import TransientError, TransportUnavailable
from app.models.base import now
from app.services import dead_messages
from app.services.dead_messages import Verdict
from app.services.unit_of_work import UnitOfWork
from app.settings import Settings
from app.transports.base import DeadMessage, Transport

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 2.0
PAUSE_AFTER_TROUBLE_SECONDS = 10.0
BATCH = 100
DEADLINE_SECONDS = 2.0


class DeadLetterImport:
    """One importer. `round` does what is due, mostly nothing; any number may run."""

    def __init__(self, *, database: Database, transport: Transport, settings: Settings) -> None:
        self.counts: Counter[Verdict] = Counter()
        self._database = database
        self._transport = transport
        self._debounce_scale = settings.debounce_scale
        self._is_wanted = settings.dead_letter_import
        self._due_at = 0.0

    def round(self) -> bool:
        """Import if it is time to; returns whether more is waiting. Raises `TransientError` of the database only."""
        if not self._is_wanted or time.monotonic() < self._due_at:
            return False
        self._due_at = time.monotonic() + INTERVAL_SECONDS
        try:
            is_more = self.drain()
        except TransportUnavailable as error:
            self._due_at = time.monotonic() + PAUSE_AFTER_TROUBLE_SECONDS
            log.warning("dead letters stay on the broker for now", why=error.detail)
            return False
        except TransientError:
            raise
        except Exception:  # whatever lies on the broker, the relay goes on sending
            self._due_at = time.monotonic() + PAUSE_AFTER_TROUBLE_SECONDS
            log.exception("dead letters stay on the broker for now")
            return False
        if is_more:
            self._due_at = 0.0
        return is_more

    def drain(self) -> bool:
        """Settle one batch of each queue; returns whether there may be more that can be settled."""
        taken = self._transport.take_dead(limit=BATCH, deadline_seconds=DEADLINE_SECONDS)
        if not taken:
            return False
        settled = self._settle(taken)
        self._transport.forget_dead(settled, deadline_seconds=DEADLINE_SECONDS)
        return bool(settled) and max(Counter(message.queue for message in taken).values()) >= BATCH

    def _settle(self, taken: Sequence[DeadMessage]) -> list[DeadMessage]:
        """Those whose end is in the rows."""
        with self._database.reader() as session:
            copies = [dead_messages.is_copy(session, message) for message in taken]
        verdicts = [
            Verdict.COPY if is_copy else self._settle_one(message)
            for message, is_copy in zip(taken, copies, strict=True)
        ]
        self.counts.update(verdict for verdict in verdicts if verdict is not None)
        return [message for message, verdict in zip(taken, verdicts, strict=True) if verdict is not None]

    def _settle_one(self, message: DeadMessage) -> Verdict | None:
        """None when it cannot be settled: one strange message must not stop the others, and stays on the broker."""
        try:
            with self._database.writer() as session:
                unit = UnitOfWork(session, debounce_scale=self._debounce_scale)
                verdict = dead_messages.settle(unit, message, moment=now())
                unit.close()
        except TransientError:
            raise
        except Exception:
            log.exception("a dead message cannot be settled", queue=message.queue, task=message.task)
            return None
        if verdict is not Verdict.COPY:
            log.warning(
                "dead letter", task=message.task, call_id=message.message_id, why=message.reason, became=str(verdict)
            )
        return verdict
