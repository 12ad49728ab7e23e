"""`alexandria-chaos run --broker-url`, as an operator runs it against a broker of theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.servers.redis import RedisServer
from chaos.stack import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_the_lines_to_a_given_broker_are_broken_and_the_result_names_it(tmp_path: Path) -> None:
    arguments = ("--scenario", "28", "--results", str(tmp_path))
    with RedisServer() as server:
        done = subprocess.run(
            [sys.executable, "-m", "chaos", "run", "--fast", *arguments, "--broker-url", server.url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        with server.client() as client:
            calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert done.returncode == 0, done.stdout + done.stderr
    [result] = [json.loads(file.read_text()) for file in tmp_path.glob("*.json")]
    assert result["broker"] == "redis"
    assert f"--broker-url redis://127.0.0.1:{server.port}" in result["command"]
    assert result["passed"]
    assert result["faults"]
    assert calls > 0
