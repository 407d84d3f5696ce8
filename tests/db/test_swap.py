"""What users hang on the visible tables of PostgreSQL: taken along by a publish, or refused by name."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa

from aurora_ingest.db import builds, cursor, publish
from aurora_ingest.db.engine import connect
from aurora_ingest.db.schema import VERSION_TABLE
from aurora_ingest.db.tables import METADATA
from aurora_ingest.errors import DatabaseError, MigrationError, PublishError
from db import states

pytestmark = pytest.mark.postgres

_FACTS = {
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('ttl', 'accounts_signers') ORDER BY 1",
    "table": "SELECT relname, pg_get_userbyid(relowner), reloptions, relrowsecurity, relforcerowsecurity, "
    "(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(relacl, acldefault('r', relowner))) a) "
    "FROM pg_class WHERE relname IN ('ttl', 'accounts_signers') ORDER BY 1",
    "columns": "SELECT attrelid::regclass::text, attname, attacl::text, attstattarget FROM pg_attribute "
    "WHERE attrelid IN ('ttl'::regclass, 'accounts_signers'::regclass) AND attnum > 0 ORDER BY 1, attnum",
    "policies": "SELECT * FROM pg_policies ORDER BY policyname",
    "statistics": "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext",
    "comments": "SELECT objoid::regclass::text, objsubid, description FROM pg_description "
    "WHERE objoid IN ('ttl'::regclass, 'accounts_signers'::regclass) ORDER BY 1, 2",
}


def _facts(engine: sa.Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        return {name: list(connection.execute(sa.text(query))) for name, query in _FACTS.items()}


def _run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


@pytest.fixture
def role(postgres: sa.Engine) -> Any:
    """A role of the server, which outlives databases."""
    name = f"aurora_reader_{postgres.url.database}"
    _run(postgres, f"CREATE ROLE {name}")
    yield name
    _run(postgres, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_what_users_put_on_a_table_comes_along(postgres: sa.Engine, role: str) -> None:
    _run(
        postgres,
        "GRANT SELECT ON ttl TO PUBLIC",
        f"GRANT SELECT (account_id), UPDATE (weight) ON accounts_signers TO {role} WITH GRANT OPTION",
        'CREATE INDEX "Sömé ""Index"" 100%" ON accounts_signers (lower(signer)) WHERE weight > 1',
        "CREATE UNIQUE INDEX ttl_unique ON ttl (key_hash, live_until_ledger DESC) INCLUDE (last_modified_ledger)",
        "CREATE INDEX ttl_brin ON ttl USING brin (live_until_ledger) WITH (pages_per_range = 8)",
        f'CREATE POLICY "few\'s" ON ttl AS RESTRICTIVE FOR SELECT TO {role}, pg_monitor USING (live_until_ledger > 0)',
        "CREATE POLICY own ON ttl FOR UPDATE USING (EXISTS (SELECT 1 FROM ttl t WHERE t.key_hash = ttl.key_hash)) "
        "WITH CHECK (live_until_ledger > 1)",
        "ALTER TABLE ttl ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE ttl FORCE ROW LEVEL SECURITY",
        "CREATE STATISTICS both_keys (ndistinct) ON signer, account_id FROM accounts_signers",
        "ALTER TABLE accounts_signers ALTER COLUMN signer SET STATISTICS 500",
        "ALTER TABLE accounts_signers SET (autovacuum_enabled = false, fillfactor = 90)",
        "ALTER TABLE accounts_signers SET (toast.autovacuum_enabled = off)",
        "COMMENT ON TABLE ttl IS 'it''s 100% :name \\'",
        "COMMENT ON COLUMN ttl.key_hash IS 'a %s hash'",
        f"ALTER TABLE ttl OWNER TO {role}",
        f"GRANT CREATE ON SCHEMA public TO {role}",
        # What new tables get by default is not what the visible ones have.
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pg_monitor",
    )
    before = _facts(postgres)
    assert [len(before[kind]) for kind in ("policies", "statistics", "comments")] == [2, 1, 2]
    for checkpoint in (63, 127):
        states.build_and_publish(postgres, checkpoint)
        assert _facts(postgres) == before
    assert states.visible(postgres) == states.whole(127)


@pytest.mark.parametrize(
    "statements,named",
    [
        (["CREATE VIEW v AS SELECT account_id FROM accounts_signers"], "view v (on accounts_signers)"),
        (["CREATE MATERIALIZED VIEW m AS SELECT * FROM ttl"], "materialized view m (on ttl)"),
        (
            ["CREATE TABLE mine (life bytea REFERENCES ttl (key_hash))"],
            "constraint mine_life_fkey on table mine (on ttl)",
        ),
        (["CREATE TABLE mine (life ttl)"], "column life of table mine (on ttl)"),
        (
            [
                "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
                "CREATE TRIGGER t BEFORE UPDATE ON ttl FOR EACH ROW WHEN (NEW.key_hash IS NULL) EXECUTE FUNCTION f()",
            ],
            "trigger t (on ttl)",
        ),
        (["CREATE RULE r AS ON DELETE TO ttl DO INSTEAD NOTHING"], "rule r (on ttl)"),
        (["ALTER TABLE ttl ADD CONSTRAINT positive CHECK (live_until_ledger > 0)"], "constraint positive (on ttl)"),
        (["ALTER TABLE ttl ADD CONSTRAINT one UNIQUE (live_until_ledger)"], "constraint one (on ttl)"),
        (["ALTER TABLE ttl ADD COLUMN note text"], "column note (on ttl)"),
        (["CREATE PUBLICATION p FOR TABLE ttl"], "publication p (on ttl)"),
        (["CREATE TABLE child () INHERITS (ttl)"], "table child (on ttl)"),
        (
            ["CREATE POLICY p ON accounts_signers USING (EXISTS (SELECT 1 FROM ttl))"],
            "policy p on table accounts_signers (on ttl)",
        ),
        (
            ["CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM ttl; END"],
            "function f() (on ttl)",
        ),
    ],
)
def test_what_would_be_lost_is_refused_by_name(statements: list[str], named: str, postgres: sa.Engine) -> None:
    build = builds.open_build(postgres, states.plan(63), resume=False)
    for unit in range(states.UNITS):
        states.write(postgres, build, 63, unit)
    publish.prepare_publish(postgres, build)
    _run(postgres, *statements)
    for job in (
        lambda: publish.publish(postgres, build, 63, cursor.CURRENT_VERSION),
        lambda: builds.open_build(postgres, states.plan(63), resume=True),
    ):
        with pytest.raises(DatabaseError) as caught:
            job()
        message = str(caught.value)
        assert f"lost: {named}; drop them and create them again after the build" in message
    assert states.visible(postgres) == (None, set(), 0, 0)


def test_an_index_that_a_user_makes_late_comes_along(postgres: sa.Engine) -> None:
    build = builds.open_build(postgres, states.plan(63), resume=False)
    for unit in range(states.UNITS):
        states.write(postgres, build, 63, unit)
    publish.prepare_publish(postgres, build)
    _run(postgres, "CREATE INDEX late ON ttl (last_modified_ledger)")
    publish.publish(postgres, build, 63, cursor.CURRENT_VERSION)
    names = {index["name"] for index in sa.inspect(postgres).get_indexes("ttl")}
    assert names == {"late", "ttl_by_live_until"}
    assert states.visible(postgres) == states.whole(63)


def test_a_unique_index_of_a_user_that_the_rows_break_is_named(postgres: sa.Engine) -> None:
    _run(postgres, "CREATE UNIQUE INDEX once ON ttl (live_until_ledger)")
    with pytest.raises(PublishError, match=r"table ttl: two rows have one key: .* drop a unique index of your own"):
        states.build_and_publish(postgres, 63)


def test_tables_of_another_owner_are_named(postgres: sa.Engine, role: str) -> None:
    _run(
        postgres,
        f"ALTER ROLE {role} LOGIN",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
    )
    theirs = connect(postgres.url.set(username=role).render_as_string(hide_password=False))
    named = r"role \w+ may not replace tables .* own: accounts_signers \(of postgres\), ttl \(of postgres\); build as"
    with pytest.raises(DatabaseError, match=named):
        builds.open_build(theirs, states.plan(63), resume=False)
    theirs.dispose()


def test_a_member_of_the_owner_builds_for_it(postgres: sa.Engine, role: str) -> None:
    member = f"{role}_member"
    tables = ", ".join(METADATA.tables)
    _run(
        postgres,
        f"CREATE ROLE {member} LOGIN IN ROLE {role}",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {member}",
        f"GRANT ALL ON {tables}, {VERSION_TABLE} TO {member}",
        *(f"ALTER TABLE {table} OWNER TO {role}" for table in states.TABLES),
    )
    theirs = connect(postgres.url.set(username=member).render_as_string(hide_password=False))
    try:
        with pytest.raises(DatabaseError, match=rf"ttl \(of {role}\); build as their owner, or .* after it got CREATE"):
            builds.open_build(theirs, states.plan(63), resume=False)
        _run(postgres, f"GRANT CREATE ON SCHEMA public TO {role}")
        before = _facts(postgres)["table"]
        states.build_and_publish(theirs, 63)
        assert _facts(postgres)["table"] == before
        assert states.visible(theirs) == states.whole(63)
    finally:
        theirs.dispose()
        _run(postgres, f"DROP OWNED BY {member}", f"DROP ROLE {member}")


def test_a_state_that_became_newer_meanwhile_is_kept(postgres: sa.Engine) -> None:
    states.build_and_publish(postgres, 63)
    build = builds.open_build(postgres, states.plan(127), resume=False)
    for unit in range(states.UNITS):
        states.write(postgres, build, 127, unit)
    publish.prepare_publish(postgres, build)
    with postgres.begin() as connection:
        cursor.write(connection, cursor.VERSION, str(cursor.CURRENT_VERSION + 1))
    with pytest.raises(MigrationError, match="install a newer aurora-ingest"):
        publish.publish(postgres, build, 127, cursor.CURRENT_VERSION)
    assert states.visible(postgres) == states.whole(63)


def test_all_locks_of_a_swap_together_wait_two_seconds(postgres: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "ATTEMPTS", 1)
    build = builds.open_build(postgres, states.plan(63, ("accounts_signers", "offers", "ttl")), resume=False)
    publish.prepare_publish(postgres, build)

    def hold(table: str, seconds: float) -> threading.Thread:
        def run() -> None:
            with postgres.connect() as connection:
                connection.exec_driver_sql(f"SELECT count(*) FROM {table}")
                held.release()
                time.sleep(seconds)

        held = threading.Semaphore(0)
        thread = threading.Thread(target=run)
        thread.start()
        held.acquire()
        return thread

    threads = [hold("accounts_signers", 1.4), hold("offers", 2.8), hold("ttl", 4.2)]
    start = time.monotonic()
    with pytest.raises(PublishError, match="in use at each of 1 attempts"):
        publish.publish(postgres, build, 63, cursor.CURRENT_VERSION)
    # Besides the wait there is the pause after an attempt, at most 0.15 s.
    assert 1.8 < time.monotonic() - start < 2.7
    for thread in threads:
        thread.join()
    publish.publish(postgres, build, 63, cursor.CURRENT_VERSION)
