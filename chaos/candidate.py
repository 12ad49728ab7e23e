"""Settings of the product that an operator wants to see tried: `--set NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.errors import SettingsError
from app.settings import Settings, load_settings
from chaos.scenarios.scenario import Scenario

OF_THE_SUITE = frozenset(
    {
        *("DATABASE_URL", "DATA_DIR", "CACHE_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_CACHE_DB"),
        *("BROKER_URL", "BROKER_NAME", "RABBITMQ_MANAGEMENT_URL"),
        *("API_HOST", "API_PORT", "REQUIRE_API_KEY", "ALEXANDRIA_API_KEY", "ALIVE_FILE"),
        *("EMBEDDING_ENGINE", "INGEST_ALLOWED_PRIVATE_HOSTS"),
        *("WORKER_CONCURRENCY", "ML_WORKER_CONCURRENCY"),  # how much a fault can repeat
    }
)
"""Where the servers of a run are, and what its load and its checks stand on; all secrets are among it."""


class CandidateRefused(Exception):
    """The settings cannot be tried; the message is one line."""


def settings_of(assignments: Sequence[str]) -> dict[str, str]:
    """`["CALL_LEASE_SECONDS=20"]` by name, checked as the product would; `CandidateRefused` says what is wrong."""
    found: dict[str, str] = {}
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if not sign:
            raise CandidateRefused(f"--set {assignment}: it is NAME=VALUE")
        if name.lower() not in Settings.model_fields or name != name.upper():
            raise CandidateRefused(f"--set {assignment}: there is no setting {name}; docs/settings.md names all")
        if name in OF_THE_SUITE:
            raise CandidateRefused(f"--set {assignment}: the suite itself decides {name}")
        found[name] = value
    try:
        load_settings(**{name.lower(): value for name, value in found.items()})
    except SettingsError as error:
        raise CandidateRefused(f"--set: {error.detail}") from error
    return found


def kept_by_scenarios(settings: Mapping[str, str], scenarios: Iterable[Scenario]) -> list[str]:
    """Sentences: which scenarios need a value of their own of what is to be tried."""
    return [
        f"scenario {one.number} keeps its own {name}={one.environment[name]}"
        for one in scenarios
        for name in settings
        if name in one.environment
    ]
