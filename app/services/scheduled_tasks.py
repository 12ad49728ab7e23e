"""Scheduled tasks, as one table: each run by hand, through the unit of work of any call, and what it found.

For people: `alexandria run-task`. A run by hand and a tick at the same time do no harm, as two ticks would not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.services import (
    batch_tending,
    citation_targets,
    classifier_training,
    consistency,
    profiles,
    quality_degradation,
    quality_outliers,
    quality_pages,
    upkeep,
)
from app.services.library import Library
from app.tasks.task_names import TaskName

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """One sentence, and a table of at most `SHOWN_MAX` rows."""

    summary: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


def monitor_degradation(library: Library) -> Findings:
    """Which documents fell."""
    report = quality_degradation.monitor(library, work=library.work)
    settings = library.settings
    page = quality_pages.degraded(library, limit=SHOWN_MAX, cursor=None)
    return Findings(
        summary=f"{report.found} of {report.examined} documents fell by more than "
        f"{settings.quality_degradation_drop:g} within {settings.quality_degradation_days} days "
        f"({report.changed} new or changed, {report.cleared} fell no more)",
        columns=("document", "title", "from", "to", "fell"),
        rows=[_fall(one) for one in page.items],
    )


def detect_outliers(library: Library) -> Findings:
    """Which documents stand out."""
    report = quality_outliers.detect(library, work=library.work)
    columns = ("document", "title", "why")
    if report.needed is not None:
        summary = f"{report.examined} documents have a score; at least {report.needed} are needed to tell outliers"
        return Findings(summary=summary, columns=columns, rows=[])
    page = quality_pages.outlying(library, limit=SHOWN_MAX, cursor=None)
    return Findings(
        summary=f"{report.found} of {report.examined} documents score far below their like "
        f"({report.changed} new or changed, {report.cleared} stand out no more)",
        columns=columns,
        rows=[(one["resource_id"], one["title"], "; ".join(one["reasons"])) for one in page.items],
    )


def retrain_classifier(library: Library) -> Findings:
    """Whether there is a better model."""
    report = classifier_training.retrain(library, work=library.work)
    summary = report.sentence(needed=library.settings.classification_min_labels)
    columns = ("classifier", "right", "log loss", "calibration error")
    measured = (("the new one", report.model), (report.in_force_name, report.in_force))
    return Findings(
        summary=summary,
        columns=columns,
        rows=[
            (name, f"{one.accuracy:.1%}", f"{one.log_loss:.3f}", f"{one.calibration_error:.3f}")
            for name, one in measured
            if one is not None
        ],
    )


def clean_up(library: Library) -> Findings:
    """What was past its retention."""
    removed = upkeep.clean_up(library, work=library.work)
    return Findings(
        summary=f"{sum(removed.values())} rows were past their retention and are removed",
        columns=("what", "removed"),
        rows=list(removed.items()),
    )


def reconcile(library: Library) -> Findings:
    """What was stale and forgotten."""
    revived = batch_tending.revive(library)
    called = consistency.reconcile(embedding_model=library.embedding_model, work=library.work)
    found = {**{kind.replace("_", " "): count for kind, count in called.items()}, "batches": revived}
    found["profiles"] = profiles.reconcile(library)
    found["citation targets"] = citation_targets.reconcile(library)
    return Findings(
        summary=f"{sum(found.values())} rebuilds and batches had no call, and have one now",
        columns=("what", "called for"),
        rows=list(found.items()),
    )


def _fall(one: dict[str, Any]) -> tuple[object, ...]:
    fell = ", ".join(f"{part['name']} {part['from']:.2f} → {part['to']:.2f}" for part in one["dimensions"])
    return (one["resource_id"], one["title"], f"{one['overall_from']:.2f}", f"{one['overall_to']:.2f}", fell)


SCHEDULED: Mapping[TaskName, Callable[[Library], Findings]] = {
    TaskName.MONITOR_DEGRADATION: monitor_degradation,
    TaskName.DETECT_OUTLIERS: detect_outliers,
    TaskName.RETRAIN_CLASSIFIER: retrain_classifier,
    TaskName.CLEANUP: clean_up,
    TaskName.RECONCILE: reconcile,
}
