"""Events of tasks go to monitors without waiting for an answer, in order, and the lack of a server is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

from app.transports.lease.announcements import READ_EVERY, Announcements
from chaos.polling import poll_until
from chaos.servers.redis import ValkeyServer

MANY = 10 * READ_EVERY


@pytest.fixture
def announcements(valkey_url: str) -> Iterator[Announcements]:
    pool = redis.ConnectionPool.from_url(valkey_url, socket_timeout=2)
    with closing(Announcements(pool)) as announcements:
        yield announcements
    pool.disconnect()


def test_everything_is_heard_in_its_order(announcements: Announcements, valkey_server: ValkeyServer) -> None:
    with valkey_server.client() as client, closing(client.pubsub(ignore_subscribe_messages=True)) as listener:
        listener.subscribe("events")
        listener.get_message(timeout=2)

        for number in range(MANY):
            announcements.publish("events", str(number))

        heard: list[bytes] = []

        def all_heard() -> bool:
            message = listener.get_message(timeout=1)
            if message is not None:
                heard.append(message["data"])
            return len(heard) == MANY

        poll_until(all_heard, within_seconds=20, every_seconds=0, what="all are heard")
        assert heard == [str(number).encode() for number in range(MANY)]


def test_a_lost_connection_is_told_soon_and_the_next_word_goes_over_a_new_one(
    announcements: Announcements, valkey_server: ValkeyServer
) -> None:
    announcements.publish("events", "first")
    with valkey_server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)

        with pytest.raises((redis.ConnectionError, OSError)):
            _say_many(announcements)

        announcements.publish("events", "again")


def _say_many(announcements: Announcements) -> None:
    for number in range(2 * READ_EVERY):
        announcements.publish("events", str(number))
