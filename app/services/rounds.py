"""Rounds: long lists that are gone through a slice a run, from the first to the last and then from the first again.

Where a round stands is a counter. What joins or leaves the list meanwhile may move another entry past the slices of
this round: the next one has it.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.events import counters


def place(session: Session, name: str) -> int:
    """How many entries this round has been through."""
    return counters.read(session, name)


def move_on(session: Session, name: str, *, place: int, seen: int, most: int) -> None:
    """`seen` entries from `place` on were looked at; fewer than `most`: the round is over.

    Nothing is moved when another run has done so meanwhile.
    """
    more = seen if seen == most else -place
    if more and counters.count(session, name, 0) == place:  # locks the counter, also one that is new
        counters.count(session, name, more)


def begin(session: Session, name: str) -> None:
    """A new round."""
    counters.forget(session, name)
