"""The commands `flink up|down|status|doctor`: a local Flink cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from aurora_ingest.cli.options import json_option, logging_options, setting
from aurora_ingest.errors import ClusterError

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _folder_option(function: _Function) -> _Function:
    """Adds ``--flink-dir``; its value is ``folder``."""
    return setting(
        "--flink-dir",
        "folder",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_usual_folder,
        help="Folder of jars, logs, checkpoints and process ids; ~/.cache/aurora-ingest/flink if not given.",
    )(function)


def _usual_folder(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path:
    if value is not None:
        return value
    from aurora_ingest.runners.flink.settings import default_flink_dir

    return default_flink_dir()


def _cluster_options(function: _Function) -> _Function:
    """Adds what a cluster is made of; the names are those of `ClusterSettings`."""
    ports = (
        ("prometheus", None, "Metrics of the job manager, of task managers at the ports after it; none if not given."),
        ("pool", None, "A pool of Python workers for the environment EXTERNAL; none if not given."),
        ("rpc", 6123, "Where task managers find the job manager."),
        ("artifact", 8098, "Where files of a job are sent to."),
        ("job", 8099, "Where jobs are sent to."),
        ("rest", 8081, "Flink's REST interface and web page."),
    )
    for name, default, told in ports:
        function = setting(
            f"--{name}-port",
            type=click.IntRange(0, 65535),
            default=default,
            metavar="PORT",
            show_default=default is not None,
            help=f"{told} 0 takes any free port.",
        )(function)
    for flag, default, told in (
        ("slots", 4, "Tasks of one step that a task manager takes."),
        ("task-managers", 2, "Processes that run tasks, each with Python workers of its own."),
    ):
        function = setting(
            f"--{flag}",
            type=click.IntRange(min=1),
            default=default,
            metavar="N",
            show_default=True,
            help=told,
        )(function)
    return setting(
        "--embedded",
        is_flag=True,
        help="One process that is job server and Flink at once: quick to start, one job at a time, no failover.",
    )(function)


@click.group("flink", short_help="A local Flink cluster: start it, end it, look at it.")
def flink_group() -> None:
    """Start, end and look at a Flink cluster on this machine, for --engine flink."""


@flink_group.command("up", epilog="\b\nExample:\n  aurora-ingest flink up --task-managers 2")
@_folder_option
@_cluster_options
@logging_options
def up_command(*, folder: Path, **settings: Any) -> None:
    """Start a cluster, or find that it runs.

    The first time Maven Central is asked for the jars (120 MB). Returns when the cluster takes jobs.
    """
    from aurora_ingest.runners.flink import cluster
    from aurora_ingest.runners.flink.settings import ClusterSettings

    started = cluster.up(folder, ClusterSettings(**settings))
    click.echo(f"Flink takes jobs at {started.job_endpoint}; logs are in {started.logs}")


@flink_group.command("down")
@_folder_option
@logging_options
def down_command(*, folder: Path) -> None:
    """End the cluster with all its workers; checkpoints, savepoints, logs and jars stay."""
    from aurora_ingest.runners.flink import cluster

    ended = cluster.down(folder)
    click.echo(f"ended {', '.join(each.name for each in ended)}" if ended else f"no cluster was running in {folder}")


@flink_group.command("status")
@_folder_option
@json_option
@logging_options
def status_command(*, folder: Path, as_json: bool) -> None:
    """Show the cluster's processes, ports and jobs; exit code 1 if there is none or a part of it has ended."""
    from aurora_ingest.runners.flink import cluster

    found = cluster.find(folder)
    facts: dict[str, Any] = {
        "folder": str(folder),
        "job_endpoint": found.job_endpoint if found else None,
        "ports": found.settings.ports if found else {},
        "processes": [
            {"name": each.name, "pid": each.pid, "alive": each.alive} for each in (found.processes if found else ())
        ],
        "jobs": _jobs(found),
    }
    if as_json:
        click.echo(json.dumps(facts))
    elif found is not None:
        click.echo(f"folder:        {folder}")
        click.echo(f"job endpoint:  {found.job_endpoint}")
        click.echo(f"ports:         {', '.join(f'{name} {port}' for name, port in facts['ports'].items())}")
        for each in facts["processes"]:
            click.echo(f"{each['name'] + ':':<15}pid {each['pid']}, {'runs' if each['alive'] else 'has ended'}")
        for job in facts["jobs"]:
            click.echo(f"job {job['id']}: {job['state']}, {job['name']}")
    cluster.running(folder)


def _jobs(found: Any) -> list[dict[str, str]]:
    """Returns the jobs that Flink knows; an embedded cluster answers only while it has one."""
    if found is None:
        return []
    try:
        return [{"id": job["jid"], "name": job["name"], "state": job["state"]} for job in found.rest.jobs()]
    except ClusterError:
        return []


@flink_group.command("doctor")
@_folder_option
@_cluster_options
@json_option
@logging_options
def doctor_command(*, folder: Path, as_json: bool, **settings: Any) -> None:
    """Tell what a cluster with these settings needs, and what of it is missing; exit code 1 if something is."""
    from aurora_ingest.runners.flink import doctor
    from aurora_ingest.runners.flink.settings import ClusterSettings

    checks = doctor.examine(folder, ClusterSettings(**settings))
    if as_json:
        click.echo(json.dumps([vars(check) for check in checks]))
    else:
        for check in checks:
            click.echo(f"{'ok     ' if check.ok else 'MISSING'} {check.name}: {check.found}")
    missing = [check.advice for check in checks if not check.ok]
    if missing:
        raise ClusterError("a Flink cluster cannot be started here: " + "; ".join(missing))
