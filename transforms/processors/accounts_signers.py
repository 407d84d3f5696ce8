"""Table ``accounts_signers``: who may sign for which account, the master key among them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import selected
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("signer", pa.string(), nullable=False),
        pa.field("weight", pa.int64(), nullable=False),
        pa.field("sponsor", pa.string()),
    ]
)


def account_signer_rows(accounts: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per key that may sign for an account.

    Rows of an account stand together in the order of the accounts: first the master key, if its weight is above 0
    (a master key has no sponsor), then the signers as the ledger entry lists them.

    Args:
        accounts: entry table ``account`` with account_id, master_weight and signers, n rows.

    Returns:
        One row per signer and living master key.
    """
    ids = accounts.column("account_id")
    weights = accounts.column("master_weight").cast(pa.int64())
    living = pc.greater(weights, 0)
    signers = accounts.column("signers").flatten()
    if len(signers) == 0:
        masters = selected(accounts, SCHEMA, signer=ids, weight=weights, sponsor=pa.nulls(len(ids), pa.string()))
        return masters if pc.all(living).as_py() else masters.filter(living)

    has_master = living.to_numpy(zero_copy_only=False)
    owner, source = _interleaving(has_master, pc.list_value_length(accounts.column("signers")).to_numpy())
    order = pa.array(source)
    columns = [
        ids.take(pa.array(owner)),
        pa.concat_arrays([ids, signers.field("key")]).take(order),
        pa.concat_arrays([weights, signers.field("weight")]).take(order),
        pa.concat_arrays([pa.nulls(len(ids), pa.string()), signers.field("sponsor")]).take(order),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _interleaving(has_master: np.ndarray, signers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place every account's master key before its signers.

    Args:
        has_master: bool, length n.
        signers: number of signers by account, length n, sum s.

    Returns:
        Two int64 arrays with an item per row: the account it belongs to, and where its values stand in n master
        keys followed by s signers.
    """
    accounts = len(has_master)
    rows = has_master + signers
    owner = np.repeat(np.arange(accounts), rows)
    starts = np.cumsum(rows) - rows
    source = np.empty(len(owner), dtype=np.int64)
    is_master = np.zeros(len(owner), dtype=bool)
    is_master[starts[has_master]] = True
    source[is_master] = np.flatnonzero(has_master)
    source[~is_master] = accounts + np.arange(len(owner) - np.count_nonzero(has_master))
    return owner, source


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return account_signer_rows(unit.post["account"])


TABLE = TableSpec(
    name="accounts_signers",
    schema=SCHEMA,
    primary_key=("signer", "account_id"),
    stage=RANGE,
    columns={"account": ("account_id", "master_weight", "signers")},
    rows=_rows,
)


class ProcessAccountsSigners(ProcessTable):
    """Adds ``accounts_signers``."""

    spec = TABLE
