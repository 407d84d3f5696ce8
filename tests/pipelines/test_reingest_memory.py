"""The memory of a reingest does not follow the length of its range."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from make_lake import write_lake

import aurora_ingest

_FIRST = 30_848_000
_PEAK = 500 << 20


# The child tells its own high-water mark: what wait4 tells of a child includes the memory of its parent before exec.
_REINGEST = """
import sys
from aurora_ingest.cli import main
try:
    main()
finally:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


def _peak(lake: Path, ledgers: int, folder: Path, *flags: str) -> int:
    """The largest resident set of a process that writes so many ledgers to Parquet, in bytes."""
    words = ["reingest-range", "--network", "pubnet", "--ledgers", str(lake), "--parquet", str(folder)]
    span = ["--from", str(_FIRST), "--to", str(_FIRST + ledgers - 1), "--log-level", "error"]
    environment = {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}
    command = [sys.executable, "-c", _REINGEST, *words, *span, *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    (mark,) = (line for line in done.stderr.splitlines() if line.startswith("VmHWM"))
    return int(mark.split()[1]) << 10


@pytest.mark.shared_data
@pytest.mark.slow
def test_six_times_the_ledgers_take_the_same_memory(shared_data: Path, tmp_path: Path) -> None:
    write_lake(shared_data / "lakes" / "pubnet-30822015-30822025", tmp_path / "lake", _FIRST, 600)
    small = _peak(tmp_path / "lake", 100, tmp_path / "small")
    large = _peak(tmp_path / "lake", 600, tmp_path / "large")
    assert large < 1.2 * small
    assert large < _PEAK
    two = _peak(tmp_path / "lake", 300, tmp_path / "two", "--workers", "2", "--chunk-ledgers", "50")
    assert two < _PEAK
