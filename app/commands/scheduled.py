"""`alexandria run-task`: a scheduled task run now, by hand."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from app.commands.address import AsJson
from app.commands.table import print_table
from app.commands.upkeep import require_tables


class Scheduled(StrEnum):
    """What beat calls for, by the names of the tasks."""

    DEGRADATION = "monitor_quality_degradation"
    OUTLIERS = "detect_quality_outliers"
    RETRAINING = "retrain_classification_model"
    CLEANUP = "cleanup_expired_cache"
    RECONCILE = "reconcile_derived_data"


def run_task(
    name: Annotated[Scheduled, typer.Argument(help="Which scheduled task.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Run a scheduled task now, and show what it found.

    Works on the database of DATABASE_URL or DATA_DIR, also while the library runs: doing it twice does no harm.

    Example:  alexandria run-task detect_quality_outliers
    """
    from app.composition import open_library
    from app.services.scheduled_tasks import SCHEDULED
    from app.tasks.task_names import TaskName

    require_tables()
    found = SCHEDULED[TaskName(name)](open_library())
    if as_json:
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        typer.echo(json.dumps({"task": name, "summary": found.summary, "rows": rows}, default=str))
        return
    if found.rows:
        print_table(found.columns, found.rows)
    typer.echo(found.summary)
