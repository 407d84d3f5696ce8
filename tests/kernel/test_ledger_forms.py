"""Forms that the shared data has seldom or never: memos, preconditions, signers, muxed accounts, header flags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stellar_sdk import xdr

from aurora_ingest._kernel import LedgerDecoder
from kernel import ledger_files
from kernel.ledger_files import Source
from kernel.ledger_sdk import hash_of
from kernel.test_ledger_rows import check

pytestmark = pytest.mark.shared_data

U64 = (1 << 64) - 1
KEY = xdr.Uint256(bytes(range(32)))


@pytest.fixture(scope="module")
def source(shared_data: Path) -> Source:
    """Ledgers of testnet, legacy sets with envelopes of version 1."""
    return ledger_files.ledger_file(shared_data, "lighthorizon/testnet-1410048-1410303.lcm.xdr.zst", "framed")


def changed(source: Source, change: Callable[[xdr.Transaction], None]) -> list[tuple[int, bytes]]:
    """The first ledger whose first transaction is of version 1, that transaction changed and its result moved along."""
    for sequence, data in source.ledgers:
        meta = xdr.LedgerCloseMeta.from_xdr_bytes(data)
        for envelope in meta.v0.tx_set.txs:
            if envelope.v1:
                old = hash_of(envelope, source.network_id)
                change(envelope.v1.tx)
                for processing in meta.v0.tx_processing:
                    if processing.result.transaction_hash.hash == old:
                        processing.result.transaction_hash.hash = hash_of(envelope, source.network_id)
                return [(sequence, meta.to_xdr_bytes())]
    raise AssertionError("no envelope of version 1")


def text(content: bytes) -> xdr.Memo:
    """A text memo."""
    return xdr.Memo(xdr.MemoType.MEMO_TEXT, text=content)


MEMOS = (
    xdr.Memo(xdr.MemoType.MEMO_NONE),
    *map(
        text, (b"", b"A\0B", b"caf\xe9", b"\xff\xfe\xfd", "é".encode() * 14, b"\\u0000", b"\xe2\x82x", b"\xed\xa0\x80")
    ),
    xdr.Memo(xdr.MemoType.MEMO_ID, id=xdr.Uint64(U64)),
    xdr.Memo(xdr.MemoType.MEMO_HASH, hash=xdr.Hash(bytes(32))),
    xdr.Memo(xdr.MemoType.MEMO_RETURN, ret_hash=xdr.Hash(bytes(range(32)))),
)


@pytest.mark.parametrize("memo", MEMOS)
def test_memos(source: Source, memo: xdr.Memo) -> None:
    check(source, changed(source, lambda tx: setattr(tx, "memo", memo)))


def bounds(low: int, high: int) -> xdr.TimeBounds:
    """Time bounds."""
    return xdr.TimeBounds(xdr.TimePoint(xdr.Uint64(low)), xdr.TimePoint(xdr.Uint64(high)))


def v2(**fields: Any) -> xdr.Preconditions:
    """Preconditions of version 2, all absent or zero but for `fields`."""
    nothing = {
        "time_bounds": None,
        "ledger_bounds": None,
        "min_seq_num": None,
        "min_seq_age": xdr.Duration(xdr.Uint64(0)),
        "min_seq_ledger_gap": xdr.Uint32(0),
        "extra_signers": [],
    }
    return xdr.Preconditions(xdr.PreconditionType.PRECOND_V2, v2=xdr.PreconditionsV2(**(nothing | fields)))


def timed(low: int, high: int) -> xdr.Preconditions:
    """Preconditions of version 1."""
    return xdr.Preconditions(xdr.PreconditionType.PRECOND_TIME, time_bounds=bounds(low, high))


KINDS = xdr.SignerKeyType
PAYLOAD = xdr.SignerKeyEd25519SignedPayload(KEY, b"12345")
CONDITIONS = (
    xdr.Preconditions(xdr.PreconditionType.PRECOND_NONE),
    timed(0, 0),
    timed(7, 0),
    timed(0, (1 << 63) - 1),
    timed(U64, U64),
    v2(),
    v2(time_bounds=bounds(1, 2), ledger_bounds=xdr.LedgerBounds(xdr.Uint32(3), xdr.Uint32((1 << 32) - 1))),
    v2(ledger_bounds=xdr.LedgerBounds(xdr.Uint32(0), xdr.Uint32(0)), min_seq_ledger_gap=xdr.Uint32((1 << 32) - 1)),
    v2(min_seq_num=xdr.SequenceNumber(xdr.Int64(-1)), min_seq_age=xdr.Duration(xdr.Uint64(U64))),
    v2(
        extra_signers=[
            xdr.SignerKey(KINDS.SIGNER_KEY_TYPE_ED25519, ed25519=KEY),
            xdr.SignerKey(KINDS.SIGNER_KEY_TYPE_ED25519_SIGNED_PAYLOAD, ed25519_signed_payload=PAYLOAD),
        ]
    ),
    v2(
        extra_signers=[
            xdr.SignerKey(KINDS.SIGNER_KEY_TYPE_PRE_AUTH_TX, pre_auth_tx=KEY),
            xdr.SignerKey(KINDS.SIGNER_KEY_TYPE_HASH_X, hash_x=KEY),
        ]
    ),
)


@pytest.mark.parametrize("conditions", CONDITIONS)
def test_preconditions(source: Source, conditions: xdr.Preconditions) -> None:
    check(source, changed(source, lambda tx: setattr(tx, "cond", conditions)))


def test_muxed_accounts(source: Source) -> None:
    muxed = xdr.MuxedAccount(
        xdr.CryptoKeyType.KEY_TYPE_MUXED_ED25519, med25519=xdr.MuxedAccountMed25519(xdr.Uint64(U64), KEY)
    )

    def change(tx: xdr.Transaction) -> None:
        tx.source_account = muxed
        tx.operations = [xdr.Operation(None, tx.operations[0].body), xdr.Operation(muxed, tx.operations[0].body)]

    check(source, changed(source, change))


def test_a_header_with_flags(source: Source) -> None:
    sequence, data = source.ledgers[0]
    meta = xdr.LedgerCloseMeta.from_xdr_bytes(data)
    extension = xdr.LedgerHeaderExtensionV1(xdr.Uint32(5), xdr.LedgerHeaderExtensionV1Ext(0))
    meta.v0.ledger_header.header.ext = xdr.LedgerHeaderExt(1, v1=extension)
    check(source, [(sequence, meta.to_xdr_bytes())])


@pytest.mark.parametrize("value_type, before", [(2, 68), (3, 8), (4, 76)])
def test_close_values_of_coming_protocols(source: Source, value_type: int, before: int) -> None:
    """The SDK does not know them yet: the extension is put in as bytes, where that of a signed value stands."""
    _, data = source.ledgers[0]
    value = xdr.LedgerCloseMeta.from_xdr_bytes(data).v0.ledger_header.header.scp_value
    signed = value.ext.to_xdr_bytes()
    assert data.count(signed) == 1
    extended = data.replace(signed, value_type.to_bytes(4, "big") + bytes(before) + signed[4:])
    decoder = LedgerDecoder(network_id=source.network_id)
    decoder.push(data)
    decoder.push(extended)
    plain, coming = pa.record_batch(decoder.take()["ledgers"]).to_pylist()
    assert (plain["scp_value_type"], coming["scp_value_type"]) == (1, value_type)
    differ = {"scp_value_type", "computed_hash", "raw_bytes", "header_xdr", "header_base64"}
    assert {name for name in plain if plain[name] != coming[name]} == differ


def test_an_envelope_twice_in_the_set_is_matched_once(source: Source) -> None:
    for _, data in source.ledgers:
        meta = xdr.LedgerCloseMeta.from_xdr_bytes(data)
        if not meta.v0.tx_set.txs:
            continue
        meta.v0.tx_set.txs.append(meta.v0.tx_set.txs[0])
        decoder = LedgerDecoder(network_id=source.network_id)
        decoder.push(meta.to_xdr_bytes())
        tables = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
        ledger = tables["ledgers"].to_pylist()[0]
        assert ledger["unmatched_transactions"] == 1
        assert ledger["tx_set_size"] == ledger["transaction_count"] + 1 == tables["transactions"].num_rows + 1
        return
