"""Commands of the broker: what stands on it, which one is active, and what was sent to it."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.transports.base import QueueDepth

PROGRESS_SECONDS = 1.0
PATIENCE_SECONDS = 5.0


def topology(
    apply: Annotated[bool, typer.Option("--apply/--check", help="Make what is missing, or only look.")] = False,
) -> None:
    """Compare what stands on the broker of BROKER_URL with what should; exit code 1 when something differs.

    --apply makes what is missing and replaces what differs. It deletes no queue that holds messages or is read.

    Example:  alexandria broker topology --check
    """
    from app.commands.processes import settings_beside_the_stack
    from app.transports.registry import broker_for, inspection_of

    settings = settings_beside_the_stack()
    inspection = inspection_of(settings)
    found = inspection.apply() if apply else inspection.check()
    for line in found.made:
        typer.echo(f"put right: {line}")
    for line in found.notes:
        typer.echo(f"note: {line}")
    for line in found.differences:
        typer.echo(line)
    if found.differences:
        raise typer.Exit(1)
    typer.echo(f"{broker_for(settings).fingerprint} is as it should be")


def switch() -> None:
    """Make the broker of BROKER_URL (the new one) active, whatever runs on the one before.

    Relays and workers of that one end, to be started again by whoever supervises them, with their settings of then.

    Example:  alexandria broker switch
    """
    from app.commands.processes import settings_beside_the_stack
    from app.commands.upkeep import require_tables
    from app.database import get_database
    from app.models.base import now
    from app.services import active_broker
    from app.transports.registry import open_transport

    require_tables()
    with closing(open_transport(settings_beside_the_stack().broker)) as transport:
        transport.declare(deadline_seconds=PATIENCE_SECONDS)
        transport.health(deadline_seconds=PATIENCE_SECONDS)
        new = transport.fingerprint
    database = get_database("worker")
    with database.writer() as session:
        before = active_broker.active(session)
        is_new = active_broker.switch(session, new, moment=now())
        active = active_broker.active(session)
    if not is_new:
        typer.echo(f"the active broker is {active} already")
        return
    count = active_broker.resend_left_behind(database)
    typer.echo(f"the active broker is {active} now; it was {before}")
    typer.echo(f"{count} calls in flight there will be sent again; start relays and workers with this BROKER_URL")


def resend() -> None:
    """Send every call again that was sent and has not started; older copies drop themselves.

    Example:  alexandria broker resend
    """
    from app.commands.upkeep import require_tables
    from app.database import get_database
    from app.services import active_broker

    require_tables()
    typer.echo(f"{active_broker.resend(get_database('worker'))} calls will be sent again")


def drain(
    within: Annotated[float, typer.Option(min=0, help="Seconds to wait before it gives up.")] = 300.0,
) -> None:
    """Watch the broker of BROKER_URL (the old one) until its queues are empty; exit code 1 when they are not in time.

    Its workers empty it: copies of calls that another broker carries drop themselves. So nothing is lost either if
    it is never emptied.

    Example:  alexandria broker drain --within 60
    """
    from app.commands.processes import settings_beside_the_stack
    from app.polling import wait_until
    from app.transports.registry import open_transport

    shown = ""
    with closing(open_transport(settings_beside_the_stack().broker)) as transport:

        def is_empty() -> bool:
            nonlocal shown
            depths = transport.depths(deadline_seconds=PATIENCE_SECONDS)
            left = _left(depths)
            if left and left != shown:
                typer.echo(f"{time.strftime('%H:%M:%S')}  {left}")
            shown = left
            return not left

        if not wait_until(is_empty, within_seconds=within, every_seconds=PROGRESS_SECONDS):
            typer.echo(f"{transport.fingerprint} still holds {shown} after {within:g} s", err=True)
            raise typer.Exit(1)
        told = all(depth.unacked is not None for depth in transport.depths(deadline_seconds=PATIENCE_SECONDS).values())
        typer.echo(f"{transport.fingerprint} is empty" if told else f"{transport.fingerprint}: {NOT_TOLD}")


NOT_TOLD = "nothing waits any more; what its workers still hold it does not tell"


def _left(depths: dict[str, QueueDepth]) -> str:
    """What the queues hold, the dead letters left out: they are imported, not worked off."""
    held = {queue: depth.ready + (depth.unacked or 0) for queue, depth in depths.items()}
    return ", ".join(f"{queue}: {count}" for queue, count in held.items() if count)
