"""What `docs/scale.md` foretells: figures of the suite `scale` put into the model, printed or written into the page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bench_scale import NAME
from measure import Series
from report import Suite, machine_lines, with_sections
from scale_model import Line, Price, wall_seconds

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
CORES = (2, 16, 64)
STATES = (50_000_000, 100_000_000, 200_000_000)
LEDGERS = 60_000_000
SERIAL_SECONDS = 300.0
"""Start of machines and workers, and publishing: not measured here, taken generously."""
ENTRIES_PER_RANGE = 100_000
"""Entries of the longest unit of a state build; bounded by the cutting rule at 1 GiB."""
CUT_PER_SECOND = 2_400_000
"""Entries that one core hashes and validates in a second (suite `kernel`): one bucket may hold nearly all of them."""
CHUNK = 1000
SAMPLES = (
    (6_154_623, 424, 386),
    (16_154_623, 3_556, 1_261),
    (26_154_623, 41_564, 8_379),
    (30_822_020, 182_415, 27_457),
    (46_154_623, 1_112_756, 154_285),
    (51_000_294, 1_452_660, 242_079),
    (53_312_000, 372_492, 71_207),
    (57_500_008, 951_380, 120_568),
    (60_659_332, 1_138_788, 155_871),
    (63_092_992, 944_816, 128_917),
)
"""Pubnet: ledger, bytes of its LedgerCloseMeta, bytes in the lake; single ledgers out of ../shared/data/lakes."""


def history_bytes(last: int, column: int) -> float:
    """Return the bytes of ledgers 1 to ``last``, by straight lines between the samples.

    Args:
        last: ledger, at most that of the last sample.
        column: 1 for the bare bytes, 2 for those in the lake.
    """
    total, before = 0.0, (1, 0.0)
    for sample in SAMPLES:
        at, size = min(sample[0], last), float(sample[column])
        if at < sample[0]:
            size = before[1] + (size - before[1]) * (at - before[0]) / (sample[0] - before[0])
        total += (at - before[0]) * (before[1] + size) / 2
        if at == last:
            return total
        before = (at, size)
    raise ValueError(f"ledger {last} lies after the last sample, {SAMPLES[-1][0]}")


def state_rows(series: Sequence[Series], price: Price) -> list[str]:
    """Return the table of a whole state build, one row per size."""
    cpu = Line.through([(each.work, each.median("cpu_seconds")) for each in series])
    written = Line.through([(each.work, each.median("work_written")) for each in series])
    read = Line.through([(each.work, each.median("work_read")) for each in series])
    parquet = Line.through([(each.work, each.median("parquet_bytes")) for each in series])
    rows = []
    for entries in STATES:
        seconds = cpu.at(entries)
        longest = cpu.slope * ENTRIES_PER_RANGE
        alone = SERIAL_SECONDS + entries / CUT_PER_SECOND
        walls = [wall_seconds(seconds, cores, longest, alone) / 60 for cores in CORES]
        cells = [f"{entries / 1e6:,.0f} M", f"{seconds / 3600:.2f}", *(f"{wall:.0f}" for wall in walls)]
        cells += [f"{line.at(entries) / 1e9:,.0f}" for line in (written, read, parquet)]
        rows.append("| " + " | ".join([*cells, f"{price.of_cores(seconds):.2f}"]) + " |")
    heads = [*(f"min on {cores} cores" for cores in CORES), "GB put aside", "GB read of it", "GB Parquet", "dollars"]
    return [_line(["live entries", "CPU hours", *heads]), _line(["---"] * (3 + len(CORES) + 3)), *rows]


def history_rows(series: Sequence[Series], price: Price) -> list[str]:
    """Return the table of all history, one row per end."""
    cpu = Line.through([(each.work, each.median("cpu")) for each in series])
    rows = []
    for last in (30_000_000, LEDGERS):
        raw, stored = history_bytes(last, 1), history_bytes(last, 2)
        seconds = cpu.slope * raw
        longest = cpu.slope * CHUNK * max(sample[1] for sample in SAMPLES if sample[0] <= last)
        walls = [wall_seconds(seconds, cores, longest, SERIAL_SECONDS) / 3600 for cores in CORES]
        cells = [f"1 to {last / 1e6:,.0f} M", f"{raw / 1e12:.1f}", f"{stored / 1e12:.1f}", f"{seconds / 3600:,.0f}"]
        rows.append(_line([*cells, *(f"{wall:.1f}" for wall in walls), f"{price.of_cores(seconds):,.0f}"]))
    heads = [*(f"h on {cores} cores" for cores in CORES), "dollars"]
    head = ["ledgers", "TB raw", "TB in the lake", "CPU hours", *heads]
    return [_line(head), _line(["---"] * len(head)), *rows]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run ``scale_table.py RESULT.json [--docs]``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="a file that run.py has kept")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/scale.md")
    arguments = parser.parse_args()
    result = json.loads(arguments.result.read_text())
    (suite,) = (Suite.from_json(each) for each in result["suites"] if each["name"] == NAME)
    states = [each for each in suite.series if each.unit == "entries"]
    ranges = [each for each in suite.series if each.unit == "bytes"]
    sections = {
        NAME: f"{suite.markdown()}\n\n{machine_lines([result['machine']])}",
        "state": "\n".join(state_rows(states, Price())),
        "history": "\n".join(history_rows(ranges, Price())),
    }
    print("\n\n".join(sections.values()))
    if arguments.docs:
        PAGE.write_text(with_sections(PAGE.read_text(), sections))


if __name__ == "__main__":
    main()
