"""Commands about API keys; they work on the database, so whoever may run them needs no key."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.address import AsJson

if TYPE_CHECKING:
    from datetime import datetime

    from app.database import Database


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


def create(
    name: Annotated[str, typer.Argument(help="Whose it is: letters, digits, dots, dashes, underscores.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; give it once for each.")],
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    Example:  alexandria api-key create laptop --scope read --scope write
    """
    from app.models import api_key
    from app.services import api_keys

    key = api_keys.create(_database(), name=name, scopes=[api_key.Scope(one) for one in scope])
    typer.echo(json.dumps({"name": name, "scopes": scope, "key": key}) if as_json else key)


def list_keys(as_json: AsJson = False) -> None:
    """List the keys with their scopes and last use (to the minute).

    Example:  alexandria api-key list
    """
    from app.commands.table import print_table
    from app.services import api_keys

    rows = [
        {
            "name": key.name,
            "prefix": f"alx_{key.prefix}",
            "scopes": " ".join(key.scopes),
            "created_at": _second(key.created_at),
            "last_used_at": _second(key.last_used_at),
            "revoked_at": _second(key.revoked_at),
        }
        for key in api_keys.every_key(_database())
    ]
    if as_json:
        typer.echo(json.dumps([{**row, "scopes": str(row["scopes"]).split()} for row in rows]))
        return
    columns = ("name", "prefix", "scopes", "created_at", "last_used_at", "revoked_at")
    print_table(columns, [tuple(row[column] for column in columns) for row in rows])


def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `api-key list` shows it, or the key's prefix.")],
) -> None:
    """End a key; from the next request on it is refused.

    Example:  alexandria api-key revoke laptop
    """
    from app.services import api_keys

    revoked = api_keys.revoke(_database(), name.removeprefix("alx_"))
    typer.echo(f"{revoked} is revoked")


def _second(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _database() -> Database:
    from app.commands.upkeep import require_tables
    from app.database import get_database

    require_tables()
    return get_database("worker")
