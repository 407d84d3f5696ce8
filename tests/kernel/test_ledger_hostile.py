"""Damaged ledgers: refused without a row, or decoded to what stellar-sdk reads; never a crash."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from aurora_ingest._kernel import LedgerDecoder, LedgerFrames, XdrError, ledger_sequence_of, xdr_validate
from kernel import ledger_files
from kernel.ledger_files import Source
from kernel.ledger_sdk import expected_tables
from kernel.test_ledger_rows import compare
from kernel.xdr_mutation import WORDS

pytestmark = pytest.mark.shared_data

MUTATIONS = 20_000
COMPARED = 150  # mutated ledgers that stellar-sdk decodes too
LARGEST = 12_000


@pytest.fixture(scope="module")
def originals(shared_data: Path) -> list[tuple[Source, bytes]]:
    """Small ledgers with transactions, of every form that there is."""
    chosen = []
    sources = [*ledger_files.public_files(shared_data), *ledger_files.core_streams(shared_data)]
    sources += list(ledger_files.core_tests(shared_data))[::25]
    for source in sources:
        few = sorted((data for _, data in source.ledgers if len(data) <= LARGEST), key=len)
        chosen += [(source, data) for data in few[-2:] + few[len(few) // 2 :][:1]]
    return chosen


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A ledger with one to three small damages."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(0, max(4, len(damaged) - 8), 4)
        match rng.randrange(7):
            case 0 | 1 | 2:
                damaged[at : at + 4] = rng.choice(WORDS).to_bytes(4, "big")
            case 3:
                damaged[at : at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in damaged[at : at + 1])
            case 4:
                del damaged[at : at + 4 * rng.randint(1, 4)]
            case 5:
                damaged[at:at] = damaged[at : at + 4 * rng.randint(1, 20)]
            case _:
                del damaged[rng.randrange(len(damaged) + 1) :]
    return bytes(damaged)


def mutations(originals: list[tuple[Source, bytes]], count: int, seed: int) -> Iterator[tuple[Source, bytes]]:
    """Damaged ledgers, the same ones in every run."""
    rng = random.Random(seed)
    for _ in range(count):
        source, data = rng.choice(originals)
        yield source, mutated(rng, data)


def accepts(data: bytes) -> XdrError | None:
    """What the generated validator says of the bytes."""
    try:
        xdr_validate("LedgerCloseMeta", data)
    except XdrError as error:
        return error
    return None


def test_the_decoder_refuses_what_the_generated_validator_refuses(originals: list[tuple[Source, bytes]]) -> None:
    decoders: dict[bytes, LedgerDecoder] = {}
    verdicts = {True: 0, False: 0}
    for source, data in mutations(originals, MUTATIONS, 4):
        decoder = decoders.setdefault(source.network_id, LedgerDecoder(network_id=source.network_id))
        expected = accepts(data)
        before = (decoder.ledgers, decoder.rows, decoder.bytes)
        if expected is None:
            sequence = decoder.push(data)
            assert sequence == ledger_sequence_of(data)
            assert decoder.rows > before[1]
        else:
            with pytest.raises(XdrError) as caught:
                decoder.push(data)
            assert (decoder.ledgers, decoder.rows, decoder.bytes) == before
            fault = [error.reason.rpartition(": ")[2] for error in (caught.value, expected)]
            assert fault[0] == fault[1]
            # Lengths that cannot fit are refused by the one at the length, by the other where the bytes end.
            assert caught.value.offset == expected.offset or fault[0] == "truncated"
        verdicts[expected is None] += 1
    for decoder in decoders.values():
        rows = decoder.rows
        tables = [pa.record_batch(batch) for batch in decoder.take().values()]
        for table in tables:
            table.validate(full=True)
        assert sum(table.num_rows for table in tables) == rows
    assert min(verdicts.values()) > MUTATIONS // 5


def test_damaged_ledgers_that_decode_hold_what_the_sdk_reads(originals: list[tuple[Source, bytes]]) -> None:
    compared = 0
    for source, data in mutations(originals, 40 * COMPARED, 5):
        if accepts(data) is not None:
            continue
        decoder = LedgerDecoder(network_id=source.network_id)
        decoder.push(data)
        tables = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
        ledger = tables["ledgers"].to_pylist()[0]
        if ledger["unmatched_transactions"] or ledger["bad_inner_hashes"]:
            continue
        try:
            expected = expected_tables(data, source.network_id)
        except ValueError:
            continue  # the SDK knows fewer members of an enum
        for name, table in tables.items():
            compare(name, table, expected[name])
        compared += 1
        if compared == COMPARED:
            return
    pytest.fail(f"only {compared} damaged ledgers could be compared")


def test_every_truncation_is_refused_at_its_place(originals: list[tuple[Source, bytes]]) -> None:
    rng = random.Random(6)
    for source, data in originals[::4]:
        decoder = LedgerDecoder(network_id=source.network_id)
        for end in {0, 3, 4, len(data) - 1, *(rng.randrange(len(data)) for _ in range(40))}:
            with pytest.raises(XdrError, match="truncated") as caught:
                decoder.push(data[:end])
            assert caught.value.offset <= end
            frames = LedgerFrames(framing="single", compression="none")
            assert frames.feed(data[:end]) == []
            with pytest.raises(XdrError, match="truncated ledger"):
                frames.finish()
        with pytest.raises(XdrError, match="belong to no value") as caught:
            decoder.push(data + bytes(4))
        assert caught.value.offset == len(data)
        assert decoder.rows == 0
        decoder.push(data)
        assert caught.value.record_index == 0
        with pytest.raises(XdrError) as caught:
            decoder.push(b"")
        assert caught.value.record_index == 1


def test_hostile_lengths_are_refused_at_once(originals: list[tuple[Source, bytes]]) -> None:
    """Every word in turn becomes the largest length: nothing is allocated, nothing takes long."""
    for source, data in originals[::12]:
        decoder = LedgerDecoder(network_id=source.network_id)
        for at in range(0, min(len(data), 6000), 4):
            damaged = data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]
            if accepts(damaged) is not None:
                with pytest.raises(XdrError):
                    decoder.push(damaged)
        assert decoder.rows == 0


def test_nesting_is_limited(shared_data: Path) -> None:
    source = ledger_files.ledger_file(shared_data, "wallet-backend/ledger-63092988.xdr.gz", "bare")
    data = source.ledgers[0][1]
    with pytest.raises(XdrError, match="nested too deeply"):
        LedgerDecoder(network_id=source.network_id, max_depth=1).push(data)
    with pytest.raises(XdrError, match="nested too deeply"):
        LedgerFrames(framing="single", compression="none", max_depth=1).feed(data)


def test_more_than_fits_one_batch_is_refused(shared_data: Path) -> None:
    source = ledger_files.ledger_file(shared_data, "wallet-backend/ledger-63092988.xdr.gz", "bare")
    data = source.ledgers[0][1]
    decoder = LedgerDecoder(network_id=source.network_id, columns={"ledgers": ["raw_bytes"]})
    fit = (256 << 20) // len(data)
    for _ in range(fit):
        decoder.push(data)
    with pytest.raises(XdrError, match=r"take\(\) them first"):
        decoder.push(data)
    assert decoder.take()["ledgers"].num_rows == fit
    decoder.push(data)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="network_id has 32 bytes, got 3"):
        LedgerDecoder(network_id=b"abc")
    words: object = {"ledgers": "raw_bytes"}
    with pytest.raises(TypeError, match="got a str"):
        LedgerDecoder(network_id=bytes(32), columns=words)  # type: ignore[arg-type]  # what is tested
