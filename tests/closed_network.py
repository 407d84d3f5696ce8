"""The repository's own small network for tests of following: its states at checkpoints and its prepared ledgers."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from aurora_ingest import _kernel, cli
from aurora_ingest.db.engine import connect
from aurora_ingest.db.history_tables import HISTORY_TABLES as SQL_HISTORY
from aurora_ingest.db.lead import PreparedLedger
from aurora_ingest.db.lead_books import ingest_commits
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.network import STANDALONE
from aurora_ingest.transforms.extract_changes import ledger_units
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit, Receipt
from aurora_ingest.transforms.prepare_ledgers import LedgerRules, prepared_ledger, with_rows
from aurora_ingest.transforms.processors import HISTORY_TABLES, TABLES

DATA = Path(__file__).parent / "data"
ARCHIVE = DATA / "standalone-accel"
STREAM = DATA / "standalone-accel-ledgers.xdr.zst"
NETWORK = STANDALONE.with_checkpoint_frequency(8)
RULES = LedgerRules(NETWORK, TABLES, HISTORY_TABLES)
CHECKPOINT = 63
"""Checkpoint from which tests follow."""


@functools.cache
def ledgers() -> dict[int, bytes]:
    """LedgerCloseMeta of ledgers 2 to 100, by sequence."""
    frames = _kernel.LedgerFrames(framing="framed", compression="zstd")
    return dict([*frames.feed(STREAM.read_bytes()), *frames.finish()])


@functools.cache
def units() -> dict[int, LedgerUnit]:
    """Ledgers 64 to 100 with their rows, as they come out of the chain of processors."""
    decoder = _kernel.LedgerDecoder(network_id=NETWORK.network_id, columns=RULES.columns())
    wanted = [sequence for sequence in ledgers() if sequence > CHECKPOINT]
    for sequence in wanted:
        decoder.push(ledgers()[sequence])
    decoded = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
    receipt = Receipt(CHUNK, 0, last=True)
    unit = LedgerUnit(CHUNK, 0, True, wanted[0], wanted[-1], {}, {}, {}, receipt, decoded=decoded)
    return {each.last_ledger: with_rows(each, RULES) for each in ledger_units(unit)}


@functools.cache
def prepared() -> dict[int, PreparedLedger]:
    """Ledgers 64 to 100 with all that is written of them."""
    return {sequence: prepared_ledger(unit, RULES) for sequence, unit in units().items()}


def state_at(url: str, checkpoint: int = CHECKPOINT) -> sa.Engine:
    """Makes the state of a checkpoint in an empty database: built once for each kind, then copied."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        shutil.copy(_built_file(checkpoint), str(address.database))
        return connect(url)
    server = sa.create_engine(
        address.set(drivername="postgresql+psycopg", database="postgres"), isolation_level="AUTOCOMMIT"
    )
    template = f"state_{checkpoint}"
    with server.connect() as connection:
        known = connection.execute(sa.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": template})
        if known.first() is None:
            connection.exec_driver_sql(f'CREATE DATABASE "{template}_draft"')
            draft = address.set(database=f"{template}_draft").render_as_string(hide_password=False)
            _build(draft, checkpoint)
            connection.exec_driver_sql(f'ALTER DATABASE "{template}_draft" RENAME TO "{template}"')
        connection.exec_driver_sql(f'DROP DATABASE "{address.database}"')
        connection.exec_driver_sql(f'CREATE DATABASE "{address.database}" TEMPLATE "{template}"')
    server.dispose()
    return connect(url)


@functools.cache
def _built_file(checkpoint: int) -> Path:
    path = Path(tempfile.mkdtemp(prefix="aurora-state-")) / "state.db"
    atexit.register(shutil.rmtree, path.parent)
    _build(f"sqlite:///{path}", checkpoint)
    return path


def _build(url: str, checkpoint: int) -> None:
    assert cli.run(["db", "migrate", "--db-url", url]) == 0
    network = ["--network", "standalone", "--checkpoint-frequency", "8", "--history-archive-url", str(ARCHIVE)]
    command = ["build-state", *network, "--checkpoint", str(checkpoint), "--db-url", url, "--log-level", "warning"]
    assert cli.run(command) == 0


def rows(engine: sa.Engine, tables: Sequence[str] = (*TABLES, *HISTORY_TABLES)) -> dict[str, list[tuple[object, ...]]]:
    """All rows of tables in the order of their keys."""
    found = {}
    with engine.connect() as connection:
        for name in tables:
            table = {**STATE_TABLES, **SQL_HISTORY}[name]
            columns = [column for column in table.columns if column.name != "as_of_checkpoint"]
            query = sa.select(*columns).order_by(*table.primary_key.columns)
            found[name] = [tuple(row) for row in connection.execute(query)]
    return found


def commits(engine: sa.Engine) -> list[tuple[int, str]]:
    """Who wrote which ledger, ascending."""
    query = sa.select(ingest_commits.c.ledger, ingest_commits.c.node).order_by(ingest_commits.c.ledger)
    with engine.connect() as connection:
        return [(row.ledger, row.node) for row in connection.execute(query)]
