from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
import run
from measure import Case, RatioError, Run, Series, interleave, machine, ratio
from report import Suite, Target, with_sections
from scale_model import Line, Price, wall_seconds
from scale_table import SAMPLES, history_bytes


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


def test_no_table_of_two_calls_and_no_ratio_with_a_quoted_side() -> None:
    with pytest.raises(RatioError, match="not run in the same call: no table"):
        Suite("s", "Title", (series("ours", 1), series("theirs", 2, call="another")))
    with pytest.raises(RatioError, match="a side of it was not run in this call"):
        Target("ours : Horizon's, quoted", 3, 4)
    assert Target("ours; wanted what is quoted", 3, 4, unit="rows/s").met is False


def test_every_ratio_of_the_suites_is_made_by_the_function_that_refuses() -> None:
    """A target in `times` has `ratio(` beside it, or compares two sizes of our own that took turns in one call."""
    own = {"peak memory of pubnet-rep : of a quarter of it", "last quarter : first quarter"}
    for page in sorted(Path(run.__file__).parent.glob("bench_*.py")):
        for call in ast.walk(ast.parse(page.read_text())):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Target"):
                continue
            text = ast.unparse(call)
            if " : " in text and not any(name in text for name in own) and "unit=" not in text:
                assert "ratio(" in text, f"{page.name}: {text}"


def test_the_head_names_machine_and_versions() -> None:
    facts = machine()
    assert {"date", "cpu", "cores", "memory", "load", "kernel", "python", "apache-beam", "pyarrow", "commit"} <= set(
        facts
    )
    assert facts["pyarrow"] != "not found"


def test_a_line_foretells_what_grows_evenly() -> None:
    line = Line.through([(100, 3.0), (200, 4.0), (400, 6.0)])
    assert line.at(1000) == pytest.approx(12)
    assert wall_seconds(1000, 10, 5, 60) == 165
    assert wall_seconds(1, 1000, 5, 60) == pytest.approx(65.001)
    assert Price(1.0, 0.5, 4.0).of_cores(3600) == 3.0


def test_history_is_summed_between_the_samples() -> None:
    (first, bare, stored), (second, more, _) = SAMPLES[:2]
    assert history_bytes(first, 1) == pytest.approx((first - 1) * bare / 2)
    assert history_bytes(first, 2) == pytest.approx((first - 1) * stored / 2)
    assert history_bytes(second, 1) == pytest.approx((first - 1) * bare / 2 + (second - first) * (bare + more) / 2)
    with pytest.raises(ValueError, match="after the last sample"):
        history_bytes(SAMPLES[-1][0] + 1, 1)


def test_sections_of_a_page_are_replaced() -> None:
    page = "a\n<!-- bench k -->\nold\n<!-- end k -->\nb\n"
    assert with_sections(page, {"k": "new"}) == "a\n<!-- bench k -->\nnew\n<!-- end k -->\nb\n"
    with pytest.raises(ValueError, match="no place"):
        with_sections(page, {"other": ""})
