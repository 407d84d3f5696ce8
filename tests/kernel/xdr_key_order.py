"""Core's order of ledger keys, written from its description over stellar-sdk's objects: no bytes, no sort keys."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from stellar_sdk import xdr

KEY_FIELDS = {
    xdr.LedgerEntryType.ACCOUNT: ("account", "account_id"),
    xdr.LedgerEntryType.TRUSTLINE: ("trust_line", "account_id", "asset"),
    xdr.LedgerEntryType.OFFER: ("offer", "seller_id", "offer_id"),
    xdr.LedgerEntryType.DATA: ("data", "account_id", "data_name"),
    xdr.LedgerEntryType.CLAIMABLE_BALANCE: ("claimable_balance", "balance_id"),
    xdr.LedgerEntryType.LIQUIDITY_POOL: ("liquidity_pool", "liquidity_pool_id"),
    xdr.LedgerEntryType.CONTRACT_DATA: ("contract_data", "contract", "key", "durability"),
    xdr.LedgerEntryType.CONTRACT_CODE: ("contract_code", "hash"),
    xdr.LedgerEntryType.CONFIG_SETTING: ("config_setting", "config_setting_id"),
    xdr.LedgerEntryType.TTL: ("ttl", "key_hash"),
}


def compare_keys(left: xdr.LedgerKey, right: xdr.LedgerKey) -> int:
    """Returns -1, 0 or 1: by type, then field by field of the key."""
    if left.type != right.type:
        return -1 if left.type < right.type else 1
    arm, *fields = KEY_FIELDS[left.type]
    for field in fields:
        order = compare(getattr(getattr(left, arm), field), getattr(getattr(right, arm), field))
        if order:
            return order
    return 0


def compare(left: Any, right: Any) -> int:
    """Compares two values of one type.

    Nothing stands before something; numbers are signed; strings, opaques and arrays go by content and then by length;
    structs and unions go by their parts, of which a union's discriminant is the first.
    """
    if left is None or right is None:
        return (left is not None) - (right is not None)
    if isinstance(left, int | bytes):
        return (left > right) - (left < right)
    if isinstance(left, list):
        for one, other in zip(left, right, strict=False):
            if order := compare(one, other):
                return order
        return (len(left) > len(right)) - (len(left) < len(right))
    for part in parts(type(left)):
        if order := compare(getattr(left, part), getattr(right, part)):
            return order
    return 0


@cache
def parts(of: type) -> tuple[str, ...]:
    """Returns the names of a class's parts in XDR order; the SDK's constructors take them so."""
    return tuple(inspect.signature(of).parameters)
