"""Staging tables: the rows of a build beside the visible tables, and what turns the ones into the others."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from aurora_ingest.db import carry
from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import PublishError


class LateIndexError(PublishError):
    """A user made an index on a visible table after the staging table got its indexes; making them again helps."""


def name(build_id: str, table: str) -> str:
    """Returns the staging table of one table of one build."""
    return f"build_{build_id[:12]}_{table}"


def create(connection: sa.Connection, build_id: str, tables: Iterable[str]) -> None:
    """Makes empty staging tables, logged like any table, without indexes in PostgreSQL."""
    for table in tables:
        staged = name(build_id, table)
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{staged}"')
        if is_postgres(connection):
            connection.exec_driver_sql(
                f'CREATE TABLE "{staged}" (LIKE "{table}" INCLUDING DEFAULTS INCLUDING STORAGE)'
                f"{_tablespace(connection, table)}"
            )
        else:
            _copy_of(table, staged).create(connection)


def drop(connection: sa.Connection, build_id: str, tables: Iterable[str]) -> None:
    """Drops the staging tables of a build."""
    for table in tables:
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name(build_id, table)}"')


def count(connection: sa.Connection, build_id: str, table: str) -> int:
    """Returns the rows of a staging table."""
    query = sa.select(sa.func.count()).select_from(sa.table(name(build_id, table)))
    return int(connection.execute(query).scalar_one())


def size(connection: sa.Connection, build_id: str, table: str) -> int:
    """Returns the bytes of a staging table's rows in PostgreSQL."""
    query = sa.text("SELECT pg_relation_size(CAST(:staged AS regclass))")
    return int(connection.execute(query, {"staged": f'"{name(build_id, table)}"'}).scalar_one())


def missing_indexes(connection: sa.Connection, build_id: str, table: str) -> list[str]:
    """Returns the statements that make what a staging table lacks of its key and indexes, the key's first.

    SQLite's have their key from the start, and cannot rename an index: they get theirs when they are swapped in.
    """
    if not is_postgres(connection):
        return []
    staged = name(build_id, table)
    source = STATE_TABLES[table]
    there = _index_names(connection, staged)
    statements = []
    if f"{staged}_pkey" not in there:
        columns = _columns(source.primary_key)
        statements.append(f'CREATE UNIQUE INDEX "{staged}_pkey" ON "{staged}" ({columns})')
    for each in sorted(source.indexes, key=lambda each: str(each.name)):
        staged_name = _index_name(build_id, str(each.name))
        if staged_name not in there:
            statements.append(_index_statement(each, staged, staged_name))
    user_made = carry.user_indexes(connection, build_id, table, staged)
    return statements + [each.statement for each in user_made if each.staged_name not in there]


def complete(connection: sa.Connection, build_id: str, table: str) -> None:
    """Makes the key's index a primary key, and gathers statistics."""
    staged = name(build_id, table)
    if is_postgres(connection):
        exists = sa.text("SELECT 1 FROM pg_constraint WHERE conrelid = CAST(:staged AS regclass) AND contype = 'p'")
        if connection.execute(exists, {"staged": f'"{staged}"'}).first() is None:
            connection.exec_driver_sql(
                f'ALTER TABLE "{staged}" ADD CONSTRAINT "{staged}_pkey" PRIMARY KEY USING INDEX "{staged}_pkey"'
            )
    connection.exec_driver_sql(f'ANALYZE "{staged}"')


def swap(connection: sa.Connection, build_id: str, table: str) -> None:
    """Puts a staging table in the place of the visible one, with its name and what users put on it.

    Raises:
        LateIndexError: the visible table has an index that the staging table has not.
    """
    staged = name(build_id, table)
    if not is_postgres(connection):
        connection.exec_driver_sql(f'DROP TABLE "{table}"')
        connection.exec_driver_sql(f'ALTER TABLE "{staged}" RENAME TO "{table}"')
        for each in sorted(STATE_TABLES[table].indexes, key=lambda each: str(each.name)):
            each.create(connection)
        return
    there = _index_names(connection, staged)
    user_made = carry.user_indexes(connection, build_id, table, staged)
    late = [each.name for each in user_made if each.staged_name not in there]
    if late:
        raise LateIndexError(f"table {table}: indexes {', '.join(late)} were made after the staging table's")
    owner, others = carry.owner(connection, table), carry.statements(connection, table)
    connection.exec_driver_sql(f'DROP TABLE "{table}"')
    connection.exec_driver_sql(f'ALTER TABLE "{staged}" RENAME TO "{table}"')
    connection.exec_driver_sql(f'ALTER TABLE "{table}" RENAME CONSTRAINT "{staged}_pkey" TO "{table}_pkey"')
    for each in STATE_TABLES[table].indexes:
        connection.exec_driver_sql(f'ALTER INDEX "{_index_name(build_id, str(each.name))}" RENAME TO "{each.name}"')
    for index in user_made:
        quoted = index.name.replace('"', '""')
        _run(connection, f'ALTER INDEX "{index.staged_name}" RENAME TO "{quoted}"')
    for statement in owner:
        _run(connection, statement)
    for statement in (*carry.strange_grants(connection, table), *others):
        _run(connection, statement)


def _run(connection: sa.Connection, statement: str) -> None:
    """Runs a statement in which nothing must be taken for a parameter: names and comments may hold anything."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _index_name(build_id: str, index_name: str) -> str:
    return f"build_{build_id[:8]}_{index_name}"


def _index_statement(index: sa.Index, staged: str, staged_name: str) -> str:
    """Returns the statement that makes an index like one of a visible table on its staging table."""
    options = index.dialect_options["postgresql"]
    using = f" USING {options['using']}" if options["using"] else ""
    columns = ", ".join(f'"{each.key}" {options["ops"].get(each.key, "")}'.rstrip() for each in index.columns)
    where = "" if options["where"] is None else f" WHERE {options['where']}"
    return f'CREATE INDEX "{staged_name}" ON "{staged}"{using} ({columns}){where}'


def _columns(columns: Iterable[sa.ColumnElement[object]]) -> str:
    return ", ".join(f'"{column.key}"' for column in columns)


def _index_names(connection: sa.Connection, table: str) -> set[str]:
    query = sa.text(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = CAST(:table AS regclass)"
    )
    return set(connection.execute(query, {"table": f'"{table}"'}).scalars())


def _tablespace(connection: sa.Connection, table: str) -> str:
    query = sa.text(
        "SELECT format(' TABLESPACE %I', t.spcname) FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace "
        "WHERE c.oid = CAST(:table AS regclass)"
    )
    return connection.execute(query, {"table": f'"{table}"'}).scalar_one_or_none() or ""


def _copy_of(table: str, staged: str) -> sa.Table:
    """Returns a table of the same columns and primary key without indexes; SQLite cannot add the key later."""
    source = STATE_TABLES[table]
    columns = [
        sa.Column(column.name, column.type, nullable=column.nullable, autoincrement=False) for column in source.columns
    ]
    return sa.Table(staged, sa.MetaData(), *columns, sa.PrimaryKeyConstraint(*source.primary_key.columns.keys()))
