"""`alexandria batch …`: one operation over many documents."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.address import Api, AsJson, api_address
from app.commands.table import print_table

if TYPE_CHECKING:
    from app.commands.api_client import ApiClient

LOOK_SECONDS = 0.5
NOTHING_DONE = 2
_ENDED = ("completed", "cancelled")
_COLUMNS = ("id", "operation", "state", "total", "done", "failed", "asked by", "created")


class Operation(StrEnum):
    """What is done to each document."""

    RE_EMBED = "re_embed"
    RESCORE = "rescore"
    RECLASSIFY = "reclassify"
    REINDEX = "reindex"
    DELETE = "delete"


BatchId = Annotated[str, typer.Argument(metavar="ID", help="As `batch list` shows it.", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait", help="Show the progress until it has ended; exit code 1 if any failed.")]


def start(  # noqa: PLR0917 — options, given by name
    operation: Annotated[Operation, typer.Argument(help="What to do to each document.", show_default=False)],
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Documents.", show_default=False)] = None,
    language: Annotated[str | None, typer.Option(help="Only documents in this language.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help="Only of this format, such as text/html.")] = None,
    creator: Annotated[str | None, typer.Option(help="Only by this creator.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only with this subject.")] = None,
    source: Annotated[str | None, typer.Option(metavar="URL", help="Only from this address.")] = None,
    ingestion_status: Annotated[str | None, typer.Option(help="Only in this state, such as failed.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every document.")] = False,
    wait: Wait = False,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Do one thing to the documents named, to those that match, or to all. Interactive work goes before it.

    Exit code 0: started (with --wait: all done); 1: some failed; 2: nothing was started.

    Example:  alexandria batch start rescore --language en --wait
    """
    given = {"language": language, "type": type_, "format": format_, "creator": creator, "subject": subject}
    given |= {"source": source, "ingestion_status": ingestion_status}
    wanted = {name: value for name, value in given.items() if value is not None}
    body = {"operation": str(operation), **_choice(ids, wanted, everything=everything)}
    with _client(api) as client:
        batch = client.post("/batches", body)
        _end(client, batch, wait=wait, as_json=as_json)


def list_batches(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many to show.")] = 20,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """List batches, the newest first.

    Example:  alexandria batch list
    """
    with _client(api) as client:
        page = client.get("/batches", limit=limit)
    if as_json:
        typer.echo(json.dumps(page))
        return
    if not page["items"]:
        typer.echo("no batches")
        return
    print_table(_COLUMNS, [_row(batch) for batch in page["items"]])
    if page["next_cursor"]:
        typer.echo(f"more than these {limit}: raise --limit")


def show(batch_id: BatchId, wait: Wait = False, api: Api = None, as_json: AsJson = False) -> None:
    """Show how far a batch is, and what failed.

    Example:  alexandria batch show 0199d3a0-0000-7000-8000-000000000000 --wait
    """
    with _client(api) as client:
        _end(client, client.get(_path(batch_id)), wait=wait, as_json=as_json)


def cancel(batch_id: BatchId, api: Api = None, as_json: AsJson = False) -> None:
    """Begin no further document of a batch. What was begun comes to its end, and nothing is undone.

    Example:  alexandria batch cancel 0199d3a0-0000-7000-8000-000000000000
    """
    with _client(api) as client:
        _end(client, client.post(f"{_path(batch_id)}/cancel"), wait=False, as_json=as_json)


def _choice(ids: list[str] | None, wanted: dict[str, str], *, everything: bool) -> dict[str, Any]:
    """Nothing is done to all of them by leaving something out."""
    if sum((bool(ids), bool(wanted), everything)) != 1:
        typer.echo("alexandria: name documents, or filter, or say --all: exactly one of these", err=True)
        raise typer.Exit(NOTHING_DONE)
    if ids:
        return {"ids": ids}
    return {"filter": wanted} if wanted else {"everything": True}


def _client(api: str | None) -> ApiClient:
    from app.commands.api_client import ApiClient

    return ApiClient(api_address(api), patience_seconds=0.0)


def _end(client: ApiClient, batch: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    if wait:
        batch = _waited_for(client, batch)
    if as_json:
        typer.echo(json.dumps(batch))
    else:
        for line in _told(batch):
            typer.echo(line)
    if wait and batch["progress"]["failed"]:
        raise typer.Exit(1)


def _waited_for(client: ApiClient, batch: dict[str, Any]) -> dict[str, Any]:
    from app.polling import wait_until

    seen = [batch]
    with _progress_bar() as tell:

        def has_ended() -> bool:
            tell(seen[-1])
            if seen[-1]["state"] not in _ENDED:
                seen[:] = [client.get(_path(batch["id"]))]
            return seen[-1]["state"] in _ENDED

        wait_until(has_ended, within_seconds=math.inf, every_seconds=LOOK_SECONDS)
        tell(seen[-1])
    return seen[-1]


@contextmanager
def _progress_bar() -> Iterator[Callable[[dict[str, Any]], None]]:
    """On stderr, and only on a terminal: stdout holds the outcome."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def tell(batch: dict[str, Any]) -> None:
            progress = batch["progress"]
            total = None if batch["state"] == "freezing" else batch["total"]
            ended = progress["done"] + progress["failed"]
            bar.update(task, total=total, completed=ended, description=f"{progress['failed']} failed")

        yield tell


def _row(batch: dict[str, Any]) -> tuple[object, ...]:
    progress = batch["progress"]
    ends = (progress["done"], progress["failed"])
    return (
        *(batch[name] for name in ("id", "operation", "state", "total")),
        *ends,
        batch["asked_by"],
        batch["created_at"],
    )


def _told(batch: dict[str, Any]) -> Iterator[str]:
    progress = batch["progress"]
    counts = ", ".join(f"{progress[name]} {name}" for name in ("done", "failed", "working", "waiting", "cancelled"))
    yield f"batch {batch['id']}: {batch['operation']} of {batch['total']} documents, {batch['state']}"
    pace = progress["items_per_second"]
    at_pace = f"; {pace:.1f} a second" if pace else ""
    to_go = f", {progress['eta_seconds']:.0f} s to go" if progress["eta_seconds"] is not None else ""
    yield f"{counts}{at_pace}{to_go}"
    for item in batch["failures"]:
        error = item["error"] or {"detail": "no reason is known"}
        yield f"failed  {item['resource_id']}: {error['detail']}"
    unshown = progress["failed"] - len(batch["failures"])
    if unshown > 0:
        yield f"{unshown} more failed: GET /batches/{batch['id']}/items?state=failed"


def _path(batch_id: str) -> str:
    from urllib.parse import quote

    return f"/batches/{quote(batch_id, safe='')}"
