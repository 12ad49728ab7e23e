"""Dead letters as clients read them, and what becomes of them."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from app.schemas.resource import ErrorDescription
from app.schemas.shape import Output

SHOWN_BYTES_MAX = 64 * 1024
End = Literal["replayed", "superseded", "discarded"]


class DeadLetterOut(Output):
    """Work that cannot succeed, and why. `origin` message: found on the broker, and no call is behind it."""

    id: UUID
    call_id: UUID | None
    origin: Literal["call", "message"]
    task: str
    args: list[Any]
    queue: str
    priority: int
    reason: str
    attempts: int
    first_at: datetime
    last_at: datetime
    error: ErrorDescription
    resource_id: UUID | None
    history: list[Any]
    closed_at: datetime | None
    closed_as: End | None


class Payload(Output):
    """The bytes that the broker held, the first 65536 of them; `text` is None where they are none."""

    size_bytes: int
    text: str | None
    base64: str
    is_whole: bool

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Shown as data, never as markup."""
        shown = data[:SHOWN_BYTES_MAX]
        is_whole = len(shown) == len(data)
        return cls(
            size_bytes=len(data),
            text=_text(shown, is_whole=is_whole),
            base64=base64.b64encode(shown).decode("ascii"),
            is_whole=is_whole,
        )


class DeadLetterDetail(DeadLetterOut):
    """One dead letter with all that is known of it."""

    traceback: str | None
    closed_by: str | None
    note: str | None
    headers: dict[str, Any] | None
    payload: Payload | None
    not_replayable_because: str | None


class DeadLetterPage(Output):
    """The newest dead letters first."""

    items: list[DeadLetterOut]
    next_cursor: str | None


class ClosingOut(Output):
    """How a letter ended; `changed` is false when it had ended so before. `call_id`: the call that does its work."""

    id: UUID
    outcome: End
    changed: bool
    call_id: UUID | None
    detail: str


class Refusal(Output):
    """A letter that was not replayed, and why."""

    id: UUID
    detail: str


class ReplayedOut(Output):
    """What came of replaying many. With a `next_cursor` there are more: ask again with it."""

    replayed: int
    superseded: int
    refused: list[Refusal]
    next_cursor: str | None


def _text(data: bytes, *, is_whole: bool) -> str | None:
    """UTF-8 without control characters; a character that the cut goes through is left out."""
    for cut in range(1 if is_whole else 4):
        try:
            text = data[: len(data) - cut].decode()
        except UnicodeDecodeError:
            continue
        return text if all(one.isprintable() or one in "\n\r\t" for one in text) else None
    return None
