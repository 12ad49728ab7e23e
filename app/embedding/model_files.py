"""Model files: read only when they are the bytes that this version was made for."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.errors import ModelMismatch


def read_checked(path: Path, *, sha256: str) -> bytes:
    """The content of `path`, or `ModelMismatch` when it is missing or has another SHA-256."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelMismatch(f"{path.name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelMismatch(f"{path.name} has SHA-256 {found}, expected {sha256}")
    return content
