"""The web console in a real Chromium, against the real processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from chaos.servers.redis import ValkeyServer
from chaos.stack import EVERYTHING, Stack
from tests.documents import python_doc_pages, r_vignettes
from tests.e2e.browser import Complaints, chromium, drop_files

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PHONE: ViewportSize = {"width": 360, "height": 740}


def page_named(name: str) -> Path:
    return next(path for path in python_doc_pages() if path.as_posix().endswith(f"library/{name}"))


def vignette_named(name: str) -> Path:
    return next(path for path in r_vignettes() if path.name == name)


@pytest.fixture(scope="module")
def cache() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def stack(cache: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    database = f"sqlite:///{tmp_path_factory.mktemp('console') / 'library.sqlite3'}"
    with (
        ValkeyServer() as broker,
        Stack(
            database_url=database,
            broker_url=broker.url,
            cache_url=cache.url,
            processes=(EVERYTHING,),
            environment={"DEBOUNCE_SCALE": "0.2"},  # authors are derived a minute after an edit
        ) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    context = browser.new_context(base_url=stack.url, locale="en-GB")
    yield context.new_page()
    context.close()


@pytest.fixture
def complaints(page: Page) -> Complaints:
    return Complaints(page)


@pytest.fixture(scope="module")
def read_document(stack: Stack, browser: Browser) -> str:
    """The path of a document that is in the library, with everything derived from it."""
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    page.goto("/")
    page.set_input_files("#file", page_named("sched.html"))
    line = page.locator("#added li[data-state=completed]")
    expect(line).to_have_count(1)
    path = line.get_by_role("link").get_attribute("href")
    assert path is not None
    page.goto(path)
    expect(page.locator("#state[data-settled=yes]")).to_be_visible()
    context.close()
    return path


def test_dropped_files_are_read_without_a_reload_and_found_by_a_phrase(page: Page, complaints: Complaints) -> None:
    page.goto("/")
    page.evaluate("window.neverReloaded = true")
    drop_files(page, [(page_named("bisect.html"), "text/html"), (vignette_named("concordance.pdf"), "application/pdf")])
    expect(page.locator("#added li")).to_have_count(2)
    expect(page.locator("#added li[data-state=completed]")).to_have_count(2)
    expect(page.locator("#added")).to_contain_text("Array bisection algorithm")
    expect(page.locator("#recent")).to_contain_text("Array bisection algorithm")

    for mode in ("Keyword", "Hybrid"):
        page.get_by_role("radio", name=mode).check(force=True)
        page.get_by_role("searchbox").fill('"maintaining a list in sorted order"')
        hit = page.locator("#results .hit").first
        expect(hit).to_contain_text("Array bisection algorithm")
        expect(hit.locator("mark").first).to_have_text(re.compile("maintaining", re.IGNORECASE))
    assert "q=%22maintaining" in page.url
    assert page.evaluate("window.neverReloaded") is True
    assert complaints.but() == []


def test_an_edit_makes_what_is_derived_stale_and_then_fresh_again(
    page: Page, complaints: Complaints, read_document: str
) -> None:
    page.goto(read_document)
    states = page.locator("#state [data-kind]")
    expect(states).to_have_count(6)
    for kind in ("search_index", "embedding", "quality", "authors", "classification", "citations"):
        expect(page.locator(f"#state [data-kind={kind}]")).to_have_attribute("data-state", "fresh")
    expect(page.get_by_role("meter")).to_have_count(5)

    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Title").fill("The heliograph of the harbour")
    page.get_by_label("Text").fill(
        "A heliograph flashes sunlight from a mirror.\n\n" + "It was read across the bay. " * 20
    )
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("The heliograph of the harbour")
    expect(page.locator("#state [data-kind=embedding]")).to_have_attribute("data-state", re.compile("stale|running"))
    expect(page.locator("#state [data-kind=embedding]")).to_have_attribute("data-state", "fresh")
    expect(page.locator("#state[data-settled=yes]")).to_be_visible()
    page.goto("/?q=heliograph&mode=keyword")
    expect(page.locator("#results .hit")).to_contain_text("flashes sunlight")
    assert complaints.but() == []


def test_a_change_made_elsewhere_is_told_in_words_and_nothing_is_lost(page: Page, read_document: str) -> None:
    page.goto(f"{read_document}/edit")
    page.get_by_label("Author").fill("Somebody here")
    other = page.context.request.put(
        page.url.replace("/library/", "/resources/").removesuffix("/edit"), data={"creator": "Elsewhere"}
    )
    assert other.ok
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("the document has changed meanwhile")
    expect(page.get_by_label("Author")).to_have_value("Somebody here")
    page.get_by_role("button", name="Save over version").click()
    expect(page.locator("#document .byline")).to_have_text("Somebody here")


def test_what_cannot_be_taken_in_says_why(page: Page, complaints: Complaints, tmp_path: Path) -> None:
    page.goto("/")
    page.get_by_label("Address of a web page").fill("http://169.254.169.254/latest/meta-data/")
    page.get_by_role("button", name="Add", exact=True).click()
    refused = page.locator("#added li[data-state=refused]")
    expect(refused).to_have_count(1)
    expect(refused.first).to_contain_text("The address may not be fetched")

    sheet = tmp_path / "figures.xlsx"
    sheet.write_bytes(b"PK\x03\x04 not for us")
    drop_files(page, [(sheet, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")])
    expect(refused).to_have_count(2)
    expect(refused.first).to_contain_text("is not supported")

    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and then nothing of the kind")
    drop_files(page, [(broken, "application/pdf")])
    failed = page.locator("#added li[data-state=failed]")
    expect(failed).to_contain_text("broken.pdf")
    expect(failed.locator(".reason")).not_to_be_empty()
    assert complaints.but("422", "415") == []


def test_nothing_a_document_says_becomes_part_of_the_page(page: Page, complaints: Complaints) -> None:
    attack = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    body = {
        "title": f"{attack} quagmire",
        "creator": attack,
        "subject": [attack],
        "source": "javascript:document.title='owned'",
        "content": f"quagmire {attack} </textarea></div> quagmire. " * 30,
    }
    page.goto("/")
    created = page.context.request.post("/resources", data=body)
    assert created.status == 201
    path = f"/library/{created.json()['id']}"
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_have_text(body["title"])
    expect(page.locator("#state[data-settled=yes]")).to_be_visible()
    assert page.locator("a[href^=javascript]").count() == 0
    page.goto(f"{path}/edit")
    expect(page.get_by_label("Text")).to_have_value(str(body["content"]))
    page.goto("/")
    expect(page.locator("#recent")).to_contain_text("<script>")
    page.get_by_role("searchbox").fill(f"quagmire {attack}")
    expect(page.locator("#results .hit").first).to_contain_text("onerror")
    assert "owned" not in page.title().replace(f"quagmire {attack}", "")
    assert page.locator("#results script, #results img").count() == 0
    assert complaints.but() == []


def test_a_document_is_deleted_only_when_asked_twice(page: Page, complaints: Complaints) -> None:
    page.goto("/")
    created = page.context.request.post("/resources", data={"title": "Ephemera", "content": "Soon gone. " * 20})
    path = f"/library/{created.json()['id']}"
    page.goto(path)
    expect(page.get_by_role("button", name="Delete it")).to_be_hidden()
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("status").filter(has_text="deleted")).to_be_visible()
    response = page.goto(path)
    assert response is not None
    assert response.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    assert complaints.but("404") == []


def test_without_javascript_one_searches_narrows_down_and_adds(
    browser: Browser, stack: Stack, read_document: str
) -> None:
    context = browser.new_context(base_url=stack.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.set_input_files("#file", page_named("heapq.html"))
    page.get_by_role("button", name="Send").click()
    assert re.search(r"/library/[0-9a-f-]{36}$", page.url)
    page.goto("/?q=event+scheduler+heliograph&mode=semantic")
    expect(page.locator(".hit").first).to_be_visible()
    page.get_by_role("searchbox").fill("mirror")
    page.get_by_role("button", name="Search", exact=True).click()
    assert "q=mirror" in page.url
    expect(page.locator("#count")).to_have_text(re.compile(r"\d+ documents?|Nothing found"))
    page.goto("/")
    page.get_by_label("Address of a web page").fill("http://127.0.0.1/")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The address may not be fetched")
    context.close()


def test_every_page_fits_a_phone(browser: Browser, stack: Stack, read_document: str) -> None:
    context = browser.new_context(base_url=stack.url, viewport=PHONE, color_scheme="dark")
    page = context.new_page()
    for path in ("/", "/?q=event", "/?q=zzzzqqqq", read_document, f"{read_document}/edit", "/library/nothing"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
    context.close()


def test_the_page_can_be_used_with_the_keyboard_alone(page: Page, read_document: str) -> None:
    page.goto("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("event")
    expect(page.locator("#results .hit").first).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Search", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="Hybrid")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Keyword")).to_be_checked()
    expect(page).to_have_url(re.compile("mode=keyword"))
