"""A master, its replica, and a Sentinel that makes the replica the master when the master is gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import redis

from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.processes import OwnedProcess
from chaos.servers.base import Server
from chaos.servers.redis import RedisServer, version_said

MASTER_NAME = "library"
DOWN_AFTER_MS = 1000
FOLLOWS_WITHIN_SECONDS = 20.0


class SentinelServer(Server):
    """One Sentinel over two servers of its own; alone it is its own quorum."""

    name: ClassVar[str] = "sentinel"

    def __init__(self, kind: type[RedisServer] = RedisServer) -> None:
        super().__init__()
        self.port = 0
        self.first, self.second = kind(), kind()
        self.second.password = self.first.password

    @property
    def url(self) -> str:
        """`sentinel://:password@127.0.0.1:port/0?master_name=…`."""
        return f"sentinel://:{self.first.password}@127.0.0.1:{self.port}/0?master_name={MASTER_NAME}"

    def master(self) -> RedisServer:
        """Who the master is, as the Sentinel says."""
        with redis.Redis(port=self.port, socket_timeout=2) as client:
            known = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
        return self.first if int(known[1]) == self.first.port else self.second

    def running_version(self) -> str:
        """See `Server`."""
        with redis.Redis(port=self.port, socket_timeout=2) as client:
            return version_said(client.info("server"))

    def close(self) -> None:
        """See `Server`; its two servers too."""
        super().close()
        self.first.close()
        self.second.close()

    def _set_up(self) -> None:
        self.first.start()
        self.second.start()
        for server in (self.first, self.second):
            with server.client() as client:
                client.config_set("masterauth", server.password)
                client.config_set("repl-diskless-sync-delay", 0)
        with self.second.client() as client:
            client.replicaof("127.0.0.1", self.first.port)
            poll_until(
                lambda: dict(client.info("replication")).get("master_link_status") == "up",
                within_seconds=FOLLOWS_WITHIN_SECONDS,
                what="the replica follows",
            )
        super()._set_up()

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _make_process(self, directory: Path) -> OwnedProcess:
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {directory}\n"
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {self.first.port} 1\n"
            f"sentinel auth-pass {MASTER_NAME} {self.first.password}\n"
            f"sentinel down-after-milliseconds {MASTER_NAME} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {MASTER_NAME} 4000\n"
        )
        return OwnedProcess(
            self.name,
            [*self.first.command(), str(configuration), "--sentinel"],
            log=directory / "sentinel.log",
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            directory=directory,
        )

    def _is_ready(self) -> bool:
        with redis.Redis(port=self.port, socket_timeout=2) as client:
            try:
                state = client.execute_command("SENTINEL", "MASTER", MASTER_NAME)
            except redis.RedisError:
                return False
        found = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
        count = found.get("num-slaves") or found.get(b"num-slaves") or 0
        return int(count) == 1
