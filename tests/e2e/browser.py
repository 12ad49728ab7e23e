"""A real Chromium, and an ear for everything it complains about."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PATIENCE_SECONDS = 45
expect.set_options(timeout=PATIENCE_SECONDS * 1000)
_HEAR_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
_TRANSFER_OF = """(files) => {
  const transfer = new DataTransfer();
  for (const { name, type, data } of files) {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  return transfer;
}"""


class BrowserMissing(AssertionError):
    """The test set-up did not install the browser."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium of the system; `BrowserMissing` says how to get it."""
    program = shutil.which("chromium")
    if program is None:
        raise BrowserMissing("chromium is not installed: apt-get install --no-install-recommends chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Complaints:
    """What a page wrote to its console as an error, threw, or was forbidden by the policy."""

    def __init__(self, page: Page) -> None:
        self.heard: list[str] = []
        page.add_init_script(_HEAR_VIOLATIONS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.heard.append(f"thrown: {error}"))

    def but(self, *expected: str) -> list[str]:
        """All but those that hold one of these."""
        return [one for one in self.heard if not any(text in one for text in expected)]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.heard.append(f"{message.text} ({message.location.get('url', '')})")


def drop_files(page: Page, files: Sequence[tuple[Path, str]]) -> None:
    """Drop files with their media types on the middle of the page, as from a file manager."""
    packed = [
        {"name": path.name, "type": media_type, "data": base64.b64encode(path.read_bytes()).decode()}
        for path, media_type in files
    ]
    transfer = page.evaluate_handle(_TRANSFER_OF, packed)
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("main", event, {"dataTransfer": transfer})
