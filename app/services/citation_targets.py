"""Citation targets that are wrong though nobody is about to mend them: found, counted and called for.

Every arrival, change and deletion calls for what it makes wrong; this is for what was lost all the same. To look at a
citation costs a few searches by key, so a slice of the documents is looked at, and the reconciler moves the slice on.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.events.hooks import call_for
from app.models.outbox import OPEN_STATES, DeadLetter, TaskCall, in_state
from app.models.resource import Resource
from app.services import citation_edges, rounds
from app.services.citation_edges import WrongTarget
from app.services.library import Library
from app.tasks.task_names import TaskName

SLICE = 500
"""Documents looked at in one run."""
WRONG_MAX = 1000
"""Wrong targets that are told of in one run."""
LOOKED_AT = "citation_targets_looked_at"
"""Name of the round over the documents, in the order of their ids."""


def count_wrong(session: Session, *, most: int = SLICE) -> int:
    """Wrong targets, `WRONG_MAX` at most, among the `most` documents that the reconciler looks at next."""
    documents = _slice(session, rounds.place(session, LOOKED_AT), most)
    return len(citation_edges.wrong_targets_of(session, documents, limit=WRONG_MAX))


def reconcile(library: Library, *, most: int = SLICE) -> int:
    """Call for the mending of what is wrong in the next `most` documents; for how many documents."""
    with library.database.reader() as session:  # looking takes long, and keeps nobody waiting
        place = rounds.place(session, LOOKED_AT)
        documents = _slice(session, place, most)
        forgotten = _forgotten(session, citation_edges.wrong_targets_of(session, documents, limit=WRONG_MAX))
    with library.work() as unit:
        rounds.move_on(unit.session, LOOKED_AT, place=place, seen=len(documents), most=most)
        unit.enqueue(*(call_for(TaskName.UPDATE_CITATION_GRAPH, str(one)) for one in forgotten))
    return len(forgotten)


def reconcile_all(library: Library, *, most: int = SLICE) -> int:
    """`reconcile` once over all documents."""
    with library.work() as unit:
        rounds.begin(unit.session, LOOKED_AT)
    called = 0
    while True:
        called += reconcile(library, most=most)
        with library.database.reader() as session:
            if rounds.place(session, LOOKED_AT) == 0:
                return called


def _slice(session: Session, place: int, most: int) -> list[UUID]:
    live = select(Resource.id).where(Resource.deleted_at.is_(None)).order_by(Resource.id)
    return list(session.scalars(live.offset(place).limit(most)))


def _forgotten(session: Session, wrong: Sequence[WrongTarget]) -> list[UUID]:
    """The citing documents that no call mends: none of their own, nor of what they are, or should be, aimed at."""
    about = {one for each in wrong for one in (each.source, each.held, each.right) if one is not None}
    task = TaskName.UPDATE_CITATION_GRAPH
    of_task = select(TaskCall.subject).where(TaskCall.subject.in_(about), TaskCall.task == task)
    open_for = set(session.scalars(of_task.where(in_state(*OPEN_STATES))))
    unburied = (DeadLetter.task == task, DeadLetter.closed_at.is_(None))
    dead_for = set(session.scalars(of_task.join(DeadLetter, DeadLetter.call_id == TaskCall.id).where(*unburied)))
    return sorted({one.source for one in wrong if open_for.isdisjoint((one.source, one.held, one.right))} - dead_for)
