"""Ledger entries of asset contracts as XDR, and what ledgers do to them, for tests of how state is kept."""

from __future__ import annotations

import hashlib
import struct

from stellar_sdk import Asset, StrKey, scval, xdr

from aurora_ingest import _kernel
from aurora_ingest.ledger.change import CONTRACT_DATA, TTL
from aurora_ingest.network import STANDALONE

ISSUER = StrKey.encode_ed25519_public_key(hashlib.sha256(b"issuer").digest())
USD = Asset("USD", ISSUER)
CONTRACT = _kernel.contract_id_of_asset(STANDALONE.network_id, USD.to_xdr_object().to_xdr_bytes())
_INSTANCE_KEY = struct.pack(">I", 20)


def balance(holder: int, amount: int, ledger: int) -> bytes:
    """Returns what the asset's contract keeps for another contract."""
    address = StrKey.encode_contract(hashlib.sha256(b"holder %d" % holder).digest())
    key = scval.to_vec([scval.to_symbol("Balance"), scval.to_address(address)])
    fields = {"amount": scval.to_int128(amount), "authorized": scval.to_bool(True), "clawback": scval.to_bool(False)}
    value = scval.to_map({scval.to_symbol(name): field for name, field in fields.items()})
    return _data(key.to_xdr_bytes(), value.to_xdr_bytes(), ledger)


def instance(ledger: int) -> bytes:
    """Returns the instance of the asset's contract."""
    info = {"asset_code": scval.to_string("USD"), "issuer": scval.to_bytes(StrKey.decode_ed25519_public_key(ISSUER))}
    named = scval.to_map({scval.to_symbol(name): field for name, field in info.items()})
    storage = xdr.SCMap(
        [
            xdr.SCMapEntry(
                scval.to_vec([scval.to_symbol("AssetInfo")]), scval.to_vec([scval.to_symbol("AlphaNum4"), named])
            )
        ]
    )
    executable = xdr.ContractExecutable(xdr.ContractExecutableType.CONTRACT_EXECUTABLE_STELLAR_ASSET)
    value = xdr.SCVal(
        xdr.SCValType.SCV_CONTRACT_INSTANCE, instance=xdr.SCContractInstance(executable=executable, storage=storage)
    )
    return _data(_INSTANCE_KEY, value.to_xdr_bytes(), ledger)


def ttl(entry: bytes, live_until: int, ledger: int) -> bytes:
    """Returns the TTL entry of a contract data entry."""
    named = hashlib.sha256(_kernel.ledger_key_of(entry)).digest()
    return struct.pack(">II", ledger, TTL) + named + struct.pack(">II", live_until, 0)


def _data(key: bytes, value: bytes, ledger: int) -> bytes:
    head = struct.pack(">IIII", ledger, CONTRACT_DATA, 0, 1)
    return head + CONTRACT + key + struct.pack(">I", 1) + value + bytes(4)
