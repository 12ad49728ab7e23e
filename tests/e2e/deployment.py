"""One set of servers, and a client that asks the API and looks into the tables behind its back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx2
import psycopg2


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where the servers are."""

    name: str
    database_url: str
    broker_url: str
    cache_url: str

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run SQL by the driver itself, with none of our code; what it returns, if anything."""
        with closing(self._connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            rows = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
        return rows

    def _connect(self) -> Any:
        if self.database_url.startswith("sqlite:///"):
            return sqlite3.connect(self.database_url.removeprefix("sqlite:///"), timeout=30)
        return psycopg2.connect(self.database_url)


class Client:
    """The API as a client sees it; any answer but a success is an error."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False)

    def get(self, path: str, **parameters: Any) -> Any:
        return self._answered(self._http.get(path, params=parameters))

    def post(self, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Any:
        return self._answered(self._http.post(path, json=body, headers=headers))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._answered(self._http.put(path, json=body))

    def delete(self, path: str) -> None:
        self._http.delete(path).raise_for_status()

    def found(self, query: str, *, mode: str, limit: int = 10) -> list[str]:
        """Ids of the hits, best first."""
        return [hit["id"] for hit in self.get("/search", query=query, mode=mode, limit=limit)]

    def has_converged(self) -> bool:
        return bool(self.get("/consistency")["converged"])

    def close(self) -> None:
        self._http.close()

    def _answered(self, response: httpx2.Response) -> Any:
        assert response.is_success, f"{response.request.method} {response.request.url}: {response.text}"
        return response.json()


def phrase_of(words: Sequence[str], *, length: int = 8) -> str:
    """`length` words from the middle."""
    middle = max(0, len(words) // 2 - length // 2)
    return " ".join(words[middle : middle + length])
