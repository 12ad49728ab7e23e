"""The Lua scripts of the lease transport, each one atomic step on the server; `lua/library.lua` draws the keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

_LUA = Path(__file__).parent / "lua"

Argument = str | int | float


@dataclass(frozen=True, slots=True)
class Script:
    """A script and its name on the server, the SHA-1 of its source. Servers forget: `source` brings it back."""

    source: str
    sha: str

    def command(self, *arguments: Argument, known: bool = True) -> tuple[Argument, ...]:
        """The command that runs it: by its name, or with its source where the server does not know it."""
        return ("EVALSHA", self.sha, 0, *arguments) if known else ("EVAL", self.source, 0, *arguments)

    def run(self, ask: Callable[..., Any], *arguments: Argument) -> Any:
        """Its answer, given `ask(*command)`, which raises the server's errors."""
        try:
            return ask(*self.command(*arguments))
        except NoScriptError:
            return ask(*self.command(*arguments, known=False))


def _script(*files: str) -> Script:
    source = "\n".join((_LUA / f"{name}.lua").read_text() for name in ("library", *files))
    return Script(source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


CLAIM = _script("settlements", "claim")
SETTLE = _script("settlements", "settle")
RENEW = _script("renew")
GIVE_BACK_CLAIMS = _script("give_back_claims")
RETIRE = _script("settlements", "retire")
SWEEP = _script("sweep")
