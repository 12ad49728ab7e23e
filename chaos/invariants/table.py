"""The invariants by their number."""

from __future__ import annotations

from collections.abc import Callable

from chaos.invariants import debounces, effects, pace, remains
from chaos.invariants.observed import Observed
from chaos.invariants.verdict import Verdict

BOUND = "bound"
ALWAYS = ("I1", "I2", "I4", "I5", "I9", "I11", "I13", "I14")

INVARIANTS: dict[str, Callable[[Observed], Verdict]] = {
    "I1": effects.every_event_has_its_effects,
    "I2": effects.each_effect_is_once,
    "I3": remains.repeats_have_a_reason,
    "I4": effects.nothing_from_nowhere,
    "I5": pace.nothing_before_its_time,
    "I6": pace.the_backlog_is_gone,
    "I7": pace.writes_never_suffer,
    "I8": pace.urgent_waits_less,
    "I9": remains.nothing_is_left,
    "I10": pace.every_worker_consumes,
    "I11": remains.only_the_killed_died,
    "I12": debounces.edits_are_joined,
    "I13": effects.versions_never_go_back,
    "I14": remains.the_harness_is_sound,
    BOUND: pace.its_own_bound_is_kept,
}
