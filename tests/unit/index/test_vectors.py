"""The matrix of passages: always what the table says, as new as the last commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from app.index import vectors as vectors_module
from app.index.vectors import BLOCK_ROWS, Vectors
from app.models.base import Base
from app.models.derived import Embedding
from app.models.resource import Resource

MODEL, DIMENSION = "model/1", 4
AXES = np.eye(DIMENSION, dtype=np.float32)


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(
        engine, tables=[Resource.metadata.tables["resources"], Embedding.metadata.tables["embeddings"]]
    )
    with Session(engine) as session:
        yield session
    engine.dispose()


class Table:
    """Writes embeddings as the service does: every write moves the counter."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.change = 0

    def put(self, one: UUID, rows: np.ndarray, *, model: str = MODEL) -> None:
        self.change += 1
        row = Embedding(
            resource_id=one,
            model_id=model,
            dim=DIMENSION,
            vector=b"",
            passage_count=len(rows),
            passages=rows.astype("<f2").tobytes(),
            built_from=1,
            change=self.change,
        )
        self.session.merge(row)
        self.session.commit()


def found(vectors: Vectors, vector: np.ndarray, *, limit: int = 10, allowed: set[UUID] | None = None) -> list[UUID]:
    return [near.resource_id for near in vectors.nearest(vector, limit=limit, allowed=allowed)]


def test_a_resource_is_as_near_as_its_nearest_passage(session: Session) -> None:
    table, vectors = Table(session), Vectors(model_id=MODEL, dimension=DIMENSION)
    table.put(UUID(int=1), AXES[[0, 2]])
    table.put(UUID(int=2), (AXES[[0]] + AXES[[1]]) / np.sqrt(2))

    vectors.refresh(session)
    near = vectors.nearest(AXES[2], limit=5)

    assert [(one.resource_id, one.passage) for one in near] == [(UUID(int=1), 1), (UUID(int=2), 0)]
    assert near[0].score == pytest.approx(1.0, abs=1e-3)


def test_an_empty_table_has_nothing_near(session: Session) -> None:
    vectors = Vectors(model_id=MODEL, dimension=DIMENSION)
    vectors.refresh(session)

    assert vectors.nearest(AXES[0], limit=5) == []


def test_only_allowed_resources_are_given(session: Session) -> None:
    table, vectors = Table(session), Vectors(model_id=MODEL, dimension=DIMENSION)
    for number in range(1, 4):
        table.put(UUID(int=number), AXES[[0]])
    vectors.refresh(session)

    assert found(vectors, AXES[0], allowed={UUID(int=2), UUID(int=9)}) == [UUID(int=2)]
    assert found(vectors, AXES[0], limit=2) == [UUID(int=1), UUID(int=2)]


def test_rows_of_other_models_are_ignored_and_displace_ours(session: Session) -> None:
    table, vectors = Table(session), Vectors(model_id=MODEL, dimension=DIMENSION)
    table.put(UUID(int=1), AXES[[0]])
    table.put(UUID(int=2), AXES[[0]], model="other/1")
    vectors.refresh(session)
    assert found(vectors, AXES[0]) == [UUID(int=1)]

    table.put(UUID(int=1), AXES[[0]], model="other/1")
    vectors.refresh(session)

    assert found(vectors, AXES[0]) == []


def test_a_database_restored_from_an_older_copy_is_read_anew(session: Session) -> None:
    table, vectors = Table(session), Vectors(model_id=MODEL, dimension=DIMENSION)
    table.put(UUID(int=1), AXES[[0]])
    table.put(UUID(int=2), AXES[[0]])
    vectors.refresh(session)
    session.execute(delete(Embedding).where(Embedding.resource_id == UUID(int=2)))
    session.commit()

    vectors.refresh(session)

    assert found(vectors, AXES[0]) == [UUID(int=1)]


def test_passages_may_span_blocks(session: Session) -> None:
    table, vectors = Table(session), Vectors(model_id=MODEL, dimension=DIMENSION)
    table.put(UUID(int=1), np.repeat(AXES[[0]], BLOCK_ROWS - 1, axis=0))
    table.put(UUID(int=2), np.concatenate([AXES[[1]], AXES[[2]], AXES[[3]]]))

    vectors.refresh(session)

    assert vectors.passages == BLOCK_ROWS + 2
    assert [(near.resource_id, near.passage) for near in vectors.nearest(AXES[3], limit=1)] == [(UUID(int=2), 2)]


def test_a_forked_child_searches_and_refreshes_on_its_own(session: Session) -> None:
    table, vectors = Table(session), Vectors(model_id=MODEL, dimension=DIMENSION)
    table.put(UUID(int=1), AXES[[0]])
    vectors.refresh(session)
    table.put(UUID(int=2), AXES[[1]])

    with vectors._lock:  # held by a thread that the child will not have
        pid = os.fork()
        if pid == 0:
            vectors.refresh(session)
            os._exit(0 if set(found(vectors, AXES[1])) == {UUID(int=1), UUID(int=2)} else 1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0


STEPS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3), st.booleans(), st.booleans()), max_size=40)


@given(STEPS)
def test_after_any_changes_the_matrix_is_the_table(steps: list[tuple[int, int, bool, bool]]) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(
        engine, tables=[Resource.metadata.tables["resources"], Embedding.metadata.tables["embeddings"]]
    )
    random = np.random.default_rng(len(steps))
    with Session(engine) as session:
        table, vectors = Table(session), Vectors(model_id=MODEL, dimension=DIMENSION)
        expected: dict[UUID, np.ndarray] = {}
        for number, passages, ours, look in steps:
            rows = random.normal(size=(passages, DIMENSION)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            table.put(UUID(int=number), rows, model=MODEL if ours else "other/1")
            expected.pop(UUID(int=number), None)
            if passages and ours:
                expected[UUID(int=number)] = rows.astype(np.float16).astype(np.float32)
            if look:
                vectors.refresh(session)
        vectors.refresh(session)
        near = {one.resource_id: one.score for one in vectors.nearest(AXES[0], limit=100)}
    engine.dispose()

    assert near == pytest.approx({one: float((rows @ AXES[0]).max()) for one, rows in expected.items()})
    assert vectors.passages == sum(len(rows) for rows in expected.values())
    assert vectors_module.DEAD_SHARE_MAX * vectors._snapshot.rows >= vectors._snapshot.dead_rows
