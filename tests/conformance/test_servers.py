"""The servers are of the versions that the tests are named after, and leave nothing mounted."""

from __future__ import annotations

from pathlib import Path

import kombu
import pytest
import redis

from chaos.servers.userland import chosen_userland
from tests.conformance.brokers import SERVERS, Lab, versioned

PROMISED = {
    "this-machine": {"valkey": "valkey-9."},  # of its wheel; the others are what the system has
    "debian-13": {"redis": "redis-8.0", "valkey": "valkey-8.1", "rabbitmq": "rabbitmq-4.0"},
}


def test_the_server_is_of_the_version_that_the_test_is_named_after(lab: Lab) -> None:
    assert f"{lab.name}-{version_told_by(lab)}".startswith(versioned(lab.name) + ".")
    assert versioned(lab.name).startswith(PROMISED[chosen_userland().name].get(lab.name, lab.name))


def version_told_by(lab: Lab) -> str:
    if lab.name == "rabbitmq":
        with kombu.Connection(lab.url) as connection:
            return str(connection.connection.server_properties["version"])
    with redis.Redis.from_url(lab.url) as client:
        return str(client.info("server")[f"{lab.name}_version"])


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_a_server_mounts_nothing_that_another_process_sees(kind: str) -> None:
    before = Path("/proc/self/mounts").read_text()
    with SERVERS[kind]():
        during = Path("/proc/self/mounts").read_text()
    assert Path("/proc/self/mounts").read_text() == during == before
