"""One guarded connection, with a driver made for the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic

import pytest

from app.errors import TransportUnavailable
from app.transports.line import GRACE_SECONDS, Line, NotNow
from chaos.polling import poll_until


@dataclass
class FakeSession:
    """Notes what happens to it; `stuck` blocks like a socket whose peer is silent, until it is cut."""

    alive: bool = True
    open_blocks: bool = False
    events: list[str] = field(default_factory=list)
    was_cut: Event = field(default_factory=Event)

    def open(self, until: float) -> None:
        self.events.append("open")
        if self.open_blocks:
            self.stuck()

    def usable(self) -> bool:
        return self.alive

    def cut(self) -> None:
        self.events.append("cut")
        self.was_cut.set()

    def close(self) -> None:
        self.events.append("close")

    def stuck(self) -> None:
        self.was_cut.wait(10)
        raise ConnectionResetError("socket was shut")


class Driver:
    """Hands out sessions and remembers them."""

    def __init__(self, *sessions: FakeSession) -> None:
        self.sessions = list(sessions)
        self.handed_out: list[FakeSession] = []

    def __call__(self) -> FakeSession:
        self.handed_out.append(self.sessions.pop(0) if self.sessions else FakeSession())
        return self.handed_out[-1]


def line_of(driver: Driver) -> Line[FakeSession]:
    return Line("fake:1", driver, errors=(OSError,))


def test_work_gets_an_open_session_and_its_result_comes_back() -> None:
    driver = Driver()
    line = line_of(driver)

    assert line.call(lambda session, _: list(session.events), deadline_seconds=5) == ["open"]
    assert line.call(lambda session, _: session, deadline_seconds=5) is driver.handed_out[0]
    assert len(driver.handed_out) == 1


def test_stuck_work_is_cut_at_the_deadline_and_its_session_never_used_again() -> None:
    driver = Driver()
    line = line_of(driver)
    began = monotonic()

    with pytest.raises(TransportUnavailable, match=r"fake:1: no answer before the deadline"):
        line.call(lambda session, _: session.stuck(), deadline_seconds=0.1)

    assert monotonic() - began < 0.1 + GRACE_SECONDS + 0.3
    poll_until(
        lambda: driver.handed_out[0].events == ["open", "cut", "close"], within_seconds=5, what="the session is let go"
    )
    assert line.call(lambda session, _: session, deadline_seconds=5) is driver.handed_out[1]


def test_a_session_that_gets_stuck_opening_is_cut_too() -> None:
    driver = Driver(FakeSession(open_blocks=True))
    line = line_of(driver)
    started = Event()

    with pytest.raises(TransportUnavailable):
        line.call(lambda *_: started.set(), deadline_seconds=0.1)

    poll_until(lambda: "close" in driver.handed_out[0].events, within_seconds=5, what="the session is let go")
    assert not started.is_set()


def test_a_driver_s_error_becomes_unavailable_and_costs_the_session() -> None:
    driver = Driver()
    line = line_of(driver)

    def lose(session: FakeSession, _until: float) -> None:
        raise ConnectionResetError("reset by peer")

    with pytest.raises(TransportUnavailable, match="fake:1: reset by peer") as caught:
        line.call(lose, deadline_seconds=5)
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    assert driver.handed_out[0].events == ["open", "close"]


def test_a_refusal_for_now_keeps_the_session() -> None:
    driver = Driver()
    line = line_of(driver)

    def refuse(session: FakeSession, _until: float) -> None:
        raise NotNow("memory alarm")

    with pytest.raises(TransportUnavailable, match="fake:1: memory alarm"):
        line.call(refuse, deadline_seconds=5)
    assert line.call(lambda session, _: session, deadline_seconds=5) is driver.handed_out[0]


def test_an_error_that_is_not_the_driver_s_comes_out_as_it_is() -> None:
    def mistake(session: FakeSession, _until: float) -> float:
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        line_of(Driver()).call(mistake, deadline_seconds=5)


def test_a_session_that_the_peer_closed_is_replaced_before_work() -> None:
    driver = Driver()
    line = line_of(driver)
    line.call(lambda *_: None, deadline_seconds=5)
    driver.handed_out[0].alive = False

    assert line.call(lambda session, _: session, deadline_seconds=5) is driver.handed_out[1]
    assert driver.handed_out[0].events == ["open", "close"]


def test_waiting_for_another_caller_counts_against_the_deadline() -> None:
    line = line_of(Driver())
    entered, leave = Event(), Event()

    def hold(session: FakeSession, _until: float) -> None:
        entered.set()
        leave.wait(10)

    holder = Thread(target=lambda: line.call(hold, deadline_seconds=10))
    holder.start()
    entered.wait(5)
    began = monotonic()
    with pytest.raises(TransportUnavailable, match="busy"):
        line.call(lambda *_: None, deadline_seconds=0.1)
    assert monotonic() - began < 1
    leave.set()
    holder.join(5)
    assert not holder.is_alive()


def test_closing_lets_go_once() -> None:
    driver = Driver()
    line = line_of(driver)
    line.call(lambda *_: None, deadline_seconds=5)

    line.close()
    line.close()

    assert driver.handed_out[0].events == ["open", "close"]
