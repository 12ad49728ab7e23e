"""The checker says the table of hooks once more, in its own words: what it says is what the product does."""

from __future__ import annotations

from app.events.hooks import HOOKS
from chaos.invariants.debounces import JOINED


def test_the_debounces_that_are_checked_are_those_of_the_hooks() -> None:
    of_hooks = {
        str(hook.kind): (hook.debounce_seconds, {str(event) for event in (*hook.triggers, *hook.at_once_on)})
        for hook in HOOKS
        if hook.kind is not None
    }
    assert {kind: (seconds, set(events)) for kind, (seconds, events) in JOINED.items()} == of_hooks
