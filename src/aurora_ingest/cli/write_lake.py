"""The command `write-lake`: its flags, and what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from aurora_ingest.cli.options import json_option, logging_options, setting
from aurora_ingest.cli.source_options import ledgers_option, network_of, network_options, range_options

if TYPE_CHECKING:
    from aurora_ingest.ledger_backend.lake_layout import LakeLayout
    from aurora_ingest.ledger_backend.lake_writer import LakeProgress

_TELL_EVERY = 256
"""Files between two lines of progress."""


@click.command(
    "write-lake",
    short_help="Fill a data lake (SEP-54) from any other source of ledgers.",
    epilog="\b\nExample:\n  aurora-ingest write-lake --network pubnet --ledgers core-db+sqlite:///core.db --from 2 "
    "--to 63999 --lake gs://bucket/ledgers",
)
@network_options
@ledgers_option
@range_options(least=2)
@setting(
    "--lake",
    "lake_url",
    metavar="URL",
    required=True,
    help="The lake to fill: file://, a path, gs://bucket/prefix or s3://bucket/prefix.",
)
@setting(
    "--ledgers-per-file",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ledgers per file of a new lake, 1 if not given; a lake that is there keeps its own.",
)
@setting(
    "--files-per-partition",
    type=click.IntRange(min=1),
    metavar="N",
    help="Files per partition folder of a new lake, 64000 if not given; 1 makes no folders.",
)
@setting(
    "--workers",
    type=click.IntRange(min=1),
    default=8,
    metavar="N",
    show_default=True,
    help="Files that are written at the same time.",
)
@setting(
    "--dry-run",
    is_flag=True,
    help="Look at source and lake, print what is missing, and write nothing.",
)
@json_option
@logging_options
def write_lake_command(
    *,
    network_name: str | None,
    network_passphrase: str | None,
    ledgers_url: str,
    first: int,
    last: int,
    lake_url: str,
    ledgers_per_file: int | None,
    files_per_partition: int | None,
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fill a data lake (SEP-54, as Galexie writes it) from any other source of ledgers.

    Only files that are not there are read and written, so running it again goes on where it stopped, and several of
    them may work on one lake at once: none overwrites another's file. A lake of another network or layout is refused.
    """
    from aurora_ingest.ledger.ledger_range import LedgerRange
    from aurora_ingest.ledger_backend.backend import BackendOptions
    from aurora_ingest.ledger_backend.detect import open_backend
    from aurora_ingest.ledger_backend.lake_writer import LakeWriter

    network = network_of(network_name, network_passphrase)
    options = BackendOptions(workers=workers)
    backend = open_backend(ledgers_url, network, options=options)
    writer = LakeWriter(lake_url, network, _layout(ledgers_per_file, files_per_partition), options)
    plan = writer.plan(backend, LedgerRange(first, last))
    missing = sum(len(part) for part in plan.missing)
    if dry_run:
        facts: dict[str, object] = {
            "network": network.passphrase,
            "from": backend.describe(),
            "lake": writer.url,
            "layout": str(plan.layout),
            "ledgers": str(plan.ledgers),
            "files": plan.files,
            "missing_ledgers": missing,
            "missing": [str(part) for part in plan.missing],
        }
        _print(facts, as_json=as_json)
        return
    progress = writer.write(backend, plan, _tell)
    _print(
        {
            "lake": writer.url,
            "ledgers": str(plan.ledgers),
            "files_written": progress.written,
            "files_there_before": plan.files - progress.written - progress.found,
            "files_of_other_writers": progress.found,
            "ledgers_written": progress.ledgers,
            "bytes_written": progress.bytes,
        },
        as_json=as_json,
    )


def _layout(per_file: int | None, per_partition: int | None) -> LakeLayout | None:
    from aurora_ingest.ledger_backend.lake_layout import LakeLayout

    if per_file is None and per_partition is None:
        return None
    usual = LakeLayout()
    return LakeLayout(per_file or usual.ledgers_per_file, per_partition or usual.files_per_partition)


def _tell(progress: LakeProgress) -> None:
    files = progress.written + progress.found
    if files % _TELL_EVERY == 0:
        click.echo(f"{files} files, {progress.ledgers} ledgers, {progress.bytes / 1e6:.1f} MB", err=True)


def _print(facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = ", ".join(value) or "none" if isinstance(value, list) else value
        click.echo(f"{name + ':':<24}{shown}")
