"""The decision record shows every promise of the comparison with stock kombu, and no other."""

from __future__ import annotations

from bench.promises import PROMISES
from bench.stock import ADR, BEGIN, END


def test_the_decision_record_holds_one_row_for_each_promise_broken_by_stock_and_kept_by_us() -> None:
    table = ADR.read_text().split(BEGIN)[1].split(END)[0]
    rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()[2:]]
    assert [title for title, _, _ in rows] == list(PROMISES)
    assert all(stock.startswith("**broken**: ") and ours.startswith("kept: ") for _, stock, ours in rows)
