"""Where the programs of private servers come from: this machine, or a Debian 13 made beside it.

`TEST_SERVERS=debian-13` in the environment makes it the choice of every server that is not told another,
in this process and in those it starts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from chaos.processes import HarnessError, ProgramMissing, find_program

DEBIAN_13_ROOT = Path("/var/cache/neo-alexandria/debian-13")  # made by setup/debian13.sh
# In a mount namespace of its own, which ends with the program: nothing stays mounted, whoever dies and how.
# Only /usr is another; data, /proc, /dev and the network are those of this machine, under the same names.
ENTER = ("unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c")
EXCHANGE_USR = 'mount --bind "$0/usr" /usr && exec "$@"'


class Userland(Protocol):
    """Where a program and the files beside it are found."""

    name: str

    def command(self, program: str, *, package: str, directories: Sequence[Path] = ()) -> list[str]:
        """The beginning of a command line that becomes the program itself; `ProgramMissing` names the package."""

    def path(self, path: Path) -> Path:
        """Where this machine sees the file of that name."""


class ThisMachine:
    """What is installed here."""

    name = "this-machine"

    def command(self, program: str, *, package: str, directories: Sequence[Path] = ()) -> list[str]:
        """Its path, on PATH or in one of the directories."""
        return [find_program(program, package=package, extra_directories=directories)]

    def path(self, path: Path) -> Path:
        """The same."""
        return path


class Debian13:
    """What setup/debian13.sh installed; entering it takes root."""

    name = "debian-13"

    def command(self, program: str, *, package: str, directories: Sequence[Path] = ()) -> list[str]:
        """What exchanges /usr in a mount namespace and then becomes the program, with the same process id."""
        for directory in (*directories, Path("/usr/bin"), Path("/usr/sbin")):
            if os.path.lexists(self.path(directory / program)):
                return [*ENTER, EXCHANGE_USR, str(DEBIAN_13_ROOT), str(directory / program)]
        raise ProgramMissing(f"{program} of {package} is not in {DEBIAN_13_ROOT}: setup/debian13.sh makes it")

    def path(self, path: Path) -> Path:
        """Below its root."""
        return DEBIAN_13_ROOT / path.relative_to("/")


USERLANDS: dict[str, Userland] = {one.name: one for one in (ThisMachine(), Debian13())}


def chosen_userland() -> Userland:
    """That of `TEST_SERVERS`; this machine's when it is not set."""
    name = os.environ.get("TEST_SERVERS", ThisMachine.name)
    if name not in USERLANDS:
        raise HarnessError(f"TEST_SERVERS is {name!r}, and takes {' or '.join(USERLANDS)}")
    return USERLANDS[name]
