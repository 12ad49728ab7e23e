"""The owner of messages: a worker process, for as long as it lives, whatever happens to its connections."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from threading import Lock
from uuid import uuid4


class How(StrEnum):
    """How a message is settled, in the words of the scripts."""

    ACKNOWLEDGE = "a"
    GIVE_BACK = "r"
    REJECT = "d"


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one message, for the claim it came from: sent twice, it is one."""

    how: How
    tag: str
    fence: str


class Owner:
    """What one process holds, and what it has settled but not yet told. Safe to use from several threads."""

    def __init__(self) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}"
        self.tell: Callable[[], None] = lambda: None
        self._held: dict[str, str] = {}
        self._untold: deque[Settlement] = deque()
        self._unread: set[int] = set()
        self._claims = count(1)
        self._lock = Lock()

    @property
    def channel(self) -> str:
        """Where it listens, so that everyone can see it live."""
        return f"unacked_owner:{self.id}"

    def held(self) -> dict[str, str]:
        """The messages in its memory: tag -> fence of the claim that it knows of."""
        with self._lock:
            return dict(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def new_claim(self) -> int:
        """The number of the next claim."""
        return next(self._claims)

    def hold(self, tag: str, *, claim: int) -> None:
        """A message of this claim has arrived."""
        with self._lock:
            self._held[tag] = f"{self.id}|{claim}"

    def settle(self, tag: str, how: How) -> None:
        """End a message, from any thread; one that is not held (any more) is nobody's business."""
        with self._lock:
            fence = self._held.pop(tag, None)
            if fence is None:
                return
            self._untold.append(Settlement(how, tag, fence))
        self.tell()

    @property
    def has_untold(self) -> bool:
        """Whether settlements wait to be told to the server."""
        return bool(self._untold)

    def take_untold(self) -> list[Settlement]:
        """The settlements to tell now. Whoever takes them tells them, or puts them back."""
        with self._lock:
            taken = list(self._untold)
            self._untold.clear()
        return taken

    def put_back(self, settlements: Iterable[Settlement]) -> None:
        """Nobody knows whether the server heard these: they are told again."""
        with self._lock:
            self._untold.extendleft(settlements)

    def lose(self, fences: Mapping[str, str]) -> int:
        """These were taken over meanwhile; returns how many it still thought its own.

        A message may have gone round and come back by a newer claim, which is not lost.
        """
        with self._lock:
            lost = [tag for tag, fence in fences.items() if self._held.get(tag) == fence]
            for tag in lost:
                del self._held[tag]
        return len(lost)

    def never_read(self, claim: int) -> None:
        """The answer of this claim never came: whatever it took goes back."""
        with self._lock:
            self._unread.add(claim)

    def unread_claims(self) -> list[int]:
        """Claims whose answer never came."""
        with self._lock:
            return sorted(self._unread)

    def forget_claims(self, claims: Iterable[int]) -> None:
        """What these claims took has gone back."""
        with self._lock:
            self._unread.difference_update(claims)


def told(settlements: Iterable[Settlement]) -> list[str | int]:
    """Settlements as the scripts take them: their number, then three words each."""
    words: list[str | int] = []
    for one in settlements:
        words += (one.how.value, one.tag, one.fence)
    return [len(words) // 3, *words]
