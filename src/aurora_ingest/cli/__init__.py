"""The command line: one file per command, words to function calls, messages and exit codes."""

from aurora_ingest.cli.command_line import DONE, FAILED, USAGE, cli, main, run

__all__ = ["DONE", "FAILED", "USAGE", "cli", "main", "run"]
