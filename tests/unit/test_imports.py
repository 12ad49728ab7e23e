"""What a process does not need, it does not import: a start of the API or the relay is a second of imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

READERS = ("trafilatura", "pypdf", "markdown_it", "py3langid")
LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""


def loaded_by(module: str) -> list[str]:
    command = [sys.executable, "-c", LOADED, module, *READERS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("module", ["app.main", "app.tasks.relay", "app.tasks.schedule"])
def test_who_reads_no_documents_loads_no_readers(module: str) -> None:
    assert loaded_by(module) == []


def test_a_worker_loads_the_readers_before_it_forks() -> None:
    assert loaded_by("app.tasks.celery_tasks") == list(READERS)
