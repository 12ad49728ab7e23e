"""Quality findings: documents that got worse, and documents that stand out, as the scheduled tasks last saw them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, now


class QualityDegradation(Base):
    """A document whose overall score fell. `fell`: overall_from - overall_to.

    `dimensions`: name -> {"from", "to"} of each one that fell, the one that counts most first. No row: it did not
    fall, or has recovered.
    """

    __tablename__ = "quality_degradations"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    overall_from: Mapped[float] = mapped_column(Float)
    overall_to: Mapped[float] = mapped_column(Float)
    fell: Mapped[float] = mapped_column(Float, index=True)
    from_at: Mapped[datetime]
    to_at: Mapped[datetime]
    dimensions: Mapped[list[Any]]
    found_at: Mapped[datetime] = mapped_column(default=now)


class QualityOutlier(Base):
    """A document that scores far below its like. `severity`: the largest distance, in robust standard deviations.

    `compared_with`: the language whose documents it was compared with, or `*` for all. `scored_at`: which score.
    """

    __tablename__ = "quality_outliers"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    severity: Mapped[float] = mapped_column(Float, index=True)
    reasons: Mapped[list[str]]
    compared_with: Mapped[str] = mapped_column(String(16))
    scored_at: Mapped[datetime]
    found_at: Mapped[datetime] = mapped_column(default=now)
