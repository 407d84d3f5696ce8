"""Flags that say where a Flink cluster is, for the commands that ask it about its jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aurora_ingest.cli.options import setting

if TYPE_CHECKING:
    from aurora_ingest.runners.flink.rest import FlinkRest

_Function = TypeVar("_Function", bound=Callable[..., Any])


def flink_dir_option(function: _Function) -> _Function:
    """Adds ``--flink-dir``."""
    return setting(
        "--flink-dir",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the local Flink cluster; ~/.cache/aurora-ingest/flink if not given.",
    )(function)


def flink_rest_option(function: _Function) -> _Function:
    """Adds ``--flink-rest``; its value is ``rest_url``."""
    return setting(
        "--flink-rest",
        "rest_url",
        metavar="URL",
        help="REST address of a Flink cluster of your own, such as http://jobmanager:8081; without it the local one.",
    )(function)


def rest_of(rest_url: str | None, flink_dir: Path | None) -> FlinkRest:
    """Returns the cluster that the flags name.

    Raises:
        ClusterError: no address is given and there is no local cluster.
    """
    from aurora_ingest.runners.flink import cluster
    from aurora_ingest.runners.flink.rest import FlinkRest
    from aurora_ingest.runners.flink.settings import default_flink_dir

    if rest_url is not None:
        return FlinkRest(rest_url.rstrip("/"))
    return cluster.running(flink_dir or default_flink_dir()).rest
