"""The merge of real states counts what stellar-sdk counted; pairs, hashes and damage are named by bucket."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_archive import write_synthetic_archive

from aurora_ingest import _kernel
from kernel.bucket_records import DEAD, INIT, LIVE, Contents, bucket, key_of, meta, record, stream

NAMES = st.one_of(
    st.text("AB", min_size=1, max_size=3).map(str.encode), st.integers(0, 9).map(lambda at: bytes([at * 28]) * 32)
)
LAYERS = st.lists(
    st.dictionaries(NAMES, st.tuples(st.sampled_from([LIVE, DEAD, INIT]), st.integers(1, 10**6)), max_size=15),
    min_size=1,
    max_size=4,
)
# The facts name the entry types as XDR does: TRUSTLINE; the tables do not: trust_line.
TABLES = {name.replace("_", "") if name == "trust_line" else name: name for name in _kernel.ENTRY_TYPES}


def run(merger: _kernel.BucketMerger, data: Sequence[bytes], chunk: int = 1 << 20) -> Iterator[_kernel.MergedRange]:
    """Feeds a merger what it asks for; yields its ranges."""
    places = [0] * len(data)
    while (step := merger.advance()) is not None:
        if not isinstance(step, int):
            yield step
            continue
        piece = data[step][places[step] : places[step] + chunk]
        places[step] += chunk
        if piece:
            merger.feed(step, piece)
        else:
            merger.end(step)


def named(data: Sequence[bytes], **options: object) -> _kernel.BucketMerger:
    """Returns a merger of uncompressed buckets b0 (newest), b1, ….

    Their hashes are checked at the end of each.
    """
    sources = [_kernel.BucketSource(f"b{at}", "none", hashlib.sha256(each).digest()) for at, each in enumerate(data)]
    return _kernel.BucketMerger(sources, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def real_archives(shared_data: Path) -> dict[str, dict[str, bytes]]:
    """The files of both real archives by their names."""
    archives = {}
    for name in ("testnet-archive-1-8063", "pubnet-archive-11999936-12001023"):
        with tarfile.open(shared_data / f"public/stellar-archivist/{name}.tar") as tar:
            files = {}
            for member in tar:
                if member.isfile() and Path(member.name).name.startswith(("bucket-", "history-")):
                    packed = tar.extractfile(member)
                    assert packed is not None
                    files[Path(member.name).name] = packed.read()
        archives[name] = files
    return archives


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "network,checkpoint",
    [
        *(("testnet-archive-1-8063", checkpoint) for checkpoint in (63, 127, 1023, 4095, 8063)),
        *(("pubnet-archive-11999936-12001023", checkpoint) for checkpoint in (11999999, 12001023)),
    ],
)
def test_real_states_have_the_live_entries_that_stellar_sdk_counted(
    shared_data: Path, real_archives: dict[str, dict[str, bytes]], network: str, checkpoint: int
) -> None:
    facts = json.loads((shared_data / f"public/stellar-archivist/{network}.facts.json").read_text(encoding="utf-8"))
    (fact,) = (each for each in facts["state_at"] if each["checkpoint"] == checkpoint)
    expected = {TABLES[name.lower()]: count for name, count in fact["live_entries"].items()}
    files = real_archives[network]
    state = json.loads(files[f"history-{checkpoint:08x}.json"])
    hashes = [level[part] for level in state["currentBuckets"] for part in ("curr", "snap")]
    hashes = [each for each in hashes if each.strip("0")]
    merger = _kernel.BucketMerger([_kernel.BucketSource(each, "gzip", bytes.fromhex(each)) for each in hashes])
    counted = dict.fromkeys(_kernel.ENTRY_TYPES, 0)
    rows = dict.fromkeys(_kernel.ENTRY_TYPES, 0)
    for merged in run(merger, [files[f"bucket-{each}.xdr.gz"] for each in hashes]):
        for table, count in merged.entries.items():
            counted[table] += count
        for table, batch in merged.batches:
            rows[table] += batch.num_rows
    assert {table: count for table, count in counted.items() if count} == expected
    assert rows == counted
    assert merger.algebra_warning_count == 0
    stats = [merger.source_stats(at) for at in range(len(hashes))]
    assert [each["sha256"] for each in stats] == [bytes.fromhex(each) for each in hashes]
    read = fact["bucket_entries_read"]
    for kind, name in (("live", "LIVEENTRY"), ("init", "INITENTRY"), ("dead", "DEADENTRY")):
        assert sum(int(each[kind] or 0) for each in stats) == read.get(name, 0)


@pytest.mark.shared_data
def test_the_known_state_of_pubnet(shared_data: Path) -> None:
    path = shared_data / "public/stellar-archivist/pubnet-archive-11999936-12001023.facts.json"
    (fact,) = (each for each in json.loads(path.read_text())["state_at"] if each["checkpoint"] == 12001023)
    assert fact["live_entries"] == {"ACCOUNT": 63148, "TRUSTLINE": 11583, "OFFER": 948, "DATA": 1052}


def test_a_synthetic_archive_merges_to_its_live_entries(tmp_path: Path) -> None:
    made = write_synthetic_archive(tmp_path / "archive", 3000)
    hashes = [Path(name).name[7:71] for name in made.buckets]
    merger = _kernel.BucketMerger([_kernel.BucketSource(each, "gzip", bytes.fromhex(each)) for each in hashes])
    counted = dict.fromkeys(_kernel.ENTRY_TYPES, 0)
    for merged in run(merger, [(made.folder / name).read_bytes() for name in made.buckets], chunk=1000):
        for table, count in merged.entries.items():
            counted[table] += count
    assert counted == dict(made.live_entries)


@given(LAYERS, st.integers(1, 300))
@settings(max_examples=60)
def test_accounts_and_data_merge_as_a_fold_of_dictionaries(layers: list[Contents], chunk: int) -> None:
    state: dict[bytes, tuple[int, int]] = {}
    for layer in reversed(layers):
        state.update(layer)
    alive = {name: ledger for name, (kind, ledger) in state.items() if kind != DEAD}
    (merged,) = run(named([bucket(layer) for layer in layers]), [bucket(layer) for layer in layers], chunk)
    found = []
    for table in ("account", "data"):
        (batch,) = (pa.record_batch(each) for name, each in merged.batches if name == table)
        found += list(zip(batch["ledger_key"].to_pylist(), batch["last_modified_ledger"].to_pylist(), strict=True))
    expected = sorted((key_of(name), ledger) for name, ledger in alive.items())
    assert [(_kernel.sort_key(key), ledger) for key, ledger in found] == expected


@given(LAYERS, st.sets(st.integers(0, 6)))
@settings(max_examples=40)
def test_skipped_ranges_leave_the_others_as_they_are(layers: list[Contents], skipped: set[int]) -> None:
    data = [bucket(layer) for layer in layers]
    every = list(run(named(data, segment_records=2, segments_per_range=2), data))
    some = list(run(named(data, segment_records=2, segments_per_range=2, skip_ranges=skipped), data))
    for whole, part in zip(every, some, strict=True):
        for name in ("index", "first_key", "last", "entries", "records_read"):
            assert getattr(part, name) == getattr(whole, name)
        assert part.skipped == (part.index in skipped)
        left = [] if part.skipped else [pa.record_batch(batch) for _, batch in whole.batches]
        assert [pa.record_batch(batch) for _, batch in part.batches] == left


def test_init_over_init_or_live_is_counted_and_fatal_when_strict() -> None:
    layers: list[Contents] = [
        {b"A": (INIT, 3), b"B": (INIT, 3), b"C": (INIT, 3), b"D": (LIVE, 3)},
        {b"A": (LIVE, 2), b"B": (INIT, 2), b"C": (DEAD, 2), b"D": (INIT, 2)},
    ]
    data = [bucket(layer) for layer in layers]
    merger = named(data)
    assert sum(sum(merged.entries.values()) for merged in run(merger, data)) == 4
    assert merger.algebra_warning_count == 2
    for warning, name, kind in zip(merger.algebra_warnings, (b"A", b"B"), ("LIVEENTRY", "INITENTRY"), strict=True):
        newer, older, key, text = warning
        assert (newer, older) == ("b0", "b1")
        assert _kernel.sort_key(bytes.fromhex(key)) == key_of(name)
        assert f"is {kind}" in text
    strict = named(data, strict_algebra=True)
    for _ in range(2):  # it stays failed
        with pytest.raises(_kernel.AlgebraError, match=r"INITENTRY in bucket b0, .* in bucket b1, is LIVEENTRY"):
            list(run(strict, data))


def test_only_the_first_hundred_warnings_are_kept() -> None:
    layer = {b"%03d" % at: (INIT, 1) for at in range(130)}
    data = [bucket(layer), bucket(layer)]
    merger = named(data)
    list(run(merger, data))
    assert (len(merger.algebra_warnings), merger.algebra_warning_count) == (100, 130)


@pytest.mark.parametrize(
    "bad,error,message",
    [
        (stream(record(LIVE, b"B"), record(LIVE, b"A")), _kernel.OrderError, "bucket b1: record 1 .* after record 0"),
        (stream(record(LIVE, b"A"), meta(19)), _kernel.AlgebraError, "bucket b1: record 1: METAENTRY not first"),
        (stream(record(INIT, b"A")), _kernel.AlgebraError, "bucket b1: record 0: INITENTRY"),
        (stream(record(LIVE, b"A"))[:-1], _kernel.XdrError, "bucket b1: record body truncated"),
        (bytes.fromhex("800000"), _kernel.XdrError, "frame header truncated"),
    ],
)
def test_a_bad_bucket_is_named_and_the_merger_stays_failed(bad: bytes, error: type[Exception], message: str) -> None:
    data = [bucket({b"C": (LIVE, 1)}), bad]
    merger = named(data)
    for _ in range(2):
        with pytest.raises(error, match=message):
            list(run(merger, data))


def test_another_hash_is_refused_with_both_values() -> None:
    data = bucket({b"A": (LIVE, 1)})
    merger = _kernel.BucketMerger([_kernel.BucketSource("b0", "none", bytes(32))])
    with pytest.raises(_kernel.HashMismatch) as caught:
        list(run(merger, [data]))
    assert (caught.value.expected, caught.value.computed) == (bytes(32), hashlib.sha256(data).digest())


def test_a_cut_stream_has_no_meta() -> None:
    for body, protocol, error in ((meta(19), 19, "cut without one"), (record(INIT, b"A"), 10, "protocol 10")):
        merger = _kernel.BucketMerger([_kernel.BucketSource("b0", "none", None, protocol)])
        with pytest.raises(_kernel.AlgebraError, match=error):
            list(run(merger, [stream(body)]))


def test_a_source_that_is_not_there_or_ended_takes_nothing() -> None:
    merger = named([b""])
    with pytest.raises(IndexError):
        merger.feed(1, b"x")
    with pytest.raises(IndexError):
        merger.end(1)
    merger.end(0)
    with pytest.raises(IndexError):
        merger.feed(0, b"x")
