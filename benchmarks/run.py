"""Runs the benchmarks: `python benchmarks/run.py [SUITE …]`, all of them by default; --help names them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import bench_build
import bench_engines
import bench_follow
import bench_history
import bench_kernel
import bench_ledgers
import bench_memory
import bench_order_books
import bench_paths
import bench_postgres
import bench_scale
import bench_serve
import bench_soak
import inputs
from measure import CALL, machine
from report import Suite, machine_lines, with_sections

SUITES: dict[str, Callable[[int, int], Suite]] = {
    module.NAME: module.run
    for module in (
        bench_kernel,
        bench_ledgers,
        bench_build,
        bench_postgres,
        bench_history,
        bench_memory,
        bench_scale,
        bench_paths,
        bench_order_books,
        bench_follow,
        bench_engines,
        bench_serve,
        bench_soak,
    )
}
RESULTS = inputs.HERE / "results"
PAGE = inputs.HERE.parent / "docs" / "performance.md"


def main() -> None:
    """Run what was asked for; print it, keep it as JSON and, with ``--docs``, write it into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"out of {', '.join(SUITES)}")
    parser.add_argument("--entries", type=int, default=1_500_000, help="live entries of the synthetic archive")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", action="store_true", help=f"write the tables into {PAGE.name}")
    parser.add_argument("--from", dest="file", type=Path, help="take an earlier result instead of running")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.suites) - set(SUITES))
    if unknown:
        parser.error(f"unknown suite {', '.join(unknown)}; known are {', '.join(SUITES)}")
    if arguments.file:
        result = json.loads(arguments.file.read_text())
        suites = [Suite.from_json(values) for values in result["suites"]]
        facts = result["machine"]
    else:
        facts = machine()
        print(machine_lines([facts]))
        suites = []
        for name in arguments.suites or SUITES:
            print(f"\n== {name}")
            suites.append(SUITES[name](arguments.entries, arguments.rounds))
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{CALL[:8]}.json"
        document = {"call": CALL, "machine": facts, "suites": [suite.to_json() for suite in suites]}
        path.write_text(json.dumps(document, indent=1) + "\n")
        print(f"\nkept in {path}")
    for suite in suites:
        print(f"\n{suite.title}\n\n{suite.markdown()}")
    if arguments.docs:
        sections = {
            suite.name: f"{suite.title}.\n\n{suite.markdown()}\n\n{machine_lines([facts])}"
            for suite in suites
            if suite.name != bench_scale.NAME  # its page is docs/scale.md, written by scale_table.py
        }
        PAGE.write_text(with_sections(PAGE.read_text(), sections))
        print(f"\nwritten into {PAGE}")


if __name__ == "__main__":
    main()
