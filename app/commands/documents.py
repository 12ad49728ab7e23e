"""Commands about documents: put them in, find them."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.address import Api, AsJson, api_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.commands.ingest_run import Item

NOTHING_DONE = 2


class Mode(StrEnum):
    """How to search."""

    HYBRID = "hybrid"
    KEYWORD = "keyword"
    SEMANTIC = "semantic"


def ingest(
    sources: Annotated[list[str], typer.Argument(metavar="PATH_OR_URL...", help="Files, directories, web addresses.")],
    api: Api = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until each document is read.")] = True,
    as_json: AsJson = False,
) -> None:
    """Put documents in: HTML, PDF, Markdown and text; directories with all below them.

    Exit code 0: all of them; 1: some failed, each with its reason; 2: nothing could be done.

    Example:  alexandria ingest ~/papers https://example.org/page.html
    """
    from app.commands.api_client import ApiClient
    from app.commands.ingest_progress import shown_progress
    from app.commands.ingest_run import IngestRun, items_of
    from app.errors import ApiUnavailable

    items = items_of(sources)
    if not items:
        typer.echo("alexandria: no supported document there (HTML, PDF, Markdown, plain text)", err=True)
        raise typer.Exit(NOTHING_DONE)
    try:
        with ApiClient(api_address(api)) as client, shown_progress(len(items), quiet=as_json) as tell:
            IngestRun(client=client, items=items, tell=tell).run(wait=wait)
    except ApiUnavailable as error:
        typer.echo(f"alexandria: {error.detail}", err=True)
        raise typer.Exit(NOTHING_DONE) from error
    _summary(items, as_json=as_json)
    raise typer.Exit(_exit_code(items))


def _exit_code(items: Sequence[Item]) -> int:
    failed = sum(item.state == "failed" for item in items)
    if failed == len(items) and not any(item.resource_id for item in items):
        return NOTHING_DONE
    return 1 if failed else 0


def _summary(items: Sequence[Item], *, as_json: bool) -> None:
    from app.commands.ingest_run import State

    counts = {state: sum(item.state is state for item in items) for state in State}
    if as_json:
        each = [
            {"source": item.label, "resource_id": item.resource_id, "state": item.state, "reason": item.reason}
            for item in items
        ]
        typer.echo(json.dumps({"counts": counts, "items": each}))
        return
    for item in items:
        if item.state is State.FAILED:
            typer.echo(f"failed  {item.label}: {item.reason}")
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    typer.echo(f"{len(items)} documents: {said}")


def search(
    text: Annotated[str, typer.Argument(metavar="WORDS", help='Words, "phrases", -exclusions, field:value.')],
    mode: Annotated[Mode, typer.Option(help="By word, by meaning, or both.")] = Mode.HYBRID,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many to show.")] = 10,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Find documents.

    Example:  alexandria search '"lock file" -windows' --mode keyword --limit 5
    """
    from app.commands.api_client import ApiClient

    with ApiClient(api_address(api), patience_seconds=0.0) as client:
        found = client.post("/search", {"text": text, "mode": mode, "limit": limit})
    if as_json:
        typer.echo(json.dumps(found))
        return
    _show_hits(found)


def _show_hits(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from app.commands.highlight import highlighted, printable

    table = Table("score", "document", show_lines=True)
    for hit in found["items"]:
        title = Text(printable(hit["title"] or "Untitled"), style="bold")
        document = Text("\n").join([title, highlighted(hit["snippet"] or ""), Text(hit["id"], style="dim")])
        table.add_row(f"{hit['score']:.3f}", document)
    console = Console(highlight=False, markup=False)
    if found["items"]:
        console.print(table)
    console.print(f"{found['total']} found")
    if found.get("did_you_mean"):
        console.print(f"did you mean: {found['did_you_mean']}")
