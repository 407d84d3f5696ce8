"""What a row of every entry table must hold, worked out from the objects of stellar-sdk."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from stellar_sdk import Address, StrKey, xdr

TABLES = (
    "account",
    "trust_line",
    "offer",
    "data",
    "claimable_balance",
    "liquidity_pool",
    "contract_data",
    "contract_code",
    "config_setting",
    "ttl",
)
JSON_COLUMNS = frozenset({"value_json", "claimants_json"})
_ESCAPES = {0: "\\0", 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\"}
_SYMBOL = xdr.SCValType.SCV_SYMBOL

Row = dict[str, Any]


def expected_row(entry: xdr.LedgerEntry, bucket_entry_type: int, network_id: bytes) -> tuple[str, Row]:
    """Returns the table and the row of an entry; JSON columns hold parsed values."""
    kind = entry.data.type.value
    key = ledger_key(entry).to_xdr_bytes()
    sponsor = entry.ext.v1.sponsoring_id.sponsorship_descriptor if entry.ext.v1 else None
    row = {
        "ledger_key": key,
        "ledger_key_base64": _base64(key),
        "key_hash": hashlib.sha256(key).digest(),
        "last_modified_ledger": entry.last_modified_ledger_seq.uint32,
        "sponsor": _account(sponsor) if sponsor else None,
        "ledger_ext_version": entry.ext.v,
        "bucket_entry_type": bucket_entry_type,
        "entry_xdr": entry.to_xdr_bytes(),
    }
    return TABLES[kind], row | _ROWS[kind](entry.data, network_id)


def ledger_key(entry: xdr.LedgerEntry) -> xdr.LedgerKey:
    """Returns the key of an entry."""
    data = entry.data
    key = xdr.LedgerKey(data.type)
    match data.type.value:
        case 0:
            key.account = xdr.LedgerKeyAccount(data.account.account_id)
        case 1:
            key.trust_line = xdr.LedgerKeyTrustLine(data.trust_line.account_id, data.trust_line.asset)
        case 2:
            key.offer = xdr.LedgerKeyOffer(data.offer.seller_id, data.offer.offer_id)
        case 3:
            key.data = xdr.LedgerKeyData(data.data.account_id, data.data.data_name)
        case 4:
            key.claimable_balance = xdr.LedgerKeyClaimableBalance(data.claimable_balance.balance_id)
        case 5:
            key.liquidity_pool = xdr.LedgerKeyLiquidityPool(data.liquidity_pool.liquidity_pool_id)
        case 6:
            found = data.contract_data
            key.contract_data = xdr.LedgerKeyContractData(found.contract, found.key, found.durability)
        case 7:
            key.contract_code = xdr.LedgerKeyContractCode(data.contract_code.hash)
        case 8:
            key.config_setting = xdr.LedgerKeyConfigSetting(data.config_setting.config_setting_id)
        case _:
            key.ttl = xdr.LedgerKeyTtl(data.ttl.key_hash)
    return key


def display(value: bytes) -> str:
    """Returns the display text of bytes by the rule of the contract."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" not in text:
        return text
    return "".join(_ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte <= 0x7E else f"\\x{byte:02x}") for byte in value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _account(account: xdr.AccountID) -> str:
    return StrKey.encode_ed25519_public_key(account.account_id.ed25519.uint256)


def _optional_account(account: xdr.AccountID | None) -> str | None:
    return _account(account) if account else None


def _asset(asset: xdr.Asset | xdr.TrustLineAsset, prefix: str) -> Row:
    credit = asset.alpha_num4 or asset.alpha_num12
    code = None
    if credit:
        code = credit.asset_code.asset_code4 if asset.alpha_num4 else credit.asset_code.asset_code12
    is_pool = getattr(asset, "liquidity_pool_id", None) is not None
    return {
        f"{prefix}asset_type": asset.type.value,
        f"{prefix}asset_code": display(code.rstrip(b"\0")) if code is not None else None,
        f"{prefix}asset_code_bytes": code,
        f"{prefix}asset_issuer": _account(credit.issuer) if credit else None,
        f"{prefix}asset_base64": None if is_pool else _base64(asset.to_xdr_bytes()),
    }


def _signer_key(key: xdr.SignerKey) -> str:
    match key.type:
        case xdr.SignerKeyType.SIGNER_KEY_TYPE_ED25519:
            return StrKey.encode_ed25519_public_key(key.ed25519.uint256)
        case xdr.SignerKeyType.SIGNER_KEY_TYPE_PRE_AUTH_TX:
            return StrKey.encode_pre_auth_tx(key.pre_auth_tx.uint256)
        case xdr.SignerKeyType.SIGNER_KEY_TYPE_HASH_X:
            return StrKey.encode_sha256_hash(key.hash_x.uint256)
    return StrKey.encode_ed25519_signed_payload(key.ed25519_signed_payload.to_xdr_bytes())


def _account_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    account = data.account
    v1 = account.ext.v1
    v2 = v1.ext.v2 if v1 else None
    v3 = v2.ext.v3 if v2 else None
    sponsors = [given.sponsorship_descriptor for given in v2.signer_sponsoring_i_ds] if v2 else []
    sponsors += [None] * (len(account.signers) - len(sponsors))
    domain = account.home_domain.string32
    master, low, medium, high = account.thresholds.thresholds
    return {
        "account_id": _account(account.account_id),
        "balance": account.balance.int64,
        "sequence_number": account.seq_num.sequence_number.int64,
        "num_subentries": account.num_sub_entries.uint32,
        "inflation_destination": _optional_account(account.inflation_dest),
        "flags": account.flags.uint32,
        "home_domain": domain,
        "home_domain_text": display(domain),
        "master_weight": master,
        "threshold_low": low,
        "threshold_medium": medium,
        "threshold_high": high,
        "signers": [
            {"key": _signer_key(signer.key), "weight": signer.weight.uint32, "sponsor": _optional_account(sponsor)}
            for signer, sponsor in zip(account.signers, sponsors, strict=True)
        ],
        "ext_version": 3 if v3 else 2 if v2 else 1 if v1 else 0,
        "buying_liabilities": v1.liabilities.buying.int64 if v1 else 0,
        "selling_liabilities": v1.liabilities.selling.int64 if v1 else 0,
        "num_sponsored": v2.num_sponsored.uint32 if v2 else 0,
        "num_sponsoring": v2.num_sponsoring.uint32 if v2 else 0,
        "sequence_ledger": v3.seq_ledger.uint32 if v3 else None,
        "sequence_time": v3.seq_time.time_point.uint64 if v3 else None,
    }


def _trust_line_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    line = data.trust_line
    v1 = line.ext.v1
    v2 = v1.ext.v2 if v1 else None
    pool = line.asset.liquidity_pool_id
    return {
        "account_id": _account(line.account_id),
        **_asset(line.asset, ""),
        "liquidity_pool_id": pool.pool_id.hash.hex() if pool else None,
        "balance": line.balance.int64,
        "trust_line_limit": line.limit.int64,
        "flags": line.flags.uint32,
        "ext_version": 2 if v2 else 1 if v1 else 0,
        "buying_liabilities": v1.liabilities.buying.int64 if v1 else 0,
        "selling_liabilities": v1.liabilities.selling.int64 if v1 else 0,
        "liquidity_pool_use_count": v2.liquidity_pool_use_count.int32 if v2 else None,
    }


def _offer_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    offer = data.offer
    return {
        "seller_id": _account(offer.seller_id),
        "offer_id": offer.offer_id.int64,
        **_asset(offer.selling, "selling_"),
        **_asset(offer.buying, "buying_"),
        "amount": offer.amount.int64,
        "price_n": offer.price.n.int32,
        "price_d": offer.price.d.int32,
        "flags": offer.flags.uint32,
    }


def _data_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    name, value = data.data.data_name.string64, data.data.data_value.data_value
    return {
        "account_id": _account(data.data.account_id),
        "name": name,
        "name_text": display(name),
        "value": value,
        "value_base64": _base64(value),
    }


def _claimable_balance_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    balance = data.claimable_balance
    claimants = [claimant.v0 for claimant in balance.claimants]
    return {
        "balance_id": balance.balance_id.to_xdr_bytes().hex(),
        "claimants": [
            {"destination": _account(v0.destination), "predicate_json": v0.predicate.to_json_dict()} for v0 in claimants
        ],
        "claimants_json": [
            {"predicate": _horizon_predicate(v0.predicate), "destination": _account(v0.destination)} for v0 in claimants
        ],
        **_asset(balance.asset, ""),
        "amount": balance.amount.int64,
        "flags": balance.ext.v1.flags.uint32 if balance.ext.v1 else 0,
        "ext_version": balance.ext.v,
    }


def _horizon_predicate(predicate: xdr.ClaimPredicate) -> Any:
    """Horizon's form but for the time as text, which its own vectors check."""
    match predicate.type.value:
        case 0:
            return {"unconditional": True}
        case 1:
            return {"and": [_horizon_predicate(part) for part in predicate.and_predicates]}
        case 2:
            return {"or": [_horizon_predicate(part) for part in predicate.or_predicates]}
        case 3:
            return {"not": _horizon_predicate(predicate.not_predicate)}
        case 4:
            return {"abs_before_epoch": str(predicate.abs_before.int64)}
    return {"rel_before": str(predicate.rel_before.int64)}


def _liquidity_pool_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    pool = data.liquidity_pool
    product = pool.body.constant_product
    return {
        "pool_id": pool.liquidity_pool_id.pool_id.hash.hex(),
        "pool_type": pool.body.type.value,
        "fee": product.params.fee.int32,
        **_asset(product.params.asset_a, "a_"),
        **_asset(product.params.asset_b, "b_"),
        "reserve_a": product.reserve_a.int64,
        "reserve_b": product.reserve_b.int64,
        "total_shares": product.total_pool_shares.int64,
        "trustline_count": product.pool_shares_trust_line_count.int64,
    }


def _contract_data_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    found = data.contract_data
    contract_id = found.contract.contract_id
    raw_id = contract_id.contract_id.hash if contract_id else None
    row: Row = {
        "contract": Address.from_xdr_sc_address(found.contract).address,
        "contract_id": raw_id,
        "key_type": _value_type(found.key),
        "key_xdr": found.key.to_xdr_bytes(),
        "durability": found.durability.name.lower(),
        "value_type": _value_type(found.val),
        "value_xdr": found.val.to_xdr_bytes(),
    }
    names = ("asset_contract_kind", "asset_type", "asset_code", "asset_issuer")
    row |= dict.fromkeys((*names, "balance_holder", "balance_amount", "balance_authorized", "balance_clawback"))
    native = contract_id_of_asset(xdr.Asset(xdr.AssetType.ASSET_TYPE_NATIVE), network_id)
    if raw_id is None or raw_id == native or found.durability.name != "PERSISTENT":
        return row
    return row | (_asset_instance(found, raw_id, network_id) or _asset_balance(found) or {})


def _value_type(value: xdr.SCVal) -> str:
    return value.type.name.removeprefix("SCV_").lower()


def contract_id_of_asset(asset: xdr.Asset, network_id: bytes) -> bytes:
    """Returns the id of the contract that belongs to an asset."""
    kind = xdr.ContractIDPreimageType.CONTRACT_ID_PREIMAGE_FROM_ASSET
    preimage = xdr.HashIDPreimage(
        xdr.EnvelopeType.ENVELOPE_TYPE_CONTRACT_ID,
        contract_id=xdr.HashIDPreimageContractID(xdr.Hash(network_id), xdr.ContractIDPreimage(kind, from_asset=asset)),
    )
    return hashlib.sha256(preimage.to_xdr_bytes()).digest()


def _asset_instance(found: xdr.ContractDataEntry, raw_id: bytes, network_id: bytes) -> Row | None:
    """Looks for the asset of an instance in the JSON form, where the kernel compares bytes."""
    value = found.val.to_json_dict()
    if found.key.to_json_dict() != "ledger_key_contract_instance" or not isinstance(value, dict):
        return None
    instance = value["contract_instance"]
    info = [item["val"] for item in instance["storage"] or [] if item["key"] == {"vec": [{"symbol": "AssetInfo"}]}]
    if instance["executable"] != "stellar_asset" or not info:
        return None
    arm, fields = info[0]["vec"][0]["symbol"], {item["key"]["symbol"]: item["val"] for item in info[0]["vec"][1]["map"]}
    width = {"AlphaNum4": 4, "AlphaNum12": 12}[arm]
    code = fields["asset_code"]["string"].replace("\\0", "").encode()  # the contract keeps the filled-up code
    issuer = StrKey.encode_ed25519_public_key(bytes.fromhex(fields["issuer"]["bytes"]))
    head = bytes([0, 0, 0, 1 if width == 4 else 2]) + code.ljust(width, b"\0") + bytes(4)
    asset = xdr.Asset.from_xdr_bytes(head + StrKey.decode_ed25519_public_key(issuer))
    if contract_id_of_asset(asset, network_id) != raw_id:
        return None
    return {
        "asset_contract_kind": 1,
        "asset_type": asset.type.value,
        "asset_code": code.decode(),
        "asset_issuer": issuer,
    }


def _asset_balance(found: xdr.ContractDataEntry) -> Row | None:
    key, value = found.key.to_json_dict(), found.val.to_json_dict()
    if not isinstance(key, dict) or not isinstance(value, dict):
        return None
    vector, items = key.get("vec") or [], value.get("map") or []
    if len(vector) != 2 or vector[0] != {"symbol": "Balance"} or not vector[1].get("address", "").startswith("C"):
        return None
    if [item["key"] for item in items] != [{"symbol": name} for name in ("amount", "authorized", "clawback")]:
        return None
    return {
        "asset_contract_kind": 2,
        "balance_holder": vector[1]["address"],
        "balance_amount": int(items[0]["val"]["i128"]),
        "balance_authorized": items[1]["val"]["bool"],
        "balance_clawback": items[2]["val"]["bool"],
    }


def _contract_code_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    code = data.contract_code
    inputs = code.ext.v1.cost_inputs if code.ext.v1 else None
    counted = ("instructions", "functions", "globals", "table_entries", "types", "data_segments", "elem_segments")
    names = [f"n_{name}" for name in (*counted, "imports", "exports", "data_segment_bytes")]
    return {
        "hash": code.hash.hash,
        "code": code.code,
        "code_size": len(code.code),
        "ext_version": code.ext.v,
        **{name: getattr(inputs, name).uint32 if inputs else None for name in names},
    }


def _config_setting_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    setting = data.config_setting
    return {
        "config_setting_id": setting.config_setting_id.value,
        "name": setting.config_setting_id.name.removeprefix("CONFIG_SETTING_").lower(),
        "value_xdr": setting.to_xdr_bytes(),
        "value_json": setting.to_json_dict(),
    }


def _ttl_row(data: xdr.LedgerEntryData, network_id: bytes) -> Row:
    return {"key_hash": data.ttl.key_hash.hash, "live_until_ledger": data.ttl.live_until_ledger_seq.uint32}


_ROWS: tuple[Callable[[xdr.LedgerEntryData, bytes], Row], ...] = (
    _account_row,
    _trust_line_row,
    _offer_row,
    _data_row,
    _claimable_balance_row,
    _liquidity_pool_row,
    _contract_data_row,
    _contract_code_row,
    _config_setting_row,
    _ttl_row,
)


def parsed(row: Row) -> Row:
    """Returns a row of the kernel with its JSON columns parsed, and without the times that only Horizon's form has."""
    row = dict(row)
    for column in JSON_COLUMNS & row.keys():
        row[column] = json.loads(row[column], object_hook=_without_time)
    for claimant in row.get("claimants", ()):
        claimant["predicate_json"] = json.loads(claimant["predicate_json"])
    return row


def _without_time(value: Row) -> Row:
    return {name: part for name, part in value.items() if name != "abs_before"}
