"""Settings: the only reader of the environment.

Every field can be set by the environment variable of its name in capitals (`BROKER_URL`,
`DATABASE_URL`, …). A value that cannot be right stops the process with one line that names the
variable and what it takes; a server that cannot be reached does not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import SettingsError

BROKER_SCHEMES = ("redis", "rediss", "sentinel", "amqp", "amqps")
CACHE_SCHEMES = ("redis", "rediss")
DATABASE_SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg2")

PositiveInt = Annotated[int, Field(gt=0)]
PositiveSeconds = Annotated[float, Field(gt=0)]
CENTURY_DAYS = 36_500
"""What is to be kept for ever is kept for a century: a longer time has no beginning in the calendar."""
Days = Annotated[int, Field(gt=0, le=CENTURY_DAYS)]


def _scheme_of(url: str, allowed: tuple[str, ...]) -> str:
    scheme = urlsplit(url).scheme.lower()
    if scheme not in allowed:
        raise ValueError(f"takes a URL that begins with {', '.join(s + '://' for s in allowed)}")
    return scheme


class Settings(BaseSettings):
    """One value per setting of architecture §7; defaults are those of `alexandria up`."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    # Where things are
    data_dir: Path = Field(default=Path("data"), description="Everything the embedded default keeps on disk")
    database_url: SecretStr = Field(
        default=SecretStr(""), description="sqlite:///… or postgresql://…; empty: SQLite in DATA_DIR"
    )
    broker_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        validation_alias=AliasChoices("BROKER_URL", "CELERY_BROKER_URL"),
        description="redis:// rediss:// sentinel:// or amqp:// amqps://: the scheme chooses the transport",
    )
    broker_name: str = Field(
        default="", description="What the broker is called in every process, where they reach it by several addresses"
    )
    rabbitmq_queue_type: Literal["classic", "quorum"] = "classic"
    rabbitmq_management_url: str = Field(
        default="", description="http://host:port of the management API; empty: port 15672 of the broker's host"
    )
    cache_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("CACHE_URL", "REDIS_URL"),
        description="redis:// rediss://; empty: REDIS_HOST, REDIS_PORT, REDIS_CACHE_DB",
    )
    redis_host: str = "127.0.0.1"
    redis_port: PositiveInt = 6379
    redis_cache_db: Annotated[int, Field(ge=0)] = 2

    # HTTP
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    api_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Names beside localhost that an API on a loopback address may be called by"
    )
    require_api_key: Literal["auto", "true", "false"] = Field(
        default="auto", description="auto: unless the API listens on a loopback address"
    )
    alexandria_api_key: SecretStr = Field(default=SecretStr(""), description="The key that the command line shows")
    max_body_bytes: PositiveInt = 64 * 1024 * 1024
    idempotency_key_hours: Annotated[int, Field(gt=0, le=24 * CENTURY_DAYS)] = 24
    rate_limit_per_minute: Annotated[int, Field(ge=0)] = Field(
        default=600, description="Requests that cause tasks, for a key or client address and API process; 0: no limit"
    )
    rate_limit_loopback_per_minute: Annotated[int, Field(ge=0)] = Field(
        default=60_000, description="The same for clients on this machine"
    )
    event_streams_max: PositiveInt = Field(default=64, description="Open GET /events/stream of one API process")
    exports_max: PositiveInt = Field(default=2, description="GET /export that run at once in one API process")

    # Database (the seed's numbers for the API; a budget for every other process)
    db_pool_size: PositiveInt = 20
    db_max_overflow: Annotated[int, Field(ge=0)] = 40
    db_pool_recycle_seconds: PositiveInt = 3600
    db_worker_pool_size: PositiveInt = 2
    db_worker_max_overflow: Annotated[int, Field(ge=0)] = 2
    db_connect_timeout_seconds: PositiveInt = 5
    db_statement_timeout_seconds: PositiveInt = 60
    db_idle_in_transaction_seconds: PositiveInt = 10
    sqlite_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    sqlite_write_timeout_seconds: PositiveSeconds = 30.0

    # Outbox and relay
    relay_in_flight_per_queue: PositiveInt = 512
    relay_batch_size: PositiveInt = 256
    relay_poll_seconds: PositiveSeconds = 1.0
    relay_publish_deadline_seconds: PositiveSeconds = 5.0
    relay_lost_after_seconds: PositiveSeconds = 60.0
    call_lease_seconds: PositiveSeconds = 15.0
    max_deliveries: PositiveInt = 5
    retry_first_delay_seconds: PositiveSeconds = 60.0
    retry_max_delay_seconds: PositiveSeconds = 600.0
    debounce_scale: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="Multiplies every debounce of the hook table; tests set it small"
    )
    event_retention_days: Days = 30
    call_retention_days: Days = 7
    dead_letter_import: bool = True
    dead_letter_retention_days: Days = 30
    batch_retention_days: Days = 30
    canary_interval_seconds: PositiveSeconds = 15.0
    reconcile_interval_seconds: PositiveSeconds = 60.0

    # Workers
    worker_concurrency: PositiveInt = 2
    ml_worker_concurrency: PositiveInt = 1
    worker_prefetch_multiplier: PositiveInt = 4
    worker_max_tasks_per_child: Annotated[int, Field(ge=0)] = 0
    worker_max_memory_kib: PositiveInt = 1_500_000
    task_soft_time_limit_seconds: PositiveInt = 540
    task_time_limit_seconds: PositiveInt = 600

    # Embeddings
    embedding_engine: Literal["onnx", "sentence-transformers", "hashing"] = "onnx"
    embedding_threads: Annotated[int, Field(ge=0)] = Field(default=0, description="0: one per core")
    embedding_max_passages: PositiveInt = 64

    # Classification
    classification_review_below: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.7, description="A prediction less certain than this is for a person to look at"
    )
    classification_min_labels: Annotated[int, Field(ge=10)] = Field(
        default=50, description="A model is trained when people have decided on so many documents"
    )
    classification_max_labels: Annotated[int, Field(ge=100)] = Field(
        default=4000, description="The most that one is trained with, those changed last"
    )

    # Recommendations
    recommendation_half_life_days: Annotated[float, Field(ge=0.01, le=CENTURY_DAYS)] = 30.0
    recommendation_mmr_lambda: Annotated[float, Field(ge=0, le=1)] = 0.7

    # Quality over time
    quality_degradation_drop: Annotated[float, Field(gt=0, lt=1)] = 0.2
    quality_degradation_days: Days = 30
    quality_outlier_distance: Annotated[float, Field(gt=0)] = 5.0
    quality_outlier_min_documents: Annotated[int, Field(ge=5)] = 30
    quality_history_days: Days = 365

    # Ingestion
    ingest_max_bytes: PositiveInt = 50 * 1024 * 1024
    ingest_max_pages: PositiveInt = 2000
    ingest_max_text_chars: PositiveInt = 5_000_000
    ingest_max_redirects: Annotated[int, Field(ge=0)] = 5
    ingest_fetch_timeout_seconds: PositiveSeconds = 30.0
    ingest_parse_timeout_seconds: PositiveSeconds = 120.0
    ingest_parse_memory_mib: Annotated[int, Field(ge=256)] = 1024
    ingest_allowed_private_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    ingest_allowed_ports: Annotated[tuple[int, ...], NoDecode] = (80, 443)

    # Cache
    cache_deadline_seconds: PositiveSeconds = 0.05
    cache_warmed_resources: Annotated[int, Field(ge=0)] = Field(
        default=100, description="Hottest resources that an API process puts into an empty cache at its start"
    )

    # Containers
    alive_file: Path | None = Field(default=None, description="Its time says when relay, worker or beat last worked")

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "console"

    @field_validator("broker_url")
    @classmethod
    def _broker_scheme(cls, value: SecretStr) -> SecretStr:
        _scheme_of(value.get_secret_value(), BROKER_SCHEMES)
        return value

    @field_validator("alive_file", mode="before")
    @classmethod
    def _no_path(cls, value: object) -> object:
        return value or None

    @field_validator("cache_url", mode="before")
    @classmethod
    def _cache_scheme(cls, value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not text:
            return None
        _scheme_of(str(text), CACHE_SCHEMES)
        return value

    @field_validator("database_url")
    @classmethod
    def _database_scheme(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            _scheme_of(value.get_secret_value(), DATABASE_SCHEMES)
        return value

    @field_validator("api_allowed_hosts", "ingest_allowed_private_hosts", "ingest_allowed_ports", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _limits_in_order(self) -> Settings:
        if self.task_soft_time_limit_seconds >= self.task_time_limit_seconds:
            raise ValueError("TASK_SOFT_TIME_LIMIT_SECONDS must be below TASK_TIME_LIMIT_SECONDS")
        if self.quality_history_days < self.quality_degradation_days:
            raise ValueError("QUALITY_HISTORY_DAYS must not be below QUALITY_DEGRADATION_DAYS")
        return self

    @property
    def database(self) -> str:
        """The database URL in force."""
        url = self.database_url.get_secret_value()
        return url or f"sqlite:///{self.data_dir.resolve() / 'alexandria.sqlite3'}"

    @property
    def broker(self) -> str:
        """The broker URL, with its password."""
        return self.broker_url.get_secret_value()

    @property
    def cache(self) -> str:
        """The cache URL, with its password."""
        if self.cache_url is not None:
            return self.cache_url.get_secret_value()
        return f"redis://{self.redis_host}:{self.redis_port}/{self.redis_cache_db}"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment once, or raise `SettingsError` with one line per wrong variable."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False, include_input=False):
            name = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {message}")
        raise SettingsError("; ".join(lines)) from None


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process."""
    return load_settings()


def environment_of_child(overrides: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process with some variables replaced, for a process it starts."""
    return {**os.environ, **overrides}


def adopt_environment(variables: Mapping[str, str]) -> None:
    """Replace variables of this process, and so of its copies; settings are read afresh."""
    os.environ.update(variables)
    get_settings.cache_clear()
