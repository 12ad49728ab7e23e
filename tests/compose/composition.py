"""One compose file on a private Docker engine, driven by the commands that an operator types."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OVERRIDE = "tests/compose/local-images.yml"
PASSWORDS = ("DB_PASSWORD", "BROKER_PASSWORD", "CACHE_PASSWORD", "FLOWER_PASSWORD")
LOCAL_BROKER = {"redis": "redis", "rabbit": "rabbitmq"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """`docker-compose.<broker>.yml`, with passwords of its own."""

    broker: str
    passwords: Mapping[str, str] = field(
        default_factory=lambda: {name: secrets.token_hex(16) for name in PASSWORDS}, repr=False
    )

    def compose(self, *arguments: str, within_seconds: float = 300, check: bool = True) -> str:
        """What `docker compose …` prints on stdout."""
        command = ["docker", "compose", "-f", f"docker-compose.{self.broker}.yml", "-f", OVERRIDE, *arguments]
        environment = {**os.environ, **self.passwords, "LOCAL_BROKER": LOCAL_BROKER[self.broker]}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=within_seconds, check=False
        )
        assert done.returncode == 0 or not check, f"{' '.join(arguments)}: {done.stderr[-3000:]}"
        return done.stdout

    def alexandria(self, *arguments: str) -> str:
        """What a command inside the API's container prints."""
        return self.compose("exec", "-T", "api", "alexandria", *arguments, within_seconds=60)

    def states(self) -> dict[str, str]:
        """By service: its health, and of a job that ended its exit code."""
        lines = self.compose("ps", "--all", "--format", "json", within_seconds=60).splitlines()
        containers: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return {
            one["Name"]: one["Health"] or (f"exit {one['ExitCode']}" if one["State"] == "exited" else one["State"])
            for one in containers
        }

    def all_healthy(self) -> bool:
        """Whether every container is healthy, and the migrations are done."""
        states = self.states()
        return len(states) >= 10 and all(
            state == ("exit 0" if "migrations" in name else "healthy") for name, state in states.items()
        )
