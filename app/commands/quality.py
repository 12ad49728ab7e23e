"""`alexandria quality …`: quality over time, and over all documents."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.commands.address import Api, AsJson, api_address
from app.commands.table import print_table

BAR = "▁▂▃▄▅▆▇█"
Limit = Annotated[int, typer.Option(min=1, max=200, help="How many to show.")]


def degradation(limit: Limit = 20, api: Api = None, as_json: AsJson = False) -> None:
    """List documents whose quality fell, the deepest fall first, as last looked for.

    Example:  alexandria quality degradation
    """
    page = _get(api, "/quality/degradation", limit=limit)
    if as_json:
        typer.echo(json.dumps(page))
        return
    columns = ("document", "title", "from", "to", "now", "what fell")
    if page["items"]:
        print_table(columns, [_fall(one) for one in page["items"]])
    _say_more(page, f"no document fell by more than {page['drop']:g} within {page['days']} days", limit)


def outliers(limit: Limit = 20, api: Api = None, as_json: AsJson = False) -> None:
    """List documents that score far below their like, with the reasons, as last looked for.

    Example:  alexandria quality outliers
    """
    page = _get(api, "/quality/outliers", limit=limit)
    if as_json:
        typer.echo(json.dumps(page))
        return
    if page["items"]:
        rows = [(one["resource_id"], one["title"], "; ".join(one["reasons"])) for one in page["items"]]
        print_table(("document", "title", "why"), rows)
    few = page["documents"] < page["needed"]
    least = f"{page['documents']} documents have a score; at least {page['needed']} are needed to tell outliers"
    _say_more(page, least if few else "no document stands out", limit)


def distribution(
    language: Annotated[str | None, typer.Option(help="Only documents in this language.")] = None,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Show how the scores of all documents spread, for each dimension.

    Example:  alexandria quality distribution --language en
    """
    spread = _get(api, "/quality/distribution", language=language)["dimensions"]
    if as_json:
        typer.echo(json.dumps(spread))
        return
    shares = list(next(iter(spread.values()))["quantiles"])
    columns = ("dimension", "documents", "mean", *(f"{float(share):.0%}" for share in shares), "0 … 1")
    print_table(columns, [(name, *_spread(one)) for name, one in spread.items()])


def _fall(one: dict[str, Any]) -> tuple[object, ...]:
    fell = ", ".join(f"{part['name']} {part['from']:.2f} → {part['to']:.2f}" for part in one["dimensions"])
    numbers = (f"{one[name]:.2f}" for name in ("overall_from", "overall_to", "overall_now"))
    return (one["resource_id"], one["title"], *numbers, fell)


def _spread(one: dict[str, Any]) -> tuple[object, ...]:
    tallest = max(one["histogram"]) or 1
    bars = "".join(BAR[round(count / tallest * (len(BAR) - 1))] if count else " " for count in one["histogram"])
    numbers = (one["mean"], *one["quantiles"].values())
    return (one["count"], *("" if value is None else f"{value:.2f}" for value in numbers), bars)


def _say_more(page: dict[str, Any], nothing: str, limit: int) -> None:
    if not page["items"]:
        typer.echo(nothing)
    if page["next_cursor"]:
        typer.echo(f"more than these {limit}: raise --limit")


def _get(api: str | None, path: str, **parameters: str | int | None) -> Any:
    from app.commands.api_client import ApiClient

    with ApiClient(api_address(api), patience_seconds=0.0) as client:
        return client.get(path, **parameters)
