"""Parquet in buckets: the bytes of the local run, one of two writers wins, and a crash leaves no half of anything."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from make_archive import WrittenArchive, write_synthetic_archive

from aurora_ingest.cli import run
from aurora_ingest.errors import UnfinishedBuildError, WriteConflictError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.data_lake import DataLake
from aurora_ingest.ledger_backend.lake_layout import LakeLayout
from aurora_ingest.ledger_backend.lake_writer import LakeWriter
from aurora_ingest.network import TESTNET, Network
from aurora_ingest.object_store import publication
from aurora_ingest.object_store.patient_store import patient_store
from aurora_ingest.object_store.store import joined
from aurora_ingest.pipelines.build_state import build_state, open_sinks, plan_state_build
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.runners import launch
from aurora_ingest.transforms.build_plan import SplitRule
from aurora_ingest.transforms.history_dataset import HistoryDataset
from aurora_ingest.transforms.ledger_unit import LedgerUnit, Receipt
from aurora_ingest.transforms.partition_draft import PartitionDraft
from aurora_ingest.transforms.processors import decoded_columns, history_by_table
from aurora_ingest.transforms.processors.processor import processed
from aurora_ingest.transforms.read_ledgers import LedgerReading, read_chunks
from aurora_ingest.transforms.write_parquet import ParquetDataset
from reingesting import files, reingest

FIRST, LAST = 1_410_048, 1_410_303
DEMO = Path(__file__).parents[1] / "data" / "standalone-accel"
SMALL = SplitRule(segment_records=128, segments_per_range=4, partitions=3)
TABLES = ("history_ledgers", "history_transactions")


def in_bucket(address: str) -> dict[str, str]:
    """The hash of every object that a reader may see, by its path."""
    store = patient_store(address, "Parquet")
    return {
        path: hashlib.sha256(store.get(path)).hexdigest() for path in sorted(store.walk("")) if not path.startswith(".")
    }


def copied(folder: Path, address: str) -> str:
    """A folder in a bucket."""
    store = patient_store(address, "copy")
    for path in folder.rglob("*"):
        if path.is_file():
            store.put(str(path.relative_to(folder)), path)
    return address


def consistent(address: str) -> None:
    """Every file that a manifest names is there with its hash, and no other."""
    found = in_bucket(address)
    named = {}
    store = patient_store(address, "Parquet")
    for path in found:
        if path.startswith("manifests/history/"):
            for table in json.loads(store.get(path))["tables"].values():
                named.update({file["path"]: file["sha256"] for file in table["files"]})
    assert named == {path: digest for path, digest in found.items() if not path.startswith("manifests/")}


@pytest.mark.shared_data
@pytest.mark.parametrize("kind", ["gs", "s3"])
def test_the_testnet_lake_ingests_to_the_same_tables(
    kind: str, request: pytest.FixtureRequest, shared_data: Path, tmp_path: Path
) -> None:
    """The lake copied to a bucket, read from there, written to there; a part of it again; and the local run."""
    address: str = request.getfixturevalue(kind)
    folder = shared_data / "lakes" / "testnet-1410048-1410303-b64"
    lake, target = copied(folder, joined(address, "lake")), joined(address, "tables")
    for source, place in ((str(folder), str(tmp_path)), (lake, target)):
        reingest(TESTNET, source, (FIRST, LAST - 20), parquet=place, chunk_ledgers=100)
        reingest(TESTNET, source, (LAST - 60, LAST), parquet=place, chunk_ledgers=100)
    expected = files(tmp_path)
    assert len(expected) > 30
    assert in_bucket(target) == expected
    consistent(target)
    assert not [path for path in patient_store(target, "Parquet").walk("") if path.endswith(".draft")]
    plan = reingest(TESTNET, lake, (FIRST, LAST), parquet=target, chunk_ledgers=100, resume=True)
    assert len(plan.chunks) == 0, "all of it is there"


def units(folder: Path, chunk: LedgerRange, tables: tuple[str, ...] = TABLES) -> list[LedgerUnit]:
    reading = LedgerReading(DataLake(str(folder), TESTNET), TESTNET, decoded_columns(tables))
    made = []
    for unit in read_chunks(reading, [chunk]):
        filled = unit
        for process in history_by_table(tables):
            filled = processed(filled, process.spec)
        made.append(filled)
    return made


class Writer:
    """One writer of one chunk, whose drafts are ready to be published."""

    def __init__(self, address: str, folder: Path, chunk: LedgerRange, source: str = "lake") -> None:
        dataset = HistoryDataset(address, TESTNET.passphrase, 100, 3, source)
        dataset.open()
        self.draft = PartitionDraft(dataset, chunk, [process.spec for process in history_by_table(TABLES)])
        for unit in units(folder, chunk):
            self.draft.write(unit)

    def publish(self) -> bool:
        try:
            self.draft.publish()
        except WriteConflictError:
            return False
        finally:
            self.draft.close()
        return True


@pytest.fixture
def lake(shared_data: Path) -> Path:
    return shared_data / "lakes" / "testnet-1410048-1410303-b64"


@pytest.mark.shared_data
def test_of_two_writers_of_a_partition_one_wins(bucket: str, lake: Path, tmp_path: Path) -> None:
    chunks = [LedgerRange(FIRST, FIRST + 19), LedgerRange(FIRST + 10, FIRST + 51)]
    writers = [Writer(bucket, lake, chunk, f"kind {number}") for number, chunk in enumerate(chunks)]
    barrier = threading.Barrier(2)
    won: dict[int, bool] = {}

    def race(number: int) -> None:
        barrier.wait()
        won[number] = writers[number].publish()

    threads = [threading.Thread(target=race, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won.values()) == [False, True]
    (winner,) = (number for number, first in won.items() if first)
    alone = Writer(str(tmp_path), lake, chunks[winner], f"kind {winner}")
    assert alone.publish()
    assert in_bucket(bucket) == files(tmp_path), "nothing of the other is in it"
    consistent(bucket)


@pytest.mark.shared_data
@pytest.mark.parametrize("after", [0, 1, 3], ids=lambda after: f"{after}-files")
def test_what_a_crash_left_is_finished_by_the_next_writer(
    bucket: str, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    plain, done = publication.put_in_place, []

    def failing(*args: Any) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        plain(*args)
        done.append(1)

    monkeypatch.setattr(publication, "put_in_place", failing)
    with pytest.raises(KeyboardInterrupt):
        Writer(bucket, lake, LedgerRange(FIRST, FIRST + 19)).publish()
    monkeypatch.setattr(publication, "put_in_place", plain)
    assert Writer(bucket, lake, LedgerRange(FIRST + 20, FIRST + 51)).publish()
    for chunk in (LedgerRange(FIRST, FIRST + 19), LedgerRange(FIRST + 20, FIRST + 51)):
        assert Writer(str(tmp_path), lake, chunk).publish()
    assert in_bucket(bucket) == files(tmp_path)
    consistent(bucket)


@pytest.mark.shared_data
def test_a_writer_that_slept_in_the_middle_writes_nothing_any_more(
    bucket: str, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its journal and one file in place; others finish that and publish again; then it wakes up."""
    plain, asleep, awake = publication.put_in_place, threading.Event(), threading.Event()
    sleeper = Writer(bucket, lake, LedgerRange(FIRST, FIRST + 19), "sleeper")
    count, outcome = [0], []

    def sleepy(*args: Any) -> None:
        if threading.current_thread() is thread:
            count[0] += 1
            if count[0] == 2:
                asleep.set()
                assert awake.wait(60)
        plain(*args)

    monkeypatch.setattr(publication, "put_in_place", sleepy)
    thread = threading.Thread(target=lambda: outcome.append(sleeper.publish()))
    thread.start()
    assert asleep.wait(60)
    assert Writer(bucket, lake, LedgerRange(FIRST + 20, FIRST + 40), "other").publish()
    before = in_bucket(bucket)
    awake.set()
    thread.join()
    assert outcome == [False]
    assert in_bucket(bucket) == before
    consistent(bucket)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> WrittenArchive:
    return write_synthetic_archive(tmp_path_factory.mktemp("archive"), 2000, seed=7)


def build(archive: WrittenArchive, url: str, place: str, work: str, **options: Any) -> None:
    asked = BuildStateOptions(
        network=Network(archive.passphrase),
        archive_urls=(url,),
        checkpoint=archive.checkpoint,
        parquet_dir=place,
        work_dir=work,
        **options,
    )
    plan = open_sinks(dataclasses.replace(plan_state_build(asked), split=SMALL))
    launch.run(lambda pipeline: build_state(pipeline, plan), launch.choose_engine(()))


@pytest.mark.parametrize("kind", ["gs", "s3"])
def test_a_state_build_in_a_bucket_has_the_local_bytes(
    kind: str, request: pytest.FixtureRequest, archive: WrittenArchive, tmp_path: Path
) -> None:
    """Archive, intermediate files and tables in the bucket, ranges spread as on an engine; then a smaller one."""
    address = joined(request.getfixturevalue(kind), "state")
    url = archive.url
    if kind == "gs":
        url = copied(Path(archive.url.removeprefix("file://")), joined(address, "archive"))
    target, work = joined(address, "tables"), joined(address, "work")
    build(archive, archive.url, str(tmp_path / "local"), str(tmp_path / "work"))
    build(archive, url, target, work, spread=True)
    expected = files(tmp_path / "local")
    assert in_bucket(target) == expected
    assert patient_store(work, "work").walk("") == [], "intermediate files are removed"
    store = patient_store(target, "Parquet")
    assert [path for path in store.walk("") if path.startswith(".build")] == []
    # A stray part of a larger build of the same checkpoint goes with the next one.
    store.put(f"accounts/checkpoint={archive.checkpoint}/part-99999.parquet", b"old")
    store.put(".build-cafecafecafe/open", b"")
    with pytest.raises(UnfinishedBuildError, match="unfinished build cafecafecafe"):
        build(archive, url, target, work)
    build(archive, url, target, work, abandon=True)
    assert in_bucket(target) == expected


def state(address: str, build: str, values: list[int]) -> Callable[[], None]:
    """A build of checkpoint 63 whose two units are staged; gives what publishes it."""
    dataset = ParquetDataset(address, build * 32, 63)
    dataset.store.put(f"{dataset.staging}/open", b"")
    receipts = []
    for index, value in enumerate(values):
        batch = pa.record_batch({"n": pa.array([value], pa.int64())})
        receipt = Receipt("range", index, index == len(values) - 1)
        unit = LedgerUnit("range", index, receipt.last, 63, 63, {}, {}, {"numbers": batch}, receipt)
        receipts.append(dataset.write_unit(unit).receipt)
    return lambda: dataset.publish(["numbers"], receipts, {"build": build})


def test_of_two_builds_of_a_checkpoint_one_is_published(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sleeps with a file in place; the other finishes it and says that it lost; then the first wakes up."""
    plain, asleep, awake = publication.put_in_place, threading.Event(), threading.Event()
    first, second = state(bucket, "a", [1, 2, 3]), state(bucket, "b", [7, 8])
    count, outcome = [0], []

    def sleepy(*args: Any) -> None:
        if threading.current_thread() is thread:
            count[0] += 1
            if count[0] == 2:
                asleep.set()
                assert awake.wait(60)
        plain(*args)

    monkeypatch.setattr(publication, "put_in_place", sleepy)
    thread = threading.Thread(target=lambda: outcome.append(first()))
    thread.start()
    assert asleep.wait(60)
    with pytest.raises(WriteConflictError, match=r"checkpoint 63 of .*another writer published it meanwhile"):
        second()
    awake.set()
    thread.join()
    assert outcome == [None], "it was published, by whoever"
    store = patient_store(bucket, "Parquet")
    manifest = json.loads(store.get("manifests/checkpoint=63.json"))
    named = {file["name"]: file["sha256"] for file in manifest["tables"]["numbers"]["files"]}
    found = {path.rpartition("/")[2]: hash_ for path, hash_ in in_bucket(bucket).items() if path.startswith("numbers/")}
    assert (manifest["build"], len(named)) == ("a", 3)
    assert named == found
    second()  # asked for again it replaces the other, and what is not in it goes
    assert len(in_bucket(bucket)) == 3


def test_verdicts_in_a_bucket_have_the_local_bytes(gs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = copied(DEMO, joined(gs, "demo"))
    target = joined(gs, "verdicts")
    common = ["verify-range", "--network", "standalone", "--checkpoint-frequency", "8", "--from", "20", "--to", "60"]
    common += ["--ledgers", str(DEMO.with_name("standalone-accel-ledgers.xdr.zst"))]
    assert run([*common, "--history-archive-url", f"file://{DEMO}", "--parquet", str(tmp_path)]) == 0
    for _ in range(2):
        assert run([*common, "--history-archive-url", archive, "--parquet", target]) == 0
    assert in_bucket(target) == files(tmp_path)
    assert patient_store(target, "Parquet").get_version(".publishing/ledger_verdicts.json")[0] == b"{}\n"
    capsys.readouterr()


@pytest.mark.shared_data
def test_of_two_writers_of_a_lake_each_file_has_one(bucket: str, lake: Path) -> None:
    """Both write the same range at once: every file is written by one of them, and the lake is whole."""
    layout, ledgers = LakeLayout(64, 2), LedgerRange(FIRST, LAST)
    written, barrier = [], threading.Barrier(2)

    def write() -> None:
        source = DataLake(str(lake), TESTNET)
        writer = LakeWriter(bucket, TESTNET, layout)
        plan = writer.plan(source, ledgers)
        barrier.wait()
        written.append(writer.write(source, plan))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.written for each in written) == 4
    assert sum(each.written + each.found for each in written) == 8, "who came second says so"
    made = DataLake(bucket, TESTNET)
    expected = {raw.sequence: raw.data for raw in DataLake(str(lake), TESTNET).read(ledgers)}
    assert {raw.sequence: raw.data for raw in made.read(ledgers)} == expected


@pytest.mark.shared_data
def test_quarantine_in_a_bucket_is_re_driven(
    gs: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared_data / "lakes" / "testnet-1410048-1410303"
    store = patient_store(joined(gs, "broken"), "copy")
    (partition,) = source.glob("*--*")
    store.put(".config.json", source / ".config.json")
    bad = FIRST + 5
    for path in partition.iterdir():
        ledger = int(path.name.split("--")[1].split(".")[0])
        if ledger < FIRST + 16:
            store.put(f"{partition.name}/{path.name}", path if ledger != bad else os.urandom(200))
    target = joined(gs, "re-driven")
    common = ["--network", "testnet", "--from", str(FIRST), "--to", str(FIRST + 15), "--parquet"]
    again = ["reingest-range", *common, target, "--ledgers", joined(gs, "broken"), "--chunk-ledgers", "16"]
    assert run([*again, "--on-bad-record", "quarantine"]) == 0
    redrive = ["redrive", "--network", "testnet", "--parquet", target]
    assert run(redrive) == 1
    assert run([*redrive, "--ledgers", str(source)]) == 0
    whole = ["reingest-range", *common, str(tmp_path), "--ledgers", str(source), "--chunk-ledgers", "16"]
    assert run(whole) == 0
    found, expected = in_bucket(target), files(tmp_path)
    assert {p: h for p, h in found.items() if not p.startswith("manifests")} == {
        p: h for p, h in expected.items() if not p.startswith("manifests")
    }
    capsys.readouterr()


def test_a_dry_run_names_the_bucket_and_writes_nothing(gs: str, capsys: pytest.CaptureFixture[str]) -> None:
    target = joined(gs, "dry")
    archive = copied(DEMO, joined(gs, "demo-dry"))
    arguments = ["build-state", "--network", "standalone", "--checkpoint-frequency", "8", "--checkpoint", "95"]
    assert run([*arguments, "--history-archive-url", archive, "--parquet", target, "--dry-run"]) == 0
    assert target in capsys.readouterr().out
    assert patient_store(target, "Parquet").walk("") == []
