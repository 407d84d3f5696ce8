"""Names, health and refusals of streaming jobs, without a cluster."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from aurora_ingest import cli
from aurora_ingest.api.flink_figures import FlinkFigures
from aurora_ingest.errors import ClusterError, StateError, UsageError
from aurora_ingest.runners.flink.rest import FlinkRest
from aurora_ingest.runners.flink.streaming import JobName, StreamingJob, jobs_of

NAME = JobName.of("host:1.2", "aurora-ingest 0.1.0, processors accounts")


@dataclasses.dataclass(frozen=True)
class _Told(FlinkRest):
    """What Flink 1.16 answers, by path; anything else is not answered."""

    answers: dict[str, Any] = dataclasses.field(default_factory=dict)

    def get(self, path: str) -> Any:
        if path not in self.answers:
            raise ClusterError(f"{path}: no answer from Flink")
        return self.answers[path]


def _job(state: str, *, completed_at: float | None, started: float = 1000.0, **more: Any) -> StreamingJob:
    newest = {
        "latest_ack_timestamp": (completed_at or 0) * 1000,
        "state_size": 138_000,
        "external_path": "file:/checkpoints/1/chk-7",
        "end_to_end_duration": 25,
    }
    checkpoints = {
        "counts": {"completed": 7, "failed": 1},
        "latest": {"completed": None if completed_at is None else newest},
    }
    job = {"state": state, "start-time": started * 1000, "timestamps": {"RUNNING": started * 1000}, "vertices": []}
    place = "/jobs/1"
    answers = {place: job, f"{place}/checkpoints": checkpoints, f"{place}/checkpoints/config": {"interval": 2000}}
    return StreamingJob(_Told("http://flink", {**answers, **more}), "1", NAME)


def test_a_name_is_read_back() -> None:
    assert JobName.parse(str(NAME)) == NAME
    assert JobName.parse("BeamApp-root") is None
    assert JobName.parse("aurora-follow.one") is None
    assert JobName.of("one", "a").digest != JobName.of("one", "b").digest


def test_a_savepoint_of_others_is_refused_by_its_folder() -> None:
    NAME.require_own(NAME.savepoint_folder("gs://bucket/savepoints/") + "/savepoint-1")
    NAME.require_own("file:///flink/checkpoints/4f/chk-3")
    other = JobName.of("one", "aurora-ingest 0.2.0, processors accounts")
    with pytest.raises(UsageError, match=rf"lies in aurora-{other.digest}, .* lie in aurora-{NAME.digest}\. Follow"):
        NAME.require_own(other.savepoint_folder("file:///savepoints") + "/savepoint-1")


@pytest.mark.parametrize(
    "state,completed_at,now,is_well",
    [
        ("RUNNING", None, 1029, True),
        ("RUNNING", None, 1031, False),  # its workers cannot even start
        ("RUNNING", 1100, 1129, True),
        ("RUNNING", 1100, 1131, False),
        ("RESTARTING", 1100, 1101, False),
        ("FAILED", 1100, 1101, False),
    ],
)
def test_health_is_completed_checkpoints(state: str, completed_at: float | None, now: float, is_well: bool) -> None:
    assert _job(state, completed_at=completed_at).health(now).is_well is is_well


def test_a_restarted_job_has_time_for_its_first_checkpoint() -> None:
    job = _job("RUNNING", completed_at=500)
    assert job.health(1020).is_well
    assert job.health(1020).checkpoint == "file:/checkpoints/1/chk-7"


def test_nobody_answering_is_not_well() -> None:
    health = StreamingJob(_Told("http://flink"), "1", NAME).health()
    assert not health.is_well
    assert "no answer from Flink" in health.state


def test_errors_of_ours_are_found_in_what_flink_tells() -> None:
    trace = (
        "java.lang.RuntimeException: Error received from SDK harness for instruction 5: Traceback (most recent call "
        'last):\n  File "x.py", line 3, in process\naurora_ingest.errors.StateError: ledger 9 contradicts the state '
        "[while running 'LeadLedgers/Commit']\n\n\tat org.apache.beam.Fn(Fn.java:1)"
    )
    entries = [{"timestamp": 2_000_000, "stacktrace": trace}, {"timestamp": 1_000_000, "stacktrace": trace}]
    told = {"/jobs/1/exceptions": {"exceptionHistory": {"entries": entries}, "root-exception": trace}}
    job = _job("RESTARTING", completed_at=None, **told)
    found = list(job.failures(since=1500))
    assert [type(each) for each in found] == [StateError]
    assert str(found[0]) == "ledger 9 contradicts the state"
    assert job.reason().startswith("java.lang.RuntimeException: Error received")


def test_jobs_of_a_node_are_found_oldest_first() -> None:
    def entry(jid: str, name: str, state: str, start: int) -> dict[str, Any]:
        return {"jid": jid, "name": name, "state": state, "start-time": start}

    jobs = [
        entry("a", str(NAME), "RUNNING", 2),
        entry("b", str(NAME), "RESTARTING", 1),
        entry("c", str(NAME), "CANCELED", 0),
        entry("d", "another", "RUNNING", 0),
        entry("e", str(JobName.of("two", "x")), "RUNNING", 0),
    ]
    rest = _Told("http://flink", {"/jobs/overview": {"jobs": jobs}})
    assert [job.job_id for job in jobs_of(rest, NAME.node)] == ["b", "a"]
    assert [job.job_id for job in jobs_of(rest)] == ["e", "b", "a"]


def test_a_scrape_tells_the_job() -> None:
    registry = CollectorRegistry()
    jobs: list[StreamingJob] = []
    registry.register(FlinkFigures(lambda: jobs[0] if jobs else None))
    assert b"aurora_ingest_flink_up 0.0" in generate_latest(registry)
    job = _job("RUNNING", completed_at=1100)
    vertices = {**job.rest.get("/jobs/1"), "vertices": [{"id": "v"}]}
    names = [{"id": "[1]LeadLedgers/Commit.aurora_ingest_ledgers_led"}, {"id": "[1]LeadLedgers/Commit.numRecordsIn"}]
    place = "/jobs/1/vertices/v/subtasks/metrics"
    asked = f"{place}?agg=sum&get=%5B1%5DLeadLedgers%2FCommit.aurora_ingest_ledgers_led"
    told = {"/jobs/1": vertices, place: names, asked: [{"id": names[0]["id"], "sum": 37}]}
    jobs.append(_job("RUNNING", completed_at=1100, **told))
    text = generate_latest(registry).decode()
    assert "aurora_ingest_flink_up 0.0" in text  # long ago
    assert "aurora_ingest_flink_checkpoints_total 7.0" in text
    assert "aurora_ingest_flink_checkpoint_bytes 138000.0" in text
    assert "aurora_ingest_job_ledgers_led 37.0" in text


@pytest.mark.parametrize(
    "words,told",
    [
        (
            ["--from-savepoint", "file:///x"],
            "--from-savepoint, --savepoint-dir, --detach and --flink-rest are for --engine flink",
        ),
        (["--engine", "flink", "--parallelism", "2"], "ledgers are followed one after the other"),
        (["--engine", "flink", "--flink-rest", "http://flink:8081"], "needs both, --job-endpoint and --flink-rest"),
        (["--engine", "flink", "--job-endpoint", "flink:8099"], "needs both, --job-endpoint and --flink-rest"),
        (["--engine", "flink", "--db-url", "sqlite:///x.db"], "SQLite has one writer"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    follow = [
        "follow",
        "--network",
        "standalone",
        "--ledgers",
        "archive+file:///nowhere",
        "--db-url",
        "postgresql://x/y",
    ]
    assert cli.run([*follow, *words]) == 2
    assert told in capsys.readouterr().err
