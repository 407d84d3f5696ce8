"""Processes that outlive the command that started them: begun with a log, known by number and start time, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aurora_ingest.errors import ClusterError

_ZOMBIE = "Z"
_STATE, _SESSION, _STARTED = 0, 3, 19  # places among the fields that `_stat` returns


@dataclass(frozen=True)
class Process:
    """A process that this project started.

    Attributes:
        name: what it is for us.
        pid: its number; it leads a group of its own, in which its children are.
        started: when it began, in the kernel's ticks since boot: numbers are used again, pairs are not.
    """

    name: str
    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return _started(self.pid) == self.started


def start(name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
    """Starts a process in a session of its own, so that no key press in a terminal reaches it.

    Args:
        name: what it is for us.
        command: program and arguments.
        log: file that its output is added to.
        environment: all its environment variables.

    Raises:
        ClusterError: it could not be started, or ended at once.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterError(f"{name}: {command[0]} cannot be started: {error.strerror}") from error
    started = _started(child.pid)
    if started is None:
        raise ClusterError(f"{name} ended at once with exit code {child.wait()}; see {log}")
    child.returncode = 0  # it is not waited for by this object: the command that stops it may be another process
    return Process(name, child.pid, started)


def stop(processes: Sequence[Process], patience: float = 10.0) -> None:
    """Asks processes to end, and after `patience` seconds ends them with all their children."""
    for process in processes:
        if process.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(process.alive for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in processes:
        for member in _group(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
    while any(process.alive for process in processes):
        time.sleep(0.01)


def members(process: Process) -> list[int]:
    """Returns the processes of the group of `process`, itself among them."""
    return _group(process)


def command_line(pid: int) -> str:
    """Returns the command of a process, or nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _group(process: Process) -> list[int]:
    """Finds the members of the session that `process` leads, none if its number is another process's by now."""
    leader = _stat(process.pid)
    if leader is not None and leader[_STARTED] != process.started:
        return []
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields is not None and fields[_SESSION] == str(process.pid):
                found.append(int(folder.name))
    return found


def _started(pid: int) -> str | None:
    """Returns the start time of a process that runs; a child of this one that has ended is cleared away."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    fields = _stat(pid)
    return None if fields is None or fields[_STATE] == _ZOMBIE else fields[_STARTED]


def _stat(pid: int) -> list[str] | None:
    """Returns the fields of /proc/PID/stat from the third on: state, parent, group, session, …, start time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process and of its children that have ended; nothing if it is gone."""
    fields = _stat(pid)
    return 0.0 if fields is None else sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
