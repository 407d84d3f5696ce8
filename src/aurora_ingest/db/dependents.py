"""What hangs on the visible tables and could not come along when a publish swaps them: refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import DatabaseError

_OURS: Final = (
    "WITH ours AS (SELECT oid, relname, reltype, relowner FROM pg_class "
    "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname = ANY(:tables)) "
)
# Views, materialized views, rules, foreign keys, functions with a parsed body, row policies of other tables, tables
# that inherit, columns of a table's row type: the server would refuse to drop the table, or take them away with it.
_DEPENDENTS: Final = (
    "SELECT DISTINCT CASE WHEN v.oid IS NOT NULL THEN "
    "CASE v.relkind WHEN 'm' THEN 'materialized view ' WHEN 'v' THEN 'view ' ELSE 'rule on ' END || v.relname "
    "ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END AS thing, ours.relname AS base "
    "FROM ours JOIN pg_depend d ON d.deptype = 'n' AND ("
    "d.refclassid = 'pg_class'::regclass AND d.refobjid = ours.oid OR d.refclassid = 'pg_type'::regclass "
    "AND d.refobjid IN (SELECT t.oid FROM pg_type t WHERE ours.reltype IN (t.oid, t.typelem))) "
    "LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid "
    "LEFT JOIN pg_class v ON v.oid = r.ev_class "
    "WHERE v.oid IS DISTINCT FROM ours.oid "
    "AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE d.classid = 'pg_policy'::regclass AND p.oid = d.objid "
    "AND p.polrelid = ours.oid) "
    "AND NOT EXISTS (SELECT 1 FROM pg_trigger g WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid) "
    "AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE d.classid = 'pg_constraint'::regclass AND c.oid = d.objid "
    "AND c.conrelid = ours.oid) "
)
_FIXED: Final = (
    "SELECT 'trigger ' || g.tgname AS thing, ours.relname AS base FROM ours "
    "JOIN pg_trigger g ON g.tgrelid = ours.oid AND NOT g.tgisinternal "
    "UNION SELECT 'rule ' || r.rulename, ours.relname FROM ours JOIN pg_rewrite r ON r.ev_class = ours.oid "
    "UNION SELECT 'constraint ' || c.conname, ours.relname FROM ours "
    "JOIN pg_constraint c ON c.conrelid = ours.oid AND c.contype IN ('c', 'f', 'u', 'x') "
    "UNION SELECT 'publication ' || p.pubname, ours.relname FROM ours "
    "JOIN pg_publication_rel l ON l.prrelid = ours.oid JOIN pg_publication p ON p.oid = l.prpubid "
    "UNION SELECT 'inheritance from ' || h.relname, ours.relname FROM ours "
    "JOIN pg_inherits i ON i.inhrelid = ours.oid JOIN pg_class h ON h.oid = i.inhparent "
    "UNION SELECT 'column ' || a.attname, ours.relname FROM ours "
    "JOIN pg_attribute a ON a.attrelid = ours.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "WHERE ours.relname || '.' || a.attname <> ALL(:columns) "
)
_OF_OTHERS: Final = (
    "SELECT relname, pg_get_userbyid(relowner) AS owner, current_user AS me FROM ours "
    "WHERE NOT pg_has_role(current_user, relowner, 'USAGE') "
    # To become the owner of a table that another role made, a role has to be able to make one itself.
    "OR pg_get_userbyid(relowner) <> current_user AND NOT has_schema_privilege(relowner, current_schema(), 'CREATE') "
    "AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) ORDER BY 1"
)


def check_dependents(connection: sa.Connection, tables: Sequence[str]) -> None:
    """Refuses tables with things on them that a swap would break or lose, and tables of another owner.

    What it does take along is said in `db.carry`.

    Args:
        connection: in a transaction.
        tables: state tables that are going to be swapped.

    Raises:
        DatabaseError: there are such things; all of them are named.
    """
    if not is_postgres(connection):
        return
    columns = [f"{table}.{column}" for table in tables for column in STATE_TABLES[table].columns.keys()]  # noqa: SIM118
    query = sa.text(f"{_OURS}{_DEPENDENTS} UNION {_FIXED} ORDER BY 2, 1")
    found = connection.execute(query, {"tables": list(tables), "columns": columns}).all()
    if found:
        named = ", ".join(f"{row.thing} (on {row.base})" for row in found)
        raise DatabaseError(
            f"on tables that a build replaces hang things that would be lost: {named}; "
            "drop them and create them again after the build"
        )
    foreign = connection.execute(sa.text(f"{_OURS} {_OF_OTHERS}"), {"tables": list(tables)}).all()
    if foreign:
        named = ", ".join(f"{row.relname} (of {row.owner})" for row in foreign)
        raise DatabaseError(
            f"role {foreign[0].me} may not replace tables that are not its own: {named}; "
            "build as their owner, or as a member of that role after it got CREATE on the schema"
        )
