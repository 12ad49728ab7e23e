"""Lines through a real Toxiproxy: each fault shows from outside, says whether it landed, and leaves nothing behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import redis

from chaos import faults
from chaos.faults import Breakage, broken
from chaos.lines import Line, laid
from chaos.polling import poll_until
from chaos.probe import Reaction
from chaos.servers.rabbit import RabbitAccess
from chaos.servers.redis import RedisServer
from chaos.servers.toxiproxy import ToxiproxyServer
from chaos.toxiproxy import ToxiproxyError

pytestmark = pytest.mark.integration

WAYS = [
    faults.down(),
    faults.stall(),
    faults.stall(streams=("downstream",)),
    faults.reset_peer(),
    faults.latency(milliseconds=200, jitter=50),
    faults.latency(milliseconds=900),  # longer than a probe waits as a rule
    faults.bandwidth(kilobytes_per_second=5),
    faults.slicer(average_bytes=5),
    faults.limit_data(after_bytes=20, streams=("downstream",)),
]


@pytest.fixture
def line(redis_server: RedisServer) -> Iterator[Line]:
    with laid(["worker"], {"broker": redis_server.url}, seed=1) as lines:
        [one] = lines.select("broker", "worker")
        yield one


@pytest.fixture
def standing(line: Line) -> Iterator[socket.socket]:
    """A connection that stands on the line."""
    with socket.create_connection(("127.0.0.1", line.proxy.port), timeout=5) as connection:
        poll_until(line.connections, within_seconds=5, what="the connection is seen")
        yield connection


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_fault_lands_on_a_line_in_use_and_is_gone_afterwards(
    line: Line, standing: socket.socket, way: Breakage
) -> None:
    assert line.probe().reaction is Reaction.ANSWERED
    with broken([line], way) as fault:
        use(standing)

    assert fault.missed == ""
    assert fault.ended is not None
    assert line.probe().reaction is Reaction.ANSWERED
    assert line.proxy.toxics() == {}


def test_a_fault_on_a_line_that_nobody_uses_has_not_landed(line: Line) -> None:
    with broken([line], faults.down()) as fault:
        pass
    assert "no connection stood" in fault.missed


def test_a_fault_that_does_nothing_has_not_landed(line: Line, standing: socket.socket) -> None:
    nothing = Breakage(
        name="nothing", apply=lambda proxy: proxy.latency(milliseconds=0), shows=faults.down().shows, cuts=False
    )
    with broken([line], nothing) as fault:
        use(standing)
    assert "does not show it" in fault.missed


def test_a_limit_that_no_connection_reaches_has_not_landed(line: Line, standing: socket.socket) -> None:
    with broken([line], faults.limit_data(after_bytes=1_000_000, streams=("downstream",))) as fault:
        use(standing)
    assert fault.missed == "no connection was cut"


def test_a_client_that_is_cut_off_at_once_is_noticed_beside_an_idle_connection(
    line: Line, standing: socket.socket
) -> None:
    """Who tries again on a broken line may be there for less than a millisecond."""
    with broken([line], faults.reset_peer()) as fault:
        line.probe()
        assert not fault.has_cut(), "a stranger that only looked was taken for the client"
        with socket.create_connection(("127.0.0.1", line.proxy.port), timeout=5) as client:
            use(client)
        poll_until(fault.has_cut, within_seconds=5, what="the client's connection is cut")
        assert line.connections(), "the idle one stands"
    assert fault.missed == ""


def test_a_fault_is_undone_when_its_body_fails(line: Line, standing: socket.socket) -> None:
    with pytest.raises(ZeroDivisionError), broken([line], faults.stall()):
        raise ZeroDivisionError
    assert line.probe().reaction is Reaction.ANSWERED
    assert line.proxy.toxics() == {}


def test_one_role_is_broken_and_the_others_are_not(redis_server: RedisServer, rabbit: RabbitAccess) -> None:
    servers = {"broker": rabbit.amqp_url(), "cache": redis_server.database_url(2)}
    with laid(["relay", "worker"], servers, seed=1) as lines:  # type: ignore[arg-type]  # of literal keys
        [cut] = lines.select("broker", "worker")
        others = (*lines.select("broker", "relay"), *lines.select("cache"))
        assert len(others) == 3
        with broken([cut], faults.down()):
            assert {one.probe().reaction for one in others} == {Reaction.ANSWERED}
            assert cut.probe().reaction is Reaction.REFUSED


def test_the_addresses_of_a_role_keep_user_and_path(redis_server: RedisServer) -> None:
    with laid(["worker"], {"cache": redis_server.database_url(2)}, seed=1) as lines:
        url = lines.environment_of("worker")["CACHE_URL"]
        assert url != redis_server.database_url(2)
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            assert client.ping()
            assert client.connection_pool.connection_kwargs["db"] == 2


def test_a_server_that_does_not_answer_is_an_error_in_time(line: Line) -> None:
    with ToxiproxyServer() as server:
        server.pause()
        try:
            with pytest.raises(ToxiproxyError, match="timed out"):
                server.api().version()
        finally:
            server.resume()


def use(connection: socket.socket) -> None:
    """Send, and take whatever comes, even nothing."""
    connection.settimeout(1)
    try:
        connection.sendall(b"PING\r\n" * 20)
        while connection.recv(4096):
            pass
    except OSError:
        pass
