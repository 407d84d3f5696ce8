"""What users put on the visible tables of PostgreSQL and a publish takes along to the tables it swaps in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from aurora_ingest.db.tables import STATE_TABLES

# Each query gives statements on the table's own name; they run after the new table has got that name.
_OWNER: Final = (
    "SELECT format('ALTER TABLE %I OWNER TO %I', relname, pg_get_userbyid(relowner)) FROM pg_class "
    "WHERE oid = CAST(:table AS regclass) AND pg_get_userbyid(relowner) <> current_user"
)
_TABLE_GRANTS: Final = (
    "SELECT format('GRANT %s ON %I TO %s%s', a.privilege_type, c.relname, "
    "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, "
    "CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) "
    "FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = CAST(:table AS regclass) AND a.grantee <> c.relowner"
)
_COLUMN_GRANTS: Final = (
    "SELECT format('GRANT %s (%I) ON %I TO %s%s', a.privilege_type, t.attname, c.relname, "
    "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, "
    "CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) "
    "FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid AND NOT t.attisdropped, aclexplode(t.attacl) a "
    "WHERE c.oid = CAST(:table AS regclass) AND a.grantee <> c.relowner"
)
_POLICIES: Final = (
    "SELECT format('CREATE POLICY %I ON %I AS %s FOR %s TO %s', p.polname, c.relname, "
    "CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, "
    "CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' "
    "ELSE 'ALL' END, "
    "(SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ') "
    "FROM unnest(p.polroles) r)) "
    "|| coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '') "
    "|| coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') "
    "FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.oid = CAST(:table AS regclass)"
)
_ROW_SECURITY: Final = (
    "SELECT format('ALTER TABLE %I %s ROW LEVEL SECURITY', relname, word) FROM pg_class, "
    "(VALUES ('ENABLE', 1), ('FORCE', 2)) AS words (word, number) "
    "WHERE oid = CAST(:table AS regclass) AND (number = 1 AND relrowsecurity OR number = 2 AND relforcerowsecurity)"
)
_STATISTICS: Final = (
    "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext WHERE stxrelid = CAST(:table AS regclass)"
)
_TARGETS: Final = (
    "SELECT format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS %s', c.relname, t.attname, t.attstattarget) "
    "FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid "
    "WHERE c.oid = CAST(:table AS regclass) AND t.attnum > 0 AND NOT t.attisdropped AND t.attstattarget >= 0"
)
_PARAMETERS: Final = (
    "SELECT format('ALTER TABLE %I SET (%s)', c.relname, array_to_string(c.reloptions, ', ')) "
    "FROM pg_class c WHERE c.oid = CAST(:table AS regclass) AND c.reloptions IS NOT NULL "
    "UNION ALL SELECT format('ALTER TABLE %I SET (%s)', c.relname, "
    "(SELECT string_agg('toast.' || each, ', ') FROM unnest(t.reloptions) each)) "
    "FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid "
    "WHERE c.oid = CAST(:table AS regclass) AND t.reloptions IS NOT NULL"
)
_COMMENTS: Final = (
    "SELECT CASE WHEN d.objsubid = 0 THEN format('COMMENT ON TABLE %I IS %L', c.relname, d.description) "
    "ELSE format('COMMENT ON COLUMN %I.%I IS %L', c.relname, t.attname, d.description) END "
    "FROM pg_class c JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass "
    "LEFT JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum = d.objsubid AND d.objsubid > 0 "
    "WHERE c.oid = CAST(:table AS regclass)"
)
_ALL: Final = (
    _TABLE_GRANTS,
    _COLUMN_GRANTS,
    _POLICIES,
    _ROW_SECURITY,
    _STATISTICS,
    _TARGETS,
    _PARAMETERS,
    _COMMENTS,
)
_STRANGE_GRANTS: Final = (
    "SELECT DISTINCT format('REVOKE ALL ON %I FROM %s', c.relname, "
    "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END) "
    "FROM pg_class c, aclexplode(c.relacl) a "
    "WHERE c.oid = CAST(:table AS regclass) AND a.grantee <> c.relowner"
)


@dataclass(frozen=True)
class UserIndex:
    """An index that is not ours.

    Attributes:
        name: its name.
        staged_name: the name of its copy until the swap; tells the definition too.
        statement: makes the copy on a staging table.
    """

    name: str
    staged_name: str
    statement: str


def user_indexes(connection: sa.Connection, build_id: str, table: str, staged: str) -> list[UserIndex]:
    """Returns the indexes that users made on a visible table.

    Args:
        connection: in a transaction, on PostgreSQL.
        build_id: the build that makes the copies.
        table: a state table.
        staged: its staging table.
    """
    query = sa.text(
        "SELECT i.relname AS name, pg_get_indexdef(x.indexrelid) AS definition, quote_ident(i.relname) AS quoted, "
        "quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS place "
        "FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE x.indrelid = CAST(:table AS regclass) AND x.indisvalid "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid) "
        "AND i.relname <> ALL(:ours) ORDER BY 1"
    )
    ours = [str(index.name) for index in STATE_TABLES[table].indexes]
    found = []
    for row in connection.execute(query, {"table": f'"{table}"', "ours": ours}):
        digest = hashlib.sha256(row.definition.encode()).hexdigest()[:12]
        staged_name = f"build_{build_id[:8]}_user_{digest}"
        head, _, rest = row.definition.partition(f" {row.quoted} ON {row.place} ")
        found.append(UserIndex(row.name, staged_name, f'{head} "{staged_name}" ON "{staged}" {rest}'))
    return found


def owner(connection: sa.Connection, table: str) -> list[str]:
    """Returns what gives a table of the same name the owner of this one; before all else, for it changes rights."""
    return list(connection.execute(sa.text(_OWNER), {"table": f'"{table}"'}).scalars())


def statements(connection: sa.Connection, table: str) -> list[str]:
    """Returns what gives a table of the same name the rights, row policies, … of this one.

    Args:
        connection: in a transaction, on PostgreSQL; the caller holds the table until it is dropped.
        table: a state table.
    """
    found: list[str] = []
    for query in _ALL:
        found += connection.execute(sa.text(query), {"table": f'"{table}"'}).scalars()
    return found


def strange_grants(connection: sa.Connection, table: str) -> list[str]:
    """Returns what takes away rights that a new table has by default privileges, which the old one may not have had."""
    return list(connection.execute(sa.text(_STRANGE_GRANTS), {"table": f'"{table}"'}).scalars())
