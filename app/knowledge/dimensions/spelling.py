"""Spelling: words that British and American English write differently."""

from __future__ import annotations

from collections.abc import Mapping

_PAIRS = (
    "analyse/analyze behaviour/behavior catalogue/catalog centre/center cheque/check colour/color defence/defense "
    "dialogue/dialog favour/favor favourite/favorite fibre/fiber flavour/flavor fulfil/fulfill grey/gray "
    "honour/honor humour/humor labour/labor licence/license litre/liter metre/meter modelling/modeling "
    "neighbour/neighbor offence/offense organise/organize programme/program realise/realize recognise/recognize "
    "initialise/initialize optimise/optimize serialise/serialize normalise/normalize customise/customize "
    "summarise/summarize theatre/theater travelled/traveled traveller/traveler labelled/labeled cancelled/canceled"
)
_AMBIGUOUS = frozenset({"check", "license", "program", "meter", "dialog", "catalog", "cheque", "programme"})
"""Words that both write, with another meaning."""


def _forms(side: int) -> frozenset[str]:
    words = [pair.split("/")[side] for pair in _PAIRS.split()]
    bases = [word for word in words if word not in _AMBIGUOUS]
    return frozenset(
        form
        for base in bases
        for form in (base, f"{base}s", f"{base}d", f"{base}ed", f"{base[:-1]}ing", f"{base}ing", f"{base}r")
    )


_BRITISH = _forms(0)
_AMERICAN = _forms(1) - _BRITISH


def spelling_counts(word_counts: Mapping[str, int]) -> tuple[int, int]:
    """Occurrences of British and of American spellings among folded words."""
    british = sum(word_counts.get(word, 0) for word in _BRITISH)
    american = sum(word_counts.get(word, 0) for word in _AMERICAN)
    return british, american
