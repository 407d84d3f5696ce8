"""A state at genesis: empty tables get the root account of ledger 1, from which every later ledger can be applied."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aurora_ingest.db import cursor
from aurora_ingest.db.apply_state import apply_state, stage_states
from aurora_ingest.db.engine import writing
from aurora_ingest.errors import DatabaseError
from aurora_ingest.ledger.genesis import GENESIS_LEDGER, genesis_hash
from aurora_ingest.network import Network
from aurora_ingest.transforms.extract_changes import compacted, genesis_unit
from aurora_ingest.transforms.processors import TABLES, entry_columns
from aurora_ingest.transforms.state_changes import state_change, with_tables


def begin_at_genesis(engine: sa.Engine, network: Network, tables: Sequence[str] = TABLES) -> None:
    """Make the state of ledger 1 and set the cursor to it, in one transaction.

    For networks without a checkpoint yet, and for replays; no archive is needed.

    Args:
        engine: a migrated database without a state.
        network: the network; its passphrase gives the root account.
        tables: the state tables that are kept.

    Raises:
        DatabaseError: there is a state already.
    """
    unit = compacted(genesis_unit(network), entry_columns(tables), network.network_id)
    change = state_change(with_tables(unit, tables), tables, network)
    there = "the database has a state already, at ledger {}; a state at genesis needs an empty one"
    try:
        with writing(engine) as connection:
            last = cursor.read_last_ledger(connection)
            if last is not None:
                raise DatabaseError(there.format(last))
            for key, value in (
                (cursor.NETWORK, network.passphrase),
                (cursor.LAST_LEDGER, str(GENESIS_LEDGER)),
                (cursor.LAST_HASH, genesis_hash(network)),
                (cursor.VERSION, str(cursor.CURRENT_VERSION)),
                (cursor.STATE_INVALID, "false"),
            ):
                cursor.write(connection, key, value)
            apply_state(connection, *stage_states(connection, [change]))
    except IntegrityError as error:  # another node was faster
        raise DatabaseError(there.format("that another node has just made")) from error
