"""News of the broker: what is wrong with it is told once, until it changes."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

log = structlog.get_logger(__name__)


class News:
    """Remembers what was said. The lines come from transports, which keep passwords out of them."""

    def __init__(self) -> None:
        self._said: tuple[str, ...] = ()

    def tell(self, broker: str, complaints: Sequence[str]) -> None:
        """Log a line for each complaint that is new, and one when there is none any more."""
        for complaint in complaints:
            if complaint not in self._said:
                log.warning("the broker is not as it should be", broker=broker, why=complaint)
        if self._said and not complaints:
            log.info("the broker is as it should be", broker=broker)
        self._said = tuple(complaints)
