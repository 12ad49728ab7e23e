"""Whether a Redis server can be the broker at all: no cluster, and a user who may do what leases need.

Without one of these rights a script of the leases would stop in the middle, with a message taken and recorded nowhere.
So each is tried before anything is taken. The `ACL SETUSER` that grants them stands in docs/deployment.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.exceptions import ExecAbortError, NoPermissionError

from app.errors import TransportUnavailable
from app.transports.base import PRIORITIES, QUEUES
from app.transports.redis_format import SEPARATOR, Command, dead_letters_key, queue_key, wake_key

_KEY = "unacked_nothing"
_CHANNEL = "unacked_owner:nobody"
_COMMANDS: tuple[Command, ...] = (
    *(("EVAL", "return 1", 0), ("EVALSHA", "0" * 40, 0), ("SCRIPT LOAD", "return 1"), ("SCRIPT EXISTS", "0" * 40)),
    *(("TIME",), ("MULTI",), ("EXEC",)),
    *(("LLEN", _KEY), ("LRANGE", _KEY, 0, 0), ("LREM", _KEY, 0, ""), ("LTRIM", _KEY, 0, -1), ("RPOP", _KEY)),
    *(("BRPOP", _KEY, "0.01"), ("LPUSH", _KEY, ""), ("DEL", _KEY), ("RPUSH", _KEY, ""), ("PEXPIRE", _KEY, 1)),
    *(("HGET", _KEY, ""), ("HEXISTS", _KEY, ""), ("HKEYS", _KEY), ("HVALS", _KEY), ("HLEN", _KEY)),
    *(("HGETALL", _KEY), ("HDEL", _KEY, ""), ("HSET", _KEY, "", ""), ("HSETNX", _KEY, "", "")),
    *(("HINCRBY", _KEY, "", 1), ("ZADD", _KEY, 0, ""), ("ZREM", _KEY, ""), ("ZRANGE", _KEY, 0, 0)),
    *(("ZRANGEBYSCORE", _KEY, 0, 0), ("GET", _KEY), ("SET", _KEY, ""), ("EXPIRE", _KEY, 1), ("EXISTS", _KEY)),
    *(("SMEMBERS", _KEY), ("SADD", _KEY, ""), ("SREM", _KEY, ""), ("DEL", _KEY)),
    *(("PUBLISH", _CHANNEL, ""), ("SUBSCRIBE", _CHANNEL), ("UNSUBSCRIBE", _CHANNEL)),
)
"""Each does nothing, or what is undone by the last DEL; the key is one that no script reads.
(Redis 6.2 takes a BRPOP of a millisecond for one without end.)"""
_KEYS = (
    *(queue_key(queue, step) for queue in QUEUES for step in PRIORITIES),
    *(key for queue in QUEUES for key in (dead_letters_key(queue), wake_key(queue))),
    *("unacked", "_kombu.binding.celery.pidbox", "_kombu.binding_deadlines"),
)

Ask = Callable[..., list[Any]]
"""One round trip of commands; an error reply is returned in its place."""


class NotAdmitted(TransportUnavailable):
    """This server cannot be the broker until somebody changes it."""


def admit(ask: Ask) -> None:
    """Raises `NotAdmitted` when this server or this user will not do, and what the server says to a PING.

    One round trip: under half a second of latency a deadline has room for few.
    """
    probes: tuple[Command, ...] = (*_COMMANDS, *(("EXISTS", key) for key in _KEYS))
    pong, hello, *answers = ask(("PING",), ("HELLO",), *probes)
    if isinstance(pong, Exception):
        raise pong
    if isinstance(hello, list) and b"cluster" in hello:
        raise NotAdmitted("Redis Cluster is not supported: use one server or Sentinel")
    missing = [_right(probe, answer) for probe, answer in zip(probes, answers, strict=True) if _is_refusal(answer)]
    if missing:
        rights = ", ".join(dict.fromkeys(missing))
        raise NotAdmitted(f"the user of BROKER_URL has no right to {rights}: see docs/deployment.md")


def _is_refusal(answer: object) -> bool:
    return isinstance(answer, (NoPermissionError, ExecAbortError))


def _right(probe: Command, answer: object) -> str:
    """The command, or the key or channel where it is not the command."""
    name, place = str(probe[0]).replace(" ", "|"), str(probe[1]) if len(probe) > 1 else ""
    return name if "permissions to run" in str(answer) else place.replace(SEPARATOR, "\\x06\\x16")
