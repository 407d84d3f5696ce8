"""Batches as users start them: the local cluster, one of their own, Prism; and what is said when something is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import go_programs
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.transforms.processors import TABLES
from closed_network import ARCHIVE
from flink_batches import FIRST, Left, carried_out, command, left, reingest_command

pytestmark = pytest.mark.slow


@pytest.mark.shared_data
def test_a_cluster_of_ones_own_is_named_by_its_job_endpoint(
    flink_embedded: Cluster, history_lake: Path, expected_history: Left, tmp_path: Path
) -> None:
    endpoint = ["--engine", "flink", "--job-endpoint", flink_embedded.job_endpoint, "--parallelism", "2"]
    pool = ["--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{flink_embedded.settings.pool_port}"]
    flink_dir = ["--flink-dir", str(tmp_path / "flink")]
    done = carried_out(reingest_command(history_lake, tmp_path / "out", *endpoint, *flink_dir, "--", *pool))
    assert done.returncode == 0, done.stderr
    assert "8 chunks written" in done.stdout
    assert left(tmp_path / "out", None, ()).files == expected_history.files


@pytest.mark.shared_data
def test_beams_own_words_name_the_cluster_too(
    flink_embedded: Cluster, history_lake: Path, expected_history: Left, tmp_path: Path
) -> None:
    flags = [
        "--runner=PortableRunner",
        f"--job_endpoint={flink_embedded.job_endpoint}",
        "--parallelism=1",
        "--environment_type=PROCESS",
        f'--environment_config={{"command": "{flink_embedded.boot}"}}',
        f"--extra_package={_wheel(flink_embedded)}",
    ]
    done = carried_out(reingest_command(history_lake, tmp_path, "--", *flags))
    assert done.returncode == 0, done.stderr
    assert left(tmp_path, None, ()).files == expected_history.files


def _wheel(cluster: Cluster) -> Path:
    from aurora_ingest.runners.wheel import packed_wheel

    return packed_wheel(cluster.folder / "wheels")


@pytest.mark.shared_data
def test_a_failing_job_says_what_it_says_in_this_process(
    flink_embedded: Cluster, history_lake: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(history_lake, lake)
    for path in lake.rglob("*.xdr.zst"):
        if path.name.partition("--")[2].split(".")[0].split("-")[0] == str(FIRST + 20):
            path.write_bytes(path.read_bytes()[:-30])
            break
    else:
        pytest.fail(f"no object of ledger {FIRST + 20} in {lake}")
    here = carried_out(reingest_command(lake, tmp_path / "here"))
    flink = ["--engine", "flink", "--flink-dir", str(flink_embedded.folder)]
    there = carried_out(reingest_command(lake, tmp_path / "there", *flink))
    assert here.returncode == there.returncode == 1
    assert here.stderr.splitlines()[-1].startswith("aurora-ingest: ")
    assert here.stderr.splitlines()[-1] == there.stderr.splitlines()[-1]
    assert "Traceback" not in there.stderr


def test_sqlite_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    source = ["--network", "testnet", "--ledgers", str(tmp_path), "--from", "3", "--to", "9"]
    words = ["reingest-range", *source, "--db-url", f"sqlite:///{tmp_path}/a.db", "--engine", "flink"]
    done = carried_out(command(*words, "--flink-dir", str(tmp_path / "none")))
    assert done.returncode == 2
    assert "--engine flink has workers in other processes and SQLite has one writer" in done.stderr


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path) -> None:
    flink = ["--engine", "flink", "--flink-dir", str(tmp_path / "none")]
    done = carried_out(reingest_command(tmp_path, tmp_path / "out", *flink))
    assert done.returncode == 1
    assert "start one with `aurora-ingest flink up`" in done.stderr


@pytest.fixture(scope="module")
def prism() -> Path:
    """Beam's Go runner, built once and kept in the user's cache."""
    try:
        return go_programs.built(go_programs.PRISM)
    except go_programs.NotBuiltError as error:
        pytest.skip(str(error))


@pytest.mark.shared_data
@pytest.mark.postgres
def test_prism_leaves_the_same(
    prism: Path, history_lake: Path, new_database: Callable[[], str], expected_history: Left, tmp_path: Path
) -> None:
    flags = ["--runner=PrismRunner", f"--prism_location={prism}"]
    url = new_database()
    done = carried_out(reingest_command(history_lake, tmp_path, "--db-url", url, "--", *flags))
    assert done.returncode == 0, done.stderr
    assert left(tmp_path, url, expected_history.tables) == expected_history


@pytest.mark.postgres
def test_prism_leaves_the_same_state(prism: Path, new_database: Callable[[], str], tmp_path: Path) -> None:
    archive = ["--network", "standalone", "--checkpoint-frequency", "8", "--history-archive-url", str(ARCHIVE)]
    here, there = tmp_path / "here", tmp_path / "there"
    states = []
    for folder, engine in ((here, []), (there, ["--", "--runner=PrismRunner", f"--prism_location={prism}"])):
        url = new_database()
        targets = ["--checkpoint", "95", "--db-url", url, "--parquet", str(folder), "--work-dir", str(folder / ".work")]
        done = carried_out(command("build-state", *archive, *targets, *engine))
        assert done.returncode == 0, done.stderr
        states.append(left(folder, url, TABLES))
    assert states[0] == states[1]
    assert states[0].tables["accounts"] != states[0].tables["offers"]
