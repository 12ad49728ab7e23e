"""A client of the API that writes into the ledger whatever it was answered."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import httpx2

from chaos.ledger import Entry, Ledger, Write

TIMEOUT_SECONDS = 15.0


class LedgerClient:
    """For one thread. Refusals and lost answers are entries, never errors."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        self.ledger = ledger
        self._http = httpx2.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def create(self, *, title: str, content: str, creator: str = "Ledger, Ada", left_alone: bool = False) -> str | None:
        """A new resource; its id, None when it was not accepted. `left_alone`: see `Entry`."""
        answer = self._send("POST", "/resources", {"title": title, "content": content, "creator": creator})
        with self.ledger.lock:
            if answer is None:
                self.ledger.unanswered_creates += 1
                return None
            self.ledger.entries[answer["id"]] = Entry(
                version=answer["version"], most=answer["version"], content=content, left_alone=left_alone
            )
        return str(answer["id"])

    def edit(self, resource_id: str, *, content: str) -> bool:
        """Another text; whether it was accepted."""
        answer = self._send("PUT", f"/resources/{resource_id}", {"content": content})
        with self.ledger.lock:
            entry = self.ledger.entries[resource_id]
            entry.most += 1
            if answer is None:
                entry.unanswered.append(content)
                return False
            if answer["version"] > entry.version:  # of two writers the later answer may be the earlier write
                entry.version, entry.content, entry.unanswered = answer["version"], content, []
        return True

    def delete(self, resource_id: str) -> bool:
        """Gone; whether that was accepted."""
        answer = self._send("DELETE", f"/resources/{resource_id}", None)
        with self.ledger.lock:
            entry = self.ledger.entries[resource_id]
            entry.deleted, entry.maybe_deleted = answer is not None, True
        return answer is not None

    def ingest(self, url: str) -> str | None:
        """Ask for a document; the id of its resource, None when it was not accepted."""
        answer = self._send("POST", "/ingest", {"url": url})
        if answer is None:
            return None
        with self.ledger.lock:
            self.ledger.documents[url] = str(answer["resource_id"])
        return str(answer["resource_id"])

    def ask(self, method: str, path: str, **parameters: Any) -> Any:
        """Anything else, beside the ledger; the decoded answer, `httpx2.HTTPError` when it is no success."""
        response = self._http.request(method, path, params=parameters)
        response.raise_for_status()
        return response.json() if response.content else None

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any] | None:
        """The answer; None when it was refused or none came. Empty for a success without a body."""
        at, begun = datetime.now(UTC), time.monotonic()
        status, detail, answer = 0, "", None
        try:
            response = self._http.request(method, path, json=body)
            status, detail = response.status_code, "" if response.is_success else response.text
            answer = (response.json() if response.content else {}) if response.is_success else None
        except (httpx2.HTTPError, ValueError) as error:
            detail = repr(error)
        seconds = time.monotonic() - begun
        self.ledger.note(Write(at=at, seconds=seconds, status=status, what=f"{method} {path}", detail=detail))
        return answer
