"""What a process does not need, it does not import: a start of the API or the relay is a second of imports."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

READERS = ("trafilatura", "pypdf", "pyromark", "py3langid")
HEAVY = ("numpy", "sklearn", "scipy", "onnxruntime", "rapidfuzz", "httpx2")
NOT_THE_RELAYS = ("app.cache.redis_cache", "app.index.search_index", "app.content.extraction", "fastapi", "celery")
LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sys.modules)
"""


@cache
def all_loaded_by(module: str) -> frozenset[str]:
    command = [sys.executable, "-c", LOADED, module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return frozenset(done.stdout.split())


def loaded_by(module: str, *names: str) -> list[str]:
    loaded = all_loaded_by(module)
    assert module in loaded
    return [name for name in names if name in loaded]


@pytest.mark.parametrize("module", ["app.main", "app.tasks.relay", "app.tasks.schedule"])
def test_who_reads_no_documents_loads_no_readers(module: str) -> None:
    assert loaded_by(module, *READERS) == []


@pytest.mark.parametrize("module", ["app.main", "app.tasks.relay", "app.tasks.schedule"])
def test_who_computes_nothing_loads_nothing_to_compute_with(module: str) -> None:
    """Nor a second client of HTTP."""
    assert loaded_by(module, *HEAVY) == []


def test_a_worker_loads_no_trainer_before_it_trains() -> None:
    assert loaded_by("app.tasks.celery_tasks", "sklearn", "scipy") == []


def test_the_relay_loads_neither_cache_nor_index_nor_frameworks() -> None:
    assert loaded_by("app.tasks.relay", *NOT_THE_RELAYS) == []


def test_a_worker_loads_what_tells_languages_before_it_forks_and_leaves_the_rest_to_the_process_that_reads() -> None:
    assert loaded_by("app.tasks.celery_tasks", *READERS) == ["py3langid"]
    assert loaded_by("app.content.extraction", *READERS[:3]) == list(READERS[:3])
