"""Question: a search as the address of the page has it. Whatever is in the address, there is a question in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from app.index.documents import Filters
from app.knowledge.query_grammar import QUERY_LENGTH_MAX
from app.schemas.search import Mode
from app.web.wording import FACETS

DEFAULT_MODE: Mode = "hybrid"
YEAR = "publication_year"
_MODES: tuple[Mode, ...] = get_args(Mode)
_VALUES_MAX = 20
_YEAR_FORM = re.compile(r"0{0,3}[1-9][0-9]{0,3}")  # 1 to 9999; `int` reads no number of 5000 digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`chosen` holds the values picked of each facet, by the name of the facet."""

    text: str = ""
    mode: Mode = DEFAULT_MODE
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cursor: str | None = None
    only_failed: bool = False

    @classmethod
    def of(cls, parameters: QueryParams) -> Question:
        """Read the query of an address; what is not understood is left out."""
        mode = next((one for one in _MODES if one == parameters.get("mode")), DEFAULT_MODE)
        chosen = {facet: [_clean(value) for value in parameters.getlist(facet)][:_VALUES_MAX] for facet in FACETS}
        chosen[YEAR] = [year for year in chosen[YEAR] if _YEAR_FORM.fullmatch(year)]
        return cls(
            text=_clean(parameters.get("q", ""))[:QUERY_LENGTH_MAX],
            mode=mode,
            chosen={facet: values for facet, values in chosen.items() if values},
            cursor=_clean(parameters.get("cursor", "")) or None,
            only_failed=parameters.get("show") == "failed",
        )

    @property
    def asks(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.text.strip())

    @property
    def filters(self) -> Filters:
        """What a hit must be."""
        years = [int(year) for year in self.chosen.get(YEAR, ())]
        values: dict[str, Any] = {facet: tuple(picked) for facet, picked in self.chosen.items() if facet != YEAR}
        if not years:
            return Filters(**values)
        return Filters(**values, year_from=min(years), year_to=max(years))

    def url(self, *, text: str | None = None, cursor: str | None = None, keep_facets: bool = True) -> str:
        """The address of this question, or of one that differs in what is named."""
        asked = replace(self, text=self.text if text is None else text)
        pairs = [("q", asked.text)] if asked.asks else []
        if asked.mode != DEFAULT_MODE:
            pairs.append(("mode", asked.mode))
        if keep_facets and asked.asks:
            pairs += [(facet, value) for facet, values in self.chosen.items() for value in values]
        if self.only_failed and not asked.asks:
            pairs.append(("show", "failed"))
        if cursor:
            pairs.append(("cursor", cursor))
        return f"/?{urlencode(pairs)}" if pairs else "/"


def _clean(value: str) -> str:
    """No NUL: PostgreSQL compares with none."""
    return value.replace("\x00", " ")
