"""Indexes of a published state: the same as the migration's, made side by side, and only of the rows that need them."""

from __future__ import annotations

import pyarrow as pa
import pytest
import sqlalchemy as sa

from aurora_ingest.db import builds, cursor, indexing, publish, staging
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import PublishError
from db import states

pytestmark = pytest.mark.postgres


def _definitions(postgres: sa.Engine) -> dict[str, str]:
    query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    with postgres.connect() as connection:
        return {row.indexname: row.indexdef for row in connection.exec_driver_sql(query)}


def test_every_table_keeps_its_indexes_word_by_word(postgres: sa.Engine) -> None:
    before = _definitions(postgres)
    plan = states.plan(63, tuple(STATE_TABLES))
    build = builds.open_build(postgres, plan, resume=False)
    publish.prepare_publish(postgres, build)
    publish.publish(postgres, build, 63, cursor.CURRENT_VERSION)
    assert _definitions(postgres) == before
    assert before["accounts_by_home_domain"].endswith("""WHERE ((home_domain)::text <> ''::text)""")
    partial = {name for name, definition in before.items() if "IS NOT NULL" in definition}
    assert {name for name in before if "sponsor" in name} < partial
    assert before["trust_lines_by_liquidity_pool_id"].endswith("""WHERE (liquidity_pool_id <> ''::text)""")
    assert "USING gin (asset_reserves jsonb_path_ops)" in before["liquidity_pools_by_reserves"]


def test_indexes_that_a_former_try_made_are_kept(postgres: sa.Engine) -> None:
    build = builds.open_build(postgres, states.plan(63), resume=False)
    for unit in range(states.UNITS):
        states.write(postgres, build, 63, unit)
    with postgres.begin() as connection:
        key, *others = staging.missing_indexes(connection, build.build_id, "accounts_signers")
        connection.exec_driver_sql(key)
        assert staging.missing_indexes(connection, build.build_id, "accounts_signers") == others
    publish.prepare_publish(postgres, build)
    publish.prepare_publish(postgres, build)
    publish.publish(postgres, build, 63, cursor.CURRENT_VERSION)
    assert states.visible(postgres) == states.whole(63)
    assert not indexing.prepare(postgres, build, build.tables, publish._expected_rows(postgres, build))


def test_two_rows_of_one_key_are_named(postgres: sa.Engine) -> None:
    build = builds.open_build(postgres, states.plan(63, ("ttl",)), resume=False)
    twice = pa.concat_tables([pa.table(states.rows(63, 0)["ttl"])] * 2).combine_chunks().to_batches()[0]
    builds.write_unit(postgres, build, "range", 0, {"rows": {"ttl": 2}}, {"ttl": twice})
    with pytest.raises(
        PublishError, match=r"table ttl: two rows have one key: .*Key \(key_hash\)=\(.*\) is duplicated"
    ):
        publish.prepare_publish(postgres, build)
    assert states.visible(postgres) == (None, set(), 0, 0)


def test_lookups_use_the_partial_indexes(postgres: sa.Engine) -> None:
    def plan_of(query: str) -> str:
        with postgres.connect() as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            return "\n".join(connection.exec_driver_sql(f"EXPLAIN {query}").scalars())

    assert "accounts_by_sponsor" in plan_of("SELECT 1 FROM accounts WHERE sponsor = 'G'")
    assert "accounts_by_home_domain" in plan_of("SELECT 1 FROM accounts WHERE home_domain = 'stellar.org'")
    assert "trust_lines_by_liquidity_pool_id" in plan_of("SELECT 1 FROM trust_lines WHERE liquidity_pool_id = 'ab'")
    holders = "SELECT 1 FROM trust_lines WHERE asset_type = 1 AND asset_code = 'X' AND asset_issuer = 'G'"
    assert "trust_lines_by_asset" in plan_of(holders)
    book = "SELECT 1 FROM offers WHERE selling_asset = 'a' AND buying_asset = 'b' ORDER BY price, offer_id"
    assert "offers_by_price" in plan_of(book)
    assert "Sort" not in plan_of(book)
