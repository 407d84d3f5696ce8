"""Filling lakes: exact, resumed, raced, and refused where the lake is another's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurora_ingest.cli import run
from aurora_ingest.errors import (
    BackendError,
    HashMismatchError,
    LakeConflictError,
    MissingLedgersError,
    NetworkMismatchError,
    UsageError,
)
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.archive_files import ArchiveFiles
from aurora_ingest.ledger_backend.backend import BackendOptions, LedgerBackend, RawLedger
from aurora_ingest.ledger_backend.data_lake import DataLake
from aurora_ingest.ledger_backend.lake_layout import LakeLayout, Manifest
from aurora_ingest.ledger_backend.lake_writer import LakeWriter
from aurora_ingest.ledger_backend.meta_stream import MetaStream
from aurora_ingest.network import STANDALONE, TESTNET
from ledger_backend.origins import framed, frames, unpacked

_ALL = LedgerRange(2, 383)


@pytest.fixture
def source(shared_data: Path) -> MetaStream:
    """Ledgers 2 to 400 as core wrote them."""
    return MetaStream(str(shared_data / "standalone-p19" / "meta" / "ledger-close-meta.xdr.zst"), STANDALONE)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", [LakeLayout(1, 64000), LakeLayout(64, 2), LakeLayout(32, 1), LakeLayout(128, 3)])
def test_a_lake_gives_back_what_went_in(
    source: LedgerBackend, core_ledgers: dict[int, bytes], tmp_path: Path, layout: LakeLayout
) -> None:
    writer = LakeWriter(str(tmp_path), STANDALONE, layout)
    plan = writer.plan(source, _ALL)
    assert plan.missing == (_ALL,)
    told: list[int] = []
    done = writer.write(source, plan, lambda progress: told.append(progress.written))
    assert done.written == plan.files == len(list(layout.files(_ALL))) == told[-1]
    assert done.ledgers == len(_ALL)
    made = DataLake(str(tmp_path), STANDALONE)
    assert made.available() == _ALL
    assert {raw.sequence: raw.data for raw in made.read(_ALL)} == {n: core_ledgers[n] for n in _ALL}
    assert Manifest.parse((tmp_path / ".config.json").read_bytes(), "x").passphrase == STANDALONE.passphrase
    assert done.bytes == sum(len(data) for path, data in _contents(tmp_path).items() if path != ".config.json")


def test_two_ways_of_writing_give_the_same_bytes(source: LedgerBackend, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    layout = LakeLayout(32, 2)
    LakeWriter(str(first), STANDALONE, layout).write(
        source, LakeWriter(str(first), STANDALONE, layout).plan(source, _ALL)
    )
    copied = DataLake(str(first), STANDALONE)
    for part in (LedgerRange(2, 127), LedgerRange(64, 383)):
        writer = LakeWriter(str(second), STANDALONE, layout, BackendOptions(workers=1))
        writer.write(copied, writer.plan(copied, part))
    assert _contents(first) == _contents(second)


def test_only_what_is_missing_is_read_and_written(source: LedgerBackend, tmp_path: Path) -> None:
    writer = LakeWriter(str(tmp_path), STANDALONE, LakeLayout(32, 4))
    writer.write(source, writer.plan(source, _ALL))
    whole = _contents(tmp_path)
    ages = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.zst")}
    lost = [LakeLayout(32, 4).file_of(ledger).path for ledger in (40, 100, 130)]
    for path in lost:
        (tmp_path / path).unlink()
    plan = LakeWriter(str(tmp_path), STANDALONE).plan(source, _ALL)
    assert plan.missing == (LedgerRange(32, 63), LedgerRange(96, 159))
    done = LakeWriter(str(tmp_path), STANDALONE).write(source, plan)
    assert (done.written, done.ledgers) == (3, 96)
    assert _contents(tmp_path) == whole
    kept = {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.zst") if str(path.relative_to(tmp_path)) not in lost
    }
    assert kept.items() <= ages.items()


def test_writers_that_race_write_each_file_once(shared_data: Path, source: LedgerBackend, tmp_path: Path) -> None:
    barrier = threading.Barrier(4)
    written: list[int] = []

    def write() -> None:
        writer = LakeWriter(str(tmp_path), STANDALONE, LakeLayout(8, 16), BackendOptions(workers=2))
        plan = writer.plan(source, _ALL)
        barrier.wait()
        written.append(writer.write(source, plan).written)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = [path for path in _contents(tmp_path) if path.endswith(".zst")]
    assert sum(written) == len(files) == 48
    alone = tmp_path.with_name("alone")
    writer = LakeWriter(str(alone), STANDALONE, LakeLayout(8, 16))
    writer.write(source, writer.plan(source, _ALL))
    assert _contents(alone) == _contents(tmp_path)


def test_a_writer_that_is_killed_leaves_whole_files_only(
    shared_data: Path, source: LedgerBackend, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "aurora_ingest", "write-lake", "--network", "standalone", "--lake", str(tmp_path)]
    command += ["--ledgers", source.path, "--from", "2", "--to", "400"]  # type: ignore[attr-defined]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.zst"))) < 20 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    child.kill()
    child.wait()
    lake = DataLake(str(tmp_path), STANDALONE)
    there = [file.first for file in lake.index.files(LedgerRange(2, 400))]
    assert len(there) >= 20
    for ledger in there:
        assert [raw.sequence for raw in lake.read(LedgerRange(ledger, ledger))] == [ledger]
    writer = LakeWriter(str(tmp_path), STANDALONE)
    done = writer.write(source, writer.plan(source, LedgerRange(2, 400)))
    assert done.written == 399 - len(there)
    assert len(list(DataLake(str(tmp_path), STANDALONE).read(LedgerRange(2, 400)))) == 399


def test_a_lake_of_another_network_or_layout_is_refused(source: LedgerBackend, tmp_path: Path) -> None:
    writer = LakeWriter(str(tmp_path), STANDALONE, LakeLayout(32, 4))
    writer.write(source, writer.plan(source, LedgerRange(2, 31)))
    before = _contents(tmp_path)
    with pytest.raises(NetworkMismatchError, match="of network 'Standalone Network"):
        LakeWriter(str(tmp_path), TESTNET).plan(source, LedgerRange(32, 63))
    for layout in (LakeLayout(64, 4), LakeLayout(32, 5)):
        with pytest.raises(LakeConflictError, match="has 32 ledgers per file and 4 files per partition, but"):
            LakeWriter(str(tmp_path), STANDALONE, layout).plan(source, LedgerRange(64, 127))
    assert _contents(tmp_path) == before


def test_whoever_begins_the_lake_meanwhile_decides(source: LedgerBackend, tmp_path: Path) -> None:
    late = LakeWriter(str(tmp_path), STANDALONE, LakeLayout(32, 4))
    plan = late.plan(source, LedgerRange(2, 31))
    first = LakeWriter(str(tmp_path), STANDALONE, LakeLayout(16, 4))
    first.write(source, first.plan(source, LedgerRange(2, 15)))
    with pytest.raises(LakeConflictError):
        late.write(source, plan)
    assert len(_contents(tmp_path)) == 2


def test_another_chain_of_the_same_network_is_refused(shared_data: Path, source: LedgerBackend, tmp_path: Path) -> None:
    """As after a reset of testnet: same passphrase, other ledgers."""
    other = MetaStream(str(shared_data / "standalone-p23" / "meta" / "ledger-close-meta.xdr.zst"), STANDALONE)
    writer = LakeWriter(str(tmp_path), STANDALONE, LakeLayout(32, 4))
    writer.write(source, writer.plan(source, LedgerRange(96, 159)))
    before = _contents(tmp_path)
    for part in (LedgerRange(160, 223), LedgerRange(64, 95)):
        with pytest.raises(LakeConflictError, match=r"another chain than the source: ledger .* was the network reset"):
            writer.write(other, writer.plan(other, part))
        assert _contents(tmp_path) == before
        writer.write(source, writer.plan(source, part))
        before = _contents(tmp_path)


def test_ledgers_that_do_not_follow_make_no_file(
    core_ledgers: dict[int, bytes], shared_data: Path, tmp_path: Path
) -> None:
    others = dict(enumerate(frames(unpacked(shared_data / "standalone-p23" / "meta" / "ledger-close-meta.xdr.zst")), 2))
    stream = tmp_path / "meta"
    stream.write_bytes(b"".join(framed(core_ledgers[n] if n < 40 else others[n]) for n in range(2, 64)))
    mixed = MetaStream(str(stream), STANDALONE)
    writer = LakeWriter(str(tmp_path / "lake"), STANDALONE, LakeLayout(16, 4))
    with pytest.raises(HashMismatchError, match=r"ledger 40 names .* as the hash of ledger 39"):
        writer.write(mixed, writer.plan(mixed, LedgerRange(2, 63)))
    assert DataLake(str(tmp_path / "lake"), STANDALONE).available() == LedgerRange(2, 31)
    flipped = bytearray(core_ledgers[20])
    flipped[4 + 32 + 4 + 32 + 32 + 7] ^= 1  # the close time, behind version, hash, protocol and two hashes
    stream.write_bytes(b"".join(framed(bytes(flipped) if n == 20 else core_ledgers[n]) for n in range(2, 64)))
    writer = LakeWriter(str(tmp_path / "other"), STANDALONE, LakeLayout(16, 4))
    with pytest.raises(HashMismatchError, match="header of ledger 20 hashes to"):
        writer.write(mixed, writer.plan(mixed, LedgerRange(2, 63)))


def test_a_lake_that_does_not_say_of_which_network_it_is(source: LedgerBackend, tmp_path: Path) -> None:
    writer = LakeWriter(str(tmp_path), STANDALONE)
    writer.write(source, writer.plan(source, LedgerRange(2, 9)))
    (tmp_path / ".config.json").unlink()
    with pytest.raises(LakeConflictError, match=r"no \.config.json that says of which network"):
        LakeWriter(str(tmp_path), STANDALONE).plan(source, LedgerRange(2, 20))


def test_a_lake_with_the_old_ending_is_not_added_to(source: LedgerBackend, tmp_path: Path) -> None:
    writer = LakeWriter(str(tmp_path), STANDALONE)
    writer.write(source, writer.plan(source, LedgerRange(2, 9)))
    for path in list(tmp_path.rglob("*.zst")):
        path.rename(path.with_suffix(".zstd"))
    assert len(list(DataLake(str(tmp_path), STANDALONE).read(LedgerRange(2, 9)))) == 8
    with pytest.raises(LakeConflictError, match=r"ending in \.zstd, as before Galexie v23"):
        LakeWriter(str(tmp_path), STANDALONE).plan(source, LedgerRange(2, 20))


@pytest.mark.parametrize(
    "ledgers, told",
    [
        ((2, 300), "2-319 or 2-255"),
        ((3, 63), "have 2-63$"),
        ((65, 200), "64-255 or 128-191"),
        ((70, 80), "have 64-127$"),
    ],
)
def test_a_range_that_cuts_files_apart_is_refused(
    source: LedgerBackend, tmp_path: Path, ledgers: tuple[int, int], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        LakeWriter(str(tmp_path), STANDALONE, LakeLayout(64, 2)).plan(source, LedgerRange(*ledgers))


def test_what_a_source_lacks_is_told_before_anything_is_written(source: LedgerBackend, tmp_path: Path) -> None:
    with pytest.raises(MissingLedgersError, match="401-410"):
        LakeWriter(str(tmp_path), STANDALONE).plan(source, LedgerRange(390, 410))
    assert _contents(tmp_path) == {}


def test_a_source_without_changes_makes_no_lake(shared_data: Path, tmp_path: Path) -> None:
    archive = ArchiveFiles([str(shared_data / "standalone-p19" / "archive")], STANDALONE)
    writer = LakeWriter(str(tmp_path), STANDALONE)
    with pytest.raises(BackendError, match="does not know what transactions changed"):
        writer.write(archive, writer.plan(archive, LedgerRange(2, 63)))
    assert not list(tmp_path.rglob("*.zst"))


class _WithoutSet:
    """A core database of protocol 20."""

    name = "core-db"

    def describe(self) -> str:
        return "core database"

    def check(self, ledgers: LedgerRange) -> None:
        pass

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        yield RawLedger(ledgers.first, b"", f"ledger {ledgers.first}", has_set=False)


def test_a_source_without_sets_makes_no_lake(tmp_path: Path) -> None:
    writer = LakeWriter(str(tmp_path), STANDALONE)
    source: LedgerBackend = _WithoutSet()  # type: ignore[assignment]  # what the writer needs of one
    with pytest.raises(BackendError, match="ledger 5: the transaction set is not there"):
        writer.write(source, writer.plan(source, LedgerRange(5, 5)))


def test_the_command(source: MetaStream, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["write-lake", "--network", "standalone", "--ledgers", source.path, "--lake", str(tmp_path)]
    words += ["--ledgers-per-file", "64", "--files-per-partition", "10", "--from", "2", "--to", "383"]
    assert run([*words, "--dry-run"]) == 0
    assert "missing:                2-383" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    assert '"files_written": 6, "files_there_before": 0' in capsys.readouterr().out
    assert run(words) == 0
    assert "files_there_before:     6" in capsys.readouterr().out
    assert run([*words[:-1], "384"]) == 2
    assert "whole files have" in capsys.readouterr().err
    assert run([*words, "--network", "testnet"]) == 1
