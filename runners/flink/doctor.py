"""What a local Flink cluster needs, and which of it is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aurora_ingest.runners.flink import cluster
from aurora_ingest.runners.flink.jars import BEAM_RUNNER_VERSION, FLINK_VERSION, usual_jars
from aurora_ingest.runners.flink.settings import ClusterSettings, taken_port

_JAVA = (11, 17)
"""Oldest and newest Java that Flink 1.16 runs on."""

_MEMORY_MB = {True: 800, False: 1800}
_DISK_MB = 500


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: whether it is as it has to be.
        found: what was found.
        advice: what to do when it is not.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""


def examine(folder: Path, settings: ClusterSettings) -> list[Check]:
    """Looks at everything that `cluster.up` needs, without starting anything."""
    return [
        _java(),
        *_resolvers(),
        *_ports(folder, settings),
        _memory(embedded=settings.embedded),
        _disk(folder),
        _beam(),
    ]


def _java() -> Check:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    advice = f"java {_JAVA[0]} to {_JAVA[1]} is needed: install a JDK, for example Debian's openjdk-17-jdk-headless"
    if found is None:
        return Check("java", ok=False, found="not installed", advice=advice)
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', told.stderr + told.stdout)
    ok = version is not None and _JAVA[0] <= int(version[1]) <= _JAVA[1]
    return Check("java", ok, f"{found}, version {'unknown' if version is None else version[1]}", "" if ok else advice)


def _resolvers() -> Iterator[Check]:
    """The jars, or what resolves them."""
    jars = usual_jars()
    if jars.there:
        yield Check("jars", ok=True, found=f"Flink {FLINK_VERSION}, Beam runner {BEAM_RUNNER_VERSION}: {jars.folder}")
        return
    for program, package in (("mvn", "maven"), ("javac", "openjdk-17-jdk-headless")):
        path = shutil.which(program)
        advice = f"{program} is needed once, for the jars: install {package}"
        yield Check(program, path is not None, path or "not installed", "" if path else advice)
    yield Check("jars", ok=True, found="not resolved yet: `aurora-ingest flink up` asks Maven Central for 120 MB once")


def _ports(folder: Path, settings: ClusterSettings) -> Iterator[Check]:
    running = cluster.find(folder)
    if running is not None and any(process.alive for process in running.processes):
        ports = ", ".join(f"{name} {port}" for name, port in running.settings.ports.items())
        yield Check("ports", ok=True, found=f"held by the cluster that runs: {ports}")
        return
    for name, port in settings.ports.items():
        if port:
            taken = taken_port(port, settings.listeners(name))
            advice = f"give another one with --{name}-port, or 0 for any free one"
            yield Check(
                f"port {taken or port} ({name})", not taken, "taken" if taken else "free", advice if taken else ""
            )


def _memory(*, embedded: bool) -> Check:
    try:
        told = Path("/proc/meminfo").read_text()
    except OSError:
        return Check("memory", ok=True, found="unknown on this system")
    found = re.search(r"MemAvailable:\s+(\d+) kB", told)
    available = int(found[1]) // 1024 if found else 0
    needed = _MEMORY_MB[embedded]
    ok = available >= needed
    advice = f"{needed} MB are needed: end other programs, or start an --embedded cluster"
    return Check("memory", ok, f"{available} MB available", "" if ok else advice)


def _disk(folder: Path) -> Check:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free >> 20
    ok = free >= _DISK_MB
    advice = f"{_DISK_MB} MB are needed below {folder}: make room, or give another --flink-dir"
    return Check("disk", ok, f"{free} MB free below {there}", "" if ok else advice)


def _beam() -> Check:
    import apache_beam

    has_pip = (
        subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    )
    advice = f"the workers install staged wheels with pip: {sys.executable} -m ensurepip"
    found = f"{sys.executable} with apache-beam {apache_beam.__version__}"
    return Check("python", has_pip, found if has_pip else f"{found}, without pip", "" if has_pip else advice)
