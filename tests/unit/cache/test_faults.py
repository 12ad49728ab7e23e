"""A cache that is down, frozen, full or locked is a cache that misses, by the deadline."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from threading import Event, Thread
from time import monotonic

import pytest

from app.cache.redis_cache import RedisCache
from chaos.ports import free_port
from chaos.servers.redis import RedisServer, ValkeyServer
from tests.unit.cache.conftest import CacheMaker

DEADLINE_SECONDS = 0.05
SCHEDULING_SECONDS = 0.15
"""What a busy two-core machine may add to a wake-up."""
RECOVERY_SECONDS = 10.0

Operation = Callable[[RedisCache], object]

OPERATIONS: list[Operation] = [
    lambda cache: cache.get("resource:1", "missed") == "missed",
    lambda cache: cache.set("resource:1", 1) is False,
    lambda cache: cache.delete("resource:1") is False,
    lambda cache: cache.invalidate("resource:1", 3) is False,
    lambda cache: cache.delete_pattern("search_query:*") is False,
    lambda cache: cache.delete_pattern("resource:1*") is False,
    lambda cache: cache.delete_all(["resource:1", "search_query:*"]) is False,
    lambda cache: cache.delete_all(["resource:1*"]) is False,
    lambda cache: cache.get_or_compute("resource:1", lambda: "computed") == "computed",
    lambda cache: cache.stats.hits == 0,
]
NAMES = ["get", "set", "delete", "invalidate", "family", "glob", "all", "all-glob", "compute", "stats"]


def seconds_of(operation: Operation, cache: RedisCache) -> float:
    began = monotonic()
    assert operation(cache)
    return monotonic() - began


def wait_until_it_answers(cache: RedisCache) -> None:
    until = monotonic() + RECOVERY_SECONDS
    while not cache.set("probe:1", 1):
        assert monotonic() < until, "the cache did not come back"
        Event().wait(0.02)


def connect(cache: RedisCache) -> None:
    """The first connection on a busy machine may take longer than the deadline; it comes later."""
    wait_until_it_answers(cache)


def test_building_a_cache_reads_neither_settings_nor_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_URL", "not a url")

    assert RedisCache().get_default_ttl("resource:1") == 600


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_a_frozen_server_is_answered_for_by_the_deadline(
    own_server: ValkeyServer, make_cache: CacheMaker, operation: Operation
) -> None:
    cache = make_cache(url=own_server.url, deadline_seconds=DEADLINE_SECONDS)
    connect(cache)
    own_server.pause()

    assert seconds_of(operation, cache) < DEADLINE_SECONDS + SCHEDULING_SECONDS


def test_the_return_of_a_server_is_told_once(own_server: ValkeyServer, make_cache: CacheMaker) -> None:
    cache = make_cache(url=own_server.url, deadline_seconds=DEADLINE_SECONDS)
    connect(cache)
    returns = Queue[None]()
    cache.on_return = lambda: returns.put(None)
    own_server.pause()
    assert cache.set("resource:1", 1) is False
    assert returns.empty()

    own_server.resume()
    wait_until_it_answers(cache)

    returns.get(timeout=RECOVERY_SECONDS)
    wait_until_it_answers(cache)
    assert returns.empty()


def test_a_frozen_server_costs_one_deadline_and_not_one_for_each_read(
    own_server: ValkeyServer, make_cache: CacheMaker
) -> None:
    cache = make_cache(url=own_server.url, deadline_seconds=0.5)
    connect(cache)
    own_server.pause()
    began = monotonic()

    assert [cache.get(f"resource:{number}") for number in range(100)] == [None] * 100

    assert monotonic() - began < 2 * 0.5


def test_a_thawed_server_is_used_again(own_server: ValkeyServer, make_cache: CacheMaker) -> None:
    cache = make_cache(url=own_server.url, deadline_seconds=DEADLINE_SECONDS)
    connect(cache)
    own_server.pause()
    cache.get("resource:1")
    own_server.resume()

    wait_until_it_answers(cache)


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_a_killed_server_is_a_miss(own_server: ValkeyServer, make_cache: CacheMaker, operation: Operation) -> None:
    cache = make_cache(url=own_server.url, deadline_seconds=DEADLINE_SECONDS)
    connect(cache)
    own_server.kill()

    assert seconds_of(operation, cache) < 2 * DEADLINE_SECONDS + SCHEDULING_SECONDS


def test_a_restarted_server_is_used_again_and_the_misses_were_counted(
    own_server: ValkeyServer, make_cache: CacheMaker
) -> None:
    cache = make_cache(url=own_server.url)
    cache.set("resource:1", 1)
    own_server.kill()
    assert cache.get("resource:1") is None
    own_server.start()

    wait_until_it_answers(cache)

    assert cache.stats.misses >= 1


def test_a_server_restarted_between_two_uses_is_not_noticed(own_server: ValkeyServer, make_cache: CacheMaker) -> None:
    cache = make_cache(url=own_server.url)
    cache.set("resource:1", 1)
    own_server.kill()
    own_server.start()

    assert cache.set("resource:1", 2) is True


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_no_server_at_all_is_a_miss(make_cache: CacheMaker, operation: Operation) -> None:
    cache = make_cache(url=f"redis://127.0.0.1:{free_port()}/0", deadline_seconds=DEADLINE_SECONDS)

    assert seconds_of(operation, cache) < 2 * DEADLINE_SECONDS + SCHEDULING_SECONDS


def test_a_wrong_password_is_a_miss(server: RedisServer, make_cache: CacheMaker) -> None:
    right, wrong = make_cache(url=server.url), make_cache(url=server.url.replace(server.password, "wrong"))
    assert right.set("resource:1", 1) is True

    assert wrong.get("resource:1") is None
    assert wrong.delete("resource:1") is False
    assert right.get("resource:1") == 1


def test_a_full_server_misses_writes_but_still_drops(own_server: ValkeyServer, make_cache: CacheMaker) -> None:
    cache = make_cache(url=own_server.url)
    cache.set("resource:1", "old", version=1)
    cache.set("quality:1", "old")
    cache.set("search_query:a", "old")
    with own_server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1mb")

    assert cache.set("resource:2", 1) is False
    assert cache.get("resource:1") == "old"
    assert cache.get_or_compute("resource:2", lambda: "computed") == "computed"
    assert cache.invalidate("resource:1", 2) is True
    assert cache.delete("quality:1") is True
    assert cache.delete_pattern("search_query:*") is True
    assert [cache.get(key) for key in ("resource:1", "quality:1", "search_query:a")] == [None] * 3
    assert cache.set("resource:1", "old", version=1) is False


@contextmanager
def silent_listener() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_a_silent_port_is_answered_for_by_the_deadline(make_cache: CacheMaker) -> None:
    with silent_listener() as url:
        cache = make_cache(url=url, deadline_seconds=DEADLINE_SECONDS)
        began = monotonic()

        assert [cache.get("resource:1") for _ in range(50)] == [None] * 50

        assert monotonic() - began < DEADLINE_SECONDS + SCHEDULING_SECONDS


@contextmanager
def late_server(*, after_seconds: float) -> Iterator[str]:
    """A server that greets everyone who comes, each time after so long."""
    stop = Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while (received := connection.recv(4096)) and not stop.wait(after_seconds):
                connection.sendall(b"+OK\r\n" * received.count(b"SETINFO") + b"+PONG\r\n" * received.count(b"PING"))

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)


def test_a_server_slower_than_the_deadline_costs_one_deadline_and_not_one_each_time_it_is_tried(
    make_cache: CacheMaker,
) -> None:
    """It is tried every 2 s at most, and answers each time, late."""
    with late_server(after_seconds=0.2) as url:
        cache = make_cache(url=url, deadline_seconds=DEADLINE_SECONDS)
        until = monotonic() + 4
        waited = 0
        while monotonic() < until:
            waited += seconds_of(lambda cache: cache.get("resource:1", "missed") == "missed", cache) > DEADLINE_SECONDS
            Event().wait(0.01)

    assert waited <= 2  # the second: this machine itself was busy


@contextmanager
def scripted_server(reply: bytes, *, every_seconds: float = 0.0) -> Iterator[str]:
    """A server that greets at once, then answers the first read with `reply`, one byte after the other."""
    stop = Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while received := connection.recv(4096):
                if b"MGET" in received:
                    break
                connection.sendall(b"+OK\r\n" * received.count(b"SETINFO") + b"+PONG\r\n" * received.count(b"PING"))
            for byte in reply:
                if stop.wait(every_seconds):
                    return
                connection.sendall(bytes([byte]))
            stop.wait(10)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        thread = Thread(target=lambda: serve(listener.accept()[0]), daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        stop.set()
        thread.join(timeout=10)


WHOLE_ANSWER = b"*2\r\n$5\r\ng - 1\r\n$1\r\ng\r\n"


def test_an_answer_in_small_pieces_is_put_together(make_cache: CacheMaker) -> None:
    with scripted_server(WHOLE_ANSWER) as url:
        assert make_cache(url=url).get("resource:1") == 1


def test_a_trickling_server_is_answered_for_by_the_deadline(make_cache: CacheMaker) -> None:
    with scripted_server(WHOLE_ANSWER, every_seconds=0.1) as url:
        cache = make_cache(url=url, deadline_seconds=0.4)
        began = monotonic()

        assert cache.get("resource:1") is None

        assert monotonic() - began < 0.4 + SCHEDULING_SECONDS


@pytest.mark.parametrize(
    "reply",
    [
        b"-LOADING the dataset is in memory soon\r\n",
        b"-BUSY a script runs\r\n",
        b"-ERR unknown command\r\n",
        b"?what\r\n",
        b"+a status where a list is due\r\n",
    ],
    ids=["loading", "busy", "error", "not the protocol", "another type"],
)
def test_an_answer_that_is_no_answer_is_a_miss(make_cache: CacheMaker, reply: bytes) -> None:
    with scripted_server(reply) as url:
        cache = make_cache(url=url, deadline_seconds=1)

        assert cache.get("resource:1", "missed") == "missed"


@pytest.mark.parametrize("reply", [b"-LOADING soon\r\n", b"-BUSY a script runs\r\n"], ids=["loading", "busy"])
def test_a_server_that_serves_no_one_is_left_alone(make_cache: CacheMaker, reply: bytes) -> None:
    with scripted_server(reply) as url:
        cache = make_cache(url=url, deadline_seconds=2)
        cache.get("resource:1")
        began = monotonic()

        assert cache.delete("resource:1") is False

        assert monotonic() - began < 1


def test_a_forked_child_uses_its_own_connection(server: RedisServer, make_cache: CacheMaker) -> None:
    cache = make_cache(url=server.url)
    cache.set("resource:1", 1)
    cache.get("resource:1")
    child = os.fork()
    if child == 0:
        os._exit(0 if cache.get("resource:1") == 1 and cache.set("resource:2", 2) and cache.stats.hits == 1 else 1)

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert (cache.get("resource:1"), cache.get("resource:2")) == (1, 2)
