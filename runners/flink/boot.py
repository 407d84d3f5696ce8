"""Starts one Python worker for an engine: asks what it needs, installs the wheels of its job, becomes Beam's worker.

The engine calls it as ``boot --id=… --provision_endpoint=…`` (environments PROCESS and EXTERNAL). It needs nothing but
Apache Beam and pip in the interpreter that runs it, so that the copy of this file alone is enough on another machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

_EXTRA_PACKAGES = "extra_packages.txt"
_REQUIREMENTS = "requirements.txt"
_IGNORED = "submission_environment_dependencies.txt"
_SECONDS = 60


def main(arguments: Sequence[str]) -> NoReturn:
    """Prepare the worker that the engine asks for, and become it; what goes wrong is told in the log."""
    flags, _ = _parser().parse_known_args(list(arguments))
    if flags.log is not None:
        # The engine throws away what its processes say before they have a logging service.
        log = flags.log.open("ab", buffering=0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        command, environment = _prepare(flags)
    except Exception as error:  # noqa: BLE001 - the engine only sees that the process ended: the log has to tell why
        _say(f"worker {flags.id} cannot be started: {type(error).__name__}: {error}")
        sys.exit(1)
    _say(f"worker {flags.id} starts as process {os.getpid()}")
    os.execve(command[0], command, environment)  # noqa: S606 - no shell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, help="name of the worker")
    parser.add_argument("--provision_endpoint", required=True, help="service that tells what the worker needs")
    parser.add_argument("--logging_endpoint", default="", help="overrides what the service tells")
    parser.add_argument("--artifact_endpoint", default="", help="overrides what the service tells")
    parser.add_argument("--control_endpoint", default="", help="overrides what the service tells")
    parser.add_argument("--cache", type=Path, required=True, help="folder of installed packages, kept between jobs")
    parser.add_argument("--log", type=Path, help="file that the output is added to")
    return parser


def _prepare(flags: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """Returns the command and the environment of the worker."""
    from apache_beam.portability.api import endpoints_pb2
    from google.protobuf import json_format, text_format

    info = _provision(flags)
    artifacts = flags.artifact_endpoint or info.artifact_endpoint.url
    packages = _installed(flags.cache, _fetched(flags, artifacts, info)) if info.dependencies else None

    def service(url: str) -> str:
        return str(text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url)))

    environment = {
        **os.environ,
        "WORKER_ID": flags.id,
        "PIPELINE_OPTIONS": json.dumps(json_format.MessageToDict(info.pipeline_options)),
        "LOGGING_API_SERVICE_DESCRIPTOR": service(flags.logging_endpoint or info.logging_endpoint.url),
        "CONTROL_API_SERVICE_DESCRIPTOR": service(flags.control_endpoint or info.control_endpoint.url),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.status_endpoint.url:
        environment["STATUS_API_SERVICE_DESCRIPTOR"] = service(info.status_endpoint.url)
    if packages is not None:
        environment["PYTHONPATH"] = os.pathsep.join(
            path for path in (str(packages), os.environ.get("PYTHONPATH", "")) if path
        )
    return [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"], environment


def _channel(url: str, worker: str) -> Any:
    import grpc
    from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor

    sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    channel = grpc.insecure_channel(url, options=sizes)
    grpc.channel_ready_future(channel).result(timeout=_SECONDS)
    return grpc.intercept_channel(channel, WorkerIdInterceptor(worker))


def _provision(flags: argparse.Namespace) -> Any:
    """Asks the engine what the worker needs."""
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc

    stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(_channel(flags.provision_endpoint, flags.id))
    return stub.GetProvisionInfo(beam_provision_api_pb2.GetProvisionInfoRequest(), timeout=_SECONDS).info


def _fetched(flags: argparse.Namespace, endpoint: str, info: Any) -> Path:
    """Fetches the files of the job into a new folder; whoever calls removes it."""
    from apache_beam.portability import common_urns
    from apache_beam.portability.api import (
        beam_artifact_api_pb2,
        beam_artifact_api_pb2_grpc,
        beam_runner_api_pb2,
    )

    folder = Path(flags.cache) / f".staged.{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    stub = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(_channel(endpoint, flags.id))
    asked = beam_artifact_api_pb2.ResolveArtifactsRequest(
        artifacts=info.dependencies, preferred_urns=[common_urns.artifact_types.FILE.urn]
    )
    for artifact in stub.ResolveArtifacts(asked, timeout=_SECONDS).replacements:
        if artifact.role_urn != common_urns.artifact_roles.STAGING_TO.urn:
            continue
        name = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload).staged_name
        if Path(name).name != name:
            raise ValueError(f"staged file {name!r}: expected a plain file name")
        if name == _IGNORED:
            continue
        with (folder / name).open("wb") as file:
            for piece in stub.GetArtifact(beam_artifact_api_pb2.GetArtifactRequest(artifact=artifact)):
                file.write(piece.data)
    return folder


def _installed(cache: Path, staged: Path) -> Path | None:
    """Installs the staged packages into a folder named by their bytes, once for all workers and jobs."""
    try:
        files = sorted(staged.iterdir())
        if not files:
            return None
        digest = hashlib.sha256(sys.version.encode())
        for path in files:
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        target = cache / digest.hexdigest()[:24]
        if not target.is_dir():
            draft = cache / f".{target.name}.{uuid.uuid4().hex}"
            try:
                _install(staged, draft)
                try:
                    draft.rename(target)
                except OSError:
                    if not target.is_dir():  # else another worker was faster
                        raise
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return target
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _install(staged: Path, target: Path) -> None:
    """Runs pip without any network: everything has to be among the staged files or installed already."""
    target.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    pip += [f"--find-links={staged}", f"--target={target}", "--no-compile"]
    requirements = staged / _REQUIREMENTS
    if requirements.is_file():
        _run([*pip, f"--requirement={requirements}"])
    packages = staged / _EXTRA_PACKAGES
    if packages.is_file():
        names = [line.strip() for line in packages.read_text().splitlines() if line.strip()]
        sources = [name for name in names if not name.endswith(".whl")]
        if sources:
            raise ValueError(f"{', '.join(sources)}: source packages need the network to build; stage wheels")
        # What a wheel depends on is the business of the interpreter that runs the worker.
        _run([*pip, "--no-deps", *(str(staged / name) for name in names)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pip failed with exit code {done.returncode}: {(done.stdout + done.stderr).strip()}")


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} boot: {text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
