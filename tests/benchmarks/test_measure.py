from __future__ import annotations

import json
import sys

import pytest
from measure import Case, RatioError, Run, Series, interleave, ratio
from report import Suite, Target, with_sections


def series(case: str, *cpu: float, call: str = "one", work: int = 100) -> Series:
    return Series(case, work, "entries", tuple(Run(2 * each, each, 1 << 20, {}) for each in cpu), call)


def said(case: str, code: str) -> Case:
    return Case(case, [sys.executable, "-c", code], 10)


def test_a_ratio_compares_medians_of_one_call() -> None:
    assert ratio(series("ours", 1, 2, 9), series("theirs", 8, 8, 8), "cpu") == 4


def test_no_ratio_of_two_calls() -> None:
    with pytest.raises(RatioError, match="not run in the same call"):
        ratio(series("ours", 1), series("theirs", 2, call="another"), "cpu")


def test_no_ratio_of_different_work() -> None:
    with pytest.raises(RatioError, match="not the same work"):
        ratio(series("ours", 1), series("theirs", 2, work=99), "cpu")


def test_cases_take_turns_and_every_other_round_is_reversed() -> None:
    lines: list[str] = []
    interleave([said("a", "pass"), said("b", "pass")], 2, lines.append)
    assert [line.split("  ")[2][0] for line in lines] == ["a", "b", "b", "a"]


def test_what_a_command_says_and_what_changed_around_it_are_kept() -> None:
    counter = iter([5.0, 7.5])
    case = Case(
        "x",
        [sys.executable, "-c", "import json; print('noise'); print(json.dumps({'seconds': 0.5}))"],
        10,
        around=lambda: {"server_cpu": next(counter)},
    )
    (measured,) = interleave([case], 1, lambda _: None)
    assert measured.rate("seconds") == 20
    assert measured.median("server_cpu") == 2.5
    assert measured.median("wall") > 0
    assert measured.runs[0].peak_rss > 1 << 20


def test_a_failing_command_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"x: exit 3\n.*broken"):
        interleave([said("x", "import sys; sys.stderr.write('broken'); sys.exit(3)")], 1, lambda _: None)


def test_a_suite_survives_json_and_tells_what_was_missed() -> None:
    suite = Suite(
        "s", "Title", (series("ours", 1),), ("note",), (Target("fast", 3, 4), Target("small", 3, 4, at_most=True))
    )
    again = Suite.from_json(json.loads(json.dumps(suite.to_json())))
    assert again == suite
    text = again.markdown()
    assert "| fast | ≥ 4.00 times | 3.00 times | **missed** |" in text
    assert "| small | ≤ 4.00 times | 3.00 times | met |" in text


def test_sections_of_a_page_are_replaced() -> None:
    page = "a\n<!-- bench k -->\nold\n<!-- end k -->\nb\n"
    assert with_sections(page, {"k": "new"}) == "a\n<!-- bench k -->\nnew\n<!-- end k -->\nb\n"
    with pytest.raises(ValueError, match="no place"):
        with_sections(page, {"other": ""})
