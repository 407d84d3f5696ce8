"""Following as a streaming job on real Flink: the tables of a local node, byte for byte, whatever is killed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

import closed_network
from aurora_ingest import cli
from aurora_ingest.db import nodes
from aurora_ingest.db.engine import connect
from aurora_ingest.errors import AuroraError, ClusterError, UsageError
from aurora_ingest.pipelines.follow import build_follow
from aurora_ingest.runners.flink import streaming
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.runners.flink.streaming import JobName
from aurora_ingest.runners.ticks import FlinkTicks
from aurora_ingest.transforms.processors import HISTORY_TABLES
from flink.followers import DEPTH, LAST, cancel_all, checkpoint_sizes, engine_of, follow_here, following, looks, plan_of
from flink.followers import task_manager_of as manager_of
from flink_batches import kill_workers
from following.nodes import GrowingSource, commits_of, cursor_of, differences, dump, until

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
_LOCAL: dict[str, dict[str, bytes]] = {}


@pytest.fixture
def db_url(postgres_url: str) -> str:
    closed_network.state_at(postgres_url).dispose()
    return postgres_url


@pytest.fixture
def expected(db_url: str, tmp_path: Path) -> dict[str, bytes]:
    """What a node in this process leaves; the database is as new again."""
    if "local" not in _LOCAL:
        follow_here(plan_of(closed_network.STREAM, db_url, until=LAST))
        _LOCAL["local"] = dump(db_url)
        closed_network.state_at(db_url).dispose()
    return _LOCAL["local"]


@pytest.fixture
def source(tmp_path: Path) -> GrowingSource:
    return GrowingSource(tmp_path / "ledgers.xdr", closed_network.ledgers(), 66)


def _nodes(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT node FROM ingest_nodes")]


def _books(url: str) -> int:
    """How many ledgers have their order books written."""
    query = "SELECT count(*) FROM ingest_ledger_counts WHERE table_name = 'order_book_levels'"
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


def _told_to_prometheus(cluster: Cluster, figure: str) -> list[float]:
    """What the processes of a cluster tell Prometheus under our name for a figure."""
    first = cluster.settings.ports["prometheus"]
    told = [
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        for port in range(first, first + 1 + len(cluster.task_managers))
    ]
    assert all("flink_" in each for each in told)
    families = text_string_to_metric_families("".join(told))
    return [sample.value for family in families for sample in family.samples if sample.name.endswith(figure)]


def _once(url: str) -> bool:
    return list(commits_of(url)) == list(range(closed_network.CHECKPOINT + 1, LAST + 1))


def test_a_savepoint_is_gone_on_from(
    flink_cluster: Cluster,
    db_url: str,
    expected: dict[str, bytes],
    source: GrowingSource,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = plan_of(source.path, db_url, tick_seconds=0.1)
    with following(flink_cluster, plan) as node:
        node.wait_for(66)
        with source.paced(67, 80, 0.02):
            node.wait_for(80)
        until(lambda: node.job.health().completed > 0, "a checkpoint")
        is_well, facts = node.node.health()
        assert is_well
        assert facts["checkpoints"] >= 1
        until(lambda: node.job.figures().get("ledgers_led") == 17, "the counts of the job's steps")
        until(lambda: 17.0 in _told_to_prometheus(flink_cluster, "ledgers_led"), "Flink to tell them to Prometheus")
        first = node.end()
    assert JobName.of("one", plan.made_by).savepoint_folder("") in first
    source.give(*range(81, 91))
    # The command leaves the job to itself, and another command stops it.
    here = ["--flink-dir", str(flink_cluster.folder), "--node", "one", "--log-level", "error"]
    words = ["--network", "standalone", "--checkpoint-frequency", "8", "--ledgers", str(source.path)]
    words += ["--history-tables", ",".join(HISTORY_TABLES), "--order-book-depth", str(DEPTH)]
    words += ["--db-url", db_url, "--poll-interval", "0.1"]
    capsys.readouterr()
    assert cli.run(["follow", "--engine", "flink", *here, *words, "--detach", "--from-savepoint", first]) == 0
    job_id = capsys.readouterr().out.strip()
    until(lambda: cursor_of(db_url) == 90, "ledger 90")
    assert flink_cluster.rest.get(f"/jobs/{job_id}/checkpoints")["latest"]["restored"]["is_savepoint"]
    assert _nodes(db_url) == ["one"]
    assert cli.run(["stop", "--savepoint", *here]) == 0
    second = capsys.readouterr().out.strip()
    source.give(*range(91, LAST + 1))
    _refuse_others(flink_cluster, plan, second, tmp_path)
    with following(flink_cluster, dataclasses.replace(plan, until=LAST), second) as node:
        node.join()
    assert node.node.counts.position == LAST
    assert differences(dump(db_url), expected) == {}
    assert _once(db_url)


def _refuse_others(cluster: Cluster, plan: object, savepoint: str, folder: Path) -> None:
    """A savepoint is not gone on from with other processors, wherever it lies."""
    other = dataclasses.replace(plan, history_tables=("history_ledgers",))  # type: ignore[type-var]  # a FollowPlan
    with (
        pytest.raises(
            UsageError, match=r"another version or other processors made it.*Follow without --from-savepoint"
        ),
        following(cluster, other, savepoint),
    ):
        pass
    moved = folder / "moved"
    shutil.copytree(savepoint.removeprefix("file:"), moved)
    with following(cluster, other, f"file:{moved}") as node:
        until(lambda: node.failed, f"the savepoint to be refused; {node.node.health()}")
    assert isinstance(node.failed[0], AuroraError)
    assert "the cursor in the database is enough to go on" in str(node.failed[0])


def test_kills_change_nothing(
    flink_cluster: Cluster, db_url: str, expected: dict[str, bytes], source: GrowingSource
) -> None:
    plan = plan_of(source.path, db_url, tick_seconds=0.1, until=LAST)
    cluster = flink_cluster
    with following(cluster, plan) as node:
        node.wait_for(66)
        with source.paced(67, 76, 0.05):
            until(lambda: cursor_of(db_url) >= 70, "ledger 70")
            assert kill_workers(cluster) > 0
            node.wait_for(76)
        with source.paced(77, 86, 0.05):
            until(lambda: cursor_of(db_url) >= 80, "ledger 80")
            struck = manager_of(cluster, node.job)
            os.kill(cluster.process(struck).pid, signal.SIGKILL)
            cluster = cluster.restart(struck)
            node.wait_for(86)
        former = node.job.job_id
        until(lambda: node.job.health().completed > 0, "a checkpoint to take the job up from")
        os.kill(cluster.process("job-manager").pid, signal.SIGKILL)
        until(lambda: not node.node.health()[0], "the watcher to see that nobody answers")
        cluster.restart("job-manager")
        until(lambda: node.node.job is not None and node.node.job.job_id != former, "another job")
        source.give(*range(87, LAST + 1))
        node.join()
    assert node.node.counts.position == LAST
    assert differences(dump(db_url), expected) == {}
    assert _once(db_url)


def test_two_jobs_by_accident_are_harmless(
    flink_cluster: Cluster, db_url: str, expected: dict[str, bytes], source: GrowingSource
) -> None:
    plan = plan_of(source.path, db_url, tick_seconds=0.1)
    name = JobName.of(plan.node, plan.made_by)
    engine = engine_of(flink_cluster)((f"--job_name={name}",))
    database = connect(db_url)
    nodes.agree_on_history(database, plan.node, plan.history_tables)  # as the command does before it sends a job
    database.dispose()
    try:
        jobs = [
            streaming.submit(lambda to: build_follow(to, plan, FlinkTicks(0.1)), engine, flink_cluster.rest, name)
            for _ in range(2)
        ]
        until(lambda: all(looks(job) > 0 for job in jobs), "both jobs to look for ledgers")
        with source.paced(67, LAST, 0.02):
            until(lambda: cursor_of(db_url) == LAST, "the last ledger")
        until(lambda: all(job.figures().get("last_ledger_committed") == LAST for job in jobs), "both to pass all on")
        assert sum(job.figures().get("ledgers_followed", 0.0) for job in jobs) > 0
        until(lambda: _books(db_url) == LAST - closed_network.CHECKPOINT, "the order books of all ledgers")
    finally:
        cancel_all(flink_cluster)
    assert differences(dump(db_url), expected) == {}
    assert _once(db_url)


def test_checkpoints_stay_as_small_as_they_are(
    flink_cluster: Cluster, db_url: str, source: GrowingSource, wait_for: Callable[..., None]
) -> None:
    # So that none of the ticks is left out; books would be more work per tick, and state that grows with pairs.
    plan = plan_of(source.path, db_url, tick_seconds=0.0001, order_book_depth=0)
    with following(flink_cluster, plan, poll=0.005) as node:
        node.wait_for(66)
        job = node.job
        wait_for("the first polls", lambda: looks(job) >= 200)
        sizes = checkpoint_sizes(job, lambda: looks(job) >= 5_000, 240)
        print(f"{looks(job):.0f} polls, {len(sizes)} checkpoints, {min(sizes)} to {max(sizes)} bytes")  # noqa: T201
        # With a source that keeps something at each poll it would be 30 MB more by now.
        assert max(sizes) - min(sizes) < 2_000, sizes
        node.end()


def test_a_job_of_other_tables_and_no_job_are_told(
    flink_cluster: Cluster, db_url: str, source: GrowingSource, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["stop", "--savepoint", "--flink-dir", str(flink_cluster.folder)]
    assert cli.run(words) == 2
    assert "no job follows on Flink at http://127.0.0.1" in capsys.readouterr().err
    plan = plan_of(source.path, db_url, tick_seconds=0.1)
    with following(flink_cluster, plan) as node:
        job = node.job
        with following(flink_cluster, dataclasses.replace(plan, history_tables=())) as other:
            until(lambda: other.failed, "the second to be refused")
            assert "with another version or other tables: stop it first" in str(other.failed[0])
            with pytest.raises(ClusterError, match="Flink answered 404"):
                dataclasses.replace(job, job_id="0" * 32).state()
