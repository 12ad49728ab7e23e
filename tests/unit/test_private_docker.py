"""The private Docker engine of `make compose-test`, where it cannot run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "setup/private_docker.sh"


def test_without_root_it_says_so_in_one_line() -> None:
    as_nobody = ["setpriv", "--reuid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*as_nobody, "bash", "-c", SCRIPT.read_text(), "private_docker.sh", "true"],
        cwd=SCRIPT.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == "docker: an engine of its own needs root\n"
