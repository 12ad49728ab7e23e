"""What RabbitMQ's management API tells, compared with the topology: one line a difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.transports.base import Findings
from app.transports.rabbitmq_management import Management
from app.transports.rabbitmq_topology import Topology

TYPE_ARGUMENT = "x-queue-type"


def differences(management: Management, wanted: Topology) -> Findings | None:
    """Everything that differs; None when the API does not answer."""
    queues, exchanges, bindings = management.queues(), management.exchanges(), management.bindings()
    if queues is None or exchanges is None or bindings is None:
        return None
    lines: list[str] = []
    for name in wanted.exchanges:
        lines += _of_exchange(name, exchanges.get(name))
    for name, arguments in wanted.queues.items():
        lines += _of_queue(name, arguments, queues.get(name))
    for binding in wanted.bindings:
        if (binding.exchange, binding.queue, binding.routing_key) not in bindings:
            lines.append(f"binding of {binding.queue} to exchange {binding.exchange} is missing")
    return Findings(differences=tuple(lines), notes=tuple(_policies(queues, wanted)))


def _of_exchange(name: str, found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield f"exchange {name} is missing"
        return
    for what, right in {"type": "direct", "durable": True, "auto_delete": False}.items():
        if found[what] != right:
            yield f"exchange {name}: {what} is {_shown(found[what])}, should be {_shown(right)}"


def _of_queue(name: str, arguments: Mapping[str, Any], found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield f"queue {name} is missing"
        return
    right = {"type": arguments.get(TYPE_ARGUMENT, "classic"), "durable": True, "auto_delete": False, "exclusive": False}
    for what, value in right.items():
        if found.get(what, value) != value:
            yield f"queue {name}: {what} is {_shown(found[what])}, should be {_shown(value)}"
    for argument in sorted({*arguments, *found["arguments"]} - {TYPE_ARGUMENT}):
        is_, should = found["arguments"].get(argument), arguments.get(argument)
        if is_ != should:
            yield f"queue {name}: {argument} is {_shown(is_)}, should be {_shown(should)}"


def _policies(queues: Mapping[str, Mapping[str, Any]], wanted: Topology) -> Iterator[str]:
    """A policy adds to the arguments without changing them: not a difference, but good to know."""
    for name in wanted.queues:
        definition = queues.get(name, {}).get("effective_policy_definition") or {}
        for key in sorted(definition):
            yield f"queue {name}: a policy sets {key} = {definition[key]}"


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else str(value)
