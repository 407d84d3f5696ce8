"""Archives that tests of this room read or break."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from archive_copies import GOOD


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the small archive, to be broken."""
    return shutil.copytree(GOOD, tmp_path / "archive")


@pytest.fixture(scope="module")
def unpacked(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpacks one of the public archives without its transactions and buckets, once."""
    done: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in done:
            folder = tmp_path_factory.mktemp("public")
            with tarfile.open(shared_data / "public" / "stellar-archivist" / f"{name}.tar") as tar:
                wanted = [member for member in tar if member.name.split("/")[0] in {".well-known", "history", "ledger"}]
                tar.extractall(folder, wanted, filter="data")
            done[name] = folder
        return done[name]

    return unpack
