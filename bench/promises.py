"""The promises that stock kombu breaks on Redis: each tried on a real server, on real workers of one side."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import redis

from bench.recovery import restart_seconds
from bench.runs import Run
from bench.systems import System
from chaos.polling import DeadlineMissed, poll_until
from chaos.processes import HarnessError
from chaos.servers.redis import RedisServer
from tests.conformance.cutting_proxy import CuttingProxy

QUEUE_KEYS = ("default", *(f"default\x06\x16{step}" for step in range(1, 10)))
DEAD_LETTERS = "default.dead"
A_DELIVERY_BYTES = 900
CUTS = 12
KILLED_WITHIN_SECONDS = 30.0
SILENCE_SECONDS = 20.0
BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Whether the promise was kept, and what was seen."""

    kept: bool
    what: str


Promise = Callable[[System, RedisServer], Seen]


def priority_order(system: System, server: RedisServer) -> Seen:
    """Three messages of each priority, published in a random order to one worker that takes one at a time."""
    numbers = list(range(30))
    random.shuffle(numbers)
    one_at_a_time = replace(system, worker=(*system.worker, "--prefetch-multiplier", "1"))
    with Run(one_at_a_time, server.url) as run:
        run.python("-c", f"from {system.module} import publish_urgent; publish_urgent({numbers})")
        run.start_worker()
        served = [note.number % 10 for note in run.wait_for(len(numbers))]
    return Seen(kept=served == sorted(served, reverse=True), what="served " + "".join(map(str, served)))


def cut_delivery(system: System, server: RedisServer) -> Seen:
    """The connection of a worker is cut at many places of a delivery; each time its message must still run."""
    lost = []
    port = urlsplit(server.url).port or 0
    with CuttingProxy(port) as proxy, Run(system, server.url.replace(f":{port}/", f":{proxy.port}/")) as run:
        run.start_worker()
        with Run(system, server.url) as publisher, server.client() as client:
            _run_one(run, publisher, 1_000_000)
            for number in range(CUTS):
                proxy.cut_after(1 + number * A_DELIVERY_BYTES // CUTS, direction="replies")
                publisher.python("-c", f"from {system.module} import publish; publish([{number}])")
                if not _ran(run, client, number):
                    lost.append(number)
                proxy.let_through()
                _run_one(run, publisher, 1_000_001 + number)
    return Seen(kept=not lost, what=f"{len(lost)} of {CUTS} messages lost")


def _run_one(run: Run, publisher: Run, number: int) -> None:
    """Until the worker, connected again, has run another message."""
    publisher.python("-c", f"from {run.system.module} import publish; publish([{number}])")
    poll_until(lambda: _has_run(run, number), within_seconds=60, what=f"message {number} of {run.system.name} ran")


def _ran(run: Run, client: redis.Redis, number: int) -> bool:
    """False when neither the server nor the worker has the message: for two seconds, so that it is in no one's hand."""
    nowhere_since: float | None = None

    def decided() -> bool:
        nonlocal nowhere_since
        if _held(client):
            nowhere_since = None
        elif nowhere_since is None:
            nowhere_since = time.monotonic()
        return _has_run(run, number) or (nowhere_since is not None and time.monotonic() - nowhere_since > 2)

    with suppress(DeadlineMissed):
        poll_until(decided, within_seconds=30, what="the message ran or is lost")
    return _has_run(run, number)


def _has_run(run: Run, number: int) -> bool:
    return any(note.number == number for note in run.notes())


def _held(client: redis.Redis) -> int:
    return int(client.hlen("unacked")) + sum(int(client.llen(key)) for key in QUEUE_KEYS)


def killed_worker(system: System, server: RedisServer) -> Seen:
    """SIGKILL of a worker in the middle of a task; another worker stands by."""
    with Run(system, server.url) as run:
        try:
            seconds = restart_seconds(run, within_seconds=KILLED_WITHIN_SECONDS)
        except DeadlineMissed:
            return Seen(kept=False, what=f"not started again within {KILLED_WITHIN_SECONDS:g} s")
    return Seen(kept=seconds <= 5, what=f"started again after {seconds:.1f} s")


def rejected_message(system: System, server: RedisServer) -> Seen:
    """A task gives its message up with `Reject(requeue=False)`."""
    with Run(system, server.url) as run, server.client() as client:
        run.start_worker()
        run.python("-c", f"from {system.module} import publish_rejected; publish_rejected(1)")
        run.wait_for(1)
        poll_until(lambda: not _held(client), within_seconds=20, what="the message is let go of")
        return _in_dead_letters(client)


def late_acknowledgement(system: System, server: RedisServer) -> Seen:
    """A worker stands still until its message is another's, which stands still in turn; then it ends its task."""
    with Run(system, server.url) as run, server.client() as client:
        old = run.start_worker()
        run.python("-c", f"from {system.module} import publish_hold; publish_hold(0, {BUSY_SECONDS})")
        run.wait_for(1)
        old.pause()
        (tag,) = client.hkeys("unacked")
        client.zadd("unacked_index", {tag: 0}, xx=True)  # in place of stock's hour
        new = run.start_worker()
        poll_until(lambda: len(run.notes()) == 2, within_seconds=60, what="another worker has the message")
        new.pause()
        (tag,) = client.hkeys("unacked")  # by now the record of the new owner
        run.python("-c", f"from {system.module} import publish; publish([1])")
        old.resume()
        run.wait_for(2)  # by the old owner, which acknowledges before it takes another message
        kept = bool(client.hexists("unacked", tag))
    return Seen(kept=kept, what=f"the new owner's record {'stays' if kept else 'is gone'}")


def refused_retry(system: System, server: RedisServer) -> Seen:
    """A task asks for `retry()`, and the server takes no more connections: publishing needs one, removing does not."""
    with Run(system, server.url) as run, server.client() as client:
        run.start_worker()
        run.python("-c", f"from {system.module} import publish_retried; publish_retried(0, {BUSY_SECONDS})")
        run.wait_for(1)
        client.config_set("maxclients", 1)
        poll_until(lambda: not _held(client), within_seconds=60, what="the message is let go of")
        return _in_dead_letters(client)


def _in_dead_letters(client: redis.Redis) -> Seen:
    dead = int(client.llen(DEAD_LETTERS))
    return Seen(kept=dead == 1, what="in the dead letters" if dead else "deleted: nothing holds it")


def silent_peer(system: System, server: RedisServer) -> Seen:
    """Publishing to a server that accepts connections and answers nothing."""
    server.pause()
    began = time.monotonic()
    try:
        with Run(system, server.url) as run:
            publish = f"from {system.module} import publish; publish([1])"
            run.python("-c", publish, within_seconds=SILENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return Seen(kept=False, what=f"no error within {SILENCE_SECONDS:g} s")
    except HarnessError:
        return Seen(kept=True, what=f"an error after {time.monotonic() - began:.1f} s, start-up included")
    finally:
        server.resume()
    return Seen(kept=False, what="reported as published")


PROMISES: dict[str, Promise] = {
    "priority 9 is served first, 0 last": priority_order,
    "a connection cut in a delivery loses nothing": cut_delivery,
    "a killed worker's task starts elsewhere within 5 s": killed_worker,
    "a rejected message is a dead letter": rejected_message,
    "a late acknowledgement of an old owner changes nothing": late_acknowledgement,
    "a retry that the server cannot take loses nothing": refused_retry,
    "a silent server is reported to the publisher": silent_peer,
}
