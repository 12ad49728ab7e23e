"""Whatever the peer does, a call is back by its deadline and the transport is usable afterwards."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread
from time import monotonic
from urllib.parse import urlsplit, urlunsplit

import pytest

from app.errors import TransportUnavailable
from app.transports.base import Outcome, Transport
from chaos.ports import free_port
from tests.conformance.brokers import FragileLab, messages
from tests.conformance.conftest import TransportMaker

DEADLINE_SECONDS = 0.5
SLACK_SECONDS = 0.5
PATIENT_SECONDS = 20.0
URLS = {"redis": "redis://:secret@127.0.0.1:{port}/0", "rabbitmq": "amqp://user:secret@127.0.0.1:{port}/vhost"}
CALLS: dict[str, Callable[[Transport], object]] = {
    "publish": lambda transport: transport.publish(messages([1, 2, 3]), deadline_seconds=DEADLINE_SECONDS),
    "declare": lambda transport: transport.declare(deadline_seconds=DEADLINE_SECONDS),
    "depths": lambda transport: transport.depths(deadline_seconds=DEADLINE_SECONDS),
    "health": lambda transport: transport.health(deadline_seconds=DEADLINE_SECONDS),
    "take_dead": lambda transport: transport.take_dead(deadline_seconds=DEADLINE_SECONDS),
}
Behaviour = Callable[[socket.socket, Event], None]


def closes_at_once(connection: socket.socket, _over: Event) -> None:
    connection.close()


def says_nothing(_connection: socket.socket, over: Event) -> None:
    over.wait()


def dribbles(connection: socket.socket, over: Event) -> None:
    """A byte every now and then: each keeps a naive read timeout from running out."""
    with suppress(OSError):
        while not over.wait(0.2):
            connection.sendall(b"\x01")


def talks_nonsense(connection: socket.socket, over: Event) -> None:
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
    over.wait()


@contextmanager
def peer(behaviour: Behaviour) -> Iterator[int]:
    """A server on a port of its own that treats each connection so."""
    over = Event()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    stack.enter_context(connection)
                    Thread(target=behaviour, args=(connection, over), daemon=True).start()

        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("behaviour", [closes_at_once, says_nothing, dribbles, talks_nonsense])
@pytest.mark.parametrize("kind", URLS)
def test_a_bad_peer_is_reported_by_the_deadline(
    transport_to: TransportMaker, kind: str, behaviour: Behaviour, call: str
) -> None:
    with peer(behaviour) as port:
        transport = transport_to(URLS[kind].format(port=port))
        began = monotonic()
        with pytest.raises(TransportUnavailable) as caught:
            CALLS[call](transport)
        assert monotonic() - began < DEADLINE_SECONDS + SLACK_SECONDS
        transport.close()
    assert str(port) in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", URLS)
def test_a_refused_port_is_reported_at_once(transport_to: TransportMaker, kind: str, call: str) -> None:
    transport = transport_to(URLS[kind].format(port=free_port()))
    began = monotonic()
    with pytest.raises(TransportUnavailable, match="refused"):
        CALLS[call](transport)
    assert monotonic() - began < DEADLINE_SECONDS + SLACK_SECONDS


def test_a_frozen_broker_is_reported_by_the_deadline_and_used_again_when_it_thaws(
    fragile: FragileLab, transport_to: TransportMaker
) -> None:
    transport = transport_to(fragile.url)
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted

    fragile.server.pause()
    outcomes, took = _publish(transport)
    assert took < DEADLINE_SECONDS + SLACK_SECONDS
    assert outcomes is not None  # the connection was open, so the messages have left
    assert all(outcome.unknown for outcome in outcomes)
    for call in CALLS.values():
        began = monotonic()
        with pytest.raises(TransportUnavailable):
            call(transport)
        assert monotonic() - began < DEADLINE_SECONDS + SLACK_SECONDS

    fragile.server.resume()
    assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
    assert transport.depths(deadline_seconds=PATIENT_SECONDS)["default"].ready >= 2


def test_a_broker_restarted_between_two_publishes_is_not_noticed(
    fragile: FragileLab, transport_to: TransportMaker
) -> None:
    transport = transport_to(fragile.url)
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)

    fragile.server.restart()

    assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
    assert fragile.witness.count("default") == 2


def test_a_killed_broker_is_unavailable_and_used_again_when_it_is_back(
    fragile: FragileLab, transport_to: TransportMaker
) -> None:
    transport = transport_to(fragile.url)
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)

    fragile.server.kill()
    with pytest.raises(TransportUnavailable):
        transport.publish(messages(), deadline_seconds=DEADLINE_SECONDS)
    fragile.server.start()

    assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted


def test_a_wrong_password_is_unavailable_and_says_so_without_it(
    fragile: FragileLab, transport_to: TransportMaker
) -> None:
    parts = urlsplit(fragile.url)
    wrong = parts._replace(netloc=f"{parts.username or ''}:sesame@{parts.hostname}:{parts.port}")
    transport = transport_to(urlunsplit(wrong))

    for call in CALLS.values():
        with pytest.raises(TransportUnavailable, match=r"(?i)password") as caught:
            call(transport)
        assert "sesame" not in str(caught.value)


def _publish(transport: Transport) -> tuple[list[Outcome] | None, float]:
    began = monotonic()
    try:
        return transport.publish(messages([1, 2]), deadline_seconds=DEADLINE_SECONDS), monotonic() - began
    except TransportUnavailable:
        return None, monotonic() - began
