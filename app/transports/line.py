"""One guarded connection to a broker: used by one caller at a time, reopened after a loss, cut at the deadline."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread
from time import monotonic
from typing import Generic, Protocol, TypeVar

from app.errors import TransportUnavailable

GRACE_SECONDS = 0.1
"""What a driver gets beyond the deadline to come back by itself before its socket is cut."""


class Session(Protocol):
    """An open connection of some driver."""

    def open(self, until: float) -> None:
        """Connect and log in, best before `until` (monotonic seconds)."""

    def usable(self) -> bool:
        """Whether the next request has a chance; may ask the peer if the connection was idle."""

    def cut(self) -> None:
        """Make a thread that waits for the peer fail at once; callable from another thread."""

    def close(self) -> None:
        """Let go of everything without waiting for the peer; called where no other thread uses it."""


class NotNow(TransportUnavailable):
    """The peer takes nothing at present, but the session is sound and is kept."""


S = TypeVar("S", bound=Session)
R = TypeVar("R")


class Line(Generic[S]):
    """Runs work on a session in a thread of its own and waits no longer than the deadline.

    A thread, because no driver bounds everything: name look-up, a peer that sends one byte a second, a
    send into a full socket buffer. It costs about 0.1 ms, once for a whole batch. A thread that is
    late finds its socket shut and ends; its session is never used again.
    """

    def __init__(
        self,
        place: str,
        new_session: Callable[[], S],
        *,
        errors: tuple[type[Exception], ...],
        explain: Callable[[Exception], str] = str,
    ) -> None:
        self._place = place
        self._new_session = new_session
        self._errors = errors
        self._explain = explain
        self._lock = Lock()
        self._session: S | None = None

    def call(self, work: Callable[[S, float], R], *, deadline_seconds: float) -> R:
        """Return `work(session, until)`; `TransportUnavailable` for a driver's error or at the deadline."""
        until = monotonic() + deadline_seconds
        if not self._lock.acquire(timeout=max(0.0, deadline_seconds)):
            raise TransportUnavailable(f"{self._place}: busy with earlier requests for {deadline_seconds:g} s")
        try:
            attempt = _Attempt(self._session, self._new_session, work, until)
            self._session = None
            attempt.finish(until + GRACE_SECONDS)
            if not attempt.failed:
                self._session = attempt.session
            return attempt.result()
        except self._errors as error:
            raise TransportUnavailable(f"{self._place}: {self._explain(error)}") from error
        except TransportUnavailable as error:
            raise TransportUnavailable(f"{self._place}: {error}") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """Cut the session if nobody is using it; whoever is using it ends by a deadline anyway."""
        if self._lock.acquire(blocking=False):
            try:
                session, self._session = self._session, None
            finally:
                self._lock.release()
            if session is not None:
                session.close()


class _Attempt(Generic[S, R]):
    """One piece of work in its thread."""

    def __init__(
        self, session: S | None, new_session: Callable[[], S], work: Callable[[S, float], R], until: float
    ) -> None:
        self.session = session
        self.failed = False
        self._new_session = new_session
        self._work = work
        self._until = until
        self._late = False
        self._lock = Lock()
        self._done = Event()
        self._results: list[R] = []
        self._error: BaseException | None = None
        Thread(target=self._run, name="broker-call", daemon=True).start()

    def finish(self, until: float) -> None:
        """Wait for the thread until `until`, then cut it off."""
        if self._done.wait(max(0.0, until - monotonic())):
            return
        with self._lock:
            if self._done.is_set():
                return
            self._late = self.failed = True
            session = self.session
        if session is not None:
            session.cut()

    def result(self) -> R:
        """What the work returned or raised."""
        if self._late:
            raise TransportUnavailable("no answer before the deadline")
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work(self._ready_session(), self._until))
        except BaseException as error:  # noqa: BLE001  handed to the caller, in the caller's thread
            self._error = error
            self.failed = self.failed or not isinstance(error, NotNow)
        with self._lock:
            self._done.set()
            useless = self._late or self.failed
        if useless and self.session is not None:
            self.session.close()

    def _ready_session(self) -> S:
        """The session there is, if it can still be used, or a new one."""
        if self.session is not None:
            if self.session.usable():
                return self.session
            self.session.close()
        session = self._new_session()
        with self._lock:
            if self._late:
                raise TransportUnavailable("the deadline had passed before connecting")
            self.session = session
        session.open(self._until)
        return session
