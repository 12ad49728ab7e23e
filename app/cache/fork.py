"""Fork: what an object must forget in a forked child (locks held by threads that are gone, sockets, counts)."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def after_fork_in_child(forget: Callable[[], None]) -> None:
    """Call the bound method `forget` in every forked child, for as long as its object lives."""
    method = weakref.WeakMethod(forget)

    def call() -> None:
        alive = method()
        if alive is not None:
            alive()

    os.register_at_fork(after_in_child=call)
