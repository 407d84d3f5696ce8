"""Reingests of real lakes into every target: once, again, in pieces; and the ranges that are refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from aurora_ingest.db import live
from aurora_ingest.db.engine import connect
from aurora_ingest.errors import (
    DatabaseError,
    MissingLedgersError,
    NetworkMismatchError,
    UsageError,
)
from aurora_ingest.network import PUBNET, STANDALONE, TESTNET
from aurora_ingest.pipelines.reingest_range import ReingestPlan
from reingesting import data_files, files, ledgers_in, ledgers_of, migrated, reingest, tables

_FIRST, _LAST = 1_410_048, 1_410_303
_ACCEL = STANDALONE.with_checkpoint_frequency(8)
_ACCEL_FOLDER = "standalone-p19-accel"
_STREAM = Path(__file__).parents[1] / "data" / "standalone-accel-ledgers.xdr.zst"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return migrated(f"sqlite:///{tmp_path}/history.db")
    found: str = request.getfixturevalue("postgres_url")
    return migrated(found)


@pytest.fixture
def lake(shared_data: Path) -> Path:
    return shared_data / "lakes" / "testnet-1410048-1410303"


@pytest.mark.shared_data
@pytest.mark.slow
def test_twice_and_in_pieces_is_the_same_as_once(db_url: str, lake: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    reingest(TESTNET, lake, (_FIRST, _LAST), db_url=db_url, parquet=folder, chunk_ledgers=100, workers=2)
    rows, bytes_of = tables(db_url), files(folder)
    assert ledgers_of(db_url) == list(range(_FIRST, _LAST + 1))
    assert ledgers_in(folder) == list(range(_FIRST, _LAST + 1))
    for again in ((_FIRST, _LAST), (_FIRST + 30, _FIRST + 170), (_LAST, _LAST)):
        reingest(TESTNET, lake, again, db_url=db_url, parquet=folder, chunk_ledgers=100)
        assert tables(db_url) == rows
        assert files(folder) == bytes_of


@pytest.mark.shared_data
@pytest.mark.slow
def test_pieces_in_any_order_make_the_same_files(lake: Path, tmp_path: Path) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    reingest(TESTNET, lake, (_FIRST, _FIRST + 120), parquet=whole, chunk_ledgers=64)
    for piece in ((90, 120), (0, 0), (40, 95), (1, 39)):
        reingest(TESTNET, lake, (_FIRST + piece[0], _FIRST + piece[1]), parquet=pieces, chunk_ledgers=64)
    assert files(pieces) == files(whole)
    assert ledgers_in(pieces) == list(range(_FIRST, _FIRST + 121))
    assert ledgers_in(pieces, "history_transactions") == ledgers_in(whole, "history_transactions")


@pytest.mark.shared_data
@pytest.mark.postgres
@pytest.mark.slow
def test_two_runs_at_once_over_the_same_ledgers(lake: Path, postgres_url: str, tmp_path: Path) -> None:
    migrated(postgres_url)
    both, whole = tmp_path / "both", tmp_path / "whole"
    spans = [(_FIRST, _FIRST + 80), (_FIRST + 40, _FIRST + 120)]
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(reingest, TESTNET, lake, span, db_url=postgres_url, parquet=both, chunk_ledgers=64)
            for span in spans
        ]
    assert [len(run.result().chunks) for run in runs] == [2, 2]
    reingest(TESTNET, lake, (_FIRST, _FIRST + 120), parquet=whole, chunk_ledgers=64)
    assert files(both) == files(whole)
    before = tables(postgres_url)
    assert ledgers_of(postgres_url) == list(range(_FIRST, _FIRST + 121))
    reingest(TESTNET, lake, (_FIRST, _FIRST + 120), db_url=postgres_url)
    assert tables(postgres_url) == before


@pytest.mark.shared_data
def test_the_size_of_files_and_slices_of_a_lake_does_not_matter(
    lake: Path, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reingest(TESTNET, lake, (_FIRST, _LAST), parquet=tmp_path / "a", chunk_ledgers=256)
    whole = ReingestPlan.reading.fget
    assert whole is not None
    monkeypatch.setattr(ReingestPlan, "reading", property(lambda plan: replace(whole(plan), slice_bytes=1 << 15)))
    reingest(
        TESTNET, shared_data / "lakes" / f"{lake.name}-b64", (_FIRST, _LAST), parquet=tmp_path / "b", chunk_ledgers=256
    )
    assert files(tmp_path / "b") == files(tmp_path / "a")


@pytest.mark.shared_data
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 64, 65])
def test_few_ledgers_with_two_workers(count: int, lake: Path, postgres_url: str, tmp_path: Path) -> None:
    migrated(postgres_url)
    span = (_FIRST + 10, _FIRST + 10 + count - 1)
    plan = reingest(TESTNET, lake, span, db_url=postgres_url, parquet=tmp_path / "parquet", chunk_ledgers=32, workers=2)
    assert plan.workers == 2
    assert ledgers_of(postgres_url) == ledgers_in(tmp_path / "parquet") == list(range(span[0], span[1] + 1))
    one_by_one = tmp_path / "one"
    reingest(TESTNET, lake, span, parquet=one_by_one, chunk_ledgers=32)
    assert files(one_by_one) == files(tmp_path / "parquet")


@pytest.fixture
def archive(shared_data: Path) -> str:
    return f"archive+file://{shared_data / _ACCEL_FOLDER / 'archive'}"


@pytest.mark.shared_data
@pytest.mark.parametrize("last", [86, 87, 88])
def test_ranges_from_genesis_to_either_side_of_a_checkpoint(
    last: int, archive: str, db_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "parquet"
    plan = reingest(_ACCEL, archive, (1, last), db_url=db_url, parquet=folder, chunk_ledgers=40)
    assert plan.genesis.startswith("ledger 1 (genesis) comes from ")
    assert ledgers_of(db_url) == ledgers_in(folder) == list(range(1, last + 1))
    before = tables(db_url), files(folder)
    reingest(_ACCEL, archive, (2, last), db_url=db_url, parquet=folder, chunk_ledgers=40)
    assert (tables(db_url), files(folder)) == before


def test_a_stream_has_no_genesis_and_says_so(tmp_path: Path) -> None:
    plan = reingest(_ACCEL, f"file://{_STREAM}", (1, 60), parquet=tmp_path, chunk_ledgers=16, workers=2)
    assert "reading starts at ledger 2" in plan.genesis
    assert len(plan.groups()) == 2
    assert ledgers_in(tmp_path) == list(range(2, 61))


@pytest.mark.shared_data
def test_a_stream_a_database_of_core_and_an_archive_give_the_same_rows(
    shared_data: Path, archive: str, tmp_path: Path
) -> None:
    core = tmp_path / "core.sqlite"
    with (
        (shared_data / _ACCEL_FOLDER / "oracle" / "stellar-core.sqlite.zst").open("rb") as packed,
        core.open("wb") as out,
    ):
        zstandard.ZstdDecompressor().copy_stream(packed, out)
    for name, url in (("stream", _STREAM), ("core", f"core-db+sqlite:///{core}"), ("archive", archive)):
        reingest(_ACCEL, url, (2, 95), parquet=tmp_path / name, chunk_ledgers=40)
    stream = data_files(tmp_path / "stream")
    # Inside a list of changes the order is that of the source.
    changes = {path for path in stream if path.startswith("ledger_entry_changes/")}
    core_rows = data_files(tmp_path / "core")
    assert {path for path in stream if stream[path] != core_rows[path]} <= changes
    assert changes
    for path in changes:
        assert _changes_as_a_set(tmp_path / "stream" / path) == _changes_as_a_set(tmp_path / "core" / path)
    same = {path for path, digest in data_files(tmp_path / "archive").items() if stream[path] == digest}
    assert {path.partition("/")[0] for path in stream if path not in same} == {
        "history_transactions",  # an archive has no metas
        "ledger_entry_changes",
        "ingest_ledger_counts",
    }


def _changes_as_a_set(path: Path) -> Counter[tuple[object, ...]]:
    """The changes of a file without their places inside of lists."""
    table = pq.read_table(path).drop_columns(["change_index", "list_index"])
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.mark.shared_data
def test_resuming_does_only_what_is_missing(db_url: str, lake: Path, tmp_path: Path) -> None:
    target = {"db_url": db_url, "parquet": tmp_path / "parquet", "chunk_ledgers": 16}
    reingest(TESTNET, lake, (_FIRST + 16, _FIRST + 31), **target)
    plan = reingest(TESTNET, lake, (_FIRST, _FIRST + 63), resume=True, **target)
    assert [(chunk.first - _FIRST, chunk.last - _FIRST) for chunk in plan.chunks] == [(0, 15), (32, 47), (48, 63)]
    assert [chunk.first - _FIRST for chunk in plan.done] == [16]
    assert ledgers_of(db_url) == list(range(_FIRST, _FIRST + 64))
    assert reingest(TESTNET, lake, (_FIRST, _FIRST + 63), resume=True, **target).chunks == ()
    shutil.rmtree(tmp_path / "parquet")
    assert len(reingest(TESTNET, lake, (_FIRST, _FIRST + 63), resume=True, **target).chunks) == 4


@pytest.mark.shared_data
def test_some_tables_now_and_the_others_later(lake: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    span = (_FIRST, _FIRST + 20)
    reingest(TESTNET, lake, span, parquet=whole)
    reingest(TESTNET, lake, span, parquet=parts, tables=("history_operations", "history_ledgers"))
    assert not (parts / "history_transactions").exists()
    rest = ("history_transactions", "history_contract_events", "ledger_entry_changes")
    reingest(TESTNET, lake, span, parquet=parts, tables=rest)
    assert files(parts) == files(whole)


@pytest.mark.shared_data
def test_the_manifests_tell_what_is_there(lake: Path, tmp_path: Path) -> None:
    reingest(TESTNET, lake, (_FIRST, _FIRST + 20), parquet=tmp_path)
    reingest(TESTNET, lake, (_FIRST + 30, _FIRST + 40), parquet=tmp_path)
    whole = json.loads((tmp_path / "manifests" / "history.json").read_bytes())
    held = whole["tables"]["history_ledgers"]
    assert (held["ledgers"], held["rows"]) == ([[_FIRST, _FIRST + 20], [_FIRST + 30, _FIRST + 40]], 32)
    found = files(tmp_path)
    (entry,) = whole["partitions"]
    assert found[entry["manifest"]] == entry["sha256"]
    partition = json.loads((tmp_path / entry["manifest"]).read_bytes())
    named = {file["path"]: file for table in partition["tables"].values() for file in table["files"]}
    assert {path: file["sha256"] for path, file in named.items()} == data_files(tmp_path)
    for path, file in named.items():
        assert pq.read_metadata(tmp_path / path).num_rows == file["rows"]
        assert (tmp_path / path).stat().st_size == file["bytes"]
    assert f"history_ledgers/ledgers={_FIRST // 1000 * 1000}-{_FIRST // 1000 * 1000 + 999}/part-00000.parquet" in named


@pytest.mark.shared_data
def test_a_hole_in_the_lake_is_refused_at_once(lake: Path, tmp_path: Path) -> None:
    copy = tmp_path / "lake"
    shutil.copytree(lake, copy)
    for path in copy.glob(f"*/*--{_FIRST + 7}.xdr.zst"):
        path.unlink()
    with pytest.raises(MissingLedgersError, match=f"{_FIRST + 7} is not there"):
        reingest(TESTNET, copy, (_FIRST, _FIRST + 20), parquet=tmp_path / "parquet")
    assert not (tmp_path / "parquet").exists()
    reingest(TESTNET, copy, (_FIRST + 8, _FIRST + 20), parquet=tmp_path / "parquet")


@pytest.mark.shared_data
def test_a_ledger_that_goes_missing_names_its_chunk(lake: Path, tmp_path: Path) -> None:
    copy = tmp_path / "lake"
    shutil.copytree(lake, copy)
    url = migrated(f"sqlite:///{tmp_path}/history.db")
    from aurora_ingest.ledger_backend.data_lake import DataLake

    check = DataLake.check
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DataLake, "check", lambda self, ledgers: (check(self, ledgers), _remove(copy, _FIRST + 40))[0])
        with pytest.raises(MissingLedgersError, match=rf"chunk {_FIRST + 32}-{_FIRST + 47}: .*{_FIRST + 40}"):
            reingest(TESTNET, copy, (_FIRST, _FIRST + 63), db_url=url, chunk_ledgers=16)
    left = set(ledgers_of(url))
    assert not left & set(range(_FIRST + 32, _FIRST + 48))
    assert len(left) % 16 == 0


def _remove(lake: Path, ledger: int) -> None:
    for path in lake.glob(f"*/*--{ledger}.xdr.zst"):
        path.unlink()


@pytest.mark.shared_data
def test_other_networks_are_refused(lake: Path, tmp_path: Path) -> None:
    url = migrated(f"sqlite:///{tmp_path}/history.db")
    with pytest.raises(NetworkMismatchError, match=r"the data lake is of network 'Test SDF"):
        reingest(PUBNET, lake, (_FIRST, _FIRST), db_url=url)
    reingest(TESTNET, lake, (_FIRST, _FIRST), db_url=url, parquet=tmp_path / "parquet")
    nameless = tmp_path / "lake"
    shutil.copytree(lake, nameless)
    (nameless / ".config.json").unlink()
    with pytest.raises(NetworkMismatchError, match="the database holds the network 'Test SDF"):
        reingest(PUBNET, nameless, (_FIRST, _FIRST), db_url=url)
    with pytest.raises(NetworkMismatchError, match="holds the network 'Test SDF"):
        reingest(PUBNET, nameless, (_FIRST, _FIRST), parquet=tmp_path / "parquet")
    with pytest.raises(NetworkMismatchError, match=r"none of its \d+ transaction hashes .* 'Public Global Stellar"):
        reingest(PUBNET, nameless, (_FIRST, _LAST), parquet=tmp_path / "other")


@pytest.mark.shared_data
def test_a_dataset_keeps_the_size_of_its_partitions(lake: Path, tmp_path: Path) -> None:
    reingest(TESTNET, lake, (_FIRST, _FIRST), parquet=tmp_path, chunk_ledgers=64)
    with pytest.raises(UsageError, match="give --chunk-ledgers 64"):
        reingest(TESTNET, lake, (_FIRST, _FIRST), parquet=tmp_path)


@pytest.mark.shared_data
def test_beyond_the_cursor_a_follower_is_in_the_way(db_url: str, lake: Path) -> None:
    engine = connect(db_url)
    with live.following(engine), pytest.raises(DatabaseError, match="a follower is running"):
        reingest(TESTNET, lake, (_FIRST, _FIRST + 3), db_url=db_url)
    engine.dispose()
    reingest(TESTNET, lake, (_FIRST, _FIRST + 3), db_url=db_url)


@pytest.mark.shared_data
def test_what_cannot_be_done_is_refused(archive: str) -> None:
    with pytest.raises(UsageError, match="needs a target"):
        reingest(_ACCEL, archive, (2, 3))
    with pytest.raises(UsageError, match="unknown history table accounts"):
        reingest(_ACCEL, archive, (2, 3), db_url="sqlite://", tables=("accounts",))
    with pytest.raises(UsageError, match="expected 1 to 65536"):
        reingest(_ACCEL, archive, (2, 3), db_url="sqlite://", chunk_ledgers=65_537)
    with pytest.raises(UsageError, match="above ledger 2147483647"):
        reingest(_ACCEL, archive, (2, 2**31), db_url="sqlite://")
