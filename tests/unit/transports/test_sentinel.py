"""A URL of several Sentinels."""

from __future__ import annotations

import kombu
import pytest

from app.errors import SettingsError, TransportUnavailable
from app.settings import load_settings
from app.transports.registry import broker_for, open_transport, parse_address
from chaos.ports import free_port

URL = "sentinel://:sesame@one:26380;sentinel://two/3?master_name=library"


def test_user_password_database_and_name_stand_once_and_hold_for_all() -> None:
    address = parse_address(URL)

    assert address.sentinels == (("one", 26380), ("two", 26379))
    assert (address.password, address.path, address.master_name) == ("sesame", "3", "library")


def test_kombu_reads_the_same_out_of_what_celery_is_given() -> None:
    broker = broker_for(load_settings(broker_url=URL))

    connection = kombu.Connection(broker.url, transport_options=dict(broker.transport_options))

    assert connection.alt == ["sentinel://:sesame@one:26380/3", "sentinel://:sesame@two:26379/3"]
    assert (connection.password, connection.virtual_host) == ("sesame", "3")
    assert broker.transport_options["master_name"] == "library"


def test_the_same_sentinels_in_another_order_are_the_same_broker_and_no_password_is_told() -> None:
    turned = "sentinel://two/3;sentinel://:other@one:26380?master_name=library"

    fingerprints = {open_transport(url).fingerprint for url in (URL, turned)}

    assert fingerprints == {"redis:library@one:26380,two:26379/3"}
    assert "sesame" not in repr(parse_address(URL)) + repr(broker_for(load_settings(broker_url=URL)))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sentinel://one:26379/0", "master_name"),
        ("sentinel://one;redis://two/0?master_name=m", "every part"),
        ("sentinel://one:x;sentinel://two?master_name=m", "cannot be read"),
        ("sentinel://one/zero?master_name=m", "database number"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        open_transport(url)


def test_sentinels_that_nobody_runs_are_told_from_a_broker_that_is_slow_and_in_the_same_words_each_time() -> None:
    places = [f"sentinel://127.0.0.1:{free_port()}" for _ in range(3)]
    transport = open_transport(";".join(places) + "/0?master_name=library")

    for _ in range(2):
        with pytest.raises(TransportUnavailable, match=r"no Sentinel answers and names a living master 'library'$"):
            transport.health(deadline_seconds=0.8)
