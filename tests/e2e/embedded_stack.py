"""`alexandria up` with no setting but where its data are, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from app.supervision.run_state import RUN_FILE
from chaos.polling import poll_until

READY_WITHIN_SECONDS = 90.0  # on a machine that runs other tests too; alone it takes a few


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedStack:
    process: subprocess.Popen[bytes]
    log: Path
    data_dir: Path
    client: httpx2.Client

    def everyone(self) -> list[psutil.Process]:
        """Every process it started, however deep."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, name: str) -> psutil.Process | None:
        """Its own living child of this name."""
        for one in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if one.name() == name and alive(one):
                    return one
        return None

    def readiness(self) -> dict[str, Any]:
        answer = self.client.get("/readyz")
        body = answer.json()
        return body if answer.status_code == 200 and isinstance(body, dict) else {}

    def works(self) -> bool:
        """The API, the relay and the workers all say that they are well."""
        try:
            parts = self.readiness().get("parts", {})
        except httpx2.TransportError:
            return False
        return all(parts.get(name, {}).get("ok") for name in ("database", "relay", "workers"))

    def upload(self, name: str, text: str) -> str:
        answer = self.client.post("/ingest", files={"file": (name, text.encode(), "text/plain")})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["resource_id"])

    def finds(self, words: str, *, mode: str) -> list[str]:
        answer = self.client.get("/search", params={"query": words, "mode": mode})
        assert answer.status_code == 200, answer.text
        return [hit["id"] for hit in answer.json()]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


def start(data_dir: Path, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DATA_DIR": str(data_dir), "API_PORT": "0", "CANARY_INTERVAL_SECONDS": "2"}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up", *arguments], env=environment, stdout=output, stderr=output
        )


@contextmanager
def embedded_stack(data_dir: Path, *, log: Path) -> Iterator[EmbeddedStack]:
    """Ready inside the block; afterwards it and all it started are gone, whatever happened."""
    process = start(data_dir, log=log)
    everyone: list[psutil.Process] = []
    try:
        address = poll_until(
            lambda: read_address_of(process, data_dir), within_seconds=READY_WITHIN_SECONDS, what="it has an address"
        )
        assert address is not None
        with httpx2.Client(base_url=address, timeout=60.0) as client:
            stack = EmbeddedStack(process=process, log=log, data_dir=data_dir, client=client)
            poll_until(stack.works, within_seconds=READY_WITHIN_SECONDS, what="the stack works", every_seconds=0.2)
            everyone = stack.everyone()
            yield stack
    except BaseException as error:
        error.add_note(log.read_text(errors="replace")[-6000:])
        raise
    finally:
        process.kill()
        process.wait()
        for one in everyone:
            if alive(one):
                one.kill()


def read_address_of(process: subprocess.Popen[bytes], data_dir: Path) -> str | None:
    """The address this very process announced, not the one of a start before it."""
    assert process.poll() is None, f"it ended with exit code {process.returncode}"
    file = data_dir / RUN_FILE
    written = json.loads(file.read_text()) if file.exists() else {}
    return str(written["address"]) if written.get("pid") == process.pid else None


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
