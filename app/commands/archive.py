"""Commands about the whole library: write it to a file, and read it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.address import Api, AsJson, api_address

if TYPE_CHECKING:
    from app.commands.import_run import ImportRun

NOTHING_DONE = 2


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it appears when all of it is there.")],
    api: Api = None,
) -> None:
    """Write the whole library to a file, as JSON lines.

    Everything that cannot be computed again: documents with their metadata, and what people decided.

    Example:  alexandria export library.ndjson
    """
    from app.commands.api_client import ApiClient
    from app.commands.export_run import export_to
    from app.commands.record_progress import shown_progress

    with ApiClient(api_address(api)) as client, shown_progress() as tell:
        count = export_to(client, file, tell=tell)
    typer.echo(f"{count} records")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="What `export` wrote.")],
    api: Api = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Look at every line first, and take none when one is broken.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read an exported library into this one. Stopped at any point, it can be started again.

    Exit code 0: every line was taken, or was there; 1: some were not, each with its reason; 2: nothing was done.

    Example:  alexandria import library.ndjson --strict
    """
    from app.commands.api_client import ApiClient
    from app.commands.import_run import ImportRun
    from app.commands.record_progress import shown_progress
    from app.errors import InvalidInput

    with ApiClient(api_address(api)) as client, shown_progress(quiet=as_json) as tell:
        run = ImportRun(client=client, file=file, tell=tell)
        try:
            run.run(strict=strict)
        except InvalidInput as error:
            typer.echo(f"alexandria: {error.detail}", err=True)
            raise typer.Exit(NOTHING_DONE) from error
    _summary(run, as_json=as_json)
    if run.failures or run.missing:
        raise typer.Exit(NOTHING_DONE if strict and not run.outcomes else 1)


def _summary(run: ImportRun, *, as_json: bool) -> None:
    if as_json:
        failures = [{"line": line, "detail": detail} for line, detail in run.failures]
        typer.echo(json.dumps({"outcomes": run.outcomes, "failures": failures, "missing": run.missing}))
        return
    for line, detail in run.failures:
        typer.echo(f"line {line}: {detail}")
    if run.missing:
        typer.echo(f"the file was cut off: {run.missing} records are missing")
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(run.outcomes.items()))
    typer.echo(f"{run.done} records: {said or 'none taken'}")
