"""The page of dead letters: what is there, why, and the two things that can be done about it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from app.models.outbox import LetterOrigin
from app.services.library import Library
from tests.integration.api.dead_calls import dead_letter
from tests.integration.web.test_pages import ATTACK, parsed, words_of

pytestmark = pytest.mark.integration

PAGE = "/console/dead-letters"


def test_none_is_said_in_a_sentence(client: TestClient) -> None:
    assert "There are none" in words_of(client.get(PAGE).text)
    assert PAGE not in client.get("/console/status").text


def test_each_is_shown_with_its_reason_and_the_status_line_leads_there(client: TestClient, library: Library) -> None:
    dead_letter(library, reason="delivery_limit", attempts=5)
    strange = dead_letter(library, task="make_tea", reason="unknown_task", origin=LetterOrigin.MESSAGE)

    page = client.get(PAGE).text

    words = words_of(page)
    assert "delivery limit" in words
    assert "5 attempts" in words
    assert "It cannot be replayed: no task is called make_tea." in words
    assert len(parsed(page).xpath("//form[contains(@action, '/replay')]")) == 1
    assert not parsed(page).xpath(f"//form[contains(@action, '{strange}/replay')]")
    assert f'href="{PAGE}"' in client.get("/console/status").text


def test_replay_and_discard_close_a_letter_and_say_so(client: TestClient, library: Library) -> None:
    replayed, discarded = dead_letter(library), dead_letter(library)

    answer = client.post(f"{PAGE}/{replayed}/replay")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?done=replayed")
    assert client.post(f"{PAGE}/{replayed}/replay").headers["location"] == f"{PAGE}?done=replayed"
    answer = client.post(f"{PAGE}/{discarded}/discard", data={"note": "the page is gone"})
    assert answer.headers["location"] == f"{PAGE}?done=discarded"

    assert "It waits to run again." in words_of(client.get(f"{PAGE}?done=replayed").text)
    assert client.get(f"/dead-letters/{discarded}").json()["note"] == "the page is gone"
    assert "discarded" in words_of(client.post(f"{PAGE}/{discarded}/replay").text)
    assert client.post(f"{PAGE}/{uuid4()}/replay").status_code == 404


def test_what_a_letter_says_is_text(client: TestClient, library: Library) -> None:
    dead_letter(library, task=ATTACK, error={"type": "x", "detail": ATTACK}, origin=LetterOrigin.MESSAGE)

    tree = parsed(client.get(PAGE).text)

    assert not tree.xpath("//script[not(@src)] | //img[@src='x'] | //@style")
    assert ATTACK in tree.text_content()
