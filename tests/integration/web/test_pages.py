"""What the pages answer, as text: to browsers, to htmx, to other sites, and to nonsense."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from lxml import html

from app.services import citation_graph, ingestion, ingestion_requests, resources
from app.services.library import Library
from tests.integration.web.conftest import Put

pytestmark = pytest.mark.integration

NOBODY = UUID("01990000-0000-7000-8000-000000000000")
HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}
ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def parsed(text: str) -> html.HtmlElement:
    return html.fromstring(text)


def words_of(text: str) -> str:
    return " ".join(parsed(text).text_content().split())


def as_a_browser_sends(form: html.FormElement) -> dict[str, str]:
    """A browser drops the line end that begins a text area, and sends every line end as CR LF."""
    areas = set(form.xpath(".//textarea/@name"))
    fields = {}
    for name, value in form.fields.items():
        text = (value or "").replace("\r\n", "\n").replace("\r", "\n")
        fields[name] = (text.removeprefix("\n") if name in areas else text).replace("\n", "\r\n")
    return fields


def test_every_page_forbids_what_is_not_ours(client: TestClient, put: Put) -> None:
    path = f"/library/{put(title='Charts', content='A chart of the harbour.')}"
    for page in ("/", "/?q=chart", path, f"{path}/edit", f"{path}/text", "/library/nothing", "/console/status"):
        policy = client.get(page).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), page
        assert "unsafe" not in policy


def test_no_page_has_an_inline_script_style_or_handler(client: TestClient, put: Put) -> None:
    path = f"/library/{put(title='Charts', content='A chart of the harbour.')}"
    for page in ("/", "/?q=chart", path, f"{path}/edit", "/library/nothing"):
        tree = parsed(client.get(page).text)
        assert not tree.xpath("//script[not(@src)] | //style | //@style")
        assert not [name for element in tree.iter() for name in element.attrib if name.startswith(("on", "hx-on"))]


def test_an_empty_library_tells_how_to_add(client: TestClient) -> None:
    text = words_of(client.get("/").text)
    assert "The shelves are empty" in text
    assert "alexandria ingest" in text


@pytest.mark.parametrize("mode", ["keyword", "semantic", "hybrid"])
def test_a_search_is_in_the_address_and_needs_no_javascript(client: TestClient, put: Put, mode: str) -> None:
    put(title="Lighthouse keeping", content="The keeper trims the wick of the lamp every evening.")
    page = client.get("/", params={"q": "wick lamp", "mode": mode})
    tree = parsed(page.text)
    assert tree.xpath("//h3/a/text()") == ["Lighthouse keeping"]
    assert "wick" in tree.xpath("//p[@class='snippet']/mark/text()")
    assert tree.xpath("//input[@name='q']/@value") == ["wick lamp"]
    assert tree.xpath("//input[@name='mode'][@checked]/@value") == [mode]


def test_the_search_box_gets_the_results_alone_and_the_address_to_show(client: TestClient, put: Put) -> None:
    put(title="Lighthouse keeping", content="The keeper trims the wick.")
    part = client.get("/", params={"q": "wick", "mode": "hybrid"}, headers=HTMX)
    assert "<html" not in part.text
    assert part.headers["hx-replace-url"] == "/?q=wick"
    assert part.headers["vary"] == "HX-Request"


def test_going_back_gets_the_whole_page(client: TestClient) -> None:
    page = client.get("/?q=wick", headers={**HTMX, "HX-History-Restore-Request": "true"})
    assert "<html" in page.text


def test_facets_narrow_the_results_down_and_are_kept_in_the_address(client: TestClient, put: Put) -> None:
    put(title="Phare", content="The lamp, in French.", language="fr")
    put(title="Lighthouse", content="The lamp, in English.", language="en")
    both = parsed(client.get("/?q=lamp&mode=keyword").text)
    assert sorted(both.xpath("//input[@name='language']/@value")) == ["en", "fr"]
    french = parsed(client.get("/?q=lamp&mode=keyword&language=fr").text)
    assert french.xpath("//h3/a/text()") == ["Phare"]
    assert french.xpath("//input[@name='language'][@checked]/@value") == ["fr"]


def test_a_misspelt_word_is_answered_with_a_link_to_the_right_one(client: TestClient, put: Put) -> None:
    put(title="Lighthouse", content="The lighthouse keeper and the lighthouse lamp.")
    tree = parsed(client.get("/?q=lighthuose&mode=keyword").text)
    assert tree.xpath("//p[@class='suggestion']/a/@href") == ["/?q=lighthouse&mode=keyword"]


def test_more_hits_follow_where_the_first_page_ends(client: TestClient, put: Put) -> None:
    for number in range(23):
        put(title=f"Log {number}", content="The log of the harbour.")
    first = parsed(client.get("/?q=harbour&mode=keyword").text)
    more = first.xpath("//p[@id='more']/a/@href")[0]
    rest = parsed(client.get(more, headers=HTMX).text)
    titles = [*first.xpath("//h3/a/text()"), *rest.xpath("//h3/a/text()")]
    assert sorted(titles) == sorted(f"Log {number}" for number in range(23))
    assert not rest.xpath("//p[@id='more']")
    assert parsed(client.get(more).text).xpath("//h3/a/text()") == rest.xpath("//h3/a/text()")


@pytest.mark.parametrize(
    "query",
    ["cursor=nonsense&q=x", "mode=psychic&q=x", "language=%00&q=x", "publication_year=nan&q=x", "q=%00%ff", "cursor=x"],
)
def test_nonsense_in_the_address_is_a_page_and_no_accident(client: TestClient, query: str) -> None:
    page = client.get(f"/?{query}")
    assert page.status_code in {200, 422}
    assert "<html" in page.text


def test_what_a_document_says_is_text(client: TestClient, put: Put) -> None:
    fields = dict.fromkeys(("title", "creator", "description", "publisher", "rights", "identifier"), ATTACK)
    made = put(
        **fields, subject=[ATTACK], source=f"javascript:{ATTACK}", content=f"wharf {ATTACK} wharf", language="en"
    )
    for page in (f"/library/{made}", f"/library/{made}/edit", f"/library/{made}/text", f"/?q=wharf {ATTACK}", "/"):
        tree = parsed(client.get(page).text)
        assert not tree.xpath("//script[not(@src)] | //img[@src='x'] | //*[@onerror] | //a[starts-with(@href, 'java')]")
    assert ATTACK in parsed(client.get(f"/library/{made}").text).text_content()


def test_a_long_text_is_folded_and_can_be_read_whole(client: TestClient, put: Put) -> None:
    content = "\n".join(f"Entry {number}: wind from the west, the lamp lit at dusk." for number in range(500))
    path = f"/library/{put(title='The log', content=content)}"
    folded = parsed(client.get(path).text).get_element_by_id("text").text_content()
    assert len(folded) < 7000
    assert content.startswith(folded)
    assert parsed(client.get(f"{path}/text").text).get_element_by_id("text").text_content() == content
    assert "<html" not in client.get(f"{path}/text", headers=HTMX).text


def test_the_state_of_each_kind_is_shown_and_followed_until_all_is_fresh(
    client: TestClient, library: Library, put: Put
) -> None:
    made = put(title="Tides", content="High water at noon.")
    fresh = parsed(client.get(f"/library/{made}").text)
    assert fresh.xpath("//li[@data-kind]/@data-state") == ["fresh"] * 6
    assert fresh.get_element_by_id("state").get("hx-trigger") == "every 10s"
    assert len(fresh.xpath("//meter")) == 5
    resources.update(library, made, {"content": "Low water at noon."})
    state = client.get(f"/library/{made}/state", params={"version": 1})
    assert state.headers["hx-trigger"] == "moved"
    changed = parsed(state.text)
    assert changed.xpath("//li[@data-kind]/@data-state") == [*["stale"] * 3, "fresh", *["stale"] * 2]
    assert changed.get("hx-trigger") == "every 1s"
    assert "built from 1, now 2" in words_of(state.text)
    assert "· due" in words_of(state.text)


def test_saving_what_is_there_changes_nothing(client: TestClient, library: Library, put: Put) -> None:
    made = put(title="Notes", content="\r\none\r\ntwo \n", subject=["b", "a"], creator="Hypatia")
    form = parsed(client.get(f"/library/{made}/edit").text).xpath("//form[@class='edit']")[0]
    saved = client.post(f"/library/{made}/edit", data=as_a_browser_sends(form))
    assert saved.status_code == 303
    assert resources.get(library, made)["version"] == 1


def test_saving_a_large_text_works(client: TestClient, library: Library, put: Put) -> None:
    made = put(title="Notes", content="short")
    content = "ebb and flow\n" * 200_000
    saved = client.post(f"/library/{made}/edit", data={"version": "1", "title": "Notes", "content": content})
    assert saved.status_code == 303
    assert resources.get(library, made)["content"] == content


def test_a_field_that_cannot_be_is_told_and_what_was_typed_stays(client: TestClient, put: Put) -> None:
    made = put(title="Notes", content="short")
    page = client.post(
        f"/library/{made}/edit", data={"version": "1", "title": "Kept", "language": "not a language", "content": "x"}
    )
    assert page.status_code == 422
    assert "language" in words_of(page.text)
    assert parsed(page.text).xpath("//input[@name='title']/@value") == ["Kept"]


def test_a_stale_edit_is_a_conflict_that_can_be_saved_over(client: TestClient, library: Library, put: Put) -> None:
    made = put(title="Notes", content="short")
    resources.update(library, made, {"title": "Changed elsewhere"})
    form = {"version": "1", "title": "Mine", "content": "short"}
    page = client.post(f"/library/{made}/edit", data=form)
    assert page.status_code == 409
    assert "You began with version 1; somebody has made it version 2 since" in words_of(page.text)
    offered = parsed(page.text).xpath("//input[@name='version']/@value")[0]
    assert client.post(f"/library/{made}/edit", data=form | {"version": offered}).status_code == 303
    assert resources.get(library, made)["title"] == "Mine"


def test_a_document_that_changed_is_not_deleted_unseen(client: TestClient, library: Library, put: Put) -> None:
    made = put(title="Notes", content="short")
    resources.update(library, made, {"title": "Changed elsewhere"})
    refused = client.post(f"/library/{made}/delete", data={"version": "1"})
    assert refused.status_code == 412
    assert "Nothing was deleted" in words_of(refused.text)
    assert client.post(f"/library/{made}/delete", data={"version": "2"}).headers["location"] == "/?done=deleted"
    assert client.get(f"/library/{made}").status_code == 404


def test_only_what_came_from_the_web_can_be_fetched_again(client: TestClient, library: Library, put: Put) -> None:
    made = put(title="Notes", content="short", source="https://example.org/")
    assert "Fetch again" not in client.get(f"/library/{made}").text
    assert client.post(f"/library/{made}/refresh").status_code == 422
    fetched = ingestion_requests.request_url(library, "https://example.org/page").resource_id
    assert "Fetch again" in client.get(f"/library/{fetched}").text
    assert client.post(f"/library/{fetched}/refresh").headers["location"] == f"/library/{fetched}"


def test_an_address_that_may_not_be_fetched_is_refused_with_the_reason(client: TestClient) -> None:
    for headers in (HTMX, {}):
        page = client.post("/console/add-page", data={"url": "http://169.254.169.254/"}, headers=headers)
        assert page.status_code == 422
        assert "The address may not be fetched" in words_of(page.text)


def test_an_address_becomes_a_line_that_follows_its_document_or_a_page_without_javascript(
    client: TestClient, library: Library
) -> None:
    address = {"url": " https://example.org/tides "}
    line = client.post("/console/add-page", data=address, headers=HTMX)
    [added] = parsed(line.text).xpath("//input[@name='id']/@value")
    assert (line.status_code, line.headers["hx-trigger"]) == (200, "added")
    assert resources.get(library, UUID(added))["source"] == "https://example.org/tides"

    without = client.post("/console/add-page", data=address)
    assert (without.status_code, without.headers["location"]) == (303, f"/library/{added}")
    assert "https://example.org/tides" in client.get(f"/library/{added}").text


def test_files_come_in_without_javascript(client: TestClient) -> None:
    parts = [("file", ("a.txt", b"one file", "text/plain")), ("file", ("b.md", b"# another", "text/markdown"))]
    assert client.post("/console/add-files", files=parts).headers["location"] == "/"
    alone = client.post("/console/add-files", files=parts[:1])
    assert re.fullmatch(r"/library/[0-9a-f-]{36}", alone.headers["location"])
    assert (
        client.post("/console/add-files", files={"file": ("a.exe", b"MZ", "application/x-dosexec")}).status_code == 415
    )
    large = {"file": ("a.txt", b"x" * 100_001, "text/plain")}
    assert client.post("/console/add-files", files=large).status_code == 413
    assert client.post("/console/add-files").status_code == 422


def test_a_line_is_asked_for_until_its_document_is_settled(client: TestClient, library: Library) -> None:
    receipt = ingestion_requests.request_upload(library, b"text", media_type="text/plain", file_name="a.txt")
    waiting = client.get("/console/added", params={"id": [str(receipt.resource_id), str(NOBODY)]}).text
    assert parsed(waiting).xpath("//input[@name='id']/@value") == [str(receipt.resource_id)]
    with library.work() as unit:
        ingestion.fail(unit, receipt.resource_id, {"type": "document-empty", "detail": "there is no text in it"})
    failed = client.get("/console/added", params={"id": str(receipt.resource_id)}).text
    assert not parsed(failed).xpath("//input")
    assert "There is no text in it." in words_of(failed)
    assert "a.txt" in words_of(client.get("/?show=failed").text)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_on_another_site_does_nothing(client: TestClient, library: Library, put: Put, site: str) -> None:
    made = put(title="Notes", content="short")
    headers = {"Sec-Fetch-Site": site}
    refused = client.post(f"/library/{made}/delete", data={"version": "1"}, headers=headers)
    assert refused.status_code == 403
    assert resources.get(library, made)["version"] == 1
    assert client.get(f"/library/{made}", headers=headers).status_code == 200


@pytest.mark.parametrize("path", [f"/library/{NOBODY}", "/library/nothing", f"/library/{NOBODY}/edit"])
def test_an_unknown_document_is_a_page_that_says_so(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "Not found" in words_of(page.text)


def test_the_status_line_names_what_is_down(client: TestClient) -> None:
    assert "relay" in words_of(client.get("/console/status").text).lower()


def test_static_files_may_be_kept_for_ever_under_their_digest_only(client: TestClient) -> None:
    path = parsed(client.get("/").text).xpath("//script/@src")[-1]
    assert "immutable" in client.get(path).headers["cache-control"]
    assert client.get(path.split("?")[0]).headers["cache-control"] == "no-cache"
    assert client.get("/static/../pages.py").status_code == 404


def test_programs_see_no_page_in_the_openapi_document(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert paths
    assert not [path for path in paths if path == "/" or path.startswith(("/library", "/console"))]


def test_a_document_shows_what_it_cites_and_what_cites_it(client: TestClient, library: Library, put: Put) -> None:
    lamp = put(title="On <lamps>", content="A lamp.", doi="10.1234/lamp")
    wick = put(title="On wicks", content="As doi:10.1234/lamp and RFC 2119 say.")
    citation_graph.update(library, wick, work=library.work)

    [cites] = parsed(client.get(f"/library/{wick}").text).xpath("//ul[@class='cited']")
    assert [" ".join(item.text_content().split()) for item in cites] == ["On <lamps>", "RFC 2119"]
    assert cites.xpath(".//a/@href") == [f"/library/{lamp}"]
    [cited_by] = parsed(client.get(f"/library/{lamp}/state").text).xpath("//ul[@class='cited']")
    assert cited_by.xpath(".//a/@href") == [f"/library/{wick}"]


def test_the_class_of_a_document_is_shown_and_corrected(client: TestClient, put: Put) -> None:
    resource_id = put(title="Charts", content="A chart of the harbour.")
    page = client.get(f"/library/{resource_id}")
    assert "% sure" in words_of(page.text)

    form = parsed(client.get(f"/library/{resource_id}/edit").text).xpath("//form[@class='edit']")[0]
    saved = client.post(f"/library/{resource_id}/edit", data={**as_a_browser_sends(form), "classification_code": "520"})

    assert saved.status_code == 303
    text = words_of(client.get(f"/library/{resource_id}").text)
    assert "Class 520 Astronomy decided by a person" in text
