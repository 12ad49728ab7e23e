"""A private Toxiproxy server: the program that stands in the lines between the processes and breaks them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar

from chaos.ports import free_port
from chaos.processes import OwnedProcess, ProgramMissing, find_program
from chaos.servers.base import Server
from chaos.toxiproxy import Toxiproxy, ToxiproxyError

VERSION = "2.12.0"
PROGRAM = "toxiproxy-server"
BUILT_FROM = re.compile(rb"mod\tgithub\.com/Shopify/toxiproxy/v2\tv([\w.+-]+)")


class ToxiproxyServer(Server):
    """`seed` decides its random numbers: the jitter of latency, the toxicity of toxics."""

    name: ClassVar[str] = "toxiproxy"

    def __init__(self, *, seed: int = 1) -> None:
        super().__init__()
        self.port = 0
        self.seed = seed

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, its API."""
        return f"http://127.0.0.1:{self.port}"

    def api(self) -> Toxiproxy:
        """Its client."""
        return Toxiproxy(self.port)

    def running_version(self) -> str:
        """See `Server`. One that `go install` built calls itself "git": Go wrote the version into the program."""
        said = self.api().version()
        built = BUILT_FROM.search(Path(self.process.command[0]).read_bytes())
        return built[1].decode() if said == "git" and built else said

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _make_process(self, directory: Path) -> OwnedProcess:
        return OwnedProcess(
            self.name,
            [program(), "-host", "127.0.0.1", "-port", str(self.port), "-seed", str(self.seed), "-proxy-metrics"],
            log=directory / "server.log",
            environment={"PATH": os.defpath, "LOG_LEVEL": "warn"},
            directory=directory,
        )

    def _is_ready(self) -> bool:
        try:
            return bool(self.api().version())
        except ToxiproxyError:
            return False


def program() -> str:
    """`TOXIPROXY_BIN`, or what is on PATH, or what setup/toxiproxy.sh built; else `ProgramMissing`."""
    if chosen := os.environ.get("TOXIPROXY_BIN"):
        if not os.access(chosen, os.X_OK):
            raise ProgramMissing(f"TOXIPROXY_BIN is {chosen}, which is no program; setup/toxiproxy.sh builds one")
        return chosen
    caches = (Path("/var/cache"), Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"))
    built = [cache / "neo-alexandria" / f"toxiproxy-{VERSION}" for cache in caches]
    try:
        return find_program(PROGRAM, package=PROGRAM, extra_directories=built)
    except ProgramMissing:
        raise ProgramMissing(f"{PROGRAM} is not installed: setup/toxiproxy.sh builds it") from None
