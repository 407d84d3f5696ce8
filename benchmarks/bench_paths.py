"""Payment paths beside the Go SDK's order book graph: the same offers, pools and queries, on one core."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import inputs
from measure import Case, Series, interleave, ratio
from report import Suite, Target

NAME = "paths"
_REPEATS = "5"


def run(_entries: int, rounds: int) -> Suite:
    """Measure the real order book of pubnet at 12001023 and the large synthetic one, without and with pools."""
    go, child = str(inputs.go_program("paths")), [sys.executable, str(inputs.HERE / "child_paths.py")]
    synthetic, derived = inputs.SHARED_DATA / "derived-synthetic", inputs.SHARED_DATA / "public" / "derived"
    offers = str(_unpacked(synthetic / "offers-200k.txt.zst"))
    pools = str(_unpacked(synthetic / "pools-2k.txt.zst"))
    queries = str(_unpacked(synthetic / "queries-200.json.zst"))
    real_queries = str(_real_queries(derived / "pubnet-paths-12001023.json.zst"))
    books = {
        "948 offers of pubnet": [str(_unpacked(derived / "pubnet-offers-12001023.txt.zst")), "-", real_queries],
        "200,000 offers": [offers, "-", queries],
        "200,000 offers, 2,000 pools": [offers, pools, queries],
    }
    cases = []
    for book, arguments in books.items():
        work = len(json.loads(Path(arguments[2]).read_bytes())) * int(_REPEATS)
        cases.append(Case(f"Go: {book}", [go, *arguments, _REPEATS], work, "queries", cores=1))
        ours = [*child, *arguments, _REPEATS]
        cases.append(Case(f"ours: {book}", ours, work, "queries", cores=1, environment=inputs.PYTHON_PATH))
    series = interleave(cases, rounds)
    for theirs, ours in zip(series[::2], series[1::2], strict=True):
        if theirs.median("paths") != ours.median("paths"):
            raise RuntimeError(f"{ours.case}: {ours.median('paths')} paths, Go has {theirs.median('paths')}")
    _, _, go_large, large, go_pools, with_pools = series
    return Suite(
        NAME,
        "Payment paths over an order book; the time of a query is the best of five in one process",
        tuple(series),
        tuple(_line(theirs, ours) for theirs, ours in zip(series[::2], series[1::2], strict=True)),
        (
            Target("200,000 offers, median query : Go", ratio(large, go_large, "p50_seconds"), 5),
            Target("200,000 offers, 99th percentile : Go", ratio(large, go_large, "p99_seconds"), 3),
            Target("with pools, median query : Go", ratio(with_pools, go_pools, "p50_seconds"), 5),
            Target("with pools, 99th percentile : Go", ratio(with_pools, go_pools, "p99_seconds"), 3),
            Target("graph build, 200,000 offers : Go", ratio(large, go_large, "load_seconds"), 1),
        ),
    )


def _line(theirs: Series, ours: Series) -> str:
    def both(name: str) -> str:
        return f"{ours.median(name) * 1e3:.3g} ms, Go {theirs.median(name) * 1e3:.3g} ms"

    p50, p99, load = both("p50_seconds"), both("p99_seconds"), both("load_seconds")
    return f"{ours.case.removeprefix('ours: ')}: p50 {p50}; p99 {p99}; graph built in {load}."


def _unpacked(path: Path) -> Path:
    """Unpack a file of the shared data into the scratch folder, once."""
    import zstandard

    unpacked = inputs.SCRATCH / "paths" / path.stem
    if not unpacked.exists():
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        draft = unpacked.with_suffix(".draft")
        draft.write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()))
        draft.rename(unpacked)
    return unpacked


def _real_queries(path: Path) -> Path:
    """Take the queries out of the peer's answers."""
    answers: dict[str, Any] = json.loads(_unpacked(path).read_bytes())
    queries = inputs.SCRATCH / "paths" / "pubnet-queries.json"
    queries.write_text(json.dumps([result["query"] for result in answers["results"]]))
    return queries
