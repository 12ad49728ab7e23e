"""The application's own worker, with tasks that fail in every way.

Each start of each of them is a line in the file that NOTES names, written before anything goes wrong.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from app.errors import InvalidInput
from app.services.library import Library, Work
from app.tasks.celery_app import celery_app as app
from app.tasks.database_task import DatabaseTask

KILLS_AFTER_SECONDS = 1.5


def _task(name: str, **options: Any) -> Callable[[Callable[..., None]], DatabaseTask]:
    register: Callable[[Callable[..., None]], DatabaseTask] = app.task(
        name=name, base=DatabaseTask, bind=False, **options
    )
    return register


def _note(name: str) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{name}\n")


@_task("poison.kill_child")
def kill_child(library: Library, name: str, *, work: Work) -> None:
    """End the process of the pool that it runs in, as the kernel's memory killer does."""
    _note(name)
    os.kill(os.getpid(), signal.SIGKILL)


@_task("poison.kill_worker")
def kill_worker(library: Library, name: str, *, work: Work) -> None:
    """End the whole worker, as when its machine dies."""
    _note(name)
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


@_task("poison.kill_everyone")
def kill_everyone(library: Library, name: str, *, work: Work) -> None:
    """End the worker with all its processes, once those that run beside this are in the middle of it."""
    _note(name)
    threading.Event().wait(KILLS_AFTER_SECONDS)
    main = psutil.Process(os.getppid())
    for process in (main, *main.children(recursive=True)):
        if process.pid != os.getpid():
            process.kill()
    os.kill(os.getpid(), signal.SIGKILL)


@_task("poison.slow_innocent")
def slow_innocent(library: Library, name: str, *, work: Work) -> None:
    """Do what was asked, for longer than `kill_everyone` waits."""
    _note(name)
    threading.Event().wait(2 * KILLS_AFTER_SECONDS)


@_task("poison.fail", max_retries=2)
def fail(library: Library, name: str, *, work: Work) -> None:
    """Fail in a way that may pass."""
    _note(name)
    raise ZeroDivisionError("never foreseen")


@_task("poison.refuse")
def refuse(library: Library, name: str, *, work: Work) -> None:
    """Fail for good."""
    _note(name)
    raise InvalidInput("never possible")


@_task("poison.innocent")
def innocent(library: Library, name: str, *, work: Work) -> None:
    """Do what was asked."""
    _note(name)
