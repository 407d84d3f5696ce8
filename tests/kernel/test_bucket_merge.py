"""The merge of buckets: against brute force, in any chunks and ranges, and never in the order of bytes."""

from __future__ import annotations

import gzip
import hashlib
import heapq
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_ingest import _kernel
from kernel.framing import frame, records

_META, _LIVE, _DEAD, _INIT = -1, 0, 1, 2
_ACCELERATED = Path(__file__).parents[1] / "data" / "standalone-accel"

Bucket = list[bytes]


def _word(value: int) -> bytes:
    return value.to_bytes(4, "big", signed=True)


def _data_entry(name: bytes, value: int) -> bytes:
    """LedgerEntry: a data entry of account zero, last modified in ledger `value`."""
    text = len(name).to_bytes(4, "big") + name + bytes(-len(name) % 4)
    body = _word(3) + _word(0) + bytes(32) + text + _word(4) + value.to_bytes(4, "big") + _word(0)
    return value.to_bytes(4, "big") + body + _word(0)


def _record(kind: int, name: bytes, value: int) -> bytes:
    entry = _data_entry(name, value)
    return _word(kind) + (_kernel.ledger_key_of(entry) if kind == _DEAD else entry)


def _bucket(contents: dict[bytes, tuple[int, int]]) -> Bucket:
    """A bucket of protocol 19 in core's order: names by content, then length."""
    named = sorted((name, *record) for name, record in contents.items())
    return [_word(_META) + _word(19) + _word(0), *(_record(kind, name, value) for name, kind, value in named)]


def _merge(buckets: list[Bucket], *, chunk: int = 1 << 20, **options: int) -> list[_kernel.MergedRange]:
    streams = [b"".join(map(frame, bucket)) for bucket in buckets]
    sources = [
        _kernel.BucketSource(f"b{at}", "none", hashlib.sha256(stream).digest()) for at, stream in enumerate(streams)
    ]
    merger = _kernel.BucketMerger(sources, columns={"data": None}, **options)
    places = [0] * len(streams)
    ranges = []
    while (step := merger.advance()) is not None:
        if isinstance(step, int):
            piece = streams[step][places[step] : places[step] + chunk]
            places[step] += chunk
            if piece:
                merger.feed(step, piece)
            else:
                merger.end(step)
        else:
            ranges.append(step)
    return ranges


def _rows(ranges: list[_kernel.MergedRange]) -> list[tuple[bytes, int]]:
    """Name and last modified ledger of every live row, in the order in which they come."""
    rows = []
    for merged in ranges:
        for _, batch in merged.batches:
            taken = pa.record_batch(batch)
            rows += zip(taken["name"].to_pylist(), taken["last_modified_ledger"].to_pylist(), strict=True)
    return rows


def _newest_wins(layers: list[dict[bytes, tuple[int, int]]]) -> list[tuple[bytes, int]]:
    state: dict[bytes, tuple[int, int]] = {}
    for layer in reversed(layers):
        state.update(layer)
    return sorted((name, value) for name, (kind, value) in state.items() if kind != _DEAD)


_NAMES = st.binary(min_size=1, max_size=3).map(lambda raw: bytes(byte % 3 + 65 for byte in raw))
_LAYER = st.dictionaries(_NAMES, st.tuples(st.sampled_from([_LIVE, _LIVE, _DEAD, _INIT]), st.integers(1, 10**6)))


@given(st.lists(_LAYER, min_size=1, max_size=6), st.integers(1, 200), st.integers(1, 8), st.integers(1, 4))
@settings(max_examples=200)
def test_the_newest_record_wins_and_dead_hides(
    layers: list[dict[bytes, tuple[int, int]]], chunk: int, segment: int, per_range: int
) -> None:
    buckets = [_bucket(layer) for layer in layers]
    ranges = _merge(buckets, chunk=chunk, segment_records=segment, segments_per_range=per_range)
    assert _rows(ranges) == _newest_wins(layers)
    assert [merged.index for merged in ranges] == list(range(len(ranges)))
    assert [merged.last for merged in ranges] == [False] * (len(ranges) - 1) + [True]
    assert sum(merged.records_read for merged in ranges) == sum(len(bucket) - 1 for bucket in buckets)
    whole = _merge(buckets)
    assert _rows(whole) == _rows(ranges)


@given(st.lists(_LAYER, min_size=1, max_size=4), st.sets(st.integers(0, 8)))
@settings(max_examples=60)
def test_skipped_ranges_are_counted_and_not_built(
    layers: list[dict[bytes, tuple[int, int]]], skipped: set[int]
) -> None:
    buckets = [_bucket(layer) for layer in layers]
    every = _merge(buckets, segment_records=2, segments_per_range=2)
    some = _merge(buckets, segment_records=2, segments_per_range=2, skip_ranges=sorted(skipped))  # type: ignore[arg-type]
    assert [(merged.index, merged.entries) for merged in some] == [(merged.index, merged.entries) for merged in every]
    for before, after in zip(every, some, strict=True):
        assert after.skipped == (after.index in skipped)
        assert _rows([after]) == ([] if after.skipped else _rows([before]))


@pytest.mark.parametrize(
    "bucket,error,message",
    [
        ([_record(_LIVE, b"B", 1), _record(_LIVE, b"A", 1)], _kernel.OrderError, "record 1"),
        ([_record(_LIVE, b"A", 1), _record(_DEAD, b"A", 1)], _kernel.OrderError, "records 0 and 1"),
        ([_record(_INIT, b"A", 1)], _kernel.AlgebraError, "INIT"),
        ([_record(_LIVE, b"A", 1), _word(_META) + _word(19) + _word(0)], _kernel.AlgebraError, "META"),
        ([_word(_META) + _word(10) + _word(0), _record(_INIT, b"A", 1)], _kernel.AlgebraError, "INIT"),
        ([_record(_LIVE, b"A", 1)[:-1]], _kernel.XdrError, "record 0"),
        ([_word(7) + _data_entry(b"A", 1)], _kernel.XdrError, "record 0"),
    ],
)
def test_a_bucket_that_breaks_the_rules_ends_the_merge(bucket: Bucket, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _merge([bucket])


def test_init_over_live_is_a_counted_warning_and_fatal_when_asked() -> None:
    buckets = [_bucket({b"A": (_INIT, 2)}), _bucket({b"A": (_LIVE, 1)})]
    assert _rows(_merge(buckets)) == [(b"A", 2)]
    with pytest.raises(_kernel.AlgebraError, match=r"b0.*b1"):
        _merge(buckets, strict_algebra=True)


def _archive_buckets(archive: Path, checkpoint: int) -> list[Bucket]:
    """The live buckets of a state, newest first, without the empty ones."""
    name = f"{checkpoint:08x}"
    folder = f"{name[:2]}/{name[2:4]}/{name[4:6]}"
    state = json.loads((archive / f"history/{folder}/history-{name}.json").read_text(encoding="utf-8"))
    hashes = [level[part] for level in state["currentBuckets"] for part in ("curr", "snap")]
    paths = [archive / f"bucket/{h[:2]}/{h[2:4]}/{h[4:6]}/bucket-{h}.xdr.gz" for h in hashes if h.strip("0")]
    return [list(records(gzip.decompress(path.read_bytes()))) for path in paths]


def _merged_keys(buckets: list[Bucket], order: Callable[[bytes], bytes]) -> set[bytes]:
    """A textbook merge of sorted streams in some order of keys: equal heads meet, the newest wins, dead hides."""

    def keyed(age: int, bucket: Bucket) -> Iterator[tuple[bytes, int, bool, bytes]]:
        for record in bucket:
            kind = int.from_bytes(record[:4], "big", signed=True)
            if kind != _META:
                key = record[4:] if kind == _DEAD else _kernel.ledger_key_of(record[4:])
                yield order(key), age, kind == _DEAD, key

    alive: set[bytes] = set()
    last: bytes | None = None
    for place, _, dead, key in heapq.merge(*(keyed(age, bucket) for age, bucket in enumerate(buckets))):
        if place != last and not dead:
            alive.add(key)
        last = place
    return alive


def _kernel_keys(buckets: list[Bucket]) -> set[bytes]:
    streams = [b"".join(map(frame, bucket)) for bucket in buckets]
    merger = _kernel.BucketMerger(
        [_kernel.BucketSource(str(at), "none", None) for at in range(len(streams))],
        columns={table: ["ledger_key"] for table in _kernel.ENTRY_TYPES},
    )
    keys: set[bytes] = set()
    fed: set[int] = set()
    while (step := merger.advance()) is not None:
        if not isinstance(step, int):
            for _, batch in step.batches:
                keys.update(pa.record_batch(batch)["ledger_key"].to_pylist())
        elif step in fed:
            merger.end(step)
        else:
            fed.add(step)
            merger.feed(step, streams[step])
    return keys


@pytest.mark.shared_data
@pytest.mark.parametrize("network,checkpoint", [("standalone-p19", 383), ("standalone-p19", 255)])
def test_a_merge_in_the_order_of_bytes_revives_dead_rows(shared_data: Path, network: str, checkpoint: int) -> None:
    buckets = _archive_buckets(shared_data / network / "archive", checkpoint)
    right = _merged_keys(buckets, _kernel.sort_key)
    assert _kernel_keys(buckets) == right
    assert _merged_keys(buckets, lambda key: key) - right


@pytest.mark.parametrize("checkpoint", [7, 15, 47, 95])
def test_our_own_archive_merges_as_the_textbook_says(checkpoint: int) -> None:
    buckets = _archive_buckets(_ACCELERATED, checkpoint)
    assert _kernel_keys(buckets) == _merged_keys(buckets, _kernel.sort_key)


def test_the_order_of_feeding_does_not_matter() -> None:
    rng = random.Random(5)
    layers = [
        {bytes(rng.choices(b"ABCD", k=rng.randrange(1, 5))): (rng.choice([_LIVE, _DEAD]), rng.randrange(1, 99))}
        for _ in range(12)
    ]
    buckets = [_bucket(layer) for layer in layers]
    expected = _newest_wins(layers)
    for chunk in (1, 7, 64, 1 << 16):
        assert _rows(_merge(buckets, chunk=chunk)) == expected
