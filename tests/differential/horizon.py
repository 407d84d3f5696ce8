"""Which checkpoints Horizon has read, and which of its tables are compared."""

from __future__ import annotations

from aurora_ingest.transforms.processors import TABLES
from differential.built_state import PUBNET, TESTNET

CASES = {
    "testnet-4095": ("testnet-archive-1-8063.tar", 4095, TESTNET),
    "testnet-8063": ("testnet-archive-1-8063.tar", 8063, TESTNET),
    "pubnet-12001023": ("pubnet-archive-11999936-12001023.tar", 12001023, PUBNET),
}
OURS_ALONE = ("contract_data", "contract_code", "config_settings", "ttl")
OUR_COLUMNS = {
    "accounts": {"home_domain_bytes"},
    "accounts_data": {"name_bytes"},
    "claimable_balances": {"predicates"},
}
HORIZON_TABLES = [table for table in TABLES if table not in OURS_ALONE]
