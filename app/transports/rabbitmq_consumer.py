"""Celery's consumer where a broken connection gives back what runs on: a running task takes its message over.

RabbitMQ gives what was not acknowledged to anybody again when a connection breaks; the tasks run on. Started a second
time, one task would take two slots, count two starts towards its delivery limit, and waste one of the two results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import state

from app.transports.consumer import PatientConsumer

Handler = Callable[..., Any]

log = structlog.get_logger(__name__)


class RabbitConsumer(PatientConsumer):
    """Starts nothing that runs in this worker already."""

    strategies: dict[str, Handler]

    def on_close(self) -> None:
        """Celery's own forgets what no process has said it took: also what one was given already, and will run."""
        handed_over = handed_over_by(self.pool)
        for request, job, _process in handed_over:
            state.active_requests.add(request)
            job._accepted = True  # noqa: SLF001  billiard has no public word for it
        super().on_close()
        for request, job, process in handed_over:
            await_its_process(request, job, process)

    def update_strategies(self) -> None:
        """Called at each connection, before the first message."""
        super().update_strategies()
        for name, handle in self.strategies.items():
            self.strategies[name] = taken_over_by_running_tasks(handle)


def taken_over_by_running_tasks(handle: Handler) -> Handler:
    """A handler of received messages (Celery's strategy of a task) that starts nothing that runs here already."""

    def on_message(message: Any, *arguments: Any, **options: Any) -> Any:
        running = _running(message)
        if running is None:
            return handle(message, *arguments, **options)
        # What ends the task acknowledges its message through these two.
        running.message.channel = message.channel
        running.message.delivery_tag = message.delivery_tag
        log.info("delivered again while it runs", task=running.name, call_id=running.id)
        return None

    return on_message


def handed_over_by(pool: Any) -> list[tuple[Any, Any, Any]]:
    """Request, job and process of each task that a prefork pool wrote to a process which has not said it took it."""
    unwritten = getattr(getattr(pool, "_pool", None), "outbound_buffer", ())
    found = []
    for request in state.reserved_requests:
        reference = getattr(request, "_apply_result", None)
        job = reference() if reference is not None else None
        process = getattr(job, "_write_to", None)
        if job is None or process is None or job in unwritten or job.accepted() or job.ready():
            continue
        found.append((request, job, process))
    return found


def await_its_process(request: Any, job: Any, process: Any) -> None:
    """The process may say so yet, or die: then the pool gives the job to another.

    If it is dead already, the pool may have missed it while the job counted as taken, and put another process with the
    same pipes in its place, which the job now names: nobody will run it, and the broker has to give it again.
    """
    if job.worker_pids():
        return  # it has said so
    job._accepted = False  # noqa: SLF001
    if not process._is_alive():  # noqa: SLF001
        job.discard()
        state.task_ready(request)


def _running(message: Any) -> Any:
    """The request of the same sending that runs in this worker; None for a first delivery."""
    if not (message.delivery_info or {}).get("redelivered"):
        return None
    request = state.requests.get(message.headers.get("id"))
    if request is None or request not in state.active_requests or request.acknowledged:
        return None
    same = request.message.headers.get("generation") == message.headers.get("generation")
    return request if same else None
