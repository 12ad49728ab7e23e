"""Toxiproxy's API: proxies, and toxics as context managers that always clean up.

ToxiproxyError   the server refused, or did not answer within the deadline
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from chaos.processes import HarnessError

TIMEOUT_SECONDS = 5.0

Stream = Literal["upstream", "downstream"]
BOTH: tuple[Stream, ...] = ("upstream", "downstream")
BYTES_OF_ENDED = re.compile(
    r'toxiproxy_proxy_received_bytes_total{direction="upstream".*proxy="(?P<proxy>[^"]+)".*} (?P<bytes>\S+)'
)


class ToxiproxyError(HarnessError):
    """What was asked, and what the server said."""


class Toxiproxy:
    """The server on a port of the loopback. Every call ends within `TIMEOUT_SECONDS`, or raises `ToxiproxyError`."""

    def __init__(self, port: int) -> None:
        self._port = port

    def version(self) -> str:
        """Of the server: `2.12.0`."""
        return str(self.ask("GET", "/version")["version"])

    def proxy(self, name: str, *, listen_port: int, target: str) -> Proxy:
        """A new proxy from a port of the loopback to `host:port`."""
        body = {"name": name, "listen": f"127.0.0.1:{listen_port}", "upstream": target}
        self.ask("POST", "/proxies", body | {"enabled": True})
        return Proxy(self, name, port=listen_port, body=body)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request; the decoded answer, None when it is empty."""
        text = self._read(method, path, body)
        return json.loads(text) if text else None

    def bytes_of_ended(self) -> dict[str, int]:
        """By proxy: what clients sent over connections that are gone; the server counts a connection at its end."""
        lines = self._read("GET", "/metrics").decode().splitlines()
        counted = [found for line in lines if (found := BYTES_OF_ENDED.match(line))]
        return {found["proxy"]: int(float(found["bytes"])) for found in counted}

    def _read(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ToxiproxyError(f"Toxiproxy: {method} {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise ToxiproxyError(f"Toxiproxy: {method} {path} answered {answer.status} {text[:200]!r}")
        return text


class Proxy:
    """One line. `upstream` is from the client to the server, `downstream` the way back.

    `probed`: bytes that were sent to it by whoever only wanted to see how it reacts.
    """

    def __init__(self, api: Toxiproxy, name: str, *, port: int, body: Mapping[str, Any]) -> None:
        self.name = name
        self.port = port
        self.probed = 0
        self._api = api
        self._body = dict(body)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Inside, its connections are closed and new ones refused."""
        self._enable(False)
        try:
            yield
        finally:
            self._enable(True)

    @contextmanager
    def latency(self, *, milliseconds: int, jitter: int = 0, streams: tuple[Stream, ...] = BOTH) -> Iterator[None]:
        """Delay all data by `milliseconds` ± `jitter`, in each of the streams."""
        with self._toxics("latency", {"latency": milliseconds, "jitter": jitter}, streams):
            yield

    @contextmanager
    def bandwidth(self, *, kilobytes_per_second: int, streams: tuple[Stream, ...] = BOTH) -> Iterator[None]:
        """Let no more through than that."""
        with self._toxics("bandwidth", {"rate": kilobytes_per_second}, streams):
            yield

    @contextmanager
    def slicer(self, *, average_bytes: int, streams: tuple[Stream, ...] = BOTH) -> Iterator[None]:
        """Cut the data into small pieces."""
        with self._toxics("slicer", {"average_size": average_bytes, "size_variation": 0, "delay": 0}, streams):
            yield

    @contextmanager
    def stall(self, *, streams: tuple[Stream, ...] = BOTH) -> Iterator[None]:
        """Swallow all data, close nothing; the connections are closed at the end (Toxiproxy's `timeout` of 0)."""
        with self._toxics("timeout", {"timeout": 0}, streams):
            yield

    @contextmanager
    def reset_peer(self, *, streams: tuple[Stream, ...] = BOTH) -> Iterator[None]:
        """End connections at their first data: with RST if they were opened inside, with FIN if before."""
        with self._toxics("reset_peer", {"timeout": 0}, streams):
            yield

    @contextmanager
    def limit_data(self, *, after_bytes: int, streams: tuple[Stream, ...]) -> Iterator[None]:
        """End each connection after that many more bytes, counted from now or from when it is opened."""
        with self._toxics("limit_data", {"bytes": after_bytes}, streams):
            yield

    def toxics(self) -> dict[str, dict[str, Any]]:
        """What the server says is in this line, by name; attributes as the server has them."""
        return {one["name"]: one for one in self._api.ask("GET", f"/proxies/{self.name}/toxics")}

    def bytes_of_ended(self) -> int:
        """What clients sent over connections that are gone, without what was `probed`."""
        return self._api.bytes_of_ended().get(self.name, 0) - self.probed

    def renew(self) -> None:
        """Close its connections and drop its toxics, whatever state it is in; it listens on the same port again."""
        self._api.ask("DELETE", f"/proxies/{self.name}")
        self._api.ask("POST", "/proxies", self._body | {"enabled": True})

    def _enable(self, enabled: bool) -> None:
        self._api.ask("POST", f"/proxies/{self.name}", self._body | {"enabled": enabled})

    @contextmanager
    def _toxics(self, kind: str, attributes: Mapping[str, Any], streams: tuple[Stream, ...]) -> Iterator[None]:
        added: list[str] = []
        try:
            for stream in streams:
                name = f"{kind}-{stream}"
                body = {"name": name, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": dict(attributes)}
                self._api.ask("POST", f"/proxies/{self.name}/toxics", body)
                added.append(name)
            yield
        finally:
            self._remove(added)

    def _remove(self, names: list[str]) -> None:
        """Removing one under load may hang in the server; then the whole line is made anew."""
        try:
            for name in names:
                self._api.ask("DELETE", f"/proxies/{self.name}/toxics/{name}")
        except ToxiproxyError:
            self.renew()
