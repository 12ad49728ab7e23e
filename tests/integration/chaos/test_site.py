"""Each result names every server that took part, with its whole version."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from chaos.given_address import BrokerRefused
from chaos.given_broker import accept
from chaos.servers.redis import RedisServer, ValkeyServer
from chaos.site import Site

pytestmark = pytest.mark.integration

WHOLE = re.compile(r"(Valkey )?\d+\.\d+\.\d+")
POSTGRESQL = re.compile(r"\d+\.\d+")


def are_whole(versions: dict[str, str]) -> bool:
    others = {name: version for name, version in versions.items() if name != "postgresql"}
    return bool(POSTGRESQL.fullmatch(versions["postgresql"])) and all(map(WHOLE.fullmatch, others.values()))


def test_a_scenario_with_lines_names_toxiproxy_too() -> None:
    with Site() as site:
        with site.ground("redis"):
            pass
        assert are_whole(site.versions(lines=True))
        assert set(site.versions(lines=True)) == {"postgresql", "redis", "toxiproxy"}
        assert set(site.versions(lines=False)) == {"postgresql", "redis"}


def test_a_broker_of_its_own_and_a_spare_one_are_named_and_not_those_of_the_scenario_before() -> None:
    with Site() as site:
        with site.ground("rabbitmq", own_broker=True):
            pass
        assert are_whole(site.versions(lines=False))
        assert set(site.versions(lines=False)) == {"postgresql", "redis", "rabbitmq"}
        with site.ground("redis", sentinel=True):
            pass
        assert are_whole(site.versions(lines=False))
        assert set(site.versions(lines=False)) == {"postgresql", "redis", "sentinel"}
        with site.ground("redis", spare=True):
            pass
        assert set(site.versions(lines=False)) == {"postgresql", "redis", "rabbitmq"}


@pytest.mark.parametrize("kind", [RedisServer, ValkeyServer])
def test_a_given_broker_is_named_beside_the_cache(kind: type[RedisServer]) -> None:
    with kind() as server, Site(accept(server.url, times_told=0)) as site, site.ground("redis"):
        versions = site.versions(lines=False)
        assert are_whole(versions)
        assert versions["given redis"] == server.running_version()
        assert ("Valkey" in versions["given redis"]) is (kind is ValkeyServer)
        assert WHOLE.fullmatch(versions["redis"])


def test_a_given_broker_on_which_a_scenario_left_something_is_refused_to_the_next() -> None:
    with RedisServer() as server, Site(accept(server.url, times_told=0)) as site:
        with site.ground("redis"), closing(server.client()) as client:
            client.lpush("default", "what nobody took")
        with pytest.raises(BrokerRefused, match="holds 1 messages"), site.ground("redis"):
            pass
