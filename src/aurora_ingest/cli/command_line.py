"""The command `aurora-ingest`: commands, exit codes and the one message that a failure gives."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

import click

from aurora_ingest import __version__
from aurora_ingest.cli.build_state import build_state_command
from aurora_ingest.cli.flink import flink_group
from aurora_ingest.cli.follow import follow_command
from aurora_ingest.cli.operate import fill_gaps_command, reap_command, trigger_rebuild_command
from aurora_ingest.cli.order_book import find_paths_command, order_book_command
from aurora_ingest.cli.redrive import redrive_command
from aurora_ingest.cli.reingest_range import reingest_range_command
from aurora_ingest.cli.serve import serve_command
from aurora_ingest.cli.status import db_group, status_command
from aurora_ingest.cli.stop import stop_command
from aurora_ingest.cli.verify_range import verify_range_command
from aurora_ingest.cli.verify_state import verify_state_command
from aurora_ingest.cli.write_lake import write_lake_command
from aurora_ingest.cli.write_order_books import write_order_books_command
from aurora_ingest.errors import AuroraError

DONE, FAILED, USAGE = 0, 1, 2


@dataclass
class Session:
    """What outlives the parsing of one command line: whether a failure shows its traceback."""

    debug: bool = False


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="aurora-ingest")
def cli() -> None:
    """Ingest Stellar-family networks into exact SQL tables and Parquet.

    Every flag can be given as an environment variable too. Data goes to standard output, progress and log to standard
    error. Exit codes: 0 done, 1 failed, 2 wrong usage.
    """


cli.add_command(build_state_command)
cli.add_command(fill_gaps_command)
cli.add_command(find_paths_command)
cli.add_command(follow_command)
cli.add_command(order_book_command)
cli.add_command(reingest_range_command)
cli.add_command(redrive_command)
cli.add_command(verify_range_command)
cli.add_command(verify_state_command)
cli.add_command(reap_command)
cli.add_command(serve_command)
cli.add_command(status_command)
cli.add_command(stop_command)
cli.add_command(trigger_rebuild_command)
cli.add_command(write_lake_command)
cli.add_command(write_order_books_command)
cli.add_command(db_group)
cli.add_command(flink_group)


def run(arguments: Sequence[str]) -> int:
    """Carries out one command line.

    Args:
        arguments: what stands after the program's name.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage. A failure has been told on standard error.
    """
    session = Session()
    try:
        return cli.main(list(arguments), prog_name="aurora-ingest", standalone_mode=False, obj=session) or DONE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; what was visible before is still visible, and --resume goes on with an unfinished build")
        return FAILED
    except AuroraError as error:
        return _told(error, str(error), error.exit_code, debug=session.debug)
    except Exception as error:  # noqa: BLE001 - the outermost frame: whatever it is, the user gets one message
        text = f"{type(error).__name__}: {error}; this is not an error that aurora-ingest expects, --debug shows more"
        return _told(error, text, FAILED, debug=session.debug)


def main() -> NoReturn:
    """Entry point of the console script."""
    _start_lightly()
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(sys.argv[1:]))


def _start_lightly() -> None:
    """Saves a quarter of the start: imports make no garbage to look for, and nothing here multiplies matrices."""
    gc.set_threshold(200_000, 50, 50)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _told(error: Exception, text: str, code: int, *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    _say(text)
    return code


def _say(text: str) -> None:
    click.echo(f"aurora-ingest: {text}", err=True)
