"""Lost processes: one of the pool that died is missed within a quarter of a second.

Celery looks when the pipe closes that the process held. The kernel closes it before the process can be waited for, so
on a busy machine that look often comes too early. The next is by a timer of 5 s, and the task waits as long.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps

LOOK_EVERY_SECONDS = 0.25


class LostProcesses(bootsteps.StartStopStep):
    """A timer of the event loop of the worker's main process. Pools without processes have none to lose."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._timer: Any = None

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """The loop begins, or begins anew after a lost connection: one timer, not one more."""
        look = getattr(getattr(worker.pool, "_pool", None), "maintain_pool", None)
        if look is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = hub.call_repeatedly(LOOK_EVERY_SECONDS, look)
