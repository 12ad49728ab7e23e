"""The lock files hold what pyproject.toml asks for: read without network, so that `make check` stays fast."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
RUN, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?P<rest>(?:.*\\\n)*.*)", re.MULTILINE)


def pins(lock: Path) -> dict[str, set[str]]:
    """Versions by name: one, or several for different interpreters."""
    found: dict[str, set[str]] = {}
    for pin in PIN.finditer(lock.read_text()):
        found.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    return found


def asked_for(*, with_group: str | None = None) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = project["project"]["dependencies"]
    if with_group is not None:
        lines = [*lines, *project["dependency-groups"][with_group]]
    return [Requirement(line) for line in lines]


def fits(requirement: Requirement, pinned: dict[str, set[str]]) -> bool:
    versions = pinned.get(canonicalize_name(requirement.name), set())
    return bool(versions) and all(requirement.specifier.contains(Version(one), prereleases=True) for one in versions)


@pytest.mark.parametrize(("lock", "group"), [(RUN, None), (DEV, "dev")], ids=["run", "dev"])
def test_the_lock_pins_a_version_that_fits_each_dependency(lock: Path, group: str | None) -> None:
    pinned = pins(lock)
    unfit = [str(requirement) for requirement in asked_for(with_group=group) if not fits(requirement, pinned)]
    assert unfit == [], "run `make lock`"


@pytest.mark.parametrize("lock", [RUN, DEV], ids=["run", "dev"])
def test_every_pin_has_a_hash(lock: Path) -> None:
    without = [pin["name"] for pin in PIN.finditer(lock.read_text()) if "--hash=sha256:" not in pin["rest"]]
    assert without == []
    assert len(pins(lock)) > 50


def test_both_locks_pin_the_same_versions() -> None:
    run, dev = pins(RUN), pins(DEV)
    assert {name: dev.get(name) for name in run} == run
