"""Beam's flags to an engine, a graph to its end, and an engine's failure to one of our errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.pipeline import AppliedPTransform
from apache_beam.runners.runner import PipelineState

from aurora_ingest import errors
from aurora_ingest.errors import AuroraError, RunnerError, UsageError
from aurora_ingest.runners import local

LOCAL: Final = "local"
FLINK: Final = "flink"
DATAFLOW: Final = "dataflow"
ENGINES: Final = (LOCAL, FLINK, DATAFLOW)

_STEP = re.compile(r" \[while running '(?P<step>[^']*)'\]")
_OURS = re.compile(
    r"^(?:\S+ )?aurora_ingest\.errors\.(?P<name>\w+): (?P<text>.*?)"
    r"(?= \[while running '|\n\s*(?:File |Traceback |at |During handling |The above exception )|\n\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Engine:
    """Where a graph will run.

    Attributes:
        name: the runner's name as Beam knows it.
        distributed: workers live in other processes, maybe on other machines.
        options: the pipeline options that the graph is built with.
    """

    name: str
    distributed: bool
    options: PipelineOptions


@dataclass(frozen=True)
class EngineChoice:
    """What our own flags say about the engine; Beam's flags may say the rest.

    Attributes:
        name: ``local``, ``flink`` or ``dataflow``.
        parallelism: tasks per step of an engine, or None for what the engine has.
        job_endpoint: the job server of a cluster of the user's own, or None for the local one.
        flink_dir: folder of the local cluster, or None for the usual one.
    """

    name: str = LOCAL
    parallelism: int | None = None
    job_endpoint: str | None = None
    flink_dir: Path | None = None

    def check(self, db_url: str | None) -> None:
        """Refuses what no cluster could carry out, before anything is asked or started.

        Raises:
            UsageError: SQLite on an engine, or flags of another engine.
        """
        if self.name == LOCAL:
            if self.job_endpoint is not None or self.parallelism is not None:
                raise UsageError(
                    "--job-endpoint and --parallelism are for --engine flink; here --workers says how many"
                )
        elif db_url is not None and db_url.startswith("sqlite"):
            raise UsageError(
                f"--engine {self.name} has workers in other processes and SQLite has one writer: "
                "give a postgresql:// URL, or leave --engine out"
            )


def choose_engine(
    flags: Sequence[str], choice: EngineChoice | None = None, *, db_url: str | None = None, streaming: bool = False
) -> Engine:
    """Reads Beam's flags (what stands after ``--`` on our command line) and names the engine.

    Without ``--runner`` and without a choice the graph runs in this process. Flags that Beam does not know are refused
    for the local engine; for others they may belong to the job server, which tells itself.

    Args:
        flags: Beam's flags.
        choice: what our own flags say.
        db_url: the target database, for what a choice refuses.
        streaming: the graph is unbounded.

    Raises:
        UsageError: a flag that nobody knows, a value of the wrong type, a runner or a target that is refused.
        ClusterError: Flink is chosen, and there is no cluster.
    """
    if choice is not None:
        choice.check(db_url)
        if choice.name != LOCAL:
            if any(flag.startswith("--runner") for flag in flags):
                raise UsageError(f"--engine {choice.name} and a --runner after -- name two engines: give one of them")
            return _chosen(flags, choice, streaming=streaming)
    options = PipelineOptions(flags=list(flags))
    unknown = unknown_flags(options, flags)
    runner = options.view_as(StandardOptions).runner
    if local.is_local(runner):
        if unknown:
            raise UsageError(
                f"after --: Beam's local runner does not know {' '.join(unknown)}; "
                "flags of aurora-ingest stand before --, flags of Beam after it"
            )
        options = local.local_options(options)
        return Engine(local.FN_API_RUNNER, not local.has_one_process(options), options)
    return Engine(runner, distributed=True, options=options)


def _chosen(flags: Sequence[str], choice: EngineChoice, *, streaming: bool) -> Engine:
    """Returns the engine that our own flags name."""
    if choice.name == FLINK:
        from aurora_ingest.runners.flink.submission import flink_flags

        flags = flink_flags(
            flags,
            flink_dir=choice.flink_dir,
            job_endpoint=choice.job_endpoint,
            parallelism=choice.parallelism,
            streaming=streaming,
        )
        return Engine(FLINK, distributed=True, options=PipelineOptions(flags=list(flags)))
    from aurora_ingest.runners.dataflow import dataflow_options

    if choice.job_endpoint is not None or choice.parallelism is not None or choice.flink_dir is not None:
        raise UsageError(
            "--job-endpoint, --parallelism and --flink-dir are for --engine flink; Dataflow takes --max_num_workers "
            "after --"
        )
    return Engine(DATAFLOW, distributed=True, options=dataflow_options(flags, streaming=streaming))


def worker_flags(engine: Engine, workers: int, flags: Sequence[str]) -> tuple[str, ...]:
    """Returns Beam's flags with those that give the local engine so many workers, as threads of this process.

    Flags that name workers themselves, and other engines, are left as they are.
    """
    named = any(flag.startswith(("--direct_num_workers", "--direct_running_mode")) for flag in flags)
    if workers == 1 or named or engine.name != local.FN_API_RUNNER:
        return tuple(flags)
    return (*flags, f"--direct_num_workers={workers}", "--direct_running_mode=multi_threading")


def steps(graph: Callable[[beam.Pipeline], object], engine: Engine) -> list[str]:
    """Builds `graph` without running it and returns the names of its outermost steps, in the order of the graph.

    For Dataflow it is translated as well, offline.

    Raises:
        UsageError: the graph has what Dataflow does not support.
    """

    class Outermost(beam.pipeline.PipelineVisitor):  # type: ignore[misc]  # Beam is untyped
        def __init__(self) -> None:
            self.names: dict[str, None] = {}

        def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
            self._take(transform_node)

        def visit_transform(self, transform_node: AppliedPTransform) -> None:
            self._take(transform_node)

        def _take(self, node: AppliedPTransform) -> None:
            if node.full_label:
                self.names.setdefault(node.full_label.partition("/")[0])

    options = engine.options
    if engine.name == DATAFLOW:
        from aurora_ingest.runners import dataflow

        dataflow.translated(graph, options)
        options = PipelineOptions([f"--runner={local.FN_API_RUNNER}"])
    pipeline = beam.Pipeline(options=options)
    graph(pipeline)
    visitor = Outermost()
    pipeline.visit(visitor)
    return list(visitor.names)


def run(graph: Callable[[beam.Pipeline], object], engine: Engine) -> None:
    """Builds `graph` on a pipeline of `engine` and waits for its end.

    Raises:
        AuroraError: the error that a worker raised on purpose, as it was raised.
        RunnerError: anything else that kept the engine from finishing; the engine's own error is chained.
    """
    if engine.name == DATAFLOW:
        from aurora_ingest.runners import dataflow

        dataflow.run(graph, engine)
        return
    pipeline = beam.Pipeline(options=engine.options)
    graph(pipeline)
    run_pipeline(pipeline, engine)


def run_pipeline(pipeline: beam.Pipeline, engine: Engine) -> None:
    """Runs a built pipeline to its end; raises as `run` does."""
    result = None
    try:
        result = pipeline.run()
        state = result.wait_until_finish()
    except KeyboardInterrupt:
        if engine.distributed and result is not None:
            result.cancel()  # else the job would go on without whoever started it
        raise
    except AuroraError as error:
        _remove_step(error)
        raise
    except Exception as error:
        if _last_line(str(error)).startswith(KeyboardInterrupt.__name__):
            raise KeyboardInterrupt from error  # a worker of this process was interrupted and told it as text
        raise failure(error, engine) from error
    finally:
        _hang_up(result)
    if state is not None and state != PipelineState.DONE:
        raise RunnerError(
            f"{engine.name}: the job ended as {state}, expected {PipelineState.DONE}; see the engine's log"
        )


def _hang_up(result: object) -> None:
    """Ends the streams that Beam leaves open to a job server: their threads can crash an interpreter that ends."""
    for name in ("_message_stream", "_state_stream"):
        cancel = getattr(getattr(result, name, None), "cancel", None)
        if cancel is not None:
            cancel()


def unknown_flags(options: PipelineOptions, flags: Sequence[str]) -> list[str]:
    """Returns the flags that no options class of Beam declares."""
    unknown: list[str] = []

    def refuse(message: str) -> NoReturn:
        raise UsageError(f"after --: {message}")

    def parse(parser: object) -> None:
        parser.error = refuse  # type: ignore[attr-defined]  # argparse would print Beam's whole usage and exit
        unknown.extend(parser.parse_known_args(list(flags))[1])  # type: ignore[attr-defined]  # Beam's ArgumentParser

    options.get_all_options(add_extra_args_fn=parse, retain_unknown_options=True)
    return unknown


def _remove_step(error: AuroraError) -> None:
    """Takes Beam's remark about the step out of the message of `error`."""
    if error.args and isinstance(error.args[0], str):
        error.args = (_STEP.sub("", error.args[0]), *error.args[1:])


def failure(error: Exception, engine: Engine) -> AuroraError:
    """Finds the error of ours that `error` wraps or quotes; engines hand over a worker's failure as text."""
    for text in _texts(error):
        found = quoted_error(text)
        if found is not None:
            return found
    return RunnerError(f"{engine.name}: {type(error).__name__}: {_last_line(str(error))}")


def quoted_error(text: str) -> AuroraError | None:
    """Finds the last error of ours that a text quotes, such as a stack trace of an engine; None if there is none."""
    quoted = list(_OURS.finditer(text))
    kind = getattr(errors, quoted[-1]["name"], None) if quoted else None
    if isinstance(kind, type) and issubclass(kind, AuroraError):
        return _as_quoted(kind, quoted[-1]["text"].strip())
    return None


def _as_quoted(kind: type[AuroraError], text: str) -> AuroraError:
    """Builds an error of `kind` with its message only; its fields stayed in the worker."""
    error = kind.__new__(kind)
    Exception.__init__(error, text)
    return error


def _texts(error: BaseException) -> Iterator[str]:
    """Yields the messages of `error` and of the errors that caused it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield str(current)
        current = current.__cause__ or current.__context__


def _last_line(text: str) -> str:
    """Returns the last line of `text` that says something, without Beam's remark about the step."""
    lines = [line.strip() for line in _STEP.sub("", text).splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
