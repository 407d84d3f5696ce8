"""What a local Flink cluster is made of, and the configuration file that says it to Flink."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from aurora_ingest.errors import UsageError

ADDRESS = "127.0.0.1"

_OPENED = (
    "lang",
    "util",
    "util.concurrent",
    "util.concurrent.atomic",
    "lang.reflect",
    "text",
    "time",
    "net",
    "io",
    "nio",
)
JAVA_FLAGS = (
    *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
)
"""What Flink 1.16 reaches for inside Java 17."""

CLUSTER, BATCHES, STREAMS = "cluster", "batches", "streams"

BATCH_RETRIES = 3
"""How often a batch is begun again after a failure: a lost process is mended by one, a bad record by none."""

BATCH_DELAY_SECONDS = 3
"""Longer than workers are kept between stages: a new attempt must not find the one that was killed."""

_NETWORK_MB = 128
_SORT_BUFFERS = 64
"""Of 32 KiB, for each output of a batch's step that is being written: a state build writes many at once, and with
Flink's own 512 four of them take what a task manager has."""

_FOR_EVER = 2**31 - 1
_LAST_PORT = 65535


def default_flink_dir() -> Path:
    """Returns the folder of the local cluster: AURORA_FLINK_DIR, or one in the user's cache."""
    given = os.environ.get("AURORA_FLINK_DIR")
    if given:
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "aurora-ingest" / "flink"


@dataclass(frozen=True)
class ClusterSettings:
    """A local cluster. A port of 0 means any free one.

    Attributes:
        embedded: one process, a job server that runs every job in itself.
        task_managers: processes that run tasks; each has its own Python workers.
        slots: tasks of one step that a task manager takes; spare ones are for those of a task manager that died.
        rest_port: Flink's REST interface and web page.
        job_port: where jobs are sent to.
        artifact_port: where the files of a job are sent to.
        rpc_port: where task managers find the job manager.
        pool_port: where a pool of Python workers listens (environment EXTERNAL), or None for no pool.
        prometheus_port: where the job manager tells its metrics, the task managers at the ports after it; None for
            not at all.
        heap_mb: heap of a task manager's tasks.
    """

    embedded: bool = False
    task_managers: int = 2
    slots: int = 4
    rest_port: int = 8081
    job_port: int = 8099
    artifact_port: int = 8098
    rpc_port: int = 6123
    pool_port: int | None = None
    prometheus_port: int | None = None
    heap_mb: int = 384

    def __post_init__(self) -> None:
        if self.task_managers < 1 or self.slots < 1:
            raise UsageError(
                f"{self.task_managers} task managers with {self.slots} slots: expected at least one of each"
            )
        if self.embedded and self.prometheus_port is not None:
            raise UsageError("an embedded cluster has no processes to ask for metrics: leave out --prometheus-port")

    @property
    def ports(self) -> dict[str, int]:
        """The fixed ports by what listens there."""
        ports = {"rest": self.rest_port, "job": self.job_port, "artifact": self.artifact_port}
        if not self.embedded:
            ports["rpc"] = self.rpc_port
        if self.pool_port is not None:
            ports["pool"] = self.pool_port
        if self.prometheus_port is not None:
            ports["prometheus"] = self.prometheus_port
        return ports

    def listeners(self, name: str) -> int:
        """Returns how many ports in a row are taken from the one of this name on."""
        return 1 + self.task_managers if name == "prometheus" else 1


def taken_port(first: int, count: int = 1) -> int | None:
    """Returns the first port of `count` in a row at which somebody listens, if there is one."""
    return next((port for port in range(first, first + count) if not _is_free(port)), None)


def _is_free(port: int) -> bool:
    if port > _LAST_PORT:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
        return True


def free_port(count: int = 1) -> int:
    """Returns the first of `count` ports in a row at which nobody listens now."""
    while True:
        with socket.socket() as probe:
            probe.bind((ADDRESS, 0))
            port: int = probe.getsockname()[1]
        if taken_port(port, count) is None:
            return port


def flink_conf(settings: ClusterSettings, folder: Path, reader: str) -> str:
    """Returns the text of flink-conf.yaml.

    Flink's own scripts work out a task manager's memory from one number; without them every part has to be said.
    A job server must not read all of it. What it reads overrules what a job says: a restart strategy, and, in an
    embedded Flink, the slots, of which every job would take all. Only the restarts of a batch have to stand here,
    because Beam's runner does not pass on those that a batch asks for.

    Args:
        settings: with their ports decided.
        folder: where checkpoints, savepoints and temporary files go.
        reader: who reads it: `CLUSTER`, or the job server for `BATCHES` or for `STREAMS`.
    """
    keys: dict[str, object] = {
        "jobmanager.rpc.address": ADDRESS,
        "jobmanager.rpc.port": settings.rpc_port,
        "jobmanager.bind-host": ADDRESS,
        "rest.address": ADDRESS,
        "rest.bind-address": ADDRESS,
        "rest.port": settings.rest_port,
        "rest.bind-port": settings.rest_port,
        "taskmanager.host": ADDRESS,
        "taskmanager.bind-host": ADDRESS,
        "taskmanager.cpu.cores": 1.0,
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.task.heap.size": f"{settings.heap_mb}m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.task.off-heap.size": "128m",
        "taskmanager.memory.network.min": f"{_NETWORK_MB}m",
        "taskmanager.memory.network.max": f"{_NETWORK_MB}m",
        "taskmanager.network.sort-shuffle.min-buffers": _SORT_BUFFERS,
        "taskmanager.memory.managed.size": "128m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "128m",
        "taskmanager.memory.jvm-overhead.max": "128m",
        "cluster.evenly-spread-out-slots": "true",
        "classloader.resolve-order": "parent-first",
        # Threads of Beam's servers outlive the job whose class loader they have inherited. With this check, what they
        # load first for a later job fails and stays broken for as long as the process runs.
        "classloader.check-leaked-classloader": "false",
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 10000,
        "state.backend": "hashmap",
        "state.checkpoints.dir": (folder / "checkpoints").as_uri(),
        "state.savepoints.dir": (folder / "savepoints").as_uri(),
        "state.checkpoints.num-retained": 2,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "io.tmp.dirs": folder / "tmp",
        "web.tmpdir": folder / "tmp",
    }
    if reader == CLUSTER:
        keys |= {"taskmanager.numberOfTaskSlots": settings.slots, **_restarts(_FOR_EVER, 1)}
        if settings.prometheus_port is not None:
            factory = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
            keys["metrics.reporter.prometheus.factory.class"] = factory  # the port is each process's own
    elif reader == BATCHES:
        keys |= _restarts(BATCH_RETRIES, BATCH_DELAY_SECONDS)
    return "".join(f"{key}: {value}\n" for key, value in keys.items())


def _restarts(attempts: int, seconds: int) -> dict[str, object]:
    return {
        "restart-strategy": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": attempts,
        "restart-strategy.fixed-delay.delay": f"{seconds} s",
    }


def task_manager_memory(settings: ClusterSettings) -> tuple[str, ...]:
    """Returns Java's flags for the memory that `flink_conf` promises."""
    heap = 128 + settings.heap_mb
    return (
        f"-Xmx{heap}m",
        f"-Xms{heap}m",
        f"-XX:MaxDirectMemorySize={256 + _NETWORK_MB}m",
        "-XX:MaxMetaspaceSize=256m",
    )


def prometheus_flags(settings: ClusterSettings, place: int) -> list[str]:
    """Returns the flags that give a process its port for Prometheus: the first one (0) is the job manager."""
    port = settings.prometheus_port
    return [] if port is None else [f"-Dmetrics.reporter.prometheus.port={port + place}"]


LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = Out
appender.out.name = Out
appender.out.type = CONSOLE
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %-40.40c{1} %m%n
"""
"""Everything to standard output, which is the process's log file."""
