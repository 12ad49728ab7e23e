from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.by_lines import ByLine, read_by_line, written_date

MEMO = """\
Network Working Group                                          N. Freed
Request for Comments: 2046                                     Innosoft
Obsoletes: 1521, 1522, 1590                               N. Borenstein
Category: Standards Track                                 First Virtual
                                                          November 1996


                 Multipurpose Internet Mail Extensions
"""
LATER_VERSION = """\
Network Working Group                            Editor of this version:
Request for Comments: 3416                                    R. Presuhn
Obsoletes: 1905                             Authors of previous version:
Category: Standards Track                                        J. Case
                                                     SNMP Research, Inc.
                                                           December 2002

             Version 2 of the Protocol Operations
"""
PAPER = (
    "A package in R\nTerry Therneau Cynthia Crowson Elizabeth Atkinson\nMayo Clinic\nFebruary 6, 2023\n1 Introduction\n"
)


def test_the_two_columns_on_top_of_an_rfc() -> None:
    assert read_by_line(MEMO) == ByLine(
        authors=("N. Freed", "N. Borenstein"),
        date_created=date(1996, 11, 1),
        memo_title="Multipurpose Internet Mail Extensions",
    )


def test_authors_of_an_earlier_version_are_not_those_of_this() -> None:
    assert read_by_line(LATER_VERSION) == ByLine(
        authors=("R. Presuhn",),
        date_created=date(2002, 12, 1),
        memo_title="Version 2 of the Protocol Operations",
    )


def test_the_lines_between_title_and_date_of_a_paper() -> None:
    said = read_by_line(PAPER, is_paper=True)

    assert said.authors == ("Terry Therneau", "Cynthia Crowson", "Elizabeth Atkinson")
    assert said.date_created == date(2023, 2, 6)
    assert read_by_line(PAPER) == ByLine()


@pytest.mark.parametrize(
    "text",
    [
        "A Title\nSome text that goes on about Great Things and never stops.\nMore of it\nand more\nAbstract\n",
        "Chapter One\nIt was a dark night.\n",
        "",
    ],
)
def test_prose_names_nobody(text: str) -> None:
    assert read_by_line(text, is_paper=True).authors == ()


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("October 1990", date(1990, 10, 1)),
        ("6 February 2023", date(2023, 2, 6)),
        ("May 3rd, 2019", date(2019, 5, 3)),
        ("Oct 2016", date(2016, 10, 1)),
        ("June l988", date(1988, 6, 1)),  # as RFC 1055 has it
        ("31 February 2023", None),
        ("on 6 February 2023", None),
        ("1990", None),
    ],
)
def test_a_date_by_itself(text: str, day: date | None) -> None:
    assert written_date(text) == day


@given(st.text(), st.booleans())
def test_any_text_may_have_a_by_line(text: str, is_paper: bool) -> None:
    read_by_line(text, is_paper=is_paper)
    read_by_line(f"Network Working Group\n{text}", is_paper=is_paper)


@pytest.mark.parametrize("unit", [" ", "A. ", "\n", "May ", "A", "x    y"])
def test_a_megabyte_is_no_work(unit: str) -> None:
    text = "Network Working Group\n" + unit * (1_000_000 // len(unit))
    began = time.process_time()
    read_by_line(text)
    read_by_line(text, is_paper=True)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("below", "title"),
    [
        (
            "                Owls by Night\n                   Part One\n\nStatus of this Memo\n",
            "Owls by Night Part One",
        ),
        ("                OWLS\n\n\n                BY NIGHT\n\n        ABSTRACT\n\nAn owl", "OWLS BY NIGHT"),
        ("                Owls\n\n        Table of Contents\n\n   1. Night", "Owls"),
        (" Owls by Night\nStatus of this Memo\n\n   An owl", "Owls by Night"),
        ("", None),
    ],
)
def test_the_title_of_a_memo_stands_below_its_heading(below: str, title: str | None) -> None:
    head = "Network Working Group                      A. Owl\nRequest for Comments: 9          October 1990\n\n\n"

    assert read_by_line(head + below).memo_title == title


def test_only_a_memo_has_a_title_below_its_heading() -> None:
    assert read_by_line("Owls\n\n      By Night\n\nText").memo_title is None


@pytest.mark.parametrize(
    "text",
    [
        "RFC 2119 key words: a guide\n\nThis is prose about words.\n\nMore of it.",
        "RFC 2005: match ergonomics\n\nSummary\n\nBetter matches.",
        "Internet Engineering Task Force, notes\n\nWe talked.",
    ],
)
def test_what_only_speaks_of_rfcs_is_not_titled_by_its_first_paragraph(text: str) -> None:
    assert read_by_line(text).memo_title is None


def test_blank_lines_above_the_heading_of_a_memo_are_no_part_of_its_title() -> None:
    assert read_by_line("[RFC editor]\n\n\n" + MEMO).memo_title == "Multipurpose Internet Mail Extensions"
