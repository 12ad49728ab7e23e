"""The servers that every other test relies on."""

from __future__ import annotations

import os
from contextlib import closing

import pika
import psycopg2
import pytest
import redis

from app.migrate import head_revision
from app.settings import get_settings


def open_rabbit(url: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(url))


@pytest.mark.parametrize("_repeat", range(2))
def test_each_test_gets_an_empty_database(postgres_url: str, _repeat: int) -> None:
    connection = psycopg2.connect(postgres_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE left_behind (id int)")
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize("_repeat", range(2))
def test_each_test_gets_an_empty_redis(redis_url: str, cache_url: str, _repeat: int) -> None:
    with redis.Redis.from_url(redis_url) as broker, redis.Redis.from_url(cache_url) as cache:
        assert broker.dbsize() == 0
        assert cache.dbsize() == 0
        broker.set("left", "behind")
        assert cache.get("left") is None


@pytest.mark.parametrize("_repeat", range(2))
def test_each_test_gets_an_empty_virtual_host(rabbit_url: str, _repeat: int) -> None:
    connection = open_rabbit(rabbit_url)
    channel = connection.channel()
    declared = channel.queue_declare("left-behind", durable=True)
    assert declared.method.message_count == 0
    channel.basic_publish("", "left-behind", b"x")
    connection.close()


def test_a_setting_of_the_shell_does_not_leak_into_a_test() -> None:
    assert "BROKER_URL" not in os.environ
    assert get_settings().broker == "redis://127.0.0.1:6379/0"


def test_a_changed_environment_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "1234")
    assert get_settings().api_port == 1234


@pytest.mark.parametrize("_repeat", range(3))
def test_a_migrated_database_has_tables_and_no_rows(migrated_postgres_url: str, _repeat: int) -> None:
    with closing(psycopg2.connect(migrated_postgres_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        assert cursor.fetchone() == (head_revision(),)
        cursor.execute("SELECT to_regclass('left_behind'), (SELECT count(*) FROM counters)")
        assert cursor.fetchone() == (None, 0)
        cursor.execute("SELECT epoch FROM active_broker")
        assert cursor.fetchone() == (0,)
        cursor.execute("INSERT INTO counters (name, value) VALUES ('left_behind', 1)")
        cursor.execute("UPDATE active_broker SET epoch = 7")
        if _repeat == 1:
            cursor.execute("CREATE TABLE left_behind (id int)")
