"""The command `stop`: a streaming job on Flink comes to its end, with a savepoint or without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aurora_ingest.cli.flink_options import flink_dir_option, flink_rest_option, rest_of
from aurora_ingest.cli.options import logging_options, setting
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from aurora_ingest.runners.flink.streaming import StreamingJob


@click.command(
    "stop",
    short_help="Stop a streaming job on Flink, with a savepoint if wanted.",
    epilog="\b\nExample:\n  aurora-ingest stop --node one --savepoint",
)
@setting(
    "--node",
    metavar="NAME",
    help="The node whose job is stopped; may be left out when one job runs.",
)
@setting(
    "--savepoint",
    is_flag=True,
    help="Leave a savepoint, from which follow --from-savepoint goes on; its place is printed.",
)
@setting(
    "--savepoint-dir",
    metavar="URL",
    help="Folder for the savepoint as Flink's machines see it; the cluster's state.savepoints.dir if not given.",
)
@flink_dir_option
@flink_rest_option
@logging_options
def stop_command(
    *, node: str | None, savepoint: bool, savepoint_dir: str | None, flink_dir: Path | None, rest_url: str | None
) -> None:
    """Stop the streaming job of a node that follows on Flink.

    Without a savepoint the next job begins at the cursor in the database, which loses nothing: what a savepoint keeps
    beside it are ledgers that were read and not committed yet.
    """
    job = _job(rest_url, flink_dir, node)
    if savepoint:
        click.echo(job.stop(savepoint_dir))
        job.wait_ended()
    else:
        job.cancel()
        job.wait_ended()
        click.echo(f"job {job.job_id} of node {job.name.node} has ended", err=True)


def _job(rest_url: str | None, flink_dir: Path | None, node: str | None) -> StreamingJob:
    """The one job that is meant.

    Raises:
        UsageError: there is none, or more than one.
    """
    from aurora_ingest.runners.flink.streaming import jobs_of

    rest = rest_of(rest_url, flink_dir)
    jobs = jobs_of(rest, node)
    if not jobs:
        of_node = "" if node is None else f" for node {node}"
        raise UsageError(f"no job follows{of_node} on Flink at {rest.url}")
    if len(jobs) > 1:
        shown = ", ".join(f"{job.job_id} of node {job.name.node}" for job in jobs)
        raise UsageError(f"{len(jobs)} jobs follow on Flink at {rest.url}: {shown}; say which with --node")
    return jobs[0]
