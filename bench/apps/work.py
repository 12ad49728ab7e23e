"""What is asked of a worker: nothing at all, to be busy for a while, to give a message up, to try again."""

from __future__ import annotations

from threading import Event

from bench.apps import journal


def note(number: int) -> None:
    """The no-op: it leaves its line."""
    journal.note(number)


def hold(number: int, seconds: float) -> None:
    """Leave the line, and be busy."""
    journal.note(number)
    Event().wait(seconds)


def reject(number: int) -> None:
    """Leave the line, and give the message up for good. Celery's systems only."""
    from celery.exceptions import Reject  # noqa: PLC0415 — the other systems have no Celery

    journal.note(number)
    raise Reject("for good", requeue=False)


def retry(number: int, seconds: float) -> None:
    """Leave the line, be busy, and ask to be started again. Celery's systems only."""
    from celery import current_task  # noqa: PLC0415 — the other systems have no Celery

    hold(number, seconds)
    current_task.retry(countdown=0)
