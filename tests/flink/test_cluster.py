"""The local cluster's commands: up, status, down, doctor; and what they say when they cannot."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from aurora_ingest.errors import ClusterError, UsageError
from aurora_ingest.runners.flink import cluster as flink
from aurora_ingest.runners.flink import processes
from aurora_ingest.runners.flink.cluster import Cluster
from aurora_ingest.runners.flink.settings import (
    BATCHES,
    CLUSTER,
    STREAMS,
    ClusterSettings,
    flink_conf,
    free_port,
    taken_port,
)
from flink_batches import carried_out, command

_ANY = ("--rest-port", "0", "--job-port", "0", "--artifact-port", "0", "--rpc-port", "0")


@pytest.mark.slow
def test_up_is_told_by_status_and_ended_by_down(flink_programs: None, tmp_path: Path) -> None:
    where = ("--flink-dir", str(tmp_path))
    up = carried_out(command("flink", "up", "--embedded", *_ANY, *where))
    try:
        assert up.returncode == 0, up.stderr
        status = json.loads(carried_out(command("flink", "status", "--json", *where)).stdout)
        assert [process["name"] for process in status["processes"]] == [flink.JOB_SERVER]
        assert f"Flink takes jobs at {status['job_endpoint']}" in up.stdout
        again = carried_out(command("flink", "up", "--embedded", *_ANY, *where))
        assert again.stdout == up.stdout
        pid = status["processes"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        ended = carried_out(command("flink", "status", *where))
        assert ended.returncode == 1
        assert "job-server ended, see" in ended.stderr
    finally:
        down = carried_out(command("flink", "down", *where))
    assert down.stdout == "ended job-server\n"
    assert carried_out(command("flink", "down", *where)).stdout == f"no cluster was running in {tmp_path}\n"


def test_a_port_that_is_taken_is_named(flink_programs: None, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match=rf"port {port} is taken.*--job-port"):
            flink.up(tmp_path, ClusterSettings(rest_port=0, job_port=port, artifact_port=0, rpc_port=0))
        doctor = carried_out(command("flink", "doctor", *_ANY, "--job-port", str(port), "--flink-dir", str(tmp_path)))
    assert doctor.returncode == 1
    assert f"MISSING port {port} (job): taken" in doctor.stdout
    assert "give another one with --job-port" in doctor.stderr
    assert flink.find(tmp_path) is None


def test_what_is_missing_is_told_with_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("AURORA_FLINK_DIR", str(tmp_path / "none"))
    done = carried_out(command("flink", "doctor", *_ANY))
    assert done.returncode == 1
    for program in ("java", "mvn", "javac"):
        assert f"MISSING {program}: not installed" in done.stdout
    assert "install maven" in done.stderr
    up = carried_out(command("flink", "up", *_ANY))
    assert up.returncode == 1
    assert "is not installed; `aurora-ingest flink doctor` tells all that is missing" in up.stderr


def test_metrics_take_a_port_of_each_process() -> None:
    settings = ClusterSettings(task_managers=2, prometheus_port=9250)
    assert settings.listeners("prometheus") == 3
    first = free_port(3)
    assert taken_port(first, 3) is None
    with socket.create_server(("127.0.0.1", first + 2)):
        assert taken_port(first, 2) is None
        assert taken_port(first, 3) == first + 2
    assert taken_port(65535, 3) == 65536
    with pytest.raises(UsageError, match="leave out --prometheus-port"):
        ClusterSettings(embedded=True, prometheus_port=9250)


def test_a_process_of_the_same_number_is_another_one(tmp_path: Path) -> None:
    sleeper = processes.start("sleeper", ["sleep", "60"], tmp_path / "log", dict(os.environ))
    try:
        stranger = processes.Process("stranger", sleeper.pid, "1")
        assert sleeper.alive
        assert not stranger.alive
        assert processes.members(sleeper) == [sleeper.pid]
        assert processes.members(stranger) == []  # so that nothing is sent to them when it is stopped
        processes.stop([stranger])
        assert sleeper.alive
    finally:
        processes.stop([sleeper])
    assert not sleeper.alive


def test_children_end_with_the_process_that_started_them(tmp_path: Path, wait_for: Callable[..., None]) -> None:
    parent = processes.start("parent", ["sh", "-c", "sleep 60 & sleep 60"], tmp_path / "log", dict(os.environ))
    wait_for("children", lambda: len(processes.members(parent)) == 3)
    members = processes.members(parent)
    processes.stop([parent])
    wait_for("the end of all", lambda: not any(Path(f"/proc/{pid}").exists() for pid in members))


def test_jobs_decide_what_a_cluster_would_take_from_them(tmp_path: Path) -> None:
    batches, streams, cluster = (
        flink_conf(ClusterSettings(), tmp_path, reader) for reader in (BATCHES, STREAMS, CLUSTER)
    )
    assert "taskmanager.numberOfTaskSlots" in cluster
    assert "taskmanager.numberOfTaskSlots" not in batches + streams
    assert "restart-strategy.fixed-delay.attempts: 3\n" in batches
    assert "restart-strategy" not in streams


def test_a_cluster_that_lacks_a_process_says_which_it_has(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, ClusterSettings(), (processes.Process("job-server", 1, "1"),))
    with pytest.raises(ClusterError, match="has no task-manager-1; it has job-server"):
        cluster.process("task-manager-1")
