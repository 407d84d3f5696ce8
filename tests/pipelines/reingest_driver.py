"""A reingest in a process of its own that kills itself with SIGKILL at a named point; run by test_reingest_kill.py."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kill_driver import die_after, die_before

from aurora_ingest.network import TESTNET
from reingesting import reingest


def arm(point: str) -> None:
    """Sets the trap for one named point."""
    from aurora_ingest.db import history, load
    from aurora_ingest.object_store import publication
    from aurora_ingest.transforms import history_dataset as dataset

    def trap(kill: Callable[..., None], module: Any, name: str, call: int = 1) -> Callable[[], None]:
        return lambda: kill(module, name, call)

    traps: dict[str, Callable[[], None]] = {
        "never": lambda: None,
        "mid-copy": trap(die_after, load._kernel, "copy_rows", 13),
        "before-commit": trap(die_before, history, "commit_chunk", 2),
        "after-commit": trap(die_after, history, "commit_chunk", 2),
        "before-the-journal": trap(die_before, publication, "claim", 2),
        "after-the-journal": trap(die_after, publication, "claim", 2),
        "between-files": trap(die_after, publication, "put_in_place", 13),
        "before-the-partitions-manifest": trap(die_before, publication, "write_manifest", 2),
        "after-the-partitions-manifest": trap(die_after, publication, "write_manifest", 2),
        "before-the-manifest": trap(die_before, dataset.HistoryDataset, "publish_manifest"),
    }
    traps[point]()


def main() -> None:
    """Runs one reingest: lake, first and last ledger, chunk size, database URL, folder, point."""
    lake, first, last, chunk, db_url, folder, point = sys.argv[1:]
    arm(point)
    print("running", flush=True)  # noqa: T201  # the test starts its clock
    reingest(TESTNET, lake, (int(first), int(last)), db_url=db_url, parquet=Path(folder), chunk_ledgers=int(chunk))


if __name__ == "__main__":
    main()
