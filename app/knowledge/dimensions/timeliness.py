"""Timeliness: how recent the document is on the day it is judged.

Value fades by half every five years, within the 3 to 12 years that Burton & Kebler, "The half-life of some
scientific and technical literatures", American Documentation 11 (1960), found between fields. A date
that lies ahead says nothing about age and counts as none.

| part | weight | value | applies when |
|---|---|---|---|
| date | 0.7 | age of the later of created and modified; 0 without a date | always |
| years | 0.3 | age of the latest year that the text mentions, up to today's | it mentions one |
"""

from __future__ import annotations

import re
from datetime import date

from app.knowledge.dimensions.part import Part, Score, decayed, score_of
from app.knowledge.quality_input import QualityInput
from app.knowledge.text_profile import TextProfile

HALF_LIFE_YEARS = 5
DAYS_A_YEAR = 365.25
OLDEST_YEAR = 1900
"""Four digits below this are more often a count than a year."""
_YEAR = re.compile(r"(?<![\d.,/])(?:19|20)\d\d(?![\d/]|[.,]\d)")


def timeliness_of(document: QualityInput, profile: TextProfile) -> Score:
    """The timeliness of a document, 0 to 1."""
    return score_of([_date(document), _years(profile, today=document.today)])


def _date(document: QualityInput) -> Part:
    dates = [
        day for day in (document.date_created, document.date_modified) if day is not None and day <= document.today
    ]
    if not dates:
        return Part(value=0, weight=0.7, finding="it carries no date up to today")
    years = (document.today - max(dates)).days / DAYS_A_YEAR
    finding = f"last dated {max(dates).isoformat()}, {years:.0f} years ago"
    return Part(value=decayed(years, half=HALF_LIFE_YEARS), weight=0.7, finding=finding)


def _years(profile: TextProfile, *, today: date) -> Part | None:
    years = [year for found in set(_YEAR.findall(profile.text)) if OLDEST_YEAR <= (year := int(found)) <= today.year]
    if not years:
        return None
    age = today.year - max(years)
    finding = f"the latest year it mentions is {max(years)}"
    return Part(value=decayed(age, half=HALF_LIFE_YEARS), weight=0.3, finding=finding)
