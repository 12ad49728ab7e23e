"""How a command ends when something expected went wrong."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from app.errors import AlexandriaError, SettingsError, TransientError

_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


def end_with(error: AlexandriaError) -> NoReturn:
    """One line on stderr; exit code 2 for settings, 75 for what may work later, 1 for the rest."""
    typer.echo(f"alexandria: {error.detail}", err=True)
    if isinstance(error, SettingsError):
        sys.exit(2)
    sys.exit(_TRY_AGAIN if isinstance(error, TransientError) else 1)
