"""Each pipeline translates for Dataflow offline; what it cannot take is told in our words before anything is sent."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apache_beam as beam
import pytest
from apache_beam.coders import Coder, VarIntCoder, registry
from apache_beam.options.pipeline_options import GoogleCloudOptions, SetupOptions, StandardOptions, WorkerOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.transforms.userstate import BagStateSpec, OrderedListStateSpec

import closed_network
from aurora_ingest.cli import run
from aurora_ingest.errors import UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import STANDALONE, TESTNET
from aurora_ingest.object_store.patient_store import patient_store
from aurora_ingest.pipelines.build_state import build_state, plan_state_build
from aurora_ingest.pipelines.follow import FollowPlan, build_follow
from aurora_ingest.pipelines.options import BuildStateOptions, ReingestOptions
from aurora_ingest.pipelines.reingest_range import plan_reingest, reingest_range
from aurora_ingest.runners import dataflow, dataflow_graph, launch
from aurora_ingest.runners.ticks import FlinkTicks, PeriodicTicks
from buckets import fake_gcs

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*binary-compatible", "ignore::DeprecationWarning:google", "ignore::DeprecationWarning:apache_beam"
)

FLAGS = ("--project=my-project", "--region=europe-west1", "--temp_location=gs://aurora-dataflow/tmp")
DATABASE = "postgresql://aurora@database.example/aurora"
DEMO = Path(__file__).parents[1] / "data" / "standalone-accel"


@pytest.fixture(scope="module")
def gs() -> Iterator[str]:
    with fake_gcs("aurora-dataflow"):
        yield "gs://aurora-dataflow"


@pytest.fixture(scope="module")
def archive(gs: str) -> str:
    store = patient_store(f"{gs}/archive", "copy")
    for path in DEMO.rglob("*"):
        if path.is_file():
            store.put(str(path.relative_to(DEMO)), path)
    return store.url


@pytest.fixture(scope="module")
def lake(gs: str, shared_data: Path) -> str:
    folder = shared_data / "lakes" / "testnet-1410048-1410303-b64"
    store = patient_store(f"{gs}/lake", "copy")
    for path in folder.rglob("*"):
        if path.is_file():
            store.put(str(path.relative_to(folder)), path)
    return store.url


def engine(*flags: str, streaming: bool = False) -> launch.Engine:
    return launch.choose_engine((*FLAGS, *flags), launch.EngineChoice(launch.DATAFLOW), streaming=streaming)


def state_graph(archive: str, gs: str) -> Callable[[beam.Pipeline], object]:
    options = BuildStateOptions(
        network=STANDALONE.with_checkpoint_frequency(8),
        archive_urls=(archive,),
        checkpoint=95,
        db_url=DATABASE,
        parquet_dir=f"{gs}/tables",
        work_dir=f"{gs}/work",
        spread=True,
    )
    plan = plan_state_build(options)
    return lambda pipeline: build_state(pipeline, plan)


def steps_of(proto: Any) -> set[str]:
    return {transform.unique_name.partition("/")[0] for transform in proto.components.transforms.values()}


def test_a_state_build_translates(archive: str, gs: str) -> None:
    proto = dataflow.translated(state_graph(archive, gs), engine().options)
    assert {"ReadFromHistoryArchive", "BuildRanges", "BuildPartitions", "BuildTotals", "PublishState"} <= steps_of(
        proto
    )
    (environment,) = proto.components.environments.values()
    assert environment.urn == "beam:env:docker:v1"


@pytest.mark.shared_data
def test_a_reingest_translates(lake: str, gs: str) -> None:
    options = ReingestOptions(TESTNET, lake, LedgerRange(1410048, 1410303), parquet_dir=f"{gs}/tables")
    plan = plan_reingest(dataclasses.replace(options, chunk_ledgers=100))
    plan = dataclasses.replace(plan, db_url=DATABASE)
    proto = dataflow.translated(lambda pipeline: reingest_range(pipeline, plan), engine().options)
    assert {"ReadLedgers", "WriteToHistoryParquet", "WriteToHistorySql", "PublishHistoryManifest"} <= steps_of(proto)


def follow_graph(lake: str, ticks: beam.PTransform) -> Callable[[beam.Pipeline], object]:
    from aurora_ingest.ledger_backend.data_lake import DataLake

    plan = FollowPlan(TESTNET, DataLake(lake, TESTNET), DATABASE, "node", tick_seconds=1.0, order_book_depth=5)
    return lambda pipeline: build_follow(pipeline, plan, ticks)


def test_following_translates_as_a_streaming_job(gs: str) -> None:
    options = engine(streaming=True).options
    proto = dataflow.translated(follow_graph(f"{gs}/lake", PeriodicTicks(1.0)), options)
    assert {"Ticks", "ReadLedgersContinuously", "LeadLedgers", "WriteOrderBooks"} <= steps_of(proto)
    assert options.view_as(StandardOptions).streaming
    unbounded = beam_runner_api_pb2.IsBounded.UNBOUNDED
    assert any(each.is_bounded == unbounded for each in proto.components.pcollections.values())


def test_what_only_flink_has_is_refused(gs: str) -> None:
    with pytest.raises(UsageError, match=r"Dataflow has no flink:.*, which step Ticks/Source is"):
        dataflow.translated(follow_graph(f"{gs}/lake", FlinkTicks(1.0)), engine(streaming=True).options)


class _Ordered(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    LIST = OrderedListStateSpec("ordered", VarIntCoder())

    def process(self, element: tuple[int, int], state: Any = beam.DoFn.StateParam(LIST)) -> None: ...  # noqa: B008


class _Bag(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    BAG = BagStateSpec("bag", VarIntCoder())

    def process(self, element: tuple[object, int], state: Any = beam.DoFn.StateParam(BAG)) -> None: ...  # noqa: B008


class _Key: ...


class _KeyCoder(Coder):  # type: ignore[misc]  # Beam is untyped
    """One that says nothing of its bytes, as is the default."""

    def encode(self, value: _Key) -> bytes:
        return b""

    def decode(self, encoded: bytes) -> _Key:
        return _Key()


class _Named(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    def __init__(self, place: str) -> None:
        self.place = place

    def process(self, element: int) -> Iterator[int]:
        yield element


def test_ordered_list_state_is_refused() -> None:
    def graph(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([(1, 2)]).with_output_types(tuple[int, int]) | "Sort" >> beam.ParDo(_Ordered())

    with pytest.raises(UsageError, match="no ordered list state in Python, which step Sort keeps as 'ordered'"):
        dataflow.translated(graph, engine().options)
    pipeline = beam.Pipeline()
    graph(pipeline)
    with pytest.raises(UsageError, match="no ordered list state in Python, which step Sort keeps as 'ordered'"):
        dataflow_graph.check_proto(pipeline.to_runner_api())


def test_keys_whose_bytes_may_differ_are_refused() -> None:
    def stateful(pipeline: beam.Pipeline) -> None:
        made = pipeline | beam.Create([(frozenset([1]), 2)]).with_output_types(tuple[frozenset[int], int])
        _ = made | "Keep" >> beam.ParDo(_Bag())

    def grouped(pipeline: beam.Pipeline) -> None:
        made = pipeline | beam.Create([(_Key(), 2)]).with_output_types(tuple[_Key, int])
        _ = made | "Group" >> beam.GroupByKey()

    registry.register_coder(_Key, _KeyCoder)
    with pytest.raises(
        UsageError, match="keys of step Keep are written by FastPrimitivesCoder, whose bytes may differ"
    ):
        dataflow.translated(stateful, engine().options)
    with pytest.raises(UsageError, match=r"Dataflow: .*cannot be made deterministic for .*Group"):
        dataflow.translated(grouped, engine().options)


@pytest.mark.parametrize("place", ["file:///lake", "sqlite:////tmp/x.db"])
def test_addresses_of_this_machine_inside_a_step_are_refused(place: str) -> None:
    def graph(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([1]) | "Read" >> beam.ParDo(_Named(place))

    with pytest.raises(UsageError, match=f"step Read names {place}, which only this machine has"):
        dataflow.translated(graph, engine().options)


BUILD = ("build-state", "--network", "standalone", "--checkpoint-frequency", "8", "--checkpoint", "95")
PLACES = ("--history-archive-url", "gs://aurora-dataflow/archive", "--parquet", "gs://aurora-dataflow/t")
WORK = ("--work-dir", "gs://aurora-dataflow/w")
CLOSED = ("--network", "standalone", "--checkpoint-frequency", "8")
FOLLOW = ("follow", "--network", "testnet", "--ledgers", "gs://aurora-dataflow/lake", "--db-url")


@pytest.mark.parametrize(
    "ours, beams, told",
    [
        ((), FLAGS[1:], "needs --project after --"),
        ((), (FLAGS[0], FLAGS[2]), "needs --region after --"),
        ((), FLAGS[:2], "needs --temp_location after --"),
        ((), (*FLAGS[:2], "--temp_location=/tmp/x"), "--temp_location '/tmp/x': expected an address in a bucket"),
        ((), (*FLAGS[:2], "--temp_location=gs://b/x"), "--temp_location 'gs://b/x': expected an address in a bucket"),
        ((), (*FLAGS, "--staging_location=here"), "--staging_location 'here'"),
        ((), (*FLAGS, "--template_location=t.json"), "--template_location 't.json'"),
        ((), (*FLAGS, "--job_name=Build_State"), "--job_name 'Build_State': expected small letters"),
        ((), (*FLAGS, "--num_workers=0"), "--num_workers 0: expected at least 1 worker"),
        ((), (*FLAGS, "--num_workers=9", "--max_num_workers=3"), "--num_workers 9 is above --max_num_workers 3"),
        ((), (*FLAGS, "--num_workers=many"), "--num_workers"),
        ((), (*FLAGS, "--colour=red"), "does not know --colour=red"),
        ((), (*FLAGS, "--runner=DirectRunner"), "name two engines"),
        (("--parallelism", "4"), FLAGS, "Dataflow takes --max_num_workers"),
        (("--parquet", "/shared/tables"), FLAGS, "--parquet /shared/tables is on a disk of this machine"),
        (("--history-archive-url", f"file://{DEMO}"), FLAGS, "--history-archive-url file://"),
        (("--db-url", "sqlite:///x.db"), FLAGS, "SQLite"),
        (("--db-url", "postgresql://localhost/x"), FLAGS, "--db-url names this machine"),
        (("--db-url", "postgresql:///x"), FLAGS, "--db-url names this machine"),
    ],
)
def test_a_wrong_option_gives_our_message_and_code_2(
    ours: tuple[str, ...], beams: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*BUILD, *PLACES, *WORK, *ours, "--engine", "dataflow", "--", *beams]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([*BUILD, *PLACES], "give a --work-dir"),
        ([*BUILD, *PLACES, "--work-dir", "/tmp/w"], "--work-dir /tmp/w is on a disk of this machine"),  # noqa: S108
        ([*BUILD, *PLACES, "--work-dir", "hdfs://x/w"], "--work-dir 'hdfs://x/w': unknown scheme 'hdfs'"),
        (
            ["reingest-range", "--network", "testnet", "--ledgers", "/lake", "--from", "3", "--to", "4", *PLACES[2:]],
            "--ledgers /lake is on a disk of this machine",
        ),
        ([*FOLLOW, "sqlite:///x.db"], "SQLite"),
        ([*FOLLOW, "postgresql://localhost/x"], "--db-url names this machine"),
        ([*FOLLOW, DATABASE, "--flink-rest", "http://x"], "are for --engine flink"),
    ],
)
def test_places_that_workers_do_not_have(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--engine", "dataflow", "--", *FLAGS]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "source", ["stream+file:///x", "archive+file:///a", "core-db+sqlite:///c.db", "core-db+postgresql://localhost/c"]
)
def test_sources_of_this_machine(source: str) -> None:
    with pytest.raises(UsageError, match="--ledgers"):
        dataflow.refuse_local_places({"--ledgers": [source]})
    dataflow.refuse_local_places({"--ledgers": [None, "archive+gs://a/b", "s3://a/b", "core-db+postgresql://host/c"]})


def test_without_googles_libraries_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataflow, "_CLIENT", "google.cloud.no_such_library")
    with pytest.raises(UsageError, match=r"pip install 'aurora-ingest\[gcp\]'"):
        engine()


def test_workers_get_the_wheel_or_the_image() -> None:
    options = engine().options
    (wheel,) = options.view_as(SetupOptions).extra_packages
    names = zipfile.ZipFile(io.BytesIO(Path(wheel).read_bytes())).namelist()
    assert "aurora_ingest/pipelines/build_state.py" in names
    assert "aurora_ingest/_kernel.abi3.so" in names
    assert options.view_as(GoogleCloudOptions).staging_location == "gs://aurora-dataflow/tmp/staging"
    image = engine("--sdk_container_image=europe-docker.pkg.dev/p/r/worker:1").options
    assert image.view_as(SetupOptions).extra_packages is None
    assert image.view_as(WorkerOptions).sdk_container_image == "europe-docker.pkg.dev/p/r/worker:1"


def test_a_dry_run_translates_and_sends_nothing(archive: str, gs: str, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--history-archive-url", archive, "--parquet", f"{gs}/t", "--work-dir", f"{gs}/w"]
    assert run([*BUILD, *places, "--engine", "dataflow", "--dry-run", "--", *FLAGS]) == 0
    assert "PublishState" in capsys.readouterr().out
    assert patient_store(gs, "x").walk("tmp/") == []


@pytest.mark.shared_data
def test_a_dry_run_of_a_reingest(lake: str, gs: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = ["--network", "testnet", "--ledgers", lake, "--from", "1410048", "--to", "1410303"]
    words = ["reingest-range", *source, "--parquet", f"{gs}/r", "--engine", "dataflow", "--dry-run", "--", *FLAGS]
    assert run(words) == 0
    assert "PublishHistoryManifest" in capsys.readouterr().out
    assert patient_store(gs, "x").walk("r/") == []


def test_a_template_is_written_to_a_bucket(archive: str, gs: str) -> None:
    """The emulator takes the template and the staged wheel; starting it needs a cloud."""
    flags = ("--no_auth", f"--template_location={gs}/templates/build-state", "--sdk_container_image=image:1")
    assert dataflow.run(state_graph(archive, gs), engine(*flags)) is None
    template = patient_store(f"{gs}/templates", "x").get("build-state")
    assert b"image:1" in template
    staged = patient_store(gs, "x")
    graphs = [path for path in staged.walk("tmp/staging/") if path.endswith("pipeline.pb")]
    assert any(b"BuildRanges" in staged.get(path) for path in graphs)


@pytest.mark.postgres
def test_following_is_sent_as_a_template_by_its_command(
    gs: str, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of the command but the cloud: the database is asked, the graph judged, and written to the emulator."""
    lake = ["--lake", f"{gs}/closed", "--files-per-partition", "64"]
    stream = ["--ledgers", str(closed_network.STREAM), "--from", "2", "--to", "70"]
    assert run(["write-lake", "--network", "standalone", *stream, *lake]) == 0
    written = urlsplit(postgres_url)
    far = f"postgresql://{written.username}@database.example{written.path}?hostaddr=127.0.0.1&port={written.port}"
    words = ["follow", *CLOSED, "--ledgers", f"{gs}/closed", "--db-url", far, "--engine", "dataflow", "--", *FLAGS]
    words += ["--no_auth", f"--template_location={gs}/templates/follow", "--sdk_container_image=image:1"]
    assert run(words) == 1
    assert "run `aurora-ingest db migrate`" in capsys.readouterr().err
    assert run(["db", "migrate", "--db-url", postgres_url]) == 0
    assert run(words) == 1
    assert "the database holds no state, nothing to follow from: run build-state first" in capsys.readouterr().err
    closed_network.state_at(postgres_url).dispose()
    assert run(["follow", "--dry-run", *words[1:]]) == 0
    assert "LeadLedgers" in capsys.readouterr().out
    assert run(words) == 0
    assert capsys.readouterr().out.endswith("the template is written\n")
    assert b"image:1" in patient_store(f"{gs}/templates", "x").get("follow")
    graphs = [path for path in patient_store(gs, "x").walk("tmp/staging/") if path.endswith("pipeline.pb")]
    assert any(b"LeadLedgers" in patient_store(gs, "x").get(path) for path in graphs)


def test_flags_in_the_docs_are_beams(gs: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "runners.md").read_text(encoding="utf-8").partition("## Dataflow")[2]
    rows = [row for row in page.partition("## Parquet")[0].splitlines() if row.startswith("| `--")]
    flags = [
        flag.replace("workers=N", "workers=3").replace("…", "x") for row in rows for flag in row.split("`")[1].split()
    ]
    assert len(flags) > 8
    for flag in flags:
        engine(flag)
