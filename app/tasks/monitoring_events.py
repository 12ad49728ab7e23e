"""What a worker tells whoever watches (Flower, `celery events`, `inspect`), where the broker may be away for long.

Celery sends each heartbeat and each reply from the thread that all else of a worker runs in, and tries it again until
the broker takes it. One that is due between the death of a broker and the moment that the worker sees its line broken
would hold the worker up until that broker is back, deaf to a warm shutdown and to the switch to another broker.
"""

from __future__ import annotations

from typing import Any

import celery.app.control
import celery.app.events
from celery.events.dispatcher import EventDispatcher
from kombu.pidbox import Mailbox

ONCE_MORE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""On a new connection: where only that one was lost, the next heartbeat or reply is the one that mends it."""


class BriefDispatcher(EventDispatcher):
    """Tries an event once more, and then keeps it for the next connection of the worker."""

    def _publish(
        self,
        event: Any,
        producer: Any,
        routing_key: str,
        retry: bool = False,
        retry_policy: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        policy = ONCE_MORE if retry_policy is None else retry_policy
        publish: Any = super()._publish  # type: ignore[misc]  # the stub lacks it
        publish(event, producer, routing_key, retry=retry, retry_policy=policy, **options)


class MonitoringEvents(celery.app.events.Events):
    """Celery's, with the dispatcher of this house."""

    dispatcher_cls = f"{BriefDispatcher.__module__}:{BriefDispatcher.__name__}"


class BriefMailbox(Mailbox):
    """Tries a reply once more; who asked has a deadline of its own."""

    def _publish_reply(self, *arguments: Any, **options: Any) -> None:
        super()._publish_reply(*arguments, **{"retry_policy": ONCE_MORE, **options})


class RemoteControl(celery.app.control.Control):
    """Celery's, with the mailbox of this house."""

    Mailbox = BriefMailbox
