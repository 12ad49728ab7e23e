"""Private RabbitMQ: one node without its neighbours, a virtual host of its own for each test."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from chaos.polling import poll_until
from chaos.ports import free_port, port_answers
from chaos.processes import HarnessError, OwnedProcess
from chaos.servers.base import Server
from chaos.servers.userland import Userland

USER = "alexandria"
LIBRARY = Path("/usr/lib/rabbitmq/lib")
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
AMQP_GREETING = b"AMQP\x00\x00\x09\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitAccess:
    """How to reach a running node: enough for another process to use it."""

    port: int
    management_port: int
    password: str

    def amqp_url(self, vhost: str = "/") -> str:
        """`amqp://user:password@127.0.0.1:port/vhost`."""
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def create_vhost(self) -> str:
        """A new virtual host, and its AMQP URL."""
        name = f"test-{secrets.token_hex(8)}"
        self.management("PUT", f"/api/vhosts/{name}")
        return self.amqp_url(name)

    def drop_vhost(self, url: str) -> None:
        """Drop what `create_vhost` made, closing its connections."""
        self.management("DELETE", f"/api/vhosts/{url.rsplit('/', 1)[1]}")

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """The AMQP URL of a virtual host that is dropped afterwards."""
        url = self.create_vhost()
        try:
            yield url
        finally:
            self.drop_vhost(url)

    def management(self, method: str, path: str, body: object = None) -> Any:
        """One request to the management API; the decoded answer, or None when it is empty."""
        status, text = self._asked(method, path, body)
        if status >= 300:
            raise HarnessError(f"RabbitMQ management: {method} {path} answered {status} {text[:200]!r}")
        return json.loads(text) if text else None

    def is_alarmed(self) -> bool:
        """Whether the node has an alarm, of memory or disk, now: its statistics say so some seconds later."""
        status, text = self._asked("GET", "/api/health/checks/local-alarms", None)
        if status not in {200, 503}:
            raise HarnessError(f"RabbitMQ management: the check for alarms answered {status} {text[:200]!r}")
        return status == 503

    def _asked(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.management_port, timeout=15)
        credentials = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class RabbitServer(Server):
    """Debian's `rabbitmq-server` with a port mapper (epmd) of its own, so that no two nodes meet.

    A start takes some ten seconds: share one, and give each test a `vhost()`. The pid is that of the
    Erlang machine itself.
    """

    name: ClassVar[str] = "rabbitmq"
    ready_within_seconds: ClassVar[float] = 120.0
    stop_within_seconds: ClassVar[float] = 60.0

    def __init__(self, *, extra_configuration: str = "", userland: Userland | None = None) -> None:
        super().__init__(userland)
        self.access = RabbitAccess(port=0, management_port=0, password=secrets.token_hex(16))
        self.extra_configuration = extra_configuration
        self._distribution_port = 0
        self._mapper_port = 0
        self._mapper: OwnedProcess | None = None
        self._nodename = f"alexandria-{secrets.token_hex(6)}@localhost"

    @property
    def url(self) -> str:
        """The AMQP URL of the virtual host `/`."""
        return self.access.amqp_url()

    def vhost(self) -> AbstractContextManager[str]:
        """See `RabbitAccess.vhost`."""
        return self.access.vhost()

    def version(self) -> str:
        """Of the installed program: `3.10`."""
        self._command("rabbitmq-server")  # or ProgramMissing
        installed = sorted(self.userland.path(LIBRARY).glob("rabbitmq_server-*"))
        return ".".join(installed[-1].name.removeprefix("rabbitmq_server-").split(".")[:2])

    def running_version(self) -> str:
        """See `Server`."""
        return str(self.access.management("GET", "/api/overview")["rabbitmq_version"])

    def ctl(self, *arguments: str) -> str:
        """`rabbitmqctl …` against this node; what it printed. Takes a second or two."""
        done = subprocess.run(
            [*self._command("rabbitmqctl"), "--node", self._nodename, *arguments],
            env=self._environment(self.directory),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise HarnessError(f"rabbitmqctl {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def wipe(self) -> None:
        """While it is down: remove its data, as a lost disk does. User and password come back at the start."""
        shutil.rmtree(self.directory / "mnesia", ignore_errors=True)

    def _choose_ports(self) -> None:
        self.access = RabbitAccess(port=free_port(), management_port=free_port(), password=self.access.password)
        self._distribution_port, self._mapper_port = free_port(), free_port()

    def _make_process(self, directory: Path) -> OwnedProcess:
        (directory / "rabbitmq.conf").write_text(self._configuration())
        (directory / "plugins").write_text("[rabbitmq_management].\n")
        environment = self._environment(directory)
        epmd = self.userland.command("epmd", package="erlang-base")
        self._mapper = OwnedProcess(
            "epmd",
            [*epmd, "-port", str(self._mapper_port), "-address", "127.0.0.1"],
            log=directory / "epmd.log",
            environment=environment,
            directory=directory,
        )
        return OwnedProcess(
            self.name,
            self._command("rabbitmq-server"),
            log=directory / "server.log",
            environment=environment,
            directory=directory,
        )

    def _configuration(self) -> str:
        return (
            f"listeners.tcp.local = 127.0.0.1:{self.access.port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.access.management_port}\n"
            f"default_user = {USER}\ndefault_pass = {self.access.password}\n"
            "default_user_tags.administrator = true\n"
            "log.console = true\nlog.file = false\n"
            "disk_free_limit.absolute = 50MB\n"
            f"{self.extra_configuration}\n"
        )

    def _environment(self, directory: Path) -> dict[str, str]:
        return {
            "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._nodename,
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            # The script then becomes the Erlang machine instead of waiting for it as a child,
            # so the parent-death signal and our signals reach the machine itself.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _command(self, program: str) -> list[str]:
        return self.userland.command(program, package="rabbitmq-server", directories=[PROGRAMS])

    def _companions(self) -> tuple[OwnedProcess, ...]:
        return () if self._mapper is None else (self._mapper,)

    def _start_once(self) -> None:
        if self._mapper is not None and not self._mapper.running:
            self._mapper.start()
            poll_until(lambda: port_answers(self._mapper_port), within_seconds=10, what="epmd answers")
        super()._start_once()

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.access.port), timeout=1) as connection:
                connection.sendall(AMQP_GREETING)
                if not connection.recv(8):
                    return False
            self.access.management("GET", "/api/vhosts")
        except (OSError, HarnessError, http.client.HTTPException):
            return False
        return True
