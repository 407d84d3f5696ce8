"""The jars of a Flink cluster for Beam's jobs: resolved by Maven once, our job server compiled beside them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from aurora_ingest.errors import ClusterError
from aurora_ingest.runners.flink.settings import default_flink_dir

FLINK_VERSION = "1.16.3"
BEAM_RUNNER_VERSION = "2.56.0"
JOB_SERVER = "AuroraJobServer"

_SOURCES = Path(__file__).parent / "java"
_POM = _SOURCES / "pom.xml"
_MAIN = _SOURCES / f"{JOB_SERVER}.java"


@dataclass(frozen=True)
class Jars:
    """What stands on the class path of every process of a cluster.

    Attributes:
        folder: where it is; its name is a hash of the coordinates and of the job server's source.
    """

    folder: Path

    @property
    def class_path(self) -> str:
        """The value of Java's ``-cp``."""
        return f"{self.folder / 'classes'}{os.pathsep}{self.folder / 'lib'}/*"

    @property
    def there(self) -> bool:
        """Whether it has been resolved."""
        return self.folder.is_dir()


def usual_jars() -> Jars:
    """Names the jars of this version, which all clusters of a user share; they may have to be resolved."""
    digest = hashlib.sha256(_POM.read_bytes() + _MAIN.read_bytes()).hexdigest()[:12]
    return Jars(default_flink_dir() / f"jars-{FLINK_VERSION}-{digest}")


def resolve() -> Jars:
    """Resolves the jars if they are not there: Maven, then the compiler; whole or not at all.

    Raises:
        ClusterError: a program is missing or failed.
    """
    jars = usual_jars()
    if jars.there:
        return jars
    draft = jars.folder.parent / f".{jars.folder.name}.{uuid.uuid4().hex}"
    draft.mkdir(parents=True)
    try:
        shutil.copy(_POM, draft / "pom.xml")
        copying = ["dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"]
        _run(["mvn", "--quiet", "--batch-mode", "--file", "pom.xml", *copying], draft)
        _run(["javac", "-cp", "lib/*", "-d", "classes", str(_MAIN)], draft)
        try:
            draft.rename(jars.folder)
        except OSError:
            if not jars.there:  # else another process was faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return jars


def _run(command: list[str], folder: Path) -> None:
    program = shutil.which(command[0])
    if program is None:
        raise ClusterError(f"{command[0]} is not installed; `aurora-ingest flink doctor` tells all that is missing")
    done = subprocess.run([program, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        told = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise ClusterError(f"{command[0]} failed with exit code {done.returncode} in {folder}:\n{told}")
