"""The wheel of the running package installs offline and has all that runs here; the boot program installs it once."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import aurora_ingest
from aurora_ingest.runners.flink import boot
from aurora_ingest.runners.wheel import packed_wheel


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """What an engine stages of a job with our wheel."""
    folder = tmp_path / "staged"
    folder.mkdir()
    wheel = packed_wheel(tmp_path / "wheels")
    (folder / wheel.name).write_bytes(wheel.read_bytes())
    (folder / "extra_packages.txt").write_text(f"{wheel.name}\n")
    return folder


def test_it_is_packed_once_and_the_same_everywhere(tmp_path: Path) -> None:
    first, other = packed_wheel(tmp_path / "a"), packed_wheel(tmp_path / "b")
    assert first.read_bytes() == other.read_bytes()
    before = first.stat().st_mtime_ns
    assert packed_wheel(tmp_path / "a") == first
    assert first.stat().st_mtime_ns == before


def test_it_has_the_files_of_the_package(tmp_path: Path) -> None:
    with zipfile.ZipFile(packed_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    root = Path(aurora_ingest.__file__).parent
    for part in ("_kernel.abi3.so", "transforms/ledger_unit.py", "pipelines/follow.py", "db/migrations/env.py"):
        assert (root / part).exists()
        assert f"aurora_ingest/{part}" in names
    assert not [name for name in names if "__pycache__" in name]


def test_a_worker_imports_what_was_staged(staged: Path, tmp_path: Path) -> None:
    target = boot._installed(tmp_path / "cache", staged)
    assert target is not None
    assert not staged.exists()
    code = "import aurora_ingest.transforms.ledger_unit as m, aurora_ingest._kernel; print(m.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(target)


def test_a_second_job_finds_what_the_first_installed(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path.name: path.read_bytes() for path in staged.iterdir()}
    first = boot._installed(tmp_path / "cache", staged)
    staged.mkdir()
    for name, data in files.items():
        (staged / name).write_bytes(data)
    monkeypatch.setattr(boot, "_install", lambda *_: pytest.fail("installed again"))
    assert boot._installed(tmp_path / "cache", staged) == first


def test_sources_are_refused_with_what_helps(staged: Path, tmp_path: Path) -> None:
    (staged / "extra_packages.txt").write_text("mine-1.0.tar.gz\n")
    with pytest.raises(ValueError, match=r"mine-1\.0\.tar\.gz: source packages need the network.*stage wheels"):
        boot._installed(tmp_path / "cache", staged)
    assert list((tmp_path / "cache").iterdir()) == []
