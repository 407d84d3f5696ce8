"""Whole ledgers out of streams: every framing, every chunk size, and each way a stream can end badly."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import pytest

from aurora_ingest._kernel import LedgerFrames, XdrError, ledger_sequence_of
from kernel.ledger_files import facts, ledger_file, plain, whole

pytestmark = pytest.mark.shared_data

FRAMED = "lighthorizon/testnet-1410048-1410303.lcm.xdr.zst"
BATCH = "galexie/testbucket/FFFFFC18--999.xdr.zst"


def test_every_file_has_its_ledgers(shared_data: Path) -> None:
    for name, fact in facts(shared_data).items():
        ledgers = ledger_file(shared_data, name, fact["framing"]).ledgers
        sequences = [sequence for sequence, _ in ledgers]
        assert (len(ledgers), min(sequences), max(sequences)) == (fact["ledgers"], fact["min"], fact["max"]), name
        assert sequences == [ledger_sequence_of(data) for _, data in ledgers], name


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_the_size_of_chunks_changes_nothing(shared_data: Path, step: int) -> None:
    data = plain(shared_data / "public" / FRAMED)[:300_000]
    expected: list[tuple[int, bytes]] = []
    at = 0
    while at + 4 <= len(data) and at + 4 + (size := struct.unpack_from(">I", data, at)[0] & 0x7FFFFFFF) <= len(data):
        body = data[at + 4 : at + 4 + size]
        expected.append((ledger_sequence_of(body), body))
        at += 4 + size
    assert whole(data[:at], "framed", step=step) == expected
    batch = struct.pack(">III", expected[0][0], expected[-1][0], len(expected)) + b"".join(b for _, b in expected)
    assert whole(batch, "batch", step=step) == expected
    assert whole(expected[0][1], "single", step=step) == expected[:1]
    assert whole(gzip.compress(batch), "batch", compression="gzip", step=step) == expected


def test_an_empty_framed_stream_has_no_ledgers() -> None:
    assert whole(b"", "framed") == []
    for framing in ("batch", "single"):
        with pytest.raises(XdrError, match="truncated"):
            whole(b"", framing)


def test_a_cut_stream_gives_its_whole_ledgers_and_then_the_place(shared_data: Path) -> None:
    data = plain(shared_data / "public" / FRAMED)[:200_000]
    first = 4 + (struct.unpack_from(">I", data)[0] & 0x7FFFFFFF)
    second = first + 4 + (struct.unpack_from(">I", data, first)[0] & 0x7FFFFFFF)
    for end in (first + 1, first + 4, first + 100, second - 1):
        frames = LedgerFrames(framing="framed", compression="none")
        assert [sequence for sequence, _ in frames.feed(data[:end])] == [1410048]
        with pytest.raises(XdrError, match=f"truncated frame at byte {first}: {end - first} of ") as caught:
            frames.finish()
        assert (caught.value.offset, caught.value.record_index) == (first, 1)
        with pytest.raises(XdrError, match="truncated frame"):
            frames.finish()
        assert frames.uncompressed_bytes == end


def test_a_fault_comes_after_the_ledgers_in_front_of_it(shared_data: Path) -> None:
    data = plain(shared_data / "public" / FRAMED)[:200_000]
    first = 4 + (struct.unpack_from(">I", data)[0] & 0x7FFFFFFF)
    frames = LedgerFrames(framing="framed", compression="none")
    assert len(frames.feed(data[:first] + b"\x00\x00\x00\x10")) == 1
    with pytest.raises(XdrError, match="last-fragment bit"):
        frames.feed(b"")
    bad = bytearray(data[:first])
    bad[4:8] = b"\x00\x00\x00\x63"
    with pytest.raises(XdrError, match="LedgerCloseMeta") as caught:
        whole(bytes(bad), "framed")
    assert caught.value.offset == 4


def test_hostile_lengths_are_refused_at_once(shared_data: Path) -> None:
    with pytest.raises(XdrError, match="frame declares 2147483647 bytes"):
        whole(b"\xff\xff\xff\xff", "framed")
    one = whole(plain(shared_data / "public" / BATCH), "batch")[0][1]
    with pytest.raises(XdrError, match="the cap is 10 bytes"):
        LedgerFrames(framing="single", compression="none", max_record=10).feed(one)
    with pytest.raises(XdrError, match="inflates to more than"):
        LedgerFrames(framing="single", compression="none", max_inflated=10).feed(one)


def test_a_batch_has_the_ledgers_that_it_announces(shared_data: Path) -> None:
    data = plain(shared_data / "public" / BATCH)
    ledgers = whole(data, "batch")
    assert [sequence for sequence, _ in ledgers] == [999]
    body = ledgers[0][1]
    for header, text in (
        ((999, 1000, 2), "truncated batch of ledgers 999 to 1000: it ends 0 bytes into ledger 1000"),
        ((998, 998, 1), "has ledger 999 where ledger 998 is due"),
        ((999, 998, 0), "announces ledgers 999 to 998 but 0 ledgers"),
        ((999, 999, 2), "announces ledgers 999 to 999 but 2 ledgers"),
    ):
        with pytest.raises(XdrError, match=text):
            whole(struct.pack(">III", *header) + body, "batch")
    with pytest.raises(XdrError, match="4 bytes follow the last ledger"):
        whole(data + b"\0\0\0\0", "batch", step=100)
    with pytest.raises(XdrError, match="8 bytes follow the last ledger"):
        whole(body + b"\0" * 8, "single", step=100)
    with pytest.raises(XdrError, match="truncated ledger"):
        whole(body[:-1], "single")


def test_words_that_are_no_framing_are_refused() -> None:
    unknown: Any = "frames"
    with pytest.raises(ValueError, match="'framed', 'batch' or 'single'"):
        LedgerFrames(framing=unknown, compression="none")
    with pytest.raises(XdrError, match="LedgerCloseMeta"):
        ledger_sequence_of(b"\0\0\0\x03")
    frames = LedgerFrames(framing="framed", compression="none")
    assert frames.finish() == []
    with pytest.raises(ValueError, match="finish"):
        frames.feed(b"")


def test_ledgers_that_the_decoder_will_check_are_only_cut(shared_data: Path) -> None:
    data = plain(shared_data / "public" / FRAMED)[:200_000]
    first = 4 + (struct.unpack_from(">I", data)[0] & 0x7FFFFFFF)
    body = bytearray(data[4:first])
    body[-12:-8] = b"\xff\xff\xff\xff"  # the number of something at its end
    streams: tuple[tuple[Any, bytes | bytearray], ...] = (
        ("framed", data[:4] + body),
        ("single", body),
    )
    for framing, stream in streams:
        for step in (1000, 1 << 20):
            frames = LedgerFrames(framing=framing, compression="none", validate=False)
            found = [one for at in range(0, len(stream), step) for one in frames.feed(bytes(stream[at : at + step]))]
            assert found + frames.finish() == [(1410048, bytes(body))]
        with pytest.raises(XdrError):
            whole(bytes(stream), framing)
    batch = LedgerFrames(framing="batch", compression="none", validate=False)
    with pytest.raises(XdrError, match="truncated batch"):  # where its ledgers end only they tell
        _ = batch.feed(struct.pack(">III", 1410048, 1410048, 1) + body), batch.finish()
    frames = LedgerFrames(framing="framed", compression="none", validate=False)
    assert frames.feed(data[: first - 1]) == []
    with pytest.raises(XdrError, match="truncated frame at byte 0"):
        frames.finish()
    with pytest.raises(XdrError, match="LedgerCloseMeta"):
        LedgerFrames(framing="framed", compression="none", validate=False).feed(b"\x80\0\0\x04\0\0\0\x07")


def test_a_value_whose_end_is_clear_does_not_end_a_batch(shared_data: Path) -> None:
    data = plain(shared_data / "public" / FRAMED)[:200_000]
    data = data[: 4 + (struct.unpack_from(">I", data)[0] & 0x7FFFFFFF)]
    (sequence, ledger), *_ = whole(data, "framed")
    passed = 0
    for place in range(0, len(ledger), 4):
        changed = bytearray(ledger)
        changed[place + 3] ^= 2
        stream = struct.pack(">III", sequence, sequence, 1) + changed
        frames = LedgerFrames(framing="batch", compression="none", validate=False)
        try:
            found = [*frames.feed(stream), *frames.finish()]
        except XdrError:
            continue
        assert found == [(sequence, bytes(changed))]
        try:
            whole(stream, "batch")
        except XdrError:
            passed += 1
    assert passed
