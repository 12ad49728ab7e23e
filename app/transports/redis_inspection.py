"""What a Redis or Valkey server should be set to, read from the server; its lists need no declaring."""

from __future__ import annotations

from contextlib import closing

from app.settings import Settings
from app.transports.address import Address
from app.transports.base import Findings
from app.transports.redis import RedisTransport

PATIENCE_SECONDS = 5.0


class RedisInspection:
    """See `Inspection`."""

    def __init__(self, address: Address, _settings: Settings) -> None:
        self._address = address

    def check(self) -> Findings:
        """See `Inspection`; only the server's own configuration can differ."""
        with closing(RedisTransport(self._address)) as transport:
            complaints = transport.health(deadline_seconds=PATIENCE_SECONDS)
        return Findings(
            differences=complaints,
            notes=(
                "maxmemory-policy must be noeviction: when memory is short, publishing fails and calls wait as rows",
                "the append-only file must be on (appendonly yes): what was accepted survives a restart",
                "maxmemory should be set below the memory of the machine: a server without a limit is killed, not full",
            ),
        )

    def apply(self) -> Findings:
        """See `Inspection`: the server's configuration is its operator's, so nothing is changed."""
        return self.check()
