"""Batches on real Flink leave the bytes and rows that they leave in one process, at any parallelism."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from make_archive import WrittenArchive

from aurora_ingest.runners.flink.cluster import Cluster
from flink_batches import Left, build, on_flink, reingest

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.mark.shared_data
@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_a_reingest_is_the_same_everywhere(
    parallelism: int,
    flink_embedded: Cluster,
    history_lake: Path,
    new_database: Callable[[], str],
    expected_history: Left,
    tmp_path: Path,
) -> None:
    engine = on_flink(flink_embedded, parallelism)
    assert reingest(history_lake, engine, tmp_path, new_database()) == expected_history


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_a_state_is_the_same_everywhere(
    parallelism: int,
    flink_embedded: Cluster,
    small_archive: WrittenArchive,
    new_database: Callable[[], str],
    expected_state: Left,
    tmp_path: Path,
) -> None:
    engine = on_flink(flink_embedded, parallelism)
    assert build(small_archive, engine, tmp_path, new_database()) == expected_state
