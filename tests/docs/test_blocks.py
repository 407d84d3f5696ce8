"""Every `console` and `python` block of README and docs runs, and prints what the page says."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aurora_ingest.runners.flink import cluster

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_NDIFF


@dataclass(frozen=True)
class _Step:
    command: list[str]
    shown: str
    said: str


def _steps(page: Path) -> Iterator[_Step]:
    """Yields what a page runs, in order; a `>` line goes on with the command above it."""
    for kind, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            code, _, said = block.partition("# prints:\n")
            yield _Step([sys.executable, "-c", code], code, re.sub(r"^# ?", "", said, flags=re.MULTILINE))
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *output = re.split(r"\n(?!> )", part)
            command = command.replace("\\\n> ", "")
            yield _Step(["bash", "-c", command], command, "\n".join(output))


def _environment(folder: Path) -> dict[str, str]:
    """Returns an environment in which `aurora-ingest` is the one under test and nothing is preset."""
    programs = folder / "bin"
    programs.mkdir()
    script = programs / "aurora-ingest"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aurora_ingest "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AURORA_")}
    return {
        **clean,
        "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(_ROOT / "src"),
        "HOME": str(folder),
        "COLUMNS": "100",
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environment = _environment(tmp_path)
    folder = tmp_path / "aurora-ingest"
    folder.mkdir()
    (folder / "tests").symlink_to(_ROOT / "tests")
    request.addfinalizer(lambda: cluster.down(tmp_path / ".cache" / "aurora-ingest" / "flink"))
    for step in _steps(page):
        if step.shown.startswith("make "):
            make = ["make", "-C", str(_ROOT), "--dry-run", *step.shown.split()[1:]]
            assert subprocess.run(make, check=False, capture_output=True).returncode == 0, (
                f"no such target: {step.shown}"
            )
            continue
        done = subprocess.run(
            step.command,
            check=False,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        checker, example = doctest.OutputChecker(), doctest.Example(step.shown, step.said.replace("…", "..."))
        if not checker.check_output(example.want, done.stdout.replace("…", "..."), _FLAGS):
            pytest.fail(f"{step.shown}\n{checker.output_difference(example, done.stdout, _FLAGS)}", pytrace=False)
