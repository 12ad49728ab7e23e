"""Broker URLs."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url
from pydantic import SecretStr

from app.errors import SettingsError
from app.settings import load_settings
from app.transports.registry import broker_for, open_transport, parse_address

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
HOST = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20)


@given(scheme=st.sampled_from(["redis", "amqp"]), user=TEXT, password=TEXT, host=HOST, path=TEXT)
def test_every_part_is_read_as_celery_reads_it(scheme: str, user: str, password: str, host: str, path: str) -> None:
    parts = {name: quote(value, safe="") for name, value in {"user": user, "password": password, "path": path}.items()}
    url = f"{scheme}://{parts['user']}:{parts['password']}@{host}:1234/{parts['path']}"

    ours, celery = parse_address(url), parse_url(url)

    assert (ours.user, ours.password, ours.host, ours.path) == (user, password, host, path)
    assert (celery["userid"], celery["password"], celery["hostname"]) == (user, password, host)
    assert (ours.port, celery["port"]) == (1234, 1234)
    assert celery["virtual_host"] == path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://:a@localhost:6379/0", "redis://127.0.0.1"),
        ("redis://:a@HOST/1", "redis://host:6379/1"),
        ("amqp://a:b@localhost//", "amqp://127.0.0.1:5672"),
        ("amqp://a:b@localhost/", "amqp://localhost:5672/%2F"),
        ("amqps://a:b@host/v", "amqps://host:5671/v"),
    ],
)
def test_two_urls_of_one_place_have_one_fingerprint(one: str, other: str) -> None:
    assert open_transport(one).fingerprint == open_transport(other).fingerprint


@pytest.mark.parametrize(("scheme", "fingerprint"), [("redis", "redis:main/0"), ("amqp", "rabbitmq:main//")])
def test_a_broker_with_a_name_is_one_whatever_its_address(scheme: str, fingerprint: str) -> None:
    settings = load_settings(broker_name="main")
    urls = (f"{scheme}://127.0.0.1:1001", f"{scheme}://proxy.example:1002")
    assert {open_transport(url, settings).fingerprint for url in urls} == {fingerprint}
    assert {broker_for(settings.model_copy(update={"broker_url": SecretStr(url)})).fingerprint for url in urls} == {
        fingerprint
    }


def test_different_places_have_different_fingerprints() -> None:
    urls = ["redis://h", "redis://h/1", "redis://h:1", "redis://g", "amqp://h", "amqp://h/1", "amqp://h:1", "amqp://g"]
    assert len({open_transport(url).fingerprint for url in urls}) == len(urls)


@pytest.mark.parametrize("url", ["redis://:sesame@host:6380/3", "amqp://user:sesame@host/vhost"])
def test_a_password_is_shown_nowhere(url: str) -> None:
    broker = broker_for(load_settings(broker_url=SecretStr(url)))

    assert broker.fingerprint == open_transport(url).fingerprint
    assert "sesame" not in broker.fingerprint + repr(broker) + repr(parse_address(url)) + repr(open_transport(url))


@pytest.mark.parametrize(
    "url",
    ["", "redis", "redis:host", "redis://host:port/0", "redis://host:99999", "redis://:sesame@host/name", "kafka://h"],
)
def test_a_url_that_cannot_be_right_is_one_line_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^BROKER_URL: [^\n]+$") as caught:
        open_transport(url)
    assert "sesame" not in str(caught.value)


def test_tls_checks_the_certificate_unless_the_url_says_otherwise() -> None:
    strict, lax = parse_address("rediss://h"), parse_address("rediss://h?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=/ca.pem")

    assert strict.tls == {"ssl_cert_reqs": "required"}
    assert lax.tls == {"ssl_cert_reqs": "none", "ssl_ca_certs": "/ca.pem"}
    assert parse_address("redis://h").tls is None
    with pytest.raises(SettingsError, match="ssl_cert_reqs"):
        parse_address("amqps://h?ssl_cert_reqs=perhaps")
