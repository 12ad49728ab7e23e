"""Which broker carries the calls, and since which switch."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class ActiveBroker(Base):
    """One row. `epoch` counts the switches: a claim is made in an epoch, under a lock on this row.

    `fingerprint` is empty until the first relay starts. `is_served`: a relay of this epoch has started.
    """

    __tablename__ = "active_broker"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # always 1
    fingerprint: Mapped[str] = mapped_column(Text)
    epoch: Mapped[int]
    is_served: Mapped[bool]
    activated_at: Mapped[datetime | None]
