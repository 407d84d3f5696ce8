"""Programs in Go that tests run, built once and kept in the user's cache; run this file to build all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"

_SECONDS = 600


class NotBuiltError(Exception):
    """A program is not there and cannot be built; the text says why."""


def built(module: str) -> Path:
    """Returns a program, which is built if it is not there; other processes may be building it too.

    Args:
        module: path of its package with the version.

    Raises:
        NotBuiltError: Go is missing, failed, or took more than ten minutes.
    """
    name, _, version = module.rpartition("/")[2].partition("@v")
    folder = Path.home() / ".cache" / "aurora-ingest" / f"{name}-{version}"
    program = folder / name
    if program.exists():
        return program
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise NotBuiltError(f"Go is missing, which builds {module}")
    environment = {**os.environ, "GOBIN": str(folder)}
    try:
        done = subprocess.run(
            [go, "install", module], env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotBuiltError(f"{module} was not built within {_SECONDS} s") from error
    if done.returncode != 0:
        raise NotBuiltError(f"{module} cannot be built: {done.stderr[-500:]}")
    return program


if __name__ == "__main__":
    try:
        for each in (FAKE_GCS, PRISM):
            print(built(each))  # noqa: T201  # a program's output
    except NotBuiltError as error:
        sys.exit(str(error))
