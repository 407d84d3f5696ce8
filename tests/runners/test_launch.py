"""Which engine Beam's flags name, and what a failure of the engine becomes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import apache_beam as beam
import pytest
from apache_beam.runners.runner import PipelineState

from aurora_ingest.errors import HashMismatchError, RunnerError, UsageError
from aurora_ingest.runners import launch


class _Fail(beam.DoFn):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def process(self, element: int) -> Iterable[int]:
        raise self.error


def _failing(error: Exception) -> object:
    return lambda pipeline: pipeline | beam.Create([1]) | "Break" >> beam.ParDo(_Fail(error))


def test_no_runner_means_this_process() -> None:
    engine = launch.choose_engine([])
    assert (engine.name, engine.distributed) == ("FnApiRunner", False)


def test_direct_runner_is_mapped_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aurora_ingest"):
        engine = launch.choose_engine(["--runner=DirectRunner"])
    assert engine.name == "FnApiRunner"
    assert [record.getMessage() for record in caplog.records] == ["DirectRunner runs as FnApiRunner in this process"]


def test_several_processes_are_distributed() -> None:
    engine = launch.choose_engine(["--direct_running_mode=multi_processing", "--direct_num_workers=2"])
    assert (engine.name, engine.distributed) == ("FnApiRunner", True)


def test_another_runner_is_distributed_and_may_have_flags_of_its_own() -> None:
    engine = launch.choose_engine(["--runner=PortableRunner", "--job_endpoint=localhost:8099", "--jobs_own=1"])
    assert (engine.name, engine.distributed) == ("PortableRunner", True)


@pytest.mark.parametrize(
    "flags,message",
    [
        (["--nonsense=1"], "does not know --nonsense=1"),
        (["stray"], "does not know stray"),
        (["--direct_num_workers=many"], "after --: argument --direct_num_workers: invalid int value: 'many'"),
        (["--runner=BundleBasedDirectRunner"], "can lose output"),
    ],
)
def test_bad_flags_are_refused(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=message):
        launch.choose_engine(flags)
    assert capsys.readouterr().err == ""


def test_steps_are_the_outermost_names_in_order() -> None:
    def graph(pipeline: beam.Pipeline) -> None:
        numbers = pipeline | "Number" >> beam.Create([1, 2])
        _ = numbers | "Write" >> beam.Map(str)
        _ = numbers | "Count" >> beam.combiners.Count.Globally()

    assert launch.steps(graph, launch.choose_engine([])) == ["Number", "Write", "Count"]


def test_a_graph_runs_to_its_end(tmp_path: object) -> None:
    launch.run(lambda pipeline: pipeline | beam.Create([1, 2]) | beam.Map(str), launch.choose_engine([]))


def test_an_error_of_ours_comes_back_as_it_was_raised() -> None:
    error = HashMismatchError("bucket 3fa4: expected a, got b\nanother mirror may help")
    with pytest.raises(HashMismatchError) as caught:
        launch.run(_failing(error), launch.choose_engine([]))
    assert str(caught.value) == "bucket 3fa4: expected a, got b\nanother mirror may help"


def test_another_error_keeps_its_class_and_last_line() -> None:
    with pytest.raises(RunnerError, match=r"^FnApiRunner: ZeroDivisionError: division$") as caught:
        launch.run(_failing(ZeroDivisionError("division")), launch.choose_engine([]))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


_QUOTED = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1512, in process
aurora_ingest.errors.HashMismatchError: bucket 3fa4: expected a, got b
another mirror may help

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1612, in _reraise
aurora_ingest.errors.HashMismatchError: bucket 3fa4: expected a, got b
another mirror may help [while running 'Read/Break-ptransform-7']
"""


@pytest.mark.parametrize("prefix", ["", "java.lang.RuntimeException: Error received from SDK harness: "])
def test_an_error_that_an_engine_quotes_is_found_again(prefix: str) -> None:
    engine = launch.choose_engine([])

    class Pipeline:
        def run(self) -> None:
            raise RuntimeError(prefix + _QUOTED)

    with pytest.raises(HashMismatchError) as caught:
        launch.run_pipeline(Pipeline(), engine)
    assert str(caught.value) == "bucket 3fa4: expected a, got b\nanother mirror may help"
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_job_that_is_not_done_failed() -> None:
    class Pipeline:
        def run(self) -> Pipeline:
            return self

        def wait_until_finish(self) -> str:
            return str(PipelineState.CANCELLED)

    with pytest.raises(RunnerError, match="the job ended as CANCELLED, expected DONE"):
        launch.run_pipeline(Pipeline(), launch.choose_engine([]))
