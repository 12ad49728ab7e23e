"""Log lines, from our own code and from libraries, in both formats."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, structlog, warnings
from asgi_correlation_id.context import correlation_id
from app.logs import configure
from app.settings import get_settings
configure(get_settings(), role="relay")
configure(get_settings(), role="relay")  # again, as Celery's signal does: no line twice
correlation_id.set("abc")
structlog.get_logger("ours").info("sent", count=3)
logging.getLogger("theirs").warning("from %s", "outside")
logging.getLogger("celery.app.trace").info("chatter")
logging.getLogger("theirs").debug("detail")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("ours").exception("failed")
"""


def lines_of(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": "", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_lines_carry_role_correlation_id_and_level_whoever_wrote_them() -> None:
    sent, outside, failed = map(json.loads, lines_of(LOG_FORMAT="json"))

    assert (sent["event"], sent["count"], sent["level"]) == ("sent", 3, "info")
    assert (outside["event"], outside["level"]) == ("from outside", "warning")
    assert "ZeroDivisionError" in failed["exception"]
    for line in (sent, outside, failed):
        assert (line["role"], line["correlation_id"]) == ("relay", "abc")
        assert line["timestamp"].endswith("Z")


def test_lines_for_people_have_no_colours_in_a_file() -> None:
    lines = lines_of(LOG_FORMAT="console")

    assert "sent" in lines[0]
    assert "count=3" in lines[0]
    assert "\x1b" not in "".join(lines)


def test_debug_shows_what_is_too_much_otherwise() -> None:
    events = [json.loads(line)["event"] for line in lines_of(LOG_FORMAT="json", LOG_LEVEL="DEBUG")]

    assert events == ["sent", "from outside", "chatter", "detail", "failed"]
