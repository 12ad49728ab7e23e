"""What is vendored is what its list says."""

from __future__ import annotations

import hashlib

from app.web.static_files import DIRECTORY

VENDOR = DIRECTORY / "vendor"


def listed() -> dict[str, list[str]]:
    rows = [line.split() for line in (VENDOR / "VENDORED.txt").read_text().splitlines()]
    return {row[0]: row for row in rows if len(row) == 5 and len(row[-1]) == 64}


def test_every_vendored_file_is_listed_with_the_digest_of_its_bytes() -> None:
    files = {path.name for path in VENDOR.iterdir()} - {"VENDORED.txt"}
    assert files == set(listed())
    for name, row in listed().items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == row[-1], name


def test_each_package_comes_with_its_licence() -> None:
    packages = {row[1] for name, row in listed().items() if not name.endswith("LICENSE.txt")}
    assert packages == {row[1] for name, row in listed().items() if name.endswith("LICENSE.txt")}
