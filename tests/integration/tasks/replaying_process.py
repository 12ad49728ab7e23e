"""A process that replays one dead letter and says so on its way: `python -m … LETTER_ID before|after|never`.

It stops dead where it was told to, inside its transaction or after the commit, until it is killed.
"""

from __future__ import annotations

import signal
import sys
from uuid import UUID

from app.composition import open_library
from app.services import dead_letters
from app.services.dead_letters import Closing


def say(what: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def stop_here(where: str) -> None:
    """Until the end."""
    say(f"stopped {where} the commit")
    signal.pause()


def main(letter_id: UUID, stops: str) -> None:
    """Replay, and say what came of it."""
    library = open_library()
    say("pressing")
    with library.work() as unit:
        closing: Closing = dead_letters.replay(unit, letter_id, by="a process")
        if stops == "before":
            stop_here(stops)
    if stops == "after":
        stop_here(stops)
    say(f"changed {closing.changed}")


if __name__ == "__main__":
    main(UUID(sys.argv[1]), sys.argv[2])
