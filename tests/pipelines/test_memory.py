from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from make_archive import write_synthetic_archive

import aurora_ingest

# The child tells its own high-water mark: what wait4 tells of a child includes the memory of its parent before exec.
_BUILD = """
import sys
from aurora_ingest.cli import main
try:
    main()
finally:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


def peak_kib(folder: Path, entries: int) -> int:
    """The most memory that `build-state` to Parquet held, in KiB."""
    archive = write_synthetic_archive(folder / "archive", entries, gzip_level=1)
    options = {
        "--network-passphrase": archive.passphrase,
        "--history-archive-url": archive.url,
        "--checkpoint": str(archive.checkpoint),
        "--parquet": str(folder / "parquet"),
    }
    words = [word for option in options.items() for word in option]
    environment = {**os.environ, "PYTHONPATH": str(Path(aurora_ingest.__file__).parents[1])}
    command = [sys.executable, "-c", _BUILD, "build-state", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    (mark,) = (line for line in done.stderr.splitlines() if line.startswith("VmHWM"))
    return int(mark.split()[1])


@pytest.mark.slow
def test_six_times_the_entries_need_no_more_memory(tmp_path: Path) -> None:
    small = peak_kib(tmp_path / "small", 600_000)
    large = peak_kib(tmp_path / "large", 3_600_000)
    assert large < 1.2 * small, f"{small} and {large} KiB"
    assert large < 1 << 20, "the promised ceiling is 1 GiB"
