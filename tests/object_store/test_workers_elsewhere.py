"""Workers in processes of their own share nothing but a bucket: intermediate files and Parquet on gs://."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aurora_ingest.object_store.patient_store import patient_store
from aurora_ingest.object_store.store import joined
from reingesting import files

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "tests" / "data" / "standalone-accel"
BUILD = ("build-state", "--network", "standalone", "--checkpoint-frequency", "8", "--checkpoint", "95")


def build(*words: str) -> None:
    command = [sys.executable, "-m", "aurora_ingest", *BUILD, "--history-archive-url", f"file://{DEMO}", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_processes_that_share_a_bucket_only_leave_the_local_bytes(gs: str, tmp_path: Path) -> None:
    target, work = joined(gs, "elsewhere/tables"), joined(gs, "elsewhere/work")
    build("--parquet", str(tmp_path / "tables"), "--work-dir", str(tmp_path / "work"))
    workers = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    build("--parquet", target, "--work-dir", work, "--", *workers)
    store = patient_store(target, "Parquet")
    found = {path: hashlib.sha256(store.get(path)).hexdigest() for path in store.walk("") if not path.startswith(".")}
    assert found == files(tmp_path / "tables")
    assert patient_store(work, "work").walk("") == [], "intermediate files are removed"
