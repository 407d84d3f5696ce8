"""What the rows of a ledger must hold, worked out from the objects of stellar-sdk."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from stellar_sdk import StrKey, xdr

from kernel.sdk_rows import ledger_key

Row = dict[str, Any]
PHASES = ("fee", "tx_before", "operation", "tx_after", "post_apply", "upgrade")
STAGES = ("before_all_txs", "after_tx", "after_all_txs")
MEMO_TYPES = ("none", "text", "id", "hash", "return")
CHANGE_TYPES = ("created", "updated", "removed", "state", "restored")


def expected_tables(data: bytes, network_id: bytes) -> dict[str, list[Row]]:
    """The rows of all five tables of a ledger; `is_payment` of invocations is left out."""
    meta = xdr.LedgerCloseMeta.from_xdr_bytes(data)
    body = (meta.v0, meta.v1, meta.v2)[meta.v]
    header = body.ledger_header.header
    sequence = header.ledger_seq.uint32
    value = header.scp_value
    close_time = value.close_time.time_point.uint64
    envelopes = {hash_of(e, network_id): e for e in envelopes_of(body.tx_set)}
    processed = list(enumerate(body.tx_processing, start=1))
    transactions, operations = [], []
    for order, p in processed:
        envelope = envelopes[p.result.transaction_hash.hash]
        transactions.append(_transaction(sequence, close_time, order, p, envelope, network_id))
        operations += _operations(sequence, order, p, envelope)
    results = xdr.TransactionResultSet([p.result for _, p in processed])
    successful = [t for t in transactions if t["successful"]]
    ext = getattr(body, "ext", None)
    signature = _signature(value.ext)
    ledger = {
        "ledger_sequence": sequence,
        "ledger_hash": body.ledger_header.hash.hash.hex(),
        "computed_hash": hashlib.sha256(header.to_xdr_bytes()).hexdigest(),
        "previous_ledger_hash": header.previous_ledger_hash.hash.hex(),
        "protocol_version": header.ledger_version.uint32,
        "close_time": close_time,
        "total_coins": header.total_coins.int64,
        "fee_pool": header.fee_pool.int64,
        "inflation_seq": header.inflation_seq.uint32,
        "id_pool": header.id_pool.uint64,
        "base_fee": header.base_fee.uint32,
        "base_reserve": header.base_reserve.uint32,
        "max_tx_set_size": header.max_tx_set_size.uint32,
        "header_flags": header.ext.v1.flags.uint32 if header.ext.v1 else None,
        "bucket_list_hash": header.bucket_list_hash.hash.hex(),
        "tx_set_hash": value.tx_set_hash.hash.hex(),
        "computed_tx_set_hash": _set_hash(body.tx_set),
        "tx_set_kind": _set_kind(body.tx_set),
        "result_hash": header.tx_set_result_hash.hash.hex(),
        "computed_result_hash": hashlib.sha256(results.to_xdr_bytes()).hexdigest(),
        "scp_value_type": value.ext.v.value,
        "scp_node": _key("G", signature.node_id.node_id.ed25519) if signature else None,
        "scp_signature": signature.signature.signature if signature else None,
        "upgrades": [upgrade.upgrade_type for upgrade in value.upgrades],
        "header_xdr": header.to_xdr_bytes(),
        "header_base64": _base64(header.to_xdr_bytes()),
        "lcm_version": meta.v,
        "tx_set_size": len(list(envelopes_of(body.tx_set))),
        "transaction_count": len(transactions),
        "successful_transaction_count": len(successful),
        "failed_transaction_count": len(transactions) - len(successful),
        "operation_count": sum(t["operation_count"] for t in successful),
        "tx_set_operation_count": sum(t["operation_count"] for t in transactions),
        "unmatched_transactions": 0,
        "bad_inner_hashes": 0,
        "raw_bytes": len(data),
        "soroban_fee_write_1kb": ext.v1.soroban_fee_write1_kb.int64 if ext and ext.v1 else None,
        "live_soroban_state_size": body.total_byte_size_of_live_soroban_state.uint64 if meta.v else None,
        "evicted_keys": len(body.evicted_keys) if meta.v else 0,
    }
    return {
        "ledgers": [ledger],
        "transactions": transactions,
        "operations": operations,
        "changes": list(_changes(sequence, meta.v, body)),
        "contract_events": [_event(sequence, row) for order, p in processed for row in _events(order, p)],
    }


def envelopes_of(tx_set: Any) -> Iterator[xdr.TransactionEnvelope]:
    """The envelopes of a set of any form, in its order."""
    if isinstance(tx_set, xdr.TransactionSet):
        yield from tx_set.txs
        return
    for phase in tx_set.v1_tx_set.phases:
        for component in phase.v0_components or ():
            yield from component.txs_maybe_discounted_fee.txs
        if phase.parallel_txs_component:
            for stage in phase.parallel_txs_component.execution_stages:
                for cluster in stage.parallel_tx_execution_stage:
                    yield from cluster.dependent_tx_cluster


def hash_of(envelope: xdr.TransactionEnvelope, network_id: bytes, *, inner: bool = False) -> bytes:
    """The hash of a transaction, of a fee bump its own or that of the transaction inside."""
    bump = envelope.fee_bump
    if bump and not inner:
        return hashlib.sha256(network_id + (5).to_bytes(4, "big") + bump.tx.to_xdr_bytes()).digest()
    if envelope.v0:
        body = bytes(4) + envelope.v0.tx.to_xdr_bytes()
    else:
        body = (bump.tx.inner_tx.v1 if bump else envelope.v1).tx.to_xdr_bytes()
    return hashlib.sha256(network_id + (2).to_bytes(4, "big") + body).digest()


def _set_kind(tx_set: Any) -> str:
    if isinstance(tx_set, xdr.TransactionSet):
        return "legacy"
    parallel = any(phase.parallel_txs_component for phase in tx_set.v1_tx_set.phases)
    return "parallel" if parallel else "generalized"


def _set_hash(tx_set: Any) -> str:
    if not isinstance(tx_set, xdr.TransactionSet):
        return hashlib.sha256(tx_set.to_xdr_bytes()).hexdigest()
    envelopes = sorted((e.to_xdr_bytes() for e in tx_set.txs), key=lambda e: hashlib.sha256(e).digest())
    return hashlib.sha256(tx_set.previous_ledger_hash.hash + b"".join(envelopes)).hexdigest()


def _signature(ext: xdr.StellarValueExt) -> Any:
    return ext.lc_value_signature


def _transaction(
    sequence: int, close_time: int, order: int, p: Any, envelope: xdr.TransactionEnvelope, network_id: bytes
) -> Row:
    bump = envelope.fee_bump
    signed = envelope.v0 or (bump.tx.inner_tx.v1 if bump else envelope.v1)
    tx = signed.tx
    result = p.result.result
    inner = result.result.inner_result_pair
    account, muxed = _account(_source(tx))
    post = getattr(p, "post_tx_apply_fee_processing", None)
    row = {
        "ledger_sequence": sequence,
        "application_order": order,
        "id": _toid(sequence, order, 0),
        "transaction_hash": hash_of(envelope, network_id).hex(),
        "inner_transaction_hash": hash_of(envelope, network_id, inner=True).hex() if bump else None,
        "successful": result.result.code.value in (0, 1),
        "result_code": result.result.code.value,
        "inner_result_code": inner.result.result.code.value if inner else None,
        "fee_charged": result.fee_charged.int64,
        "account": account,
        "account_muxed": muxed,
        "account_sequence": tx.seq_num.sequence_number.int64,
        "max_fee": tx.fee.uint32,
        "new_max_fee": bump.tx.fee.int64 if bump else None,
        "fee_account": _account(bump.tx.fee_source)[0] if bump else None,
        "fee_account_muxed": _account(bump.tx.fee_source)[1] if bump else None,
        "operation_count": len(tx.operations),
        "signatures": _signatures(bump or signed),
        "inner_signatures": _signatures(signed) if bump else None,
        "envelope_type": envelope.type.value,
        "is_soroban": getattr(tx.ext, "soroban_data", None) is not None,
        "close_time": close_time,
    }
    for name, value in (
        ("envelope", envelope),
        ("result", result),
        ("meta", p.tx_apply_processing),
        ("fee_changes", p.fee_processing),
    ):
        row |= {f"{name}_xdr": value.to_xdr_bytes(), f"{name}_base64": _base64(value.to_xdr_bytes())}
    row["post_apply_fee_changes_xdr"] = post.to_xdr_bytes() if post else None
    return row | _memo(tx.memo) | _conditions(tx)


def _toid(sequence: int, transaction: int, operation: int) -> int:
    """The total order id as the signed number that it is kept as."""
    bits = sequence << 32 | transaction << 12 | operation
    return int.from_bytes(bits.to_bytes(8, "big"), "big", signed=True)


def _source(tx: Any) -> xdr.MuxedAccount:
    if isinstance(tx, xdr.TransactionV0):
        return xdr.MuxedAccount(xdr.CryptoKeyType.KEY_TYPE_ED25519, ed25519=tx.source_account_ed25519)
    return tx.source_account


def _memo(memo: xdr.Memo) -> Row:
    kind = memo.type.value
    text = memo.text if kind == 1 else None
    shown = (
        None,
        _scrubbed(text or b""),
        str(memo.id.uint64) if memo.id else None,
        _base64(memo.hash.hash) if memo.hash else None,
        _base64(memo.ret_hash.hash) if memo.ret_hash else None,
    )[kind]
    return {"memo_type": MEMO_TYPES[kind], "memo": shown, "memo_bytes": text}


def _scrubbed(text: bytes) -> str:
    """Go's utf8.Scrub: one replacement per byte that is no UTF-8; Horizon drops NULs as well."""
    shown = text.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in shown if c != "\0")


def _conditions(tx: Any) -> Row:
    if isinstance(tx, xdr.TransactionV0):
        time, v2 = tx.time_bounds, None
    else:
        v2 = tx.cond.v2
        time = v2.time_bounds if v2 else tx.cond.time_bounds
    ledger = v2.ledger_bounds if v2 else None
    signers = [StrKeyOf(signer) for signer in v2.extra_signers] if v2 else []
    return {
        "time_bounds_lower": time.min_time.time_point.uint64 if time else None,
        "time_bounds_upper": (time.max_time.time_point.uint64 or None) if time else None,
        "ledger_bounds_lower": ledger.min_ledger.uint32 if ledger else None,
        "ledger_bounds_upper": (ledger.max_ledger.uint32 or None) if ledger else None,
        "min_account_sequence": v2.min_seq_num.sequence_number.int64 if v2 and v2.min_seq_num else None,
        "min_account_sequence_age": v2.min_seq_age.duration.uint64 if v2 else None,
        "min_account_sequence_ledger_gap": v2.min_seq_ledger_gap.uint32 if v2 else None,
        "extra_signers": signers or None,
    }


def StrKeyOf(signer: xdr.SignerKey) -> str:  # noqa: N802 - reads as a constructor of the text
    """The strkey of a signer key."""
    match signer.type.value:
        case 0:
            return StrKey.encode_ed25519_public_key(signer.ed25519.uint256)
        case 1:
            return StrKey.encode_pre_auth_tx(signer.pre_auth_tx.uint256)
        case 2:
            return StrKey.encode_sha256_hash(signer.hash_x.uint256)
        case _:
            return StrKey.encode_ed25519_signed_payload(signer.ed25519_signed_payload.to_xdr_bytes())


def _operations(sequence: int, order: int, p: Any, envelope: xdr.TransactionEnvelope) -> Iterator[Row]:
    bump = envelope.fee_bump
    tx = (envelope.v0 or (bump.tx.inner_tx.v1 if bump else envelope.v1)).tx
    result = p.result.result.result
    inner = result.inner_result_pair
    results = (inner.result.result if inner else result).results or []
    for number, operation in enumerate(tx.operations, start=1):
        account, muxed = _account(operation.source_account or _source(tx))
        body = operation.body
        yield {
            "ledger_sequence": sequence,
            "transaction_order": order,
            "operation_order": number,
            "id": _toid(sequence, order, number),
            "transaction_id": _toid(sequence, order, 0),
            "type": body.type.value,
            "source_account": account,
            "source_account_muxed": muxed,
            "body_xdr": body.to_xdr_bytes(),
            "body_base64": _base64(body.to_xdr_bytes()),
            "result_xdr": results[number - 1].to_xdr_bytes() if number <= len(results) else None,
            "transaction_successful": result.code.value in (0, 1),
            "is_payment": True if body.type.value in (0, 1, 2, 8, 13) else None,
        }


def _lists(version: int, body: Any) -> Iterator[tuple[str, int | None, int | None, int | None, Any]]:
    processed = list(enumerate(body.tx_processing, start=1))
    for order, p in processed:
        yield "fee", order, None, None, p.fee_processing
    for order, p in processed:
        meta = p.tx_apply_processing
        operations = meta.operations if meta.v == 0 else getattr(meta, f"v{meta.v}").operations
        inside = getattr(meta, f"v{meta.v}", None) if meta.v else None
        before = getattr(inside, "tx_changes_before", None) or getattr(inside, "tx_changes", None)
        if before:
            yield "tx_before", order, None, None, before
        for number, operation in enumerate(operations, start=1):
            yield "operation", order, number, None, operation.changes
        if meta.v > 1:
            yield "tx_after", order, None, None, inside.tx_changes_after
    if version == 2:
        for order, p in processed:
            yield "post_apply", order, None, None, p.post_tx_apply_fee_processing
    for index, upgrade in enumerate(body.upgrades_processing):
        yield "upgrade", None, None, index, upgrade.changes


def _changes(sequence: int, version: int, body: Any) -> Iterator[Row]:
    count = 0
    for phase, order, operation, upgrade, changes in _lists(version, body):
        states: dict[bytes, bytes] = {}
        for place, change in enumerate(changes.ledger_entry_changes):
            kind = CHANGE_TYPES[change.type.value]
            entry = change.created or change.updated or change.state or change.restored
            key = change.removed or ledger_key(entry)
            if kind == "state":
                states[key.to_xdr_bytes()] = entry.to_xdr_bytes()
                continue
            yield {
                "ledger_sequence": sequence,
                "change_index": count,
                "phase": phase,
                "transaction_order": order,
                "operation_order": operation,
                "upgrade_index": upgrade,
                "list_index": place,
                "type": kind,
                "pre_xdr": states.pop(key.to_xdr_bytes(), None),
                **_image(key, entry),
            }
            count += 1
    for place, key in enumerate(body.evicted_keys if version else ()):
        nothing = dict.fromkeys(("transaction_order", "operation_order", "upgrade_index", "pre_xdr"))
        position = {"phase": "eviction", "type": "evicted", "change_index": count, "list_index": place}
        yield {"ledger_sequence": sequence, **nothing, **position, **_image(key, None)}
        count += 1


def _image(key: xdr.LedgerKey, entry: xdr.LedgerEntry | None) -> Row:
    encoded = key.to_xdr_bytes()
    descriptor = entry.ext.v1.sponsoring_id.sponsorship_descriptor if entry and entry.ext.v1 else None
    return {
        "entry_type": key.type.value,
        "ledger_key": encoded,
        "key_hash": key.ttl.key_hash.hash if key.ttl else hashlib.sha256(encoded).digest(),
        "last_modified_ledger": entry.last_modified_ledger_seq.uint32 if entry else None,
        "sponsor": _key("G", descriptor.account_id.ed25519) if descriptor else None,
        "post_xdr": entry.to_xdr_bytes() if entry else None,
    }


def _events(order: int, p: Any) -> Iterator[tuple[int, int | None, str | None, int, bool | None, Any]]:
    """Transaction, operation, stage, index, success of the call where it is a diagnostic event, and event."""
    meta = p.tx_apply_processing
    soroban = meta.v3.soroban_meta if meta.v == 3 else None
    diagnostics: Iterable[Any] = soroban.diagnostic_events if soroban else ()
    for index, event in enumerate(soroban.events if soroban else ()):
        yield order, 1, None, index, None, event
    if meta.v == 4:
        for number, operation in enumerate(meta.v4.operations, start=1):
            for index, event in enumerate(operation.events):
                yield order, number, None, index, None, event
        for index, staged in enumerate(meta.v4.events):
            yield order, None, STAGES[staged.stage.value], index, None, staged.event
        diagnostics = meta.v4.diagnostic_events
    for index, event in enumerate(diagnostics):
        yield order, None, None, index, event.in_successful_contract_call, event.event


def _event(sequence: int, row: tuple[int, int | None, str | None, int, bool | None, Any]) -> Row:
    order, operation, stage, index, diagnostic, event = row
    return {
        "ledger_sequence": sequence,
        "transaction_order": order,
        "operation_order": operation,
        "stage": stage,
        "event_index": index,
        "type": event.type.value,
        "is_diagnostic": diagnostic is not None,
        "in_successful_contract_call": diagnostic is not False,
        "contract_id": StrKey.encode_contract(event.contract_id.contract_id.hash) if event.contract_id else None,
        "topics": [topic.to_xdr_bytes() for topic in event.body.v0.topics],
        "data_xdr": event.body.v0.data.to_xdr_bytes(),
        "event_xdr": event.to_xdr_bytes(),
    }


def _account(account: xdr.MuxedAccount) -> tuple[str, str | None]:
    if account.ed25519:
        return _key("G", account.ed25519), None
    muxed = account.med25519
    encoded = muxed.ed25519.uint256 + muxed.id.to_xdr_bytes()
    return _key("G", muxed.ed25519), StrKey.encode_med25519_public_key(encoded)


def _signatures(envelope: Any) -> list[str]:
    return [_base64(decorated.signature.signature) for decorated in envelope.signatures]


def _key(_kind: str, key: xdr.Uint256) -> str:
    return StrKey.encode_ed25519_public_key(key.uint256)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
