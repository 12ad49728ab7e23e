from __future__ import annotations

import pytest

from app.api.site import hosts_of
from app.settings import load_settings


def test_an_api_on_this_machine_goes_by_its_own_names_and_those_added() -> None:
    hosts = hosts_of(load_settings(api_host="127.0.0.5", api_allowed_hosts="Library.example"))
    assert hosts == frozenset({"localhost", "127.0.0.1", "::1", "127.0.0.5", "library.example"})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "library.example"])
def test_an_api_that_serves_others_goes_by_any_name(host: str) -> None:
    assert hosts_of(load_settings(api_host=host)) is None
