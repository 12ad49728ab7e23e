"""What the command line refuses before it talks to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.commands.api_client import ApiClient
from app.errors import ApiRefused, TooLarge
from app.settings import get_settings


@pytest.mark.parametrize("address", ["notaurl", "", "ftp://127.0.0.1", "http://", "127.0.0.1:8000", "http:///x"])
def test_what_is_no_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(ApiRefused) as refused:
        ApiClient(address)
    assert "is not the address of an API" in refused.value.detail
    assert "\n" not in refused.value.detail


def test_a_file_over_the_limit_is_not_read_whole(tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    with large.open("wb") as sparse:
        sparse.truncate(get_settings().max_body_bytes * 1000)
    with ApiClient("http://127.0.0.1:9", patience_seconds=0.0) as client, pytest.raises(TooLarge):
        client.upload(large, media_type="text/plain")
