"""Processes that the kernel ends when their parent dies (Linux; elsewhere they are only stopped with it)."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PARENT_GONE = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int, with_signal: signal.Signals) -> None:
    """Runs in a new process between fork and exec: the kernel will send the signal when the parent's thread ends.

    The signal belongs to the thread that forked, so only a main thread may start processes this way.
    """
    if not hasattr(_libc, "prctl"):
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(_PARENT_GONE)
