"""Commands about the classifier; they work on the database of DATABASE_URL or DATA_DIR."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.address import AsJson

if TYPE_CHECKING:
    from app.models.classification import ModelVersion
    from app.services.library import Library

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="As `classifier list` shows it.")]


def retrain(as_json: AsJson = False) -> None:
    """Train a model from what people decided, and put it in force unless the one in force does better.

    What the monthly task does, now and in this process. A fifth of the decided documents judge both.

    Example:  alexandria classifier retrain
    """
    from dataclasses import asdict

    from app.services.classifier_training import retrain as train

    library = _library()
    report = train(library, work=library.work)
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    typer.echo(report.sentence(needed=library.settings.classification_min_labels))


def list_models(
    as_json: AsJson = False, limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")] = 20
) -> None:
    """List the trained models, the newest first, and say what classifies now.

    Example:  alexandria classifier list
    """
    from app.commands.table import print_table
    from app.services import classifiers

    library = _library()
    with library.database.reader() as session:
        models = [_plain(one) for one in classifiers.newest(session, limit=limit)]
        name = classifiers.name_in_force(session, library.embedding_model)
    if as_json:
        typer.echo(json.dumps({"in_force": name, "items": models}))
        return
    columns = ("number", "outcome", "is_active", "documents", "accuracy", "log_loss", "calibration_error", "created_at")
    print_table(columns, [tuple(_cell(one, column) for column in columns) for one in models])
    typer.echo(f"in force: {name}")


def show_model(number: Number, as_json: AsJson = False) -> None:
    """Show what a model was taught, how it did on the held-out documents, and how the one before it did.

    Example:  alexandria classifier show 3
    """
    from app.commands.table import print_table
    from app.services import classifiers

    with _library().database.reader() as session:
        model = _plain(classifiers.find(session, number))
    if as_json:
        typer.echo(json.dumps(model))
        return
    before = model["metrics"]["compared_with"]
    measures = ("accuracy", "log_loss", "calibration_error")
    rows = [(name, *(f"{of[name]:.3f}" for of in (model["metrics"], before))) for name in measures]
    print_table(("held out", f"model {number}", before["name"]), rows)
    print_table(("class", "documents"), list(model["label_counts"].items()))
    typer.echo(f"{model['outcome']} on {model['created_at']}, {'in force' if model['is_active'] else 'not in force'}")


def _library() -> Library:
    from app.commands.upkeep import require_tables
    from app.composition import open_library

    require_tables()
    return open_library()


def _plain(model: ModelVersion) -> dict[str, Any]:
    names = ("number", "is_active", "outcome", "embedding_model", "label_counts", "metrics")
    moment = model.created_at.isoformat(timespec="seconds")
    return {**{name: getattr(model, name) for name in names}, "created_at": moment}


def _cell(model: dict[str, Any], column: str) -> object:
    value = model.get(column, model["metrics"].get(column))
    return f"{value:.3f}" if isinstance(value, float) else value
