"""Migrations, addresses and the cursor."""

from __future__ import annotations

import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from aurora_ingest import _kernel
from aurora_ingest.db import cursor, load, schema, status
from aurora_ingest.db.engine import connect, shown, writing
from aurora_ingest.db.history_tables import HISTORY_TABLES as SQL_HISTORY
from aurora_ingest.db.tables import METADATA, STATE_TABLES
from aurora_ingest.errors import DatabaseError, MigrationError, UsageError
from aurora_ingest.transforms.processors import HISTORY_PROCESSORS, HISTORY_TABLES, PROCESSORS, TABLES
from db import states


def test_the_migrations_make_the_tables_of_the_code(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
    found = schema.status(engine)
    assert found.is_current
    schema.migrate(engine)
    assert schema.status(engine) == found


def test_tables_have_the_columns_and_keys_of_the_processors() -> None:
    specs = {process.spec.name: process.spec for process in (*PROCESSORS, *HISTORY_PROCESSORS)}
    assert set(STATE_TABLES) == set(TABLES)
    assert tuple(SQL_HISTORY) == HISTORY_TABLES
    for name, table in {**STATE_TABLES, **SQL_HISTORY}.items():
        spec = specs[name]
        assert table.columns.keys() == spec.schema.names, name
        assert tuple(column.name for column in table.primary_key) == spec.primary_key, name
        nullable = {column.name: column.nullable for column in table.columns}
        assert nullable == {field.name: field.nullable for field in spec.schema}, name


def test_every_column_can_be_copied_into() -> None:
    tables = {**STATE_TABLES, **SQL_HISTORY}
    for process in (*PROCESSORS, *HISTORY_PROCESSORS):
        if process.spec.name in tables:
            schema_of_rows = process.spec.schema
            types = load.postgres_types(tables[process.spec.name], schema_of_rows.names)
            empty = pa.RecordBatch.from_pylist([], schema_of_rows)
            assert _kernel.copy_rows(empty, types) == b""


def test_horizons_database_is_refused(url: str) -> None:
    engine = connect(url)
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE gorp_migrations (id text)")
    for job in (schema.migrate, schema.status, status.read_status):
        with pytest.raises(MigrationError, match="its schema is Horizon's"):
            job(engine)
    engine.dispose()


def test_a_schema_of_the_future_is_refused(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE aurora_alembic_version SET version_num = '9999'")
    for job in (schema.migrate, schema.require):
        with pytest.raises(MigrationError, match="install a newer aurora-ingest"):
            job(engine)


def test_an_empty_database_is_told_what_to_do(url: str) -> None:
    engine = connect(url)
    assert schema.status(engine).current is None
    with pytest.raises(MigrationError, match="run `aurora-ingest db migrate`"):
        status.read_status(engine)
    engine.dispose()


def test_the_cursor_reads_the_originals_zero_as_none(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        cursor.write(connection, cursor.LAST_LEDGER, "0")
        assert cursor.read_last_ledger(connection) is None
        cursor.write(connection, cursor.LAST_LEDGER, "63")
        assert cursor.read_last_ledger(connection, lock=True) == 63


def test_the_facts_have_the_originals_names(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT key, value FROM key_value_store")).all()
    assert {row.key: row.value for row in rows} == {
        "exp_ingest_last_ledger": "63",
        "exp_ingest_last_ledger_hash": "ab" * 32,
        "exp_ingest_version": str(cursor.CURRENT_VERSION),
        "exp_state_invalid": "false",
        "network_passphrase": states.PASSPHRASE,
    }


def test_a_state_of_a_newer_version_is_kept(engine: sa.Engine) -> None:
    states.build_and_publish(engine, 63)
    with writing(engine) as connection:
        cursor.write(connection, cursor.VERSION, str(cursor.CURRENT_VERSION + 1))
    with pytest.raises(MigrationError, match="install a newer aurora-ingest"):
        states.build_and_publish(engine, 127)


@pytest.mark.parametrize("address", ["nonsense", "mysql://host/x", "postgresql+nodriver://host/x"])
def test_a_strange_address_is_wrong_usage(address: str) -> None:
    with pytest.raises(UsageError, match="database"):
        connect(address)


@pytest.mark.parametrize(
    "address",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///file:x?mode=memory&uri=true"],
)
def test_sqlite_in_memory_is_wrong_usage(address: str) -> None:
    with pytest.raises(UsageError, match="is SQLite in memory: its tables would end with this process"):
        connect(address)


@pytest.mark.parametrize("address", ["postgresql://me:secret@127.0.0.1:1/x", "sqlite:////nowhere/at/all.db"])
def test_a_database_that_does_not_answer_is_named_without_its_password(address: str) -> None:
    with pytest.raises(DatabaseError, match="does not answer") as caught:
        connect(address)
    assert "secret" not in str(caught.value)


def test_the_shown_address_hides_the_password() -> None:
    assert "secret" not in shown(sa.create_engine("postgresql+psycopg://me:secret@host/x"))
