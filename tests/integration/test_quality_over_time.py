"""Quality over time on both databases: what fell, what stands out, how scores spread, and what the history keeps."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, select

from app.errors import InvalidInput, NotFound
from app.models.base import new_id, now
from app.models.derived import QualityHistory, QualityScore
from app.models.quality_finding import QualityDegradation, QualityOutlier
from app.models.resource import Resource
from app.services import quality, quality_degradation, quality_outliers, quality_pages, resources, upkeep
from app.services.library import Library
from app.services.quality import DIMENSIONS
from app.services.scheduled_tasks import SCHEDULED, Findings
from app.tasks.task_names import TaskName
from tests.integration.libraries import a_library
from tests.integration.tasks.delivery import Outbox

pytestmark = pytest.mark.integration

WEIGHTS = {"accuracy": 0.3, "completeness": 0.2, "consistency": 0.2, "timeliness": 0.15, "relevance": 0.15}


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


@pytest.fixture
def writes(library: Library) -> Iterator[list[str]]:
    """Every statement that changed a row of a finding."""
    seen: list[str] = []

    def look(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT INTO quality_", "DELETE FROM quality_")) and cursor.rowcount > 0:
            seen.append(statement)

    event.listen(library.database.engine, "after_cursor_execute", look)
    yield seen
    event.remove(library.database.engine, "after_cursor_execute", look)


def days_ago(days: float) -> datetime:
    return now() - timedelta(days=days)


def even(score: float, **changed: float) -> dict[str, float]:
    """All dimensions alike but those named, and their weighted mean."""
    scores = {**dict.fromkeys(DIMENSIONS, score), **changed}
    return {**scores, "overall": sum(scores[name] * WEIGHTS[name] for name in DIMENSIONS)}


def document(library: Library, past: Mapping[float, dict[str, float]], **fields: Any) -> UUID:
    """A resource with these scores, by how many days ago each was given; the last one is in force."""
    resource_id = Outbox(library).resource(**fields)
    with library.database.writer() as session:
        for days, scores in sorted(past.items(), reverse=True):
            score(session, resource_id, scores, at=days_ago(days))
    return resource_id


def score(session: Any, resource_id: UUID, scores: dict[str, float], *, at: datetime) -> None:
    row = session.get(QualityScore, resource_id) or QualityScore(resource_id=resource_id, weights=WEIGHTS)
    for name, value in scores.items():
        setattr(row, name, value)
    row.built_from, row.updated_at = 1, at
    session.add(row)
    session.add(QualityHistory(id=new_id(), resource_id=resource_id, scores=scores, built_from=1, at=at))
    session.flush()


def fallen(library: Library) -> dict[UUID, QualityDegradation]:
    with library.database.reader() as session:
        return {row.resource_id: row for row in session.scalars(select(QualityDegradation))}


def shown(library: Library) -> list[UUID]:
    return [one["resource_id"] for one in quality_pages.degraded(library, limit=50, cursor=None).items]


def test_what_fell_within_the_window_is_found_and_nothing_else(library: Library) -> None:
    fell = document(library, {20: even(0.9), 2: even(0.9, accuracy=0.1)})
    before_the_window = document(library, {60: even(0.9), 3: even(0.6)})  # was in force when the window began
    document(library, {20: even(0.9), 2: even(0.75)})  # not by enough
    document(library, {90: even(0.9), 50: even(0.5), 2: even(0.5)})  # fell before
    document(library, {20: even(0.9), 10: even(0.3), 2: even(0.85)})  # rose again
    document(library, {20: even(0.3), 2: even(0.9)})
    document(library, {20: even(0.9), 2: even(0.2)}, deleted_at=now())

    report = quality_degradation.monitor(library, work=library.work)

    assert set(fallen(library)) == {fell, before_the_window}
    assert (report.examined, report.found, report.changed, report.cleared) == (6, 2, 2, 0)
    row = fallen(library)[fell]
    assert row.overall_from == pytest.approx(0.9)
    assert row.overall_to == pytest.approx(0.66)
    assert row.fell == pytest.approx(0.24)
    assert [part["name"] for part in row.dimensions] == ["accuracy"]
    assert abs((row.from_at - days_ago(20)).total_seconds()) < 60
    assert abs((row.to_at - days_ago(2)).total_seconds()) < 60
    assert shown(library) == [before_the_window, fell]


def test_a_second_run_writes_nothing(library: Library, writes: list[str]) -> None:
    document(library, {20: even(0.9), 2: even(0.5)})
    quality_degradation.monitor(library, work=library.work)
    assert writes
    writes.clear()

    report = quality_degradation.monitor(library, work=library.work)

    assert (report.found, report.changed, report.cleared) == (1, 0, 0)
    assert writes == []


def test_recovery_is_shown_at_once_and_cleared_by_the_next_run(library: Library) -> None:
    one = document(library, {20: even(0.9), 2: even(0.5)})
    other = document(library, {20: even(0.9), 2: even(0.4)})
    quality_degradation.monitor(library, work=library.work)
    with library.database.writer() as session:
        score(session, one, even(0.85), at=now())

    assert shown(library) == [other]
    report = quality_degradation.monitor(library, work=library.work)

    assert (report.found, report.changed, report.cleared) == (1, 0, 1)
    assert set(fallen(library)) == {other}


def test_a_document_that_is_deleted_is_degraded_no_more(library: Library) -> None:
    one = document(library, {20: even(0.9), 2: even(0.5)})
    quality_degradation.monitor(library, work=library.work)

    resources.delete(library, one)

    assert shown(library) == []
    assert quality_degradation.monitor(library, work=library.work).cleared == 1
    assert fallen(library) == {}


def many(library: Library, count: int, *, language: str, centre: float) -> None:
    """Documents that are alike, in one transaction."""
    chosen, at = random.Random(count), days_ago(1)
    spread = [{name: centre + chosen.uniform(-0.05, 0.05) for name in DIMENSIONS} for _ in range(count)]
    ids = [new_id() for _ in spread]
    with library.database.writer() as session:
        session.add_all(Resource(id=one, title="Alike", content_version=1, language=language) for one in ids)
        session.flush()
        for one, scores in zip(ids, spread, strict=True):
            session.add(
                QualityScore(resource_id=one, weights=WEIGHTS, overall=centre, built_from=1, updated_at=at, **scores)
            )


def outlying(library: Library) -> dict[UUID, QualityOutlier]:
    with library.database.reader() as session:
        return {row.resource_id: row for row in session.scalars(select(QualityOutlier))}


def test_a_document_far_below_those_of_its_language_stands_out_with_its_reasons(
    library: Library, writes: list[str]
) -> None:
    many(library, 30, language="en", centre=0.8)
    many(library, 30, language="fr-CA", centre=0.4)  # low, as is usual there
    odd = document(library, {1: even(0.8, accuracy=0.1, relevance=0.3)}, language="en-GB")
    odd_in_french = document(library, {1: even(0.4, consistency=0.05)}, language="fr")

    report = quality_outliers.detect(library, work=library.work)

    assert (report.examined, report.found, report.changed, report.needed) == (62, 2, 2, None)
    found = outlying(library)
    assert set(found) == {odd, odd_in_french}
    first, second = found[odd].reasons
    assert first.startswith("accuracy 0.10 is ")
    assert first.endswith("the median of 31 documents in this language (en)")
    assert second.startswith("relevance 0.30 is ")
    assert found[odd_in_french].compared_with == "fr"
    writes.clear()
    assert quality_outliers.detect(library, work=library.work).changed == 0
    assert writes == []


def test_with_too_few_documents_it_says_so_and_judges_nothing(library: Library) -> None:
    document(library, {1: even(0.1)})
    many(library, 3, language="en", centre=0.8)

    report = quality_outliers.detect(library, work=library.work)

    assert (report.examined, report.found, report.needed) == (4, 0, 30)
    assert "at least 30 are needed" in SCHEDULED[TaskName.DETECT_OUTLIERS](library).summary


def test_an_outlier_that_was_mended_is_marked_and_then_cleared(library: Library) -> None:
    many(library, 30, language="en", centre=0.8)
    odd = document(library, {1: even(0.8, accuracy=0.1)}, language="en")
    quality_outliers.detect(library, work=library.work)
    [listed] = quality_pages.outlying(library, limit=10, cursor=None).items
    assert (listed["resource_id"], listed["is_current"]) == (odd, True)
    with library.database.writer() as session:
        score(session, odd, even(0.8), at=now())

    assert [one["is_current"] for one in quality_pages.outlying(library, limit=10, cursor=None).items] == [False]
    assert quality_outliers.detect(library, work=library.work).cleared == 1
    assert outlying(library) == {}


def test_the_history_keeps_the_newest_and_what_degradation_needs(library: Library) -> None:
    def kept(resource_id: UUID) -> list[float]:
        with library.database.reader() as session:
            rows = session.scalars(select(QualityHistory).where(QualityHistory.resource_id == resource_id)).all()
        return sorted(row.scores["overall"] for row in rows)

    quiet = document(library, {900: even(0.1), 800: even(0.2)})
    edited = document(library, {900: even(0.1), 800: even(0.9), 5: even(0.4)})
    busy = document(library, {900: even(0.1), 800: even(0.2), 100: even(0.3), 5: even(0.4)})

    removed = upkeep.clean_up(library, work=library.work)

    assert removed["old scores"] == 4
    assert kept(quiet) == [pytest.approx(0.2)]
    assert kept(edited) == [pytest.approx(0.4), pytest.approx(0.9)]
    assert kept(busy) == [pytest.approx(0.3), pytest.approx(0.4)]
    quality_degradation.monitor(library, work=library.work)
    assert set(fallen(library)) == {edited}


def test_the_distribution_counts_every_live_score_once(library: Library) -> None:
    for value in (0.0, 0.05, 0.31, 0.32, 0.5, 0.999, 1.0):
        document(library, {1: even(value)}, language="en")
    document(library, {1: even(0.7)}, language="fr")
    document(library, {1: even(0.7)}, deleted_at=now())

    spread = quality_pages.distribution(library, language=None)
    english = quality_pages.distribution(library, language="en")["overall"]

    assert set(spread) == {*DIMENSIONS, "overall"}
    assert spread["accuracy"].histogram == [2, 0, 0, 2, 0, 1, 0, 1, 0, 2]
    assert english.count == sum(english.histogram) == 7
    assert english.quantiles == {"0.05": 0.0, "0.25": 0.05, "0.5": 0.32, "0.75": 0.999, "0.95": 1.0}
    nothing = quality_pages.distribution(library, language="xx")["overall"]
    assert (nothing.count, nothing.mean, set(nothing.quantiles.values())) == (0, None, {None})


def test_lists_are_cut_into_pages_that_neither_repeat_nor_skip(library: Library) -> None:
    wanted = {document(library, {20: even(0.9), 2: even(low)}) for low in (0.1, 0.2, 0.2, 0.2, 0.3)}
    quality_degradation.monitor(library, work=library.work)

    seen, cursor = [], None
    while True:
        page = quality_pages.degraded(library, limit=2, cursor=cursor)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break

    assert len(seen) == len(wanted)
    assert {one["resource_id"] for one in seen} == wanted
    assert [one["fell"] for one in seen] == sorted((one["fell"] for one in seen), reverse=True)
    with pytest.raises(InvalidInput):
        quality_pages.degraded(library, limit=2, cursor="no cursor")


def test_each_score_that_was_given_is_in_the_history_of_its_document(library: Library) -> None:
    one = Outbox(library).resource()
    for text in ("A first text.", "A second text, of more words than the first one."):
        resources.update(library, one, {"content": text})
        quality.recompute(library, one, work=library.work)

    first = quality_pages.history(library, one, limit=1, cursor=None)
    second = quality_pages.history(library, one, limit=1, cursor=first.next_cursor)

    assert [row.built_from for row in (*first.items, *second.items)] == [3, 2]
    assert second.next_cursor is None
    with pytest.raises(NotFound):
        quality_pages.history(library, new_id(), limit=1, cursor=None)


@pytest.mark.parametrize("name", list(SCHEDULED))
def test_two_runs_at_once_find_what_one_finds(library: Library, name: TaskName) -> None:
    fell = {document(library, {900: even(0.9), 20: even(0.9), 2: even(0.4)}, language="en") for _ in range(3)}
    many(library, 30, language="en", centre=0.9)
    both = threading.Barrier(2)

    def run(_: int) -> Findings:
        both.wait(timeout=30)
        return SCHEDULED[name](library)

    with ThreadPoolExecutor(2) as executor:
        found = list(executor.map(run, range(2)))

    if name in {TaskName.MONITOR_DEGRADATION, TaskName.DETECT_OUTLIERS}:
        assert [{row[0] for row in one.rows} for one in found] == [fell, fell]
        assert set(fallen(library) if name is TaskName.MONITOR_DEGRADATION else outlying(library)) == fell
    SCHEDULED[name](library)


def test_run_by_hand_they_say_what_they_found(library: Library) -> None:
    one = document(library, {20: even(0.9), 2: even(0.9, accuracy=0.1)}, title="A paper that fell")

    found = SCHEDULED[TaskName.MONITOR_DEGRADATION](library)
    cleaned = SCHEDULED[TaskName.CLEANUP](library)
    reconciled = SCHEDULED[TaskName.RECONCILE](library)

    assert found.rows == [(one, "A paper that fell", "0.90", "0.66", "accuracy 0.90 → 0.10")]
    assert found.summary.startswith("1 of 1 documents fell by more than 0.2 within 30 days (1 new")
    assert ("old scores", 0) in cleaned.rows
    assert ("search index", 1) in reconciled.rows
    with library.database.reader() as session:
        assert session.get_one(Resource, one).title == "A paper that fell"
