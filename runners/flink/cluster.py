"""A local Flink cluster: job manager, task managers and job server, or all of it in one embedded process."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shlex
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aurora_ingest.errors import ClusterError
from aurora_ingest.runners.flink import jars as jars_module
from aurora_ingest.runners.flink import processes
from aurora_ingest.runners.flink.jars import Jars
from aurora_ingest.runners.flink.processes import Process
from aurora_ingest.runners.flink.rest import FlinkRest
from aurora_ingest.runners.flink.settings import (
    ADDRESS,
    BATCHES,
    CLUSTER,
    JAVA_FLAGS,
    LOG4J,
    STREAMS,
    ClusterSettings,
    flink_conf,
    free_port,
    prometheus_flags,
    taken_port,
    task_manager_memory,
)

JOB_MANAGER = "job-manager"
JOB_SERVER = "job-server"
WORKER_POOL = "worker-pool"

_PREFIX = "org.apache.flink.runtime"
_LEAN = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:CICompilerCount=1")


@dataclass(frozen=True)
class Cluster:
    """A cluster that was started.

    Attributes:
        folder: jars, logs, checkpoints, the programs of the workers, and the file that tells of the cluster.
        settings: with the ports that were chosen.
        processes: all of them.
    """

    folder: Path
    settings: ClusterSettings
    processes: tuple[Process, ...]

    @property
    def job_endpoint(self) -> str:
        """Where Beam sends jobs to."""
        return f"{ADDRESS}:{self.settings.job_port}"

    @property
    def rest(self) -> FlinkRest:
        """Flink's REST interface; of an embedded cluster only while it has a job."""
        return FlinkRest(f"http://{ADDRESS}:{self.settings.rest_port}")

    @property
    def boot(self) -> Path:
        """The program that starts a Python worker."""
        return self.folder / "bin" / "boot"

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.folder / "logs"

    def log(self, name: str) -> Path:
        """Returns the log of a process."""
        return self.logs / f"{name}.log"

    def process(self, name: str) -> Process:
        """Returns the process of that name.

        Raises:
            ClusterError: the cluster has none.
        """
        for process in self.processes:
            if process.name == name:
                return process
        raise ClusterError(f"the cluster in {self.folder} has no {name}; it has {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all processes."""
        return tuple(process.name for process in self.processes)

    @property
    def task_managers(self) -> tuple[Process, ...]:
        """The processes that run tasks."""
        return tuple(process for process in self.processes if process.name.startswith("task-manager"))

    def workers(self) -> list[int]:
        """Returns the process ids of the Python workers that run now."""
        told = "apache_beam.runners.worker.sdk_worker_main"
        return [
            pid
            for process in self.processes
            for pid in processes.members(process)
            if told in processes.command_line(pid)
        ]

    def restart(self, name: str) -> Cluster:
        """Starts a process that has ended anew and returns the cluster with it."""
        with _only_one(self.folder):
            command = _commands(self.folder, self.settings, jars_module.resolve())[name]
            new = processes.start(name, command, self.log(name), _environment())
            changed = dataclasses.replace(
                self, processes=tuple(new if process.name == name else process for process in self.processes)
            )
            _write(changed)
            return changed


def up(folder: Path, settings: ClusterSettings, patience: float = 120.0) -> Cluster:
    """Starts a cluster and returns when it takes jobs; one that runs already is returned as it is.

    Args:
        folder: where everything of it is; jars are resolved into it if they are not there.
        settings: what to start.
        patience: seconds for all of it to be ready, without the time for the jars.

    Raises:
        ClusterError: a program is missing, a port is taken, or a process did not come up; nothing is left running.
    """
    folder = folder.absolute()
    jars = jars_module.resolve()
    with _only_one(folder):
        running = find(folder)
        if running is not None and all(process.alive for process in running.processes):
            return running
        if running is not None:
            processes.stop(running.processes)
        settings = _with_ports(settings)
        _prepare(folder, settings)
        cluster = Cluster(folder, settings, ())
        try:
            for name, command in _commands(folder, settings, jars).items():
                cluster.log(name).unlink(missing_ok=True)
                started = processes.start(name, command, cluster.log(name), _environment())
                cluster = dataclasses.replace(cluster, processes=(*cluster.processes, started))
                _write(cluster)
            _wait(cluster, patience)
        except BaseException:
            processes.stop(cluster.processes)
            _file(folder).unlink(missing_ok=True)
            raise
    return cluster


def down(folder: Path) -> tuple[Process, ...]:
    """Ends a cluster with all its workers and returns the processes that it had."""
    folder = folder.absolute()
    if not folder.is_dir():
        return ()
    with _only_one(folder):
        cluster = find(folder)
        if cluster is None:
            return ()
        processes.stop(cluster.processes)
        _file(folder).unlink(missing_ok=True)
        shutil.rmtree(folder / "tmp", ignore_errors=True)
        return cluster.processes


def find(folder: Path) -> Cluster | None:
    """Reads which cluster was started below a folder; its processes may have ended since."""
    folder = folder.absolute()
    try:
        told = json.loads(_file(folder).read_text())
    except FileNotFoundError:
        return None
    settings = ClusterSettings(**told["settings"])
    return Cluster(folder, settings, tuple(Process(**process) for process in told["processes"]))


def running(folder: Path) -> Cluster:
    """Returns the cluster that runs below a folder.

    Raises:
        ClusterError: there is none, or one of its processes has ended.
    """
    cluster = find(folder)
    if cluster is None:
        raise ClusterError(f"no Flink cluster was started in {folder}: start one with `aurora-ingest flink up`")
    dead = [process.name for process in cluster.processes if not process.alive]
    if dead:
        raise ClusterError(
            f"of the Flink cluster in {folder} {', '.join(dead)} ended, see {cluster.logs}; "
            "`aurora-ingest flink up` starts it again"
        )
    return cluster


def _commands(folder: Path, settings: ClusterSettings, jars: Jars) -> dict[str, list[str]]:
    """Returns the command of every process, in the order of starting."""
    conf = str(folder / "conf")
    logging = f"-Dlog4j.configurationFile={folder / 'conf' / 'log4j.properties'}"

    def java(*memory: str) -> list[str]:
        return [_java(), *memory, *JAVA_FLAGS, logging, "-cp", jars.class_path]

    commands = {}
    if not settings.embedded:
        main = f"{_PREFIX}.entrypoint.StandaloneSessionClusterEntrypoint"
        flags = ["--configDir", conf, *prometheus_flags(settings, 0)]
        commands[JOB_MANAGER] = [*java("-Xmx384m", *_LEAN), main, *flags]
        main = f"{_PREFIX}.taskexecutor.TaskManagerRunner"
        for number in range(1, settings.task_managers + 1):
            name = f"task-manager-{number}"
            flags = ["--configDir", conf, f"-Dtaskmanager.resource-id={name}", *prometheus_flags(settings, number)]
            commands[name] = [*java(*task_manager_memory(settings), "-XX:+UseSerialGC"), main, *flags]
    memory = ("-Xmx768m", "-XX:+UseSerialGC") if settings.embedded else ("-Xmx384m", *_LEAN)
    commands[JOB_SERVER] = [
        *java(*memory),
        jars_module.JOB_SERVER,
        f"--flink-master={'[local]' if settings.embedded else f'{ADDRESS}:{settings.rest_port}'}",
        f"--flink-conf-dir={conf}",
        f"--job-host={ADDRESS}",
        f"--job-port={settings.job_port}",
        f"--artifact-port={settings.artifact_port}",
        "--expansion-port=-1",
        f"--artifacts-dir={folder / 'artifacts'}",
    ]
    if settings.pool_port is not None:
        pool = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main"]
        executable = f"--container_executable={folder / 'bin' / 'boot'}"
        commands[WORKER_POOL] = [*pool, f"--service_port={settings.pool_port}", executable]
    return commands


def _prepare(folder: Path, settings: ClusterSettings) -> None:
    """Writes configuration and programs."""
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    for name in ("conf", "logs", "bin", "tmp", "artifacts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "flink-conf.yaml").write_text(flink_conf(settings, folder, CLUSTER))
    for kind in (BATCHES, STREAMS):
        (folder / "conf" / kind).mkdir(exist_ok=True)
        (folder / "conf" / kind / "flink-conf.yaml").write_text(flink_conf(settings, folder, kind))
    (folder / "conf" / "log4j.properties").write_text(LOG4J)
    program = folder / "bin" / "boot.py"
    shutil.copy(Path(__file__).parent / "boot.py", program)
    boot = folder / "bin" / "boot"
    words = [sys.executable, str(program), f"--cache={folder / 'packages'}", f"--log={folder / 'logs' / 'workers.log'}"]
    boot.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    boot.chmod(boot.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _with_ports(settings: ClusterSettings) -> ClusterSettings:
    """Decides the ports that are left open and refuses those that are taken."""
    changed: dict[str, Any] = {}
    for name, port in settings.ports.items():
        count = settings.listeners(name)
        if port == 0:
            changed[f"{name}_port"] = free_port(count)
        elif (taken := taken_port(port, count)) is not None:
            raise ClusterError(
                f"port {taken} is taken, which was to be the cluster's {name} port: give another one with "
                f"--{name}-port, or 0 for any"
            )
    return dataclasses.replace(settings, **changed)


def _wait(cluster: Cluster, patience: float) -> None:
    """Waits until jobs can be sent and all task managers have announced themselves."""
    settings = cluster.settings
    conditions: list[tuple[str, Callable[[], bool]]] = [("job server", lambda: _listens(settings.job_port))]
    if not settings.embedded:
        conditions.append(("task managers", lambda: cluster.rest.task_managers() == settings.task_managers))
    if settings.pool_port is not None:
        pool = settings.pool_port
        conditions.append(("worker pool", lambda: _listens(pool)))
    deadline = time.monotonic() + patience
    for what, is_ready in conditions:
        while not is_ready():
            dead = [process.name for process in cluster.processes if not process.alive]
            if dead:
                raise ClusterError(f"{dead[0]} ended while the cluster started; see {cluster.log(dead[0])}")
            if time.monotonic() > deadline:
                raise ClusterError(f"the {what} did not come up within {patience:.0f} s; see {cluster.logs}")
            time.sleep(0.1)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((ADDRESS, port), timeout=1):
            return True
    except OSError:
        return False


def _environment() -> dict[str, str]:
    """Returns this environment without what would let workers find modules that were not staged."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "FLINK_CONF_DIR"}}


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    if found is None:
        raise ClusterError("java is not installed; `aurora-ingest flink doctor` tells all that is missing")
    return found


def _file(folder: Path) -> Path:
    return folder / "cluster.json"


def _write(cluster: Cluster) -> None:
    told = {
        "settings": dataclasses.asdict(cluster.settings),
        "processes": [dataclasses.asdict(process) for process in cluster.processes],
    }
    draft = _file(cluster.folder).with_suffix(".part")
    draft.write_text(json.dumps(told, indent=1))
    draft.replace(_file(cluster.folder))


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Lets one command at a time start or stop the cluster of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
