"""DatabaseTask: a task that owns its call while it runs, and ends it in the transaction of its effect.

start      one committed UPDATE to `running`; no row: a stale copy, dropped; the last that is allowed: alone
body       the service computes, and writes through `work()`: effect and done-mark in one commit
failure    TransientError: waits in the outbox with backoff; PermanentError, or too many attempts: dead
database   away: start, body and failure wait in place while the lease is renewed, and count as no attempt
"""

from __future__ import annotations

import inspect
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from types import GenericAlias
from typing import Any, get_type_hints
from uuid import UUID

import structlog
from celery import Task
from celery.exceptions import Reject, Retry
from pydantic import TypeAdapter, ValidationError

from app.composition import open_library
from app.errors import InvalidInput, PermanentError, TooManyDeliveries
from app.events import execution
from app.events.correlation import correlated
from app.events.execution import StaleOwner, StartedCall
from app.models.base import now
from app.services import failures
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from app.tasks.delivery import Delivery
from app.tasks.leases import LeaseKeeper
from app.tasks.patience import patiently
from app.tasks.room import RoomTaken, room_of_worker
from app.tasks.strangers import counted_start

log = structlog.get_logger(__name__)

_INJECTED = ("library", "work")


class WorkerProcess:
    """What the tasks of one process share; a forked child gets its own."""

    def __init__(self, library: Library) -> None:
        self.pid = os.getpid()
        self.library = library
        lease = timedelta(seconds=self.library.settings.call_lease_seconds)
        self.leases = LeaseKeeper(self.library.database, lease=lease)
        self.room = room_of_worker()
        self.patience_seconds = self.library.settings.task_soft_time_limit_seconds / 4

    def delivery(self, call_id: UUID, *, generation: int) -> Delivery:
        """A message that this process was given."""
        return Delivery(
            self.library.database,
            call_id,
            generation=generation,
            lease=self.leases.lease,
            max_deliveries=self.library.settings.max_deliveries,
        )


_process: WorkerProcess | None = None


def worker_process() -> WorkerProcess:
    """The shared things of this process."""
    global _process  # noqa: PLW0603 — one a process is the point
    if _process is None or _process.pid != os.getpid():
        _process = WorkerProcess(open_library(role="worker"))
    return _process


def work_over(library: Library | None) -> None:
    """Run the tasks of this process over `library`; None: over that of the settings, opened when first needed."""
    global _process  # noqa: PLW0603 — one a process is the point
    _process = None if library is None else WorkerProcess(library)


class Effect:
    """Opens the unit of work that ends a call, and remembers whether that happened."""

    def __init__(self, library: Library, call: StartedCall) -> None:
        self._library = library
        self._call = call
        self.is_written = False

    @contextmanager
    def __call__(self) -> Iterator[UnitOfWork]:
        """Commit effect and done-mark together at the end of the block."""
        with self._library.work(call=self._call) as unit:
            yield unit
        self.is_written = True


class DatabaseTask(Task[..., None]):
    """Base of all tasks. The function takes the library first, then its arguments, then `work` by keyword."""

    abstract = True
    typing = False
    max_retries = 3
    first_delay_seconds: float | None = None  # None: RETRY_FIRST_DELAY_SECONDS
    is_void_in_the_end = False  # after the last attempt there is nothing left to do: the call ends as done

    @cached_property
    def arguments(self) -> TypeAdapter[Any]:
        """What the function takes from the message."""
        hints = get_type_hints(self.run)
        names = [name for name in inspect.signature(self.run).parameters if name not in _INJECTED]
        shape: Any = GenericAlias(tuple, tuple(hints[name] for name in names))
        return TypeAdapter(shape)

    def __call__(self, *args: Any, **_: Any) -> None:
        """Run one message: of the outbox with a generation, of anyone else without."""
        generation = getattr(self.request, "generation", None)
        process = worker_process()
        if generation is None:
            limit = process.library.settings.max_deliveries
            with counted_start(process.library.database, str(self.request.id), max_deliveries=limit):
                self.run(process.library, *self._validated(args), work=process.library.work)
            return
        delivery = process.delivery(UUID(self.request.id), generation=int(generation))
        if (self.request.delivery_info or {}).get("redelivered") and delivery.runs_elsewhere():
            log.info("copy dropped, it runs elsewhere", task=self.name, call_id=self.request.id, generation=generation)
            return
        try:
            if not self._run_in_company(process, delivery) and not self._run_alone(process, delivery):
                log.info("stale copy dropped", task=self.name, call_id=self.request.id, generation=generation)
        except RoomTaken as error:
            due_at = delivery.put_off()
            log.info("put off", task=self.name, call_id=self.request.id, why=error.detail)
            raise Retry(exc=error, when=due_at) from None

    def _run_in_company(self, process: WorkerProcess, delivery: Delivery) -> bool:
        """False when this copy is stale, or the call must run alone."""
        with process.room.company(patience_seconds=process.patience_seconds):
            call = delivery.start()
            if call is not None:
                self._run_started(process, call)
        return call is not None

    def _run_alone(self, process: WorkerProcess, delivery: Delivery) -> bool:
        """The last start that a call is allowed: see `app.tasks.room`. False when this copy is stale."""
        if not delivery.reserve():
            return False
        with process.leases.holding(delivery.owner), process.room.solitude(patience_seconds=process.patience_seconds):
            call = delivery.start_reserved()
            if call is not None:
                log.warning("runs alone: it was started before and never came to an end", **_fields(call))
                self._run_started(process, call)
        return call is not None

    def _run_started(self, process: WorkerProcess, call: StartedCall) -> None:
        ids = {"call_id": str(call.id), "correlation_id": call.correlation_id}
        with (
            correlated(correlation=call.correlation_id, causation=str(call.id)),
            structlog.contextvars.bound_contextvars(**ids),
            process.leases.holding(call.owner),
        ):
            self._execute(process, call)

    def _execute(self, process: WorkerProcess, call: StartedCall) -> None:
        began = time.monotonic()
        self._log_start(call)
        try:
            self._check_deliveries(process.library, call)
            arguments = self._validated(tuple(call.args))
            patiently(lambda: self._run_body(process.library, call, arguments))
        except StaleOwner:
            log.warning("effect dropped: another execution owns the call", task=self.name)
        except TooManyDeliveries as error:
            self._bury(process.library, call, error, reason="delivery_limit", began=began)
        except PermanentError as error:
            self._bury(process.library, call, error, reason="permanent_error", began=began)
        except Exception as error:  # noqa: BLE001 — a task may fail in any way, and is accounted for in each
            self._fail(process.library, call, error, began=began)
        else:
            self._log_end(call, began=began, success=True)

    def _run_body(self, library: Library, call: StartedCall, arguments: tuple[Any, ...]) -> None:
        effect = Effect(library, call)
        self.run(library, *arguments, work=effect)
        if not effect.is_written:
            with effect():
                pass

    def _check_deliveries(self, library: Library, call: StartedCall) -> None:
        """A task that takes its process down each time is not started for ever."""
        limit = library.settings.max_deliveries
        if call.starts > limit:
            raise TooManyDeliveries(f"started {limit} times and never came to an end")

    def _fail(self, library: Library, call: StartedCall, error: Exception, *, began: float) -> None:
        """Temporary, or unknown: tried again until the attempts are used up."""
        if call.attempt > self.max_retries and self.is_void_in_the_end:
            patiently(lambda: _end(library, call))
            self._log_end(call, began=began, success=False, error=error)
            return
        if call.attempt > self.max_retries:
            self._bury(library, call, error, reason="retries_exhausted", began=began)
            return
        settings = library.settings
        first = self.first_delay_seconds or settings.retry_first_delay_seconds
        delay = execution.backoff(
            call.attempt,
            first=timedelta(seconds=min(first, settings.retry_first_delay_seconds)),
            most=timedelta(seconds=settings.retry_max_delay_seconds),
        )

        def reschedule() -> None:
            with library.database.writer() as session:
                execution.try_again(session, call, error=error, delay=delay, moment=now())

        patiently(reschedule)
        self._log_end(call, began=began, success=False, error=error, retry_in_seconds=delay.total_seconds())
        # Nothing is sent by this: Celery acknowledges the message and tells its monitors of a retry, not of a success.
        raise Retry(exc=error, when=now() + delay)

    def _bury(self, library: Library, call: StartedCall, error: Exception, *, reason: str, began: float) -> None:
        """Dead in the database first, then rejected, so that the message ends in the broker's dead letters too."""
        text = "".join(traceback.format_exception(error))
        patiently(lambda: failures.bury(library, call, error, reason=reason, traceback=text))
        self._log_end(call, began=began, success=False, error=error, dead=reason)
        raise Reject(reason=f"{reason}: {execution.describe(error)['detail']}", requeue=False)

    def _validated(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        try:
            validated: tuple[Any, ...] = self.arguments.validate_python(args)
            return validated
        except ValidationError as error:
            raise InvalidInput(
                f"{self.name} does not take these arguments: {error.errors(include_url=False)}"
            ) from None

    def _log_start(self, call: StartedCall) -> None:
        log.info("task started", **_fields(call), wait_ms=round(call.wait_seconds * 1000))

    def _log_end(
        self, call: StartedCall, *, began: float, success: bool, error: Exception | None = None, **more: Any
    ) -> None:
        description = {"error": execution.describe(error)} if error else {}
        duration = round((time.monotonic() - began) * 1000)
        log.info("task finished", **_fields(call), duration_ms=duration, success=success, **description, **more)


def _end(library: Library, call: StartedCall) -> None:
    with library.work(call=call):
        pass


def _fields(call: StartedCall) -> dict[str, Any]:
    return {
        "task": call.task,
        "resource_id": str(call.subject) if call.subject else None,
        "queue": call.queue,
        "priority": call.priority,
        "attempt": call.attempt,
        "generation": call.generation,
    }
