"""Flower's own HTTP API, and a `flower` process to ask it of."""

from __future__ import annotations

import sys
from typing import Any

import httpx2

from chaos.processes import OwnedProcess
from chaos.stack import ROOT, Stack


class FlowerApi:
    """Flower's HTTP API."""

    def __init__(self, port: int) -> None:
        self._http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    def answers(self) -> bool:
        try:
            return bool(self._http.get("/healthcheck").is_success)
        except httpx2.HTTPError:
            return False

    def get(self, path: str, **parameters: str) -> Any:
        answer = self._http.get(path, params=parameters)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def tasks(self, state: str) -> list[dict[str, Any]]:
        return list(self.get("/api/tasks", state=state).values())

    def lengths(self) -> dict[str, int]:
        return {queue["name"]: queue.get("messages", 0) for queue in self.get("/api/queues/length")["active_queues"]}

    def close(self) -> None:
        self._http.close()


def flower_of(stack: Stack, port: int, *options: str) -> OwnedProcess:
    """Not started yet; anybody may read its API."""
    return OwnedProcess(
        "flower",
        [sys.executable, "-m", "app.cli", "flower", f"--port={port}", "--address=127.0.0.1", *options],
        log=stack.directory / f"flower-{port}.log",
        environment={**stack.environment, "FLOWER_UNAUTHENTICATED_API": "true"},
        directory=ROOT,
    )
