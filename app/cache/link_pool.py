"""Link pool: idle links of one process, opened in the background, and the pause after a failure.

A caller never resolves a name, connects or logs in by itself: a daemon thread does, the caller waits
for it no longer than its own deadline, and a link that comes late serves the next caller. After a
failure the cache is left alone for a moment (0.1 s, doubling to 2 s), then a thread tries first.
So a dead server costs a few callers one deadline, not every lookup of every request; and so does one
that answers later than its callers wait, since a link counts only when it answers sooner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Condition, Thread
from time import monotonic

from app.cache.fork import after_fork_in_child
from app.cache.link import LINK_ERRORS, Link, open_link
from app.errors import CacheUnavailable

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
MAX_DIALS = 4
MAX_IDLE = 64


class LinkPool:
    """Links to one URL; thread-safe, and empty again in a forked child.

    `answers_within_seconds`: how long those wait who wait the least; a server that is slower is as good as none.
    `on_return` is called in the thread that found the server answering again after a failure.
    """

    def __init__(self, url: str, *, answers_within_seconds: float, on_return: Callable[[], None]) -> None:
        self._url = url
        self._answers_within_seconds = answers_within_seconds
        self._on_return = on_return
        self._failures = 0
        self._forget()
        after_fork_in_child(self._forget)

    def _forget(self) -> None:
        """Start empty. In a forked child the parent's sockets are closed without a word to the server."""
        self._changed = Condition()
        self._idle: list[Link] = []
        self._waiting = 0
        self._dialling = 0
        self._paused_until: float | None = None
        self._closed = False

    def take(self, *, until: float) -> Link:
        """An idle link before `monotonic()` passes `until`, or `CacheUnavailable`."""
        with self._changed:
            self._waiting += 1
            try:
                return self._wait_for_link(until)
            finally:
                self._waiting -= 1

    def give(self, link: Link) -> None:
        """Return a link that answered."""
        with self._changed:
            self._failures = 0
            self._shelve(link)

    def fail(self, link: Link, *, reason: str) -> None:
        """Close a link that did not answer, and leave the server alone for a while."""
        link.hang_up()
        with self._changed:
            if self._paused_until is None:  # of many that fail together, one counts
                self._pause(reason)

    def close(self) -> None:
        """Close every idle link; a link that is out is closed when it comes back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for link in idle:
            link.hang_up()

    def _wait_for_link(self, until: float) -> Link:
        while True:
            if self._paused_until is not None:
                self._try_after_pause(self._paused_until)
                raise CacheUnavailable("the cache did not answer and is left alone for a moment")
            if self._closed:
                raise CacheUnavailable("the cache client is closed")
            if link := self._pop_quiet():
                return link
            self._dial(wanted=self._waiting)
            left = until - monotonic()
            if left <= 0:
                self._pause("no connection by the deadline")
            elif self._paused_until is None:
                self._changed.wait(left)

    def _pop_quiet(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.is_quiet():
                return link
            link.hang_up()
        return None

    def _shelve(self, link: Link) -> None:
        if self._closed or len(self._idle) >= MAX_IDLE:
            link.hang_up()
            return
        self._idle.append(link)
        self._changed.notify()

    def _pause(self, reason: str) -> None:
        if self._paused_until is None:
            logger.warning("cache unavailable", extra={"reason": reason, "failures": self._failures + 1})
        self._failures += 1
        seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10))
        self._paused_until = monotonic() + seconds
        self._changed.notify_all()

    def _try_after_pause(self, paused_until: float) -> None:
        if monotonic() >= paused_until:
            self._dial(wanted=1)

    def _dial(self, *, wanted: int) -> None:
        if self._dialling >= min(wanted, MAX_DIALS):
            return
        self._dialling += 1
        try:
            Thread(target=self._dial_once, name="cache-dial", daemon=True).start()
        except RuntimeError as error:  # no more threads, or the interpreter is going down
            self._dialling -= 1
            self._pause(str(error))

    def _dial_once(self) -> None:
        try:
            link = open_link(self._url, answers_within_seconds=self._answers_within_seconds)
        except (*LINK_ERRORS, ValueError, TypeError) as error:
            with self._changed:
                self._dialling -= 1
                self._pause(f"{type(error).__name__}: {error}")
            return
        with self._changed:
            self._dialling -= 1
            has_returned = self._paused_until is not None
            self._paused_until = None
            self._shelve(link)
        if has_returned:
            logger.info("cache answers again")
            self._on_return()
