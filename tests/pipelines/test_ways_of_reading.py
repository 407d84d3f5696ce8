"""One streaming merge and ranges spread over workers make the same files, and a second start does only what is left."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from make_archive import WrittenArchive, write_synthetic_archive

from aurora_ingest.errors import BucketError
from aurora_ingest.network import Network
from aurora_ingest.pipelines.build_state import build_state, open_sinks, plan_state_build
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.transforms import merge_buckets, write_parquet
from aurora_ingest.transforms.build_plan import SplitRule, StateBuildPlan

SMALL = SplitRule(segment_records=128, segments_per_range=4, partitions=3)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> WrittenArchive:
    return write_synthetic_archive(tmp_path_factory.mktemp("archive"), 6000, seed=7)


def planned(archive: WrittenArchive, folder: Path, *, spread: bool = False, resume: bool = False) -> StateBuildPlan:
    options = BuildStateOptions(
        network=Network(archive.passphrase),
        archive_urls=(archive.url,),
        checkpoint=archive.checkpoint,
        parquet_dir=str(folder),
        work_dir=str(folder / ".work"),
        spread=spread,
        resume=resume,
    )
    return open_sinks(dataclasses.replace(plan_state_build(options), split=SMALL))


def run(plan: StateBuildPlan) -> None:
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        build_state(pipeline, plan)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_builds_of_one_state_into_two_places_share_no_intermediate_file(
    archive: WrittenArchive, tmp_path: Path
) -> None:
    first, second = (
        dataclasses.replace(planned(archive, tmp_path / name), work_dir=str(tmp_path / "work")) for name in ("a", "b")
    )
    assert first.build_id == second.build_id
    assert first.work.root != second.work.root
    run(first)
    run(second)
    made, again = files(tmp_path / "a"), files(tmp_path / "b")
    assert made == again


def test_both_ways_of_reading_make_the_same_bytes(archive: WrittenArchive, tmp_path: Path) -> None:
    run(planned(archive, tmp_path / "streamed"))
    run(planned(archive, tmp_path / "spread", spread=True))
    streamed = files(tmp_path / "streamed")
    assert files(tmp_path / "spread") == streamed
    manifest = json.loads(streamed[f"manifests/checkpoint={archive.checkpoint}.json"])
    rows = {table: facts["rows"] for table, facts in manifest["tables"].items()}
    assert len(manifest["tables"]["accounts"]["files"]) > 3
    expected = {"accounts": "account", "trust_lines": "trust_line", "offers": "offer", "ttl": "ttl"}
    assert {table: rows[table] for table in expected} == {t: archive.live_entries[e] for t, e in expected.items()}


@pytest.mark.parametrize("spread", [False, True], ids=["streamed", "spread"])
def test_a_second_start_does_only_what_is_left(
    archive: WrittenArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spread: bool
) -> None:
    run(planned(archive, tmp_path / "whole"))
    folder = tmp_path / "broken"
    plan = planned(archive, folder, spread=spread)
    original = write_parquet.ParquetDataset.write_unit
    written: list[tuple[str, int]] = []

    def failing(dataset: write_parquet.ParquetDataset, unit: write_parquet.LedgerUnit) -> write_parquet.LedgerUnit:
        if len(written) == 3:
            raise BucketError("the disk is gone")
        written.append((unit.kind, unit.index))
        return original(dataset, unit)

    monkeypatch.setattr(write_parquet.ParquetDataset, "write_unit", failing)
    with pytest.raises(Exception, match="the disk is gone"):
        run(plan)
    assert not (folder / "accounts").exists()
    monkeypatch.setattr(write_parquet.ParquetDataset, "write_unit", original)

    again = planned(archive, folder, spread=spread, resume=True)
    assert sorted(again.finished) == sorted(written)
    merged: list[int] = []
    unit_of_range = merge_buckets.unit_of_range

    def counting(plan: StateBuildPlan, one: merge_buckets.MergedRange, **flags: bool) -> write_parquet.LedgerUnit:
        if not flags["done"]:
            merged.append(one.index)
        return unit_of_range(plan, one, **flags)

    monkeypatch.setattr("aurora_ingest.transforms.read_history_archive.unit_of_range", counting)
    run(again)
    assert not {index for kind, index in written if kind == "range"} & set(merged)
    assert files(folder) == files(tmp_path / "whole")
