"""The compose files: alike but for the broker, closed to the outside, and run in tests as they are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
REDIS, RABBIT = "docker-compose.redis.yml", "docker-compose.rabbit.yml"
OURS = ("migrations", "api", "relay", "worker", "ml-worker", "beat", "flower")
SERVERS = ("postgres", "broker", "cache")


def parsed(name: str) -> dict[str, Any]:
    text = (ROOT / name).read_text()
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def without(compose: dict[str, Any], *, env_file: str) -> dict[str, Any]:
    """All but the broker service, and a word in place of the env file."""
    services = {name: dict(service) for name, service in compose["services"].items() if name != "broker"}
    for service in services.values():
        if service.get("env_file") == env_file:
            service["env_file"] = "the env file"
    top = {key: value for key, value in compose.items() if not key.startswith("x-")}  # anchors: merged already
    return {**top, "services": services}


def test_they_differ_in_the_broker_and_one_env_file_and_in_nothing_else() -> None:
    redis, rabbit = parsed(REDIS), parsed(RABBIT)

    assert redis["services"]["broker"] != rabbit["services"]["broker"]
    assert without(redis, env_file="config/redis.env") == without(rabbit, env_file="config/rabbit.env")
    assert {redis["services"][name]["env_file"] for name in OURS} == {"config/redis.env"}
    assert {rabbit["services"][name]["env_file"] for name in OURS} == {"config/rabbit.env"}


@pytest.mark.parametrize("name", [REDIS, RABBIT])
def test_all_services_are_there_and_start_in_order_of_health(name: str) -> None:
    services = parsed(name)["services"]

    assert set(services) == {*OURS, *SERVERS}
    for service in SERVERS:
        assert services[service]["healthcheck"]["test"]
    for service in OURS:
        conditions = {on: how["condition"] for on, how in services[service]["depends_on"].items()}
        assert conditions.pop("postgres") == "service_healthy"
        if service != "migrations":
            assert services[service]["healthcheck"]["test"]
            assert conditions == {
                "broker": "service_healthy",
                "cache": "service_healthy",
                "migrations": "service_completed_successfully",
            }


@pytest.mark.parametrize("name", [REDIS, RABBIT])
def test_nothing_is_published_beyond_loopback(name: str) -> None:
    services = parsed(name)["services"]
    published = {service: body["ports"] for service, body in services.items() if "ports" in body}

    assert published == {"api": ["127.0.0.1:8000:8000"], "flower": ["127.0.0.1:5555:5555"]}
    assert not any("network_mode" in body for body in services.values())


@pytest.mark.parametrize("name", [REDIS, RABBIT])
def test_every_password_is_asked_for_and_none_has_a_default(name: str) -> None:
    text = (ROOT / name).read_text()

    assert {
        variable: f"${{{variable}:?" in text
        for variable in ("DB_PASSWORD", "BROKER_PASSWORD", "CACHE_PASSWORD", "FLOWER_PASSWORD")
    } == dict.fromkeys(("DB_PASSWORD", "BROKER_PASSWORD", "CACHE_PASSWORD", "FLOWER_PASSWORD"), True)
    assert ":-" not in text


def test_the_broker_keeps_everything_and_the_cache_may_forget() -> None:
    broker = parsed(REDIS)["services"]["broker"]["command"]
    cache = parsed(REDIS)["services"]["cache"]["command"]

    assert broker[broker.index("--maxmemory-policy") + 1] == "noeviction"
    assert broker[broker.index("--appendonly") + 1] == "yes"
    assert cache[cache.index("--maxmemory-policy") + 1] == "allkeys-lfu"
    assert "--requirepass" in broker
    assert "--requirepass" in cache


@pytest.mark.parametrize("name", [REDIS, RABBIT])
def test_our_processes_have_no_rights_to_spare_and_stop_as_they_are_told(name: str) -> None:
    services = parsed(name)["services"]
    for service in OURS:
        body = services[service]
        assert body["cap_drop"] == ["ALL"]
        assert body["read_only"] is True
        assert isinstance(body["command"], list), "a shell between would keep the signal to itself"
        assert body["restart"] in {"unless-stopped", "on-failure"}
    assert {services[service]["stop_grace_period"] for service in ("worker", "ml-worker")} == {"2m"}
    assert 'ENTRYPOINT ["alexandria"]' in (ROOT / "Dockerfile").read_text()
    assert "STOPSIGNAL SIGTERM" in (ROOT / "Dockerfile").read_text()
    assert "USER 10001:10001" in (ROOT / "Dockerfile").read_text()


def test_the_images_of_a_run_without_a_registry_change_images_and_build_arguments_only() -> None:
    override = parsed("tests/compose/local-images.yml")
    changed: set[str] = set()
    for body in override["services"].values():
        for key, value in body.items():
            changed |= {f"build.{inner}" for inner in value} if key == "build" else {key}

    assert set(override) == {"services", "x-app"}
    assert changed == {"image", "build.args"}
    for service in OURS:
        assert override["services"][service] == {"build": {"args": {"PYTHON_IMAGE": "alexandria-test/python"}}}
    assert set(override["services"]) == {*OURS, *SERVERS}
