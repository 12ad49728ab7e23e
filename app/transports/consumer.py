"""A worker's consumer that outlasts a broker that is away or refuses it: it tries on, and says so once."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from app.errors import TransportRejected, TransportUnavailable
from app.polling import pauses
from app.settings import get_settings
from app.transports.registry import open_transport

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0
SAID_AGAIN_AFTER_SECONDS = 60.0
DECLARE_DEADLINE_SECONDS = 5.0

STEPS = [step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in str(step)]

_CELERYS_OWN = logging.getLogger("celery.worker.consumer.consumer")

log = structlog.get_logger(__name__)


def _is_taken(message: Any) -> bool:
    """A request of this worker has come of it, which answers for it."""
    headers = message.headers
    request = state.requests.get(str(headers.get("id"))) if isinstance(headers, dict) else None
    return request is not None and request.message is message


class PatientConsumer(Consumer):
    """Celery's own, which restarts as fast as it can after a refusal, with a traceback each second.

    Without the step that declares 28 queues for delayed delivery on quorum queues: delays are times in rows here.
    """

    Blueprint = type("Blueprint", (Consumer.Blueprint,), {"default_steps": STEPS})

    conninfo: Any
    channel_errors: tuple[type[Exception], ...]
    connection_errors: tuple[type[Exception], ...]
    troubled_at: float | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._said: str | None = None
        self._is_in_trouble = False

    def ensure_connected(self, conn: Any) -> Any:
        """Connect; what can pass by itself is waited out here, 2 s apart at most (Celery's pauses grow to 30 s)."""
        conn = conn.ensure_connection(
            lambda error, _seconds: self._say(error),
            interval_start=FIRST_PAUSE_SECONDS,
            interval_step=FIRST_PAUSE_SECONDS,
            interval_max=LONGEST_PAUSE_SECONDS,
            callback=maybe_shutdown,
            reraise_as_library_errors=False,  # `start` knows those of the driver only
        )
        self.first_connection_attempt = False
        return conn

    def connect(self) -> Any:
        """Connect, and make what a message may need exist before the first one can come."""
        connection = super().connect()
        self._declare(connection)
        return connection

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Refused for good, as far as the driver knows: a password, a virtual host. Both can be mended there."""
        self._say(exc)
        self._pause()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Lost, or refused while declaring: another set of queue arguments closes the channel."""
        is_told = self._said is not None and isinstance(exc, self.channel_errors)
        with warnings.catch_warnings(), _holding_back(_CELERYS_OWN if is_told else None):
            warnings.simplefilter("ignore", PendingDeprecationWarning)  # of a default that we set ourselves
            super().on_connection_error_after_connected(exc)
        self._note_trouble()
        if isinstance(exc, self.channel_errors):
            self._pause()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """To the dead letters. Stock acknowledges what it cannot decode, and it is gone."""
        log.error("undecodable message", content_type=message.content_type, error=str(exc))
        message.reject_log_error(log, self.connection_errors)

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """To the dead letters with what no task can be made of: stock ends the worker, then the next, and the next."""
        handle: Callable[[Any], None] = super().create_task_handler(*arguments, **options)

        def on_message(message: Any) -> None:
            try:
                handle(message)
            except Exception as error:
                if self._is_of_the_line(error) or message.acknowledged or _is_taken(message):
                    raise
                log.error("malformed message", error=f"{type(error).__name__}: {error}")
                message.reject_log_error(log, self.connection_errors)

        return on_message

    def _is_of_the_line(self, error: Exception) -> bool:
        """kombu counts a missing key among the errors of a connection; what misses one here is the message."""
        return isinstance(error, (*self.connection_errors, *self.channel_errors)) and not isinstance(error, LookupError)

    def on_ready(self) -> None:
        """It consumes: the next trouble is a new one."""
        super().on_ready()
        if self._is_in_trouble:
            log.info("the broker takes this worker again", broker=self.conninfo.as_uri())
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._said = None
        self._is_in_trouble = False

    def _say(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if reason != self._said:
            log.error("the broker does not take this worker; it tries on", broker=self.conninfo.as_uri(), why=reason)
        self._said = reason
        self._note_trouble()

    def _note_trouble(self) -> None:
        self._is_in_trouble = True
        self.troubled_at = time.monotonic()

    def last_trouble_at(self) -> float | None:
        """When the broker or the line to it was last seen in trouble (monotonic seconds; None: never)."""
        return self.troubled_at

    def on_broker_refused(self, _connection: Any, error: TransportRejected) -> None:
        """It will not do as it is set up. What consumes from it may go well all the same."""
        self._say(error)

    def _declare(self, connection: Any) -> None:
        """Queues, dead letters and what binds them: someone may have deleted any of it."""
        transport = open_transport(get_settings().broker)
        try:
            transport.declare(deadline_seconds=DECLARE_DEADLINE_SECONDS)
        except TransportRejected as error:
            self.on_broker_refused(connection, error)
        except TransportUnavailable as error:
            log.warning("queues not declared", error=error.detail)  # what consumes them will see for itself
        finally:
            transport.close()

    def _pause(self) -> None:
        for _ in pauses(first_seconds=0.1, most_seconds=0.1, within_seconds=self._pause_seconds):
            maybe_shutdown()
        self._note_trouble()
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)


@contextmanager
def _holding_back(logger: logging.Logger | None) -> Iterator[None]:
    """What was said in our words is not said again in Celery's."""
    if logger is None:
        yield
        return
    was, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was


class OnceAMinute(logging.Filter):
    """Holds back a line that was said within the last minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is news."""
        line, moment = record.getMessage(), time.monotonic()
        self._said = {said: at for said, at in self._said.items() if moment - at < SAID_AGAIN_AFTER_SECONDS}
        return line not in self._said and self._said.setdefault(line, moment) == moment


for _name in ("consumer", "connection"):
    logging.getLogger(f"celery.worker.consumer.{_name}").addFilter(OnceAMinute())
