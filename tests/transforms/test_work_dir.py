from __future__ import annotations

from pathlib import Path

from aurora_ingest.transforms.work_dir import WorkDir


def test_a_file_is_replaced_whole_and_read_in_parts(tmp_path: Path) -> None:
    work = WorkDir(str(tmp_path / "build"))
    assert not work.exists("cut/a/0")
    work.write("cut/a/0", b"first")
    work.write("cut/a/0", b"second")
    assert work.read("cut/a/0") == b"second"
    assert work.read("cut/a/0", 2, 3) == b"con"
    assert [path.name for path in (tmp_path / "build/cut/a").iterdir()] == ["0"]


def test_removing_twice_is_fine(tmp_path: Path) -> None:
    work = WorkDir(str(tmp_path / "build"))
    work.write("spill/x", b"1")
    work.remove()
    work.remove()
    assert not (tmp_path / "build").exists()
