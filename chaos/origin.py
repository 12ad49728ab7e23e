"""Where results come from: one run, or several, in words for whoever reads the matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chaos.scenarios.table import SCENARIOS
from chaos.site import BROKERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What all results of one run have in common. `given`: an operator's broker, if it was one; `settings`: what he
    had tried.
    """

    commit: str
    seed: int
    is_fast: bool
    given: str
    settings: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(filter(None, self._words().values()))

    def beside(self, usual: Origin) -> str:
        """Only what is otherwise than in the usual one; empty: nothing."""
        of_usual = usual._words()
        other = {name: words for name, words in self._words().items() if words != of_usual[name]}
        return ", ".join(words or "with the suite's settings" for words in other.values())

    def _words(self) -> dict[str, str]:
        return {
            "commit": f"commit {self.commit}",
            "seed": f"seed {self.seed}",
            "is_fast": "the fast set" if self.is_fast else "all rounds",
            "given": f"on {self.given}" if self.given else "on brokers of its own",
            "settings": f"with {' '.join(self.settings)}" if self.settings else "",
        }


def told(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences: whether it is one run, what is of another, what was run apart, what has no result."""
    if not found:
        return ["There are no results."]
    everyday = [one for one in found if not SCENARIOS[one["scenario"]].is_apart]
    usual = Counter(map(_origin, everyday or found)).most_common(1)[0][0]
    others = _differing(found, usual)
    if others:
        first = f"Of several runs, not of one. Most: {usual}. Of others: {_listed(others)}."
    else:
        first = f"One run: {usual}."
    apart = sorted({(one["scenario"], one["seed"]) for one in found if SCENARIOS[one["scenario"]].is_apart})
    sentences = [first, *(f"Scenario {number} is run apart: seed {seed}." for number, seed in apart)]
    missing = _missing(found, usual)
    return [*sentences, f"No result: {_listed(missing)}."] if missing else sentences


def _settings(one: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in one.get("settings", {}).items())


def _origin(one: Mapping[str, Any]) -> Origin:
    changes = "" if one["clean"] else " with changes"
    return Origin(
        commit=f"{one['commit'][:10]}{changes}",
        seed=one["seed"],
        is_fast=one["is_fast"],
        given=one["given"],
        settings=_settings(one),
    )


def _differing(found: Sequence[Mapping[str, Any]], usual: Origin) -> dict[str, list[str]]:
    """By what is otherwise: which scenarios. The seed of one that is run apart is its own."""
    groups: dict[str, list[str]] = {}
    for one in found:
        origin = _origin(one)
        if SCENARIOS[one["scenario"]].is_apart:
            origin = replace(origin, seed=usual.seed)
        if difference := origin.beside(usual):
            groups.setdefault(difference, []).append(f"{one['scenario']} {one['broker']}")
    return groups


def _missing(found: Sequence[Mapping[str, Any]], usual: Origin) -> dict[str, list[str]]:
    """By broker: of all scenarios, or of the fast set; nothing is expected of what an operator tries."""
    if usual.given or usual.settings:
        return {}
    there = {(one["scenario"], one["broker"]) for one in found}
    missing: dict[str, list[str]] = {}
    for number, scenario in SCENARIOS.items():
        if scenario.is_apart or (usual.is_fast and not scenario.is_fast):
            continue
        for broker in BROKERS:
            if broker in scenario.brokers and (number, broker) not in there:
                missing.setdefault(broker, []).append(str(number))
    return missing


def _listed(groups: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{what}: {', '.join(which)}" for what, which in groups.items())
