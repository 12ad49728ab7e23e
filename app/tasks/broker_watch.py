"""A worker's watch over the active broker: once it has served the active one and another takes over, it ends."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import structlog
from celery import bootsteps
from celery.worker import state as worker_state

from app.database import Database, get_database
from app.errors import AlexandriaError, TransientError
from app.services import active_broker
from app.services.active_broker import Active
from app.services.broker_news import News
from app.settings import get_settings
from app.transports.registry import broker_for, open_transport

INTERVAL_SECONDS = 1.0
FIRST_LOOK_SECONDS = 5.0
RESTART_EXIT_CODE = 75
"""EX_TEMPFAIL: to be started again, with the settings of then."""

state: Any = worker_state  # Celery's stubs say that nobody ever asks it to stop

log = structlog.get_logger(__name__)


class BrokerWatch(bootsteps.StartStopStep):
    """A thread of the worker's main process, from before it connects until it stops.

    A worker of a broker that is not active yet, or no longer, goes on: it drops stale copies, and so empties it.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stop = threading.Event()

    def start(self, _worker: Any) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="broker-watch", daemon=True).start()

    def stop(self, _worker: Any) -> None:
        """Look no more."""
        self._stop.set()

    def terminate(self, worker: Any) -> None:
        """The same."""
        self.stop(worker)

    def _run(self) -> None:
        settings = get_settings()
        own = broker_for(settings).fingerprint
        _tell_of_its_set_up(settings.broker)
        watched = Watched(get_database("worker"), own=own)
        while not self._stop.wait(INTERVAL_SECONDS):
            if watched.is_over():
                state.should_stop = RESTART_EXIT_CODE  # warm: running tasks are finished first
                return


class Watched:
    """What was seen of the active broker so far."""

    def __init__(self, database: Database, *, own: str) -> None:
        self._database = database
        self._own = own
        self._last: Active | None = None
        self._served: Active | None = None

    def is_over(self) -> bool:
        """Whether this worker served the active broker and another has taken over."""
        try:
            with self._database.reader() as session:
                active = active_broker.active(session)
        except TransientError:
            return False
        except Exception:
            log.exception("the active broker is not known")
            return False
        if self._served and active.fingerprint != self._own:
            log.warning(
                "the worker ends for a restart: another broker is active now", active=str(active), own=self._own
            )
            return True
        if active.fingerprint == self._own:
            self._served = active
        elif active.epoch and active != self._last:
            log.warning("this worker's broker is not the active one", active=str(active), own=self._own)
        self._last = active
        return False


def _tell_of_its_set_up(url: str) -> None:
    """What is wrong with a broker that answers; one that does not is the consumer's to tell."""
    try:
        with closing(open_transport(url)) as transport:
            News().tell(transport.fingerprint, transport.health(deadline_seconds=FIRST_LOOK_SECONDS))
    except AlexandriaError:
        return
