"""Vectors: the passages of every resource as one matrix in this process, brought up to date before each search.

Memory: `4 * dimension` bytes a passage (1.5 KiB for 384), in blocks, so that growth copies nothing. Rows are
only ever appended; a resource that changed gets new rows and its old ones are dead until a quarter of all
rows is, and then the matrix is read anew. Searches work on a snapshot and are never blocked by each other.
"""

from __future__ import annotations

import os
from collections.abc import Set
from dataclasses import dataclass, field, replace
from threading import Lock
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models.derived import Embedding

BLOCK_ROWS = 8192
DEAD_SHARE_MAX = 0.25
_READ_ROWS = 2000

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A resource near a vector: the cosine of its best passage, and which of its passages that is (from 0)."""

    resource_id: UUID
    score: float
    passage: int
    passage_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """Rows 0..rows of the blocks; group g is rows starts[g]..starts[g + 1] of one resource, dead or alive."""

    model_id: str
    dimension: int
    blocks: tuple[Floats, ...] = ()
    rows: int = 0
    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    alive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    ids: tuple[UUID, ...] = ()
    group_of: dict[UUID, int] = field(default_factory=dict)
    dead_rows: int = 0
    change: int = 0


class Vectors:
    """The matrix of one model. Safe to share between threads; a forked child goes on with its own copy."""

    def __init__(self, *, model_id: str, dimension: int) -> None:
        self._empty = self._snapshot = _Snapshot(model_id=model_id, dimension=dimension)
        self._lock = Lock()
        os.register_at_fork(after_in_child=self._unlock_in_child)

    @property
    def passages(self) -> int:
        """Rows in force."""
        return self._snapshot.rows - self._snapshot.dead_rows

    def refresh(self, session: Session) -> None:
        """Take in what was committed since the last call: one indexed read when nothing was.

        Rows of other models are left out.
        """
        newest = session.scalar(select(func.max(Embedding.change))) or 0
        if newest == self._snapshot.change:
            return
        with self._lock:
            snapshot = self._snapshot
            if newest < snapshot.change:  # another database, or an older copy of this one
                snapshot = self._empty
            snapshot = _read_on(session, snapshot)
            if snapshot.dead_rows > DEAD_SHARE_MAX * snapshot.rows:
                snapshot = _read_on(session, self._empty)
            self._snapshot = snapshot

    def nearest(self, vector: Floats, *, limit: int, allowed: Set[UUID] | None = None) -> list[Near]:
        """The nearest resources (of `allowed`, if given), best first; equal ones in order of id.

        `vector`: shape (dimension,), unit length. A resource is as near as its nearest passage.
        """
        snapshot = self._snapshot
        if not snapshot.rows or limit < 1:
            return []
        scores = np.concatenate([block @ vector for block in _filled(snapshot)])
        best = np.maximum.reduceat(scores, snapshot.starts)
        best[~_admitted(snapshot, allowed)] = -np.inf
        count = min(limit, int(np.isfinite(best).sum()))
        top = np.argpartition(-best, count - 1)[:count] if count else np.zeros(0, np.int64)
        ends = np.append(snapshot.starts[1:], snapshot.rows)
        found = [
            Near(
                resource_id=snapshot.ids[group],
                score=float(best[group]),
                passage=int(np.argmax(scores[snapshot.starts[group] : ends[group]])),
                passage_count=int(ends[group] - snapshot.starts[group]),
            )
            for group in top
        ]
        return sorted(found, key=lambda near: (-near.score, near.resource_id))

    def _unlock_in_child(self) -> None:
        self._lock = Lock()


def _read_on(session: Session, snapshot: _Snapshot) -> _Snapshot:
    """The snapshot with every row that is newer than it."""
    columns = (Embedding.resource_id, Embedding.model_id, Embedding.dim, Embedding.passage_count)
    newer = (
        select(*columns, Embedding.passages, Embedding.change)
        .where(Embedding.change > snapshot.change)
        .order_by(Embedding.change)
        .execution_options(yield_per=_READ_ROWS)
    )
    for rows in session.execute(newer).partitions():
        fresh: dict[UUID, Floats | None] = {}
        for row in rows:
            usable = row.passage_count > 0 and (row.model_id, row.dim) == (snapshot.model_id, snapshot.dimension)
            fresh[row.resource_id] = _decoded(row.passages, snapshot.dimension) if usable else None
        snapshot = _appended(snapshot, fresh, change=rows[-1].change)
    return snapshot


def _decoded(passages: bytes, dimension: int) -> Floats:
    return np.frombuffer(passages, dtype="<f2").reshape(-1, dimension).astype(np.float32)


def _admitted(snapshot: _Snapshot, allowed: Set[UUID] | None) -> NDArray[np.bool_]:
    if allowed is None:
        return snapshot.alive
    groups = [group for one in allowed if (group := snapshot.group_of.get(one)) is not None]
    mask = np.zeros(len(snapshot.ids), np.bool_)
    mask[groups] = True
    return mask & snapshot.alive


def _filled(snapshot: _Snapshot) -> list[Floats]:
    left = snapshot.rows
    return [block[: left - index * BLOCK_ROWS] for index, block in enumerate(snapshot.blocks)]


def _appended(snapshot: _Snapshot, fresh: dict[UUID, Floats | None], *, change: int) -> _Snapshot:
    """The snapshot with the old rows of these resources dead and their new ones at the end."""
    gone = [group for one in fresh if (group := snapshot.group_of.get(one)) is not None]
    added = {one: rows for one, rows in fresh.items() if rows is not None}
    sizes = np.array([len(rows) for rows in added.values()], dtype=np.int64)
    starts = snapshot.rows + np.cumsum(sizes) - sizes
    alive = np.append(snapshot.alive, np.ones(len(added), np.bool_))
    alive[gone] = False
    ends = np.append(snapshot.starts[1:], snapshot.rows)
    first = len(snapshot.ids)
    group_of = {one: group for one, group in snapshot.group_of.items() if one not in fresh}
    group_of.update((one, first + place) for place, one in enumerate(added))
    return replace(
        snapshot,
        blocks=_written(snapshot, list(added.values())),
        rows=snapshot.rows + int(sizes.sum()),
        starts=np.append(snapshot.starts, starts),
        alive=alive,
        ids=(*snapshot.ids, *added),
        group_of=group_of,
        dead_rows=snapshot.dead_rows + int((ends[gone] - snapshot.starts[gone]).sum()),
        change=change,
    )


def _written(snapshot: _Snapshot, pieces: list[Floats]) -> tuple[Floats, ...]:
    """Blocks with the pieces behind the rows in force: no older snapshot looks there."""
    blocks, row = list(snapshot.blocks), snapshot.rows
    for piece in pieces:
        written = 0
        while written < len(piece):
            if row == len(blocks) * BLOCK_ROWS:
                blocks.append(np.zeros((BLOCK_ROWS, snapshot.dimension), np.float32))
            at = row % BLOCK_ROWS
            take = min(len(piece) - written, BLOCK_ROWS - at)
            blocks[-1][at : at + take] = piece[written : written + take]
            written += take
            row += take
    return tuple(blocks)
