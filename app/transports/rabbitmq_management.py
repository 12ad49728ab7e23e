"""RabbitMQ's management API, where there is one: it tells arguments and bindings, which AMQP does not."""

from __future__ import annotations

import base64
import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

from app.transports.address import Address

PORT = 15672
PATIENCE_SECONDS = 5.0


class Management:
    """Read access with the broker's own user. No method raises for an API that is away: it answers None."""

    def __init__(self, address: Address, *, url: str = "") -> None:
        host = f"[{address.host}]" if ":" in address.host else address.host
        where = urlsplit(url or f"http://{host}:{PORT}")
        kind = HTTPSConnection if where.scheme == "https" else HTTPConnection
        self._http = kind(where.hostname or "", where.port, timeout=PATIENCE_SECONDS)
        self._root = where.path.rstrip("/")
        self._vhost = quote(address.path or "/", safe="")
        user = f"{address.user or 'guest'}:{address.password or 'guest'}".encode()
        self._headers = {"Authorization": f"Basic {base64.b64encode(user).decode('ascii')}"}

    def queues(self) -> dict[str, dict[str, Any]] | None:
        """By name: `type`, `durable`, `arguments`, …; None when the API does not answer this user."""
        found = self._get(f"/api/queues/{self._vhost}")
        return None if found is None else {queue["name"]: queue for queue in found}

    def exchanges(self) -> dict[str, dict[str, Any]] | None:
        """By name: `type`, `durable`, …"""
        found = self._get(f"/api/exchanges/{self._vhost}")
        return None if found is None else {exchange["name"]: exchange for exchange in found}

    def bindings(self) -> set[tuple[str, str, str]] | None:
        """Exchange, queue, routing key; those of the default exchange left out."""
        found = self._get(f"/api/bindings/{self._vhost}")
        if found is None:
            return None
        return {(one["source"], one["destination"], one["routing_key"]) for one in found if one["source"]}

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _get(self, path: str) -> list[dict[str, Any]] | None:
        try:
            self._http.request("GET", self._root + path, headers=self._headers)
            answer = self._http.getresponse()
            body = answer.read()
            return list(json.loads(body)) if answer.status == 200 else None
        except (HTTPException, OSError, ValueError):
            self._http.close()
            return None
