"""What the API accepted, written down by the client that asked: the truth that survives any crash of the product."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

PAUSE_SECONDS = 0.1  # between two writes: load, not overload, for a worker that keeps dying


@dataclass(slots=True)
class Accepted:
    """The last state of one resource that was answered 200, and the contents whose answer never came."""

    version: int
    content: str
    unanswered: list[str] = field(default_factory=list)


class Writer:
    """A thread that creates and edits resources until stopped, and keeps the ledger.

    `cut_off`: requests that were sent and never answered; `unanswered_creates`: those of them that create, each with
    its Idempotency-Key, to be asked again.
    """

    def __init__(
        self, url: str, *, seed: int, resources_at_most: int = 30, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self.cut_off = 0
        self.unanswered_creates: list[tuple[str, dict[str, Any]]] = []
        self._pause_seconds = pause_seconds
        self.accepted: dict[str, Accepted] = {}
        self.count = 0
        self.refused: dict[int, list[str]] = defaultdict(list)
        self._most = resources_at_most
        self._random = random.Random(seed)
        self._http = httpx2.Client(base_url=url, timeout=10, trust_env=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_until_stopped, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Finish the request in hand and write no more."""
        self._stop.set()
        self._thread.join(30)
        self._http.close()

    def _write_until_stopped(self) -> None:
        while not self._stop.wait(self._pause_seconds):
            if len(self.accepted) < self._most:
                self._create()
            else:
                self._edit(self._random.choice(sorted(self.accepted)))

    def _text(self) -> str:
        return f"Entry {self._random.getrandbits(48):012x} of the ledger, written while processes die."

    def _create(self) -> None:
        key, body = str(uuid4()), {"title": "Ledger", "content": self._text()}
        known = self.cut_off
        answer = self._send("POST", "/resources", body, key=key)
        if answer is not None:
            self.accepted[answer["id"]] = Accepted(version=answer["version"], content=body["content"])
        elif self.cut_off > known:
            self.unanswered_creates.append((key, body))

    def _edit(self, resource_id: str) -> None:
        entry, content = self.accepted[resource_id], self._text()
        answer = self._send("PUT", f"/resources/{resource_id}", {"content": content})
        if answer is None:
            entry.unanswered.append(content)
            return
        entry.version, entry.content, entry.unanswered = answer["version"], content, []

    def _send(self, method: str, path: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any] | None:
        try:
            response = self._http.request(method, path, json=body, headers={"Idempotency-Key": key} if key else None)
        except httpx2.ConnectError:
            return None
        except httpx2.HTTPError:
            self.cut_off += 1
            return None
        if not response.is_success:
            self.refused[response.status_code].append(response.text)
            return None
        self.count += 1
        answer: dict[str, Any] = response.json()
        return answer
