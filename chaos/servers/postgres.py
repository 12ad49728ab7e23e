"""Private PostgreSQL: one cluster, a new database for each test."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import psycopg2

from chaos.ports import free_port
from chaos.processes import HarnessError, OwnedProcess, ProgramMissing, find_program
from chaos.servers.base import Server

SUPERUSER = "alexandria"


class PostgresServer(Server):
    """The newest PostgreSQL installed. PostgreSQL refuses to run as root: then it runs as the user `postgres`.

    `durable=False` (the default) turns fsync off: it survives SIGKILL of every process, not a power cut.
    (`synchronous_commit` stays on: without it a commit of the last 200 ms is lost by SIGKILL.)
    """

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": closes its clients' connections

    def __init__(self, *, durable: bool = False, max_connections: int = 200) -> None:
        super().__init__()
        self.port = 0
        self.password = secrets.token_hex(16)
        self.durable = durable
        self.max_connections = max_connections

    @property
    def url(self) -> str:
        """The URL of the maintenance database `postgres`."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """`postgresql://user:password@127.0.0.1:port/name`."""
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{name}"

    def create_database(self, *, template: str = "template1") -> str:
        """A new database, a copy of the template, and its URL. Nobody may be connected to the template."""
        name = f"test_{secrets.token_hex(8)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.database_url(name)

    def drop_database(self, url: str) -> None:
        """Drop what `create_database` made, closing its connections."""
        name = url.rsplit("/", 1)[1]
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """One statement outside a transaction, in the maintenance database."""
        with closing(psycopg2.connect(self.url, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)

    def running_version(self) -> str:
        """See `Server`; without the words of its packagers."""
        with closing(psycopg2.connect(self.url, connect_timeout=5)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            (version,) = cursor.fetchone() or ("",)
        return str(version).partition(" ")[0]

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _make_process(self, directory: Path) -> OwnedProcess:
        user = _unprivileged_user()
        if user is not None:
            shutil.chown(directory, user, user)
        data = directory / "data"
        self._run_initdb(data, user=user)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self.max_connections,
            "timezone": "UTC",
            **({} if self.durable else {"fsync": "off", "full_page_writes": "off"}),
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return OwnedProcess(
            self.name,
            [_program("postgres"), "-D", str(data), *options],
            log=directory / "server.log",
            environment=_environment(),
            directory=directory,
            user=user,
            death_signal="QUIT",  # PostgreSQL's immediate shutdown: SIGKILL would leave its shared memory
        )

    def _run_initdb(self, data: Path, *, user: str | None) -> None:
        password_file = data.parent / "password"
        password_file.write_text(self.password)
        if user is not None:
            shutil.chown(password_file, user, user)
        command = [
            *(_program("initdb"), "--pgdata", str(data), "--username", SUPERUSER, "--pwfile", str(password_file)),
            *("--auth", "password", "--encoding", "UTF8", "--locale", "C.UTF-8"),
            *(() if self.durable else ("--no-sync",)),
        ]
        _run(command, user=user)

    def _is_ready(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True


def _program(name: str) -> str:
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda found: float(found.parent.name), reverse=True
    )
    return find_program(name, package="postgresql", extra_directories=versions)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise ProgramMissing("PostgreSQL refuses to run as root and there is no user postgres: apt-get install postgresql")


def _run(command: Sequence[str], *, user: str | None) -> None:
    done = subprocess.run(
        command,
        env=_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    if done.returncode != 0:
        raise HarnessError(f"{command[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
