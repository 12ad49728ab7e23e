"""What runs on a data directory: one supervisor at a time, and the address its API answers at.

`alexandria.lock` is locked by the supervisor while it lives, and says who that is. `run.json` says where the API
of this data directory answers; a stale one after a crash does no harm.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from app.errors import StartRefused

LOCK_FILE = "alexandria.lock"
RUN_FILE = "run.json"


@contextmanager
def only_supervisor(data_dir: Path) -> Iterator[Callable[[str, Mapping[str, str]], None]]:
    """Hold the data directory, or raise `StartRefused` naming who holds it.

    Yields what tells others the address, and the settings that this stack has chosen for itself.

    The lock is the process's own: closed on exec, so no child inherits it, and gone with the process however it ends.
    """
    with open_lock_file(data_dir / LOCK_FILE) as descriptor:
        if not try_lock(descriptor):
            raise StartRefused(f"already running: {_holder(data_dir / LOCK_FILE)} uses {data_dir}")

        def announce(address: str, told: Mapping[str, str]) -> None:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "address": address}).encode(), 0)
            write_address(data_dir, address, told=told)

        try:
            yield announce
        finally:
            forget_address(data_dir)


@contextmanager
def open_lock_file(path: Path) -> Iterator[int]:
    """A descriptor to lock, closed (and so unlocked) at the end of the block."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartRefused(f"DATA_DIR: cannot write to {path.parent}: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock the whole file for this open file and its heirs; false when somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(path.read_text())
        return f"process {said['pid']} at {said['address']}"
    return "another process"


def write_address(data_dir: Path, address: str, *, told: Mapping[str, str] | None = None) -> None:
    """Tell other commands where the API is, and what this stack has told its processes: passwords among it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    unfinished = data_dir / f"{RUN_FILE}.{os.getpid()}"
    said = {"pid": os.getpid(), "address": address, "settings": dict(told or {})}
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(said))
    unfinished.replace(data_dir / RUN_FILE)


def forget_address(data_dir: Path) -> None:
    """The API of this process is gone; leaves what another process wrote."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads((data_dir / RUN_FILE).read_text())["pid"] == os.getpid():
            (data_dir / RUN_FILE).unlink()


def read_address(data_dir: Path) -> str | None:
    """Where the API of this data directory answers, or did before a crash."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((data_dir / RUN_FILE).read_text())["address"])
    return None


def read_settings(data_dir: Path) -> dict[str, str]:
    """The settings that the stack on this data directory has chosen for itself: its private broker and cache."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads((data_dir / RUN_FILE).read_text())["settings"]
        return {str(name): str(value) for name, value in said.items()}
    return {}
