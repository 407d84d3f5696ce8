"""The rows of every range table worked out entry by entry in plain Python, from the objects of stellar-sdk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from stellar_sdk import xdr

from kernel.sdk_rows import expected_row

Row = dict[str, Any]
JSON_COLUMNS = ("claimants", "predicates", "asset_reserves", "value")


def state_rows(entries: Iterable[xdr.LedgerEntry], passphrase: str, ledger: int) -> dict[str, list[Row]]:
    """Returns the rows of every range table; JSON columns hold parsed values, without ``abs_before`` times."""
    network_id = hashlib.sha256(passphrase.encode()).digest()
    tables: dict[str, list[Row]] = {}
    for entry in entries:
        entry_table, row = expected_row(entry, 0, network_id)
        for table, made in _ROWS[entry_table](row, ledger):
            tables.setdefault(table, []).append(made)
    return tables


def our_rows(table: str, built: pa.Table) -> list[Row]:
    """Returns rows of ours in the same form."""
    columns = {name: built.column(name).to_pylist() for name in built.schema.names}
    for name in JSON_COLUMNS:
        if name in columns and not (table.startswith(("accounts", "contract"))):
            columns[name] = [_without_times(json.loads(text)) for text in columns[name]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _without_times(value: Any) -> Any:
    """Drops the second form of absolute times, which the kernel's own tests check against Horizon's vectors."""
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key != "abs_before"}
    return value


def _same(row: Row, names: str, **changed: Any) -> Row:
    return {name: row[name] for name in names.split()} | changed


def _raw_unless_shown(raw: bytes, shown: str) -> bytes | None:
    return None if shown.encode() == raw else raw


def _account(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    names = (
        "account_id balance buying_liabilities selling_liabilities sequence_number num_subentries flags master_weight "
        "threshold_low threshold_medium threshold_high last_modified_ledger sponsor num_sponsored num_sponsoring "
        "sequence_ledger sequence_time"
    )
    yield (
        "accounts",
        _same(
            row,
            names,
            inflation_destination=row["inflation_destination"] or "",
            home_domain=row["home_domain_text"],
            home_domain_bytes=_raw_unless_shown(row["home_domain"], row["home_domain_text"]),
        ),
    )
    account = row["account_id"]
    if row["master_weight"] > 0:
        master = {"account_id": account, "signer": account, "weight": row["master_weight"], "sponsor": None}
        yield "accounts_signers", master
    for signer in row["signers"]:
        made = {"account_id": account, "signer": signer["key"]} | _same(signer, "weight sponsor")
        yield "accounts_signers", made


def _data(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    yield (
        "accounts_data",
        _same(
            row,
            "account_id last_modified_ledger sponsor",
            ledger_key=row["ledger_key_base64"],
            name=row["name_text"],
            value=row["value_base64"],
            name_bytes=_raw_unless_shown(row["name"], row["name_text"]),
        ),
    )


def _trust_line(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    names = (
        "account_id asset_type balance trust_line_limit buying_liabilities selling_liabilities flags "
        "last_modified_ledger sponsor"
    )
    texts = {name: row[name] or "" for name in ("asset_issuer", "asset_code", "liquidity_pool_id")}
    yield "trust_lines", _same(row, names, ledger_key=row["ledger_key_base64"], **texts)


def _offer(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    yield (
        "offers",
        _same(
            row,
            "seller_id offer_id amount flags last_modified_ledger sponsor",
            selling_asset=row["selling_asset_base64"],
            buying_asset=row["buying_asset_base64"],
            pricen=row["price_n"],
            priced=row["price_d"],
            price=row["price_n"] / row["price_d"],
            deleted=False,
        ),
    )


def _claimable_balance(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    yield (
        "claimable_balances",
        _same(
            row,
            "amount sponsor last_modified_ledger flags",
            id=row["balance_id"],
            claimants=row["claimants_json"],
            asset=row["asset_base64"],
            predicates=[claimant["predicate_json"] for claimant in row["claimants"]],
        ),
    )
    for claimant in row["claimants"]:
        made = {"id": row["balance_id"], "destination": claimant["destination"]}
        yield "claimable_balance_claimants", made | _same(row, "last_modified_ledger")


def _liquidity_pool(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    yield (
        "liquidity_pools",
        _same(
            row,
            "fee trustline_count last_modified_ledger",
            id=row["pool_id"],
            type=row["pool_type"],
            share_count=row["total_shares"],
            asset_reserves=[
                {"asset": row[f"{side}_asset_base64"], "reserve": str(row[f"reserve_{side}"])} for side in "ab"
            ],
            deleted=False,
        ),
    )


def _contract_data(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    names = "key_hash contract contract_id key_type durability value_type last_modified_ledger"
    yield "contract_data", _same(row, names, key=row["key_xdr"], value=row["value_xdr"])


def _contract_code(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    numbers = [name for name in row if name.startswith("n_")]
    assert len(numbers) == 10
    yield (
        "contract_code",
        _same(row, " ".join(["hash key_hash code code_size ext_version last_modified_ledger", *numbers])),
    )


def _config_setting(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    yield (
        "config_settings",
        _same(
            row,
            "name value_xdr last_modified_ledger",
            id=row["config_setting_id"],
            value=row["value_json"],
            as_of_checkpoint=ledger,
        ),
    )


def _ttl(row: Row, ledger: int) -> Iterator[tuple[str, Row]]:
    yield "ttl", _same(row, "key_hash live_until_ledger last_modified_ledger")


_ROWS = {
    "account": _account,
    "trust_line": _trust_line,
    "offer": _offer,
    "data": _data,
    "claimable_balance": _claimable_balance,
    "liquidity_pool": _liquidity_pool,
    "contract_data": _contract_data,
    "contract_code": _contract_code,
    "config_setting": _config_setting,
    "ttl": _ttl,
}
