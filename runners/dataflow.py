"""Google's Dataflow: its options are judged before anything is sent, and so is the graph, without asking the cloud."""

from __future__ import annotations

import importlib.util
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)
from apache_beam.runners.runner import PipelineState

from aurora_ingest.errors import RunnerError, UsageError
from aurora_ingest.runners import dataflow_graph, launch
from aurora_ingest.runners.wheel import packed_wheel

RUNNER: Final = "DataflowRunner"

_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/.*)?")
_PROJECT = re.compile(r"[a-z][-a-z0-9:.]{4,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]+-[a-z]+\d+")
_JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"(lake|stream|core-db|archive)\+")
_OWN_HOSTS: Final = frozenset({"", "localhost", "127.0.0.1", "::1", "[::1]"})
_CLIENT: Final = "google.cloud.dataflow"
_log = logging.getLogger(__name__)


def dataflow_options(flags: Sequence[str], *, streaming: bool) -> PipelineOptions:
    """Reads Beam's flags for Dataflow and refuses what the service would refuse, or what would end in a stack trace.

    Workers get the wheel of the running package, unless an image or another package is named.

    Args:
        flags: what stands after ``--`` on our command line.
        streaming: the graph is unbounded.

    Raises:
        UsageError: names the flag, what was expected and what was given.
    """
    if not _is_installed(_CLIENT):
        raise UsageError("--engine dataflow needs Google's client libraries: pip install 'aurora-ingest[gcp]'")
    options = PipelineOptions(flags=[f"--runner={RUNNER}", *flags])
    _refuse_unknown(options, flags)
    cloud = options.view_as(GoogleCloudOptions)
    _require("--project", cloud.project, _PROJECT, "the id of a project of Google Cloud, for instance my-project")
    _require("--region", cloud.region, _REGION, "a region, for instance europe-west1")
    _require("--temp_location", cloud.temp_location, _BUCKET, "an address in a bucket, for instance gs://my-bucket/tmp")
    if cloud.staging_location is None:
        cloud.staging_location = f"{cloud.temp_location.rstrip('/')}/staging"
    _require("--staging_location", cloud.staging_location, _BUCKET, "an address in a bucket")
    if cloud.template_location is not None:
        _require("--template_location", cloud.template_location, _BUCKET, "an address in a bucket for the template")
    if cloud.job_name is not None:
        _require("--job_name", cloud.job_name, _JOB_NAME, "small letters, digits and hyphens, at most 63")
    workers = options.view_as(WorkerOptions)
    for flag, number in (("--num_workers", workers.num_workers), ("--max_num_workers", workers.max_num_workers)):
        if number is not None and number < 1:
            raise UsageError(f"after --: {flag} {number}: expected at least 1 worker")
    if workers.num_workers and workers.max_num_workers and workers.num_workers > workers.max_num_workers:
        raise UsageError(
            f"after --: --num_workers {workers.num_workers} is above --max_num_workers {workers.max_num_workers}"
        )
    options.view_as(StandardOptions).streaming = streaming
    _give_package(options)
    return options


def refuse_local_places(places: Mapping[str, Sequence[str | None]]) -> None:
    """Refuses what only this machine has: Dataflow's workers are machines of their own, without a shared disk.

    Args:
        places: addresses by the flag of ours that named them; None is left out.

    Raises:
        UsageError: names the flag and what to give instead.
    """
    for flag, addresses in places.items():
        for address in addresses:
            if address is not None:
                _refuse_local(flag, address)


def run(graph: Callable[[beam.Pipeline], object], engine: launch.Engine) -> str | None:
    """Sends a graph to Dataflow, or writes its template.

    A batch job is waited for. A streaming job is left to itself as soon as the service has it; a template is only
    written.

    Returns:
        The job's id; None of a template.

    Raises:
        UsageError: the graph has what Dataflow does not support, or Beam refuses an option.
        AuroraError: the error that a worker raised on purpose, as it was raised.
        RunnerError: anything else.
    """
    options = engine.options
    translated(graph, options)
    pipeline = _built(graph, options)
    try:
        result = pipeline.run()
        template = options.view_as(GoogleCloudOptions).template_location
        if template is not None:
            _log.info("The template is written", extra={"template": template})
            return None
        job = str(result.job_id())
        _log.info("Dataflow has the job", extra={"job": job})
        if options.view_as(StandardOptions).streaming:
            return job
        state = result.wait_until_finish()
    except Exception as error:
        raise launch.failure(error, engine) from error
    if state != PipelineState.DONE:
        raise RunnerError(f"{engine.name}: job {job} ended as {state}, expected {PipelineState.DONE}; see its log")
    return job


def translated(graph: Callable[[beam.Pipeline], object], options: PipelineOptions) -> Any:
    """Translates a graph for Dataflow without asking anybody, and returns the job's graph as a message.

    Raises:
        UsageError: the graph has what Dataflow does not support, or Beam refuses an option.
    """
    offline = PipelineOptions.from_dictionary(options.get_all_options(drop_default=True))
    offline.view_as(TestOptions).dry_run = True
    cloud = offline.view_as(GoogleCloudOptions)
    cloud.no_auth, cloud.template_location = True, None
    pipeline = _built(graph, offline)
    dataflow_graph.check(pipeline)
    try:
        proto = pipeline.run().job.proto_pipeline
    except ValueError as error:
        raise UsageError(f"Dataflow: {error}") from error
    dataflow_graph.check_proto(proto)
    return proto


def _built(graph: Callable[[beam.Pipeline], object], options: PipelineOptions) -> beam.Pipeline:
    try:
        pipeline = beam.Pipeline(options=options)
    except ValueError as error:
        raise UsageError(f"after --: {error}") from error
    try:
        graph(pipeline)
    except ValueError as error:
        raise UsageError(f"Dataflow: {error}") from error
    return pipeline


def _require(flag: str, value: str | None, shape: re.Pattern[str], expected: str) -> None:
    if value is None:
        raise UsageError(f"--engine dataflow needs {flag} after --: {expected}")
    if not shape.fullmatch(value):
        raise UsageError(f"after --: {flag} {value!r}: expected {expected}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _refuse_unknown(options: PipelineOptions, flags: Sequence[str]) -> None:
    unknown = launch.unknown_flags(options, flags)
    if unknown:
        raise UsageError(
            f"after --: Beam's Dataflow runner does not know {' '.join(unknown)}; "
            "flags of aurora-ingest stand before --, flags of Beam after it"
        )


def _refuse_local(flag: str, named: str) -> None:
    address = _KIND.sub("", named)
    if flag == "--db-url" or named.startswith("core-db+"):
        if address.startswith("sqlite"):
            raise UsageError(f"--engine dataflow: {flag} is SQLite, a file of this machine: give a postgresql:// URL")
        if (urlsplit(address).hostname or "") in _OWN_HOSTS:
            raise UsageError(
                f"--engine dataflow: {flag} names this machine, which each worker would take for itself: "
                "give a host that the workers reach"
            )
        return
    scheme = urlsplit(address).scheme if "://" in address else ""
    if scheme in {"", "file"}:
        raise UsageError(
            f"--engine dataflow: {flag} {named} is on a disk of this machine, which the workers do not have: "
            "give gs://bucket/… (or s3://…)"
        )


def _give_package(options: PipelineOptions) -> None:
    """Stages the running package, unless an image has it or the user names packages."""
    setup, worker = options.view_as(SetupOptions), options.view_as(WorkerOptions)
    if worker.sdk_container_image or setup.extra_packages or setup.setup_file or setup.requirements_file:
        return
    folder = Path(tempfile.gettempdir()) / "aurora-ingest-wheels"
    wheel = packed_wheel(folder)
    _log.info("Workers get the wheel of this package", extra={"wheel": str(wheel)})
    setup.extra_packages = [str(wheel)]
