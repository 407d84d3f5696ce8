"""Archives and peers' programs that the benchmarks need, made once and kept in a scratch folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from archive_writer import WrittenArchive
from make_archive import NETWORK, write_synthetic_archive
from pubnet_copies import write_pubnet_copies

HERE = Path(__file__).resolve().parent
SCRATCH = Path(os.environ.get("AURORA_BENCH_DIR", "/tmp/aurora-bench"))  # noqa: S108  # large files, not in the tree
SHARED_DATA = Path(os.environ.get("AURORA_SHARED_DATA", HERE.parent.parent / "shared" / "data"))
PYTHON_PATH = {"PYTHONPATH": f"{HERE.parent / 'src'}"}
"""Environment of a child that imports the package from the tree."""
PUBNET_TAR = SHARED_DATA / "public" / "stellar-archivist" / "pubnet-archive-11999936-12001023.tar"


def synthetic(entries: int) -> WrittenArchive:
    """Return the synthetic archive of that size, seed 1."""
    return _kept(SCRATCH / f"synthetic-{entries}", lambda folder: write_synthetic_archive(folder, entries))


def pubnet_x10() -> WrittenArchive:
    """Return ten copies of pubnet's state of 2017.

    Raises:
        FileNotFoundError: the pubnet archive is not in the shared data.
    """
    if not PUBNET_TAR.exists():
        raise FileNotFoundError(f"{PUBNET_TAR} is not there: set AURORA_SHARED_DATA to the folder of the peers' data")
    return _kept(SCRATCH / "pubnet-x10", lambda folder: write_pubnet_copies(folder, PUBNET_TAR, 10, passphrase=NETWORK))


def _kept(folder: Path, make: Callable[[Path], WrittenArchive]) -> WrittenArchive:
    """Return what an earlier call finished in a folder, made by the same generator; else make it anew."""
    stamp = folder / "generator"
    current = _generator_hash()
    if not stamp.exists() or stamp.read_text() != current:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"making {folder}", file=sys.stderr)
        make(folder)
        stamp.write_text(current)
    return WrittenArchive.load(folder)


def _generator_hash() -> str:
    names = ("archive_writer", "entry_shapes", "classic_entries", "contract_entries", "make_archive", "pubnet_copies")
    return hashlib.sha256(b"".join((HERE / f"{name}.py").read_bytes() for name in names)).hexdigest()


def go_program(name: str) -> Path:
    """Build one of the Go readers and return its path."""
    program = SCRATCH / "go" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-o", str(program), f"./{name}"], cwd=HERE / "go_reader", check=True)
    return program


def migrate(db_url: str) -> None:
    """Make our tables in an empty database."""
    from aurora_ingest.db.engine import connect
    from aurora_ingest.db.schema import migrate as migrate_engine

    engine = connect(db_url)
    try:
        migrate_engine(engine)
    finally:
        engine.dispose()
