"""What a suite of benchmarks found, as JSON, as text on the terminal and as Markdown for docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from measure import RatioError, Series


@dataclass(frozen=True)
class Target:
    """One target and what was reached.

    Attributes:
        text: what is compared with what.
        reached: the figure.
        wanted: the figure that is asked for.
        at_most: True when the figure should be small.
        unit: of both, for instance ``times`` or ``%``.
    """

    text: str
    reached: float
    wanted: float
    at_most: bool = False
    unit: str = "times"

    def __post_init__(self) -> None:
        """Refuse a ratio with a side that nobody ran.

        Raises:
            RatioError: the text says that a side is quoted.
        """
        if self.unit == "times" and "quoted" in self.text:
            raise RatioError(f"{self.text}: a side of it was not run in this call, so it is no ratio; tell our figure")

    @property
    def met(self) -> bool:
        """True when the target is reached."""
        return self.reached <= self.wanted if self.at_most else self.reached >= self.wanted


@dataclass(frozen=True)
class Suite:
    """The series of one suite and what they say of its targets.

    Attributes:
        name: of the suite, as it is asked for on the command line.
        title: what it measures, in words.
        series: all that was measured.
        notes: what a reader must know to understand the figures.
        targets: what was asked for and reached.
    """

    name: str
    title: str
    series: tuple[Series, ...]
    notes: tuple[str, ...] = ()
    targets: tuple[Target, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse series of several calls: a table invites to compare them.

        Raises:
            RatioError: they are of several.
        """
        if len({each.call for each in self.series}) > 1:
            raise RatioError(f"the series of {self.name} were not run in the same call: no table of them is printed")

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "name": self.name,
            "title": self.title,
            "series": [series.to_json() for series in self.series],
            "notes": list(self.notes),
            "targets": [vars(target) for target in self.targets],
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Suite:
        """Read back what `to_json` gave."""
        return Suite(
            values["name"],
            values["title"],
            tuple(Series.from_json(series) for series in values["series"]),
            tuple(values["notes"]),
            tuple(Target(**target) for target in values["targets"]),
        )

    def markdown(self) -> str:
        """Return the tables of the suite."""
        lines = [
            "| case | runs | wall s | CPU s | inner wall s | inner CPU s | per second | per CPU second | peak MB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *(_row(series) for series in self.series),
        ]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        if self.targets:
            lines += ["", "| target | wanted | reached | |", "| --- | --- | --- | --- |"]
            lines += [_target_row(target) for target in self.targets]
        return "\n".join(lines)


def _row(series: Series) -> str:
    """One line of figures; rates are of the work without start-up, where the command tells that apart."""
    inner = "seconds" in series.runs[0].said
    wall, cpu = ("seconds", "cpu_seconds") if inner else ("wall", "cpu")
    peak = max(run.peak_rss for run in series.runs) / 1e6
    cells = [
        series.case,
        str(len(series.runs)),
        _spread(series, "wall"),
        f"{series.median('cpu'):.2f}",
        _spread(series, "seconds") if inner else "",
        f"{series.median('cpu_seconds'):.2f}" if inner else "",
        f"{series.rate(wall):,.0f} {series.unit}",
        f"{series.rate(cpu):,.0f}",
        f"{peak:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _spread(series: Series, name: str) -> str:
    least, most = series.spread(name)
    return f"{series.median(name):.2f} ({least:.2f}..{most:.2f})"


def _target_row(target: Target) -> str:
    wanted = f"{'≤' if target.at_most else '≥'} {_number(target.wanted)} {target.unit}".strip()
    verdict = "met" if target.met else "**missed**"
    return f"| {target.text} | {wanted} | {_number(target.reached)} {target.unit} | {verdict} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def with_sections(page: str, sections: Mapping[str, str]) -> str:
    """Replace what stands between ``<!-- bench NAME -->`` and ``<!-- end NAME -->`` in a page.

    Raises:
        ValueError: the page has no such place.
    """
    for name, text in sections.items():
        begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
        if begin not in page or end not in page:
            raise ValueError(f"the page has no place {begin} … {end}")
        head, _, rest = page.partition(begin)
        page = f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
    return page


def machine_lines(machines: Sequence[Mapping[str, str]]) -> str:
    """Return the machine and the programs of each call, one line per call."""
    return "\n".join("- " + "; ".join(f"{name} {value}" for name, value in each.items()) for each in machines)
