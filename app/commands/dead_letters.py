"""`alexandria dead-letters …`: what could not succeed, and what is to become of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.address import Api, AsJson, api_address
from app.commands.table import print_table

if TYPE_CHECKING:
    from app.commands.api_client import ApiClient

NOTHING_DONE = 2
_PAGE = 200
_COLUMNS = ("id", "task", "reason", "attempts", "last_at")

Task = Annotated[str | None, typer.Option(help="Only of this task.")]
Queue = Annotated[str | None, typer.Option(help="Only of this queue.")]
Reason = Annotated[str | None, typer.Option(help="Only with this reason, such as retries_exhausted.")]
Resource = Annotated[str | None, typer.Option(metavar="ID", help="Only of this document.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Failed last then or later, such as 2026-01-31T12:00:00Z.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Failed last before then.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `dead-letters list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="Every open one.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before many.")]


def list_dead_letters(  # noqa: PLR0917 — options, given by name
    task: Task = None,
    queue: Queue = None,
    reason: Reason = None,
    resource: Resource = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many to show.")] = 50,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """List work that could not succeed, newest first.

    Example:  alexandria dead-letters list --reason retries_exhausted
    """
    wanted = _wanted(task=task, queue=queue, reason=reason, resource_id=resource, since=since, until=until)
    with _client(api) as client:
        page = client.get("/dead-letters", limit=limit, **wanted)
    if as_json:
        typer.echo(json.dumps(page))
        return
    if not page["items"]:
        typer.echo("no dead letters" + (" match" if wanted else ": everything that was asked for was done"))
        return
    print_table(_COLUMNS, [tuple(letter[name] for name in _COLUMNS) for letter in page["items"]])
    if page["next_cursor"]:
        typer.echo(f"more than these {limit}: raise --limit, or filter")


def show_dead_letter(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As `dead-letters list` shows it.")],
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Show one of them with its history, traceback and payload.

    Example:  alexandria dead-letters show 0199d3a0-0000-7000-8000-000000000000
    """
    with _client(api) as client:
        letter = client.get(f"/dead-letters/{_part(letter_id)}")
    if as_json:
        typer.echo(json.dumps(letter))
        return
    for line in _told(letter):
        typer.echo(line)


def replay_dead_letters(  # noqa: PLR0917 — options, given by name
    ids: Ids = None,
    task: Task = None,
    queue: Queue = None,
    reason: Reason = None,
    resource: Resource = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    yes: Yes = False,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Run dead letters again: those named, those that match, or all. Each runs once, however often it is asked for.

    Exit code 0: all of them; 1: some could not be, each with its reason; 2: nothing was done.

    Example:  alexandria dead-letters replay --task ingest_resource_task
    """
    wanted = _wanted(task=task, queue=queue, reason=reason, resource_id=resource, since=since, until=until)
    _require_choice(ids, wanted, everything=everything)
    with _client(api) as client:
        if ids:
            ends = [_end_of(client, one, "replay") for one in ids]
            _report(ends, as_json=as_json)
            return
        if not _agreed(client, wanted, "Replay", yes=yes):
            _report([], as_json=as_json)
            return
        _report(list(_replayed(client, wanted)), as_json=as_json)


def discard_dead_letters(  # noqa: PLR0917 — options, given by name
    ids: Ids = None,
    note: Annotated[str | None, typer.Option(help="Why, for those who read it later.")] = None,
    task: Task = None,
    queue: Queue = None,
    reason: Reason = None,
    resource: Resource = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    yes: Yes = False,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Close dead letters without running them: those named, those that match, or all.

    Exit code 0: all of them; 1: some could not be, each with its reason; 2: nothing was done.

    Example:  alexandria dead-letters discard 0199d3a0-0000-7000-8000-000000000000 --note "page is gone"
    """
    wanted = _wanted(task=task, queue=queue, reason=reason, resource_id=resource, since=since, until=until)
    _require_choice(ids, wanted, everything=everything)
    with _client(api) as client:
        if not ids:
            if not _agreed(client, wanted, "Discard", yes=yes):
                _report([], as_json=as_json)
                return
            ids = list(_matching(client, wanted))
        _report([_end_of(client, one, "discard", note=note) for one in ids], as_json=as_json)


def _wanted(**given: str | None) -> dict[str, str]:
    return {name: value for name, value in given.items() if value is not None}


def _client(api: str | None) -> ApiClient:
    from app.commands.api_client import ApiClient

    return ApiClient(api_address(api), patience_seconds=0.0)


def _require_choice(ids: list[str] | None, wanted: dict[str, str], *, everything: bool) -> None:
    """Nothing is done to all of them by leaving something out."""
    if sum((bool(ids), bool(wanted), everything)) != 1:
        typer.echo("alexandria: name dead letters, or filter, or say --all: exactly one of these", err=True)
        raise typer.Exit(NOTHING_DONE)


def _matching(client: ApiClient, wanted: dict[str, str]) -> Iterator[str]:
    cursor = None
    while True:
        page = client.get("/dead-letters", limit=_PAGE, cursor=cursor, **wanted)
        yield from (letter["id"] for letter in page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _agreed(client: ApiClient, wanted: dict[str, str], verb: str, *, yes: bool) -> bool:
    """Whether there are any, and the person means them; without a terminal only `--yes` means yes."""
    import sys

    count = sum(1 for _ in _matching(client, wanted))
    if not count:
        return False
    if yes or count == 1:
        return True
    if not sys.stdin.isatty():
        typer.echo(f"alexandria: {verb.lower()} {count} dead letters? Say --yes", err=True)
        raise typer.Exit(NOTHING_DONE)
    if not typer.confirm(f"{verb} {count} dead letters?", err=True):
        raise typer.Exit(NOTHING_DONE)
    return True


def _replayed(client: ApiClient, wanted: dict[str, str]) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = client.post("/dead-letters/replay", parameters={**wanted, "cursor": cursor})
        yield from ({"outcome": "replayed"} for _ in range(page["replayed"]))
        yield from ({"outcome": "superseded"} for _ in range(page["superseded"]))
        yield from ({"outcome": "refused", **one} for one in page["refused"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _end_of(client: ApiClient, letter_id: str, action: str, *, note: str | None = None) -> dict[str, Any]:
    """What became of one; a refusal of the API is an end too."""
    from app.errors import ApiRefused

    path = f"/dead-letters/{_part(letter_id)}"
    try:
        if action == "replay":
            end: dict[str, Any] = client.post(f"{path}/replay")
            return end
        client.delete(path, note=note)
    except ApiRefused as refusal:
        return {"id": letter_id, "outcome": "refused", "detail": refusal.detail}
    return {"id": letter_id, "outcome": "discarded"}


def _report(ends: list[dict[str, Any]], *, as_json: bool) -> None:
    refused = [end for end in ends if end["outcome"] == "refused"]
    counts = {name: sum(end["outcome"] == name for end in ends) for name in ("replayed", "superseded", "discarded")}
    if as_json:
        typer.echo(json.dumps({"counts": {**counts, "refused": len(refused)}, "items": ends}))
    else:
        for end in ends:
            if "detail" in end:
                typer.echo(f"{end['outcome']}  {end['id']}: {end['detail']}")
        done = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        typer.echo(done or ("nothing was done" if ends else "no dead letters match"))
    if refused:
        raise typer.Exit(1 if len(refused) < len(ends) else NOTHING_DONE)


def _told(letter: dict[str, Any]) -> Iterator[str]:
    """One letter for people: what it is, why, what happened, and what it carried."""
    for name in ("id", "task", "args", "queue", "priority", "resource_id", "reason", "attempts", "first_at", "last_at"):
        if letter[name] is not None:
            yield f"{name:12} {letter[name]}"
    yield f"{'error':12} {letter['error']['type']}: {letter['error']['detail']}"
    if letter["closed_at"]:
        note = f": {letter['note']}" if letter["note"] else ""
        yield f"{letter['closed_as']:12} {letter['closed_at']} by {letter['closed_by']}{note}"
    elif letter["not_replayable_because"]:
        yield f"{'replay':12} impossible: {letter['not_replayable_because']}"
    for one in letter["history"]:
        yield f"attempt {one['attempt']:<4} {one['at']} {one['type']}: {one['detail']}"
    if letter["payload"]:
        payload = letter["payload"]
        shown = payload["text"] if payload["text"] is not None else f"base64 {payload['base64']}"
        yield f"{'payload':12} {payload['size_bytes']} bytes: {shown[:2000]}"
    if letter["traceback"]:
        yield letter["traceback"].rstrip()


def _part(text: str) -> str:
    """As one part of a path, whatever it is."""
    from urllib.parse import quote

    return quote(text, safe="")
