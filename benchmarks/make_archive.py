"""Makes a history archive of any size whose hashes all agree: a synthetic one, or copies of pubnet's state of 2017."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import classic_entries as classic
import contract_entries as contract
import numpy as np
import numpy.typing as npt
from archive_writer import LIST_HOT, ArchiveWriter, Place, WrittenArchive
from entry_shapes import Batch, Bytes2D, be32
from pubnet_copies import write_pubnet_copies

NETWORK = "Aurora Benchmark Network"
CHECKPOINT = 54_999_999
PROTOCOL = 23
ENTRY_TYPES = (
    "account", "trust_line", "offer", "data", "claimable_balance", "liquidity_pool", "contract_data", "contract_code",
    "config_setting", "ttl",
)  # fmt: skip
MIX = {"account": 22, "offer": 6, "data": 4, "claimable_balance": 18, "liquidity_pool": 0.2, "contract_data": 8.5}
"""Percent of the entries; contract code is 0.02, trust lines are the rest: 32 without the TTLs of data and code."""
LIVE, DEAD, INIT = 0, 1, 2
PLACES: tuple[tuple[Place, float], ...] = (
    ((10, "curr"), 0.60), ((9, "snap"), 0.13), ((9, "curr"), 0.07), ((8, "snap"), 0.06), ((8, "curr"), 0.04),
    ((7, "snap"), 0.03), ((7, "curr"), 0.02), ((6, "snap"), 0.015), ((6, "curr"), 0.011), ((5, "curr"), 0.009),
    ((4, "snap"), 0.006), ((3, "curr"), 0.004), ((2, "snap"), 0.0025), ((1, "curr"), 0.0015), ((0, "curr"), 0.001),
)  # fmt: skip
"""Buckets from the oldest to the newest and the share of entries that were made in each."""
UPDATED, DELETED = 0.12, 0.04
"""Share of live entries with a second record in a newer bucket, and of dead keys in proportion to live ones."""


@dataclass(frozen=True)
class _Keyed:
    """All entries of one type, live and dead, with what the buckets need of them."""

    batches: list[Batch]
    dead: list[npt.NDArray[np.bool_]]


def write_synthetic_archive(
    folder: Path,
    entries: int,
    *,
    seed: int = 1,
    passphrase: str = NETWORK,
    checkpoint: int = CHECKPOINT,
    protocol: int = PROTOCOL,
    gzip_level: int = 6,
) -> WrittenArchive:
    """Write an archive with all ten entry types, all record kinds and, from protocol 23, hot-archive buckets.

    Entries lie on several levels; 12 % have a newer record over an older one, and dead keys hide others.

    Args:
        folder: where; must be empty or missing.
        entries: number of live entries, at least 1,000.
        seed: equal arguments give equal bytes.
        passphrase: of the network.
        checkpoint: its only checkpoint.
        protocol: of headers and buckets, 20 or newer.
        gzip_level: compression of the buckets.

    Raises:
        ValueError: too few entries, too old a protocol, or not a checkpoint.
        FileExistsError: the folder is not empty.
    """
    if entries < 1000:
        raise ValueError(f"{entries} entries: the mix needs at least 1000")
    if protocol < 20:
        raise ValueError(f"protocol {protocol} has no contracts: at least 20")
    counts = {name: max(1, round(entries * percent / 100)) for name, percent in MIX.items()}
    counts["contract_code"] = max(4, entries // 5000)
    network_id = hashlib.sha256(passphrase.encode()).digest()
    world = classic.World.create(seed, checkpoint, network_id, counts["account"])
    archive = ArchiveWriter(folder, passphrase, checkpoint, protocol, gzip_level=gzip_level)
    live: dict[str, int] = {}
    for name, made in _all_types(world, entries, counts):
        live[name] = sum(int((~dead).sum()) for dead in made.dead)
        _write_type(archive, world, made)
    if protocol >= 23:
        _write_hot(archive, world, max(3, entries // 500))
    return archive.close(live)


def _all_types(world: classic.World, entries: int, counts: dict[str, int]) -> Iterator[tuple[str, _Keyed]]:
    """Yield the entries of each type in the order of the types."""
    settings = contract.config_settings(world)
    ttl_count = counts["contract_data"] + counts["contract_code"]
    lines = entries - sum(counts.values()) - len(settings) - ttl_count
    doomed = {name: int(count * DELETED) for name, count in {**counts, "trust_line": lines}.items()}
    yield "account", _doom(world, classic.accounts(world, doomed["account"]), doomed["account"])
    for name, make, count in (
        ("trust_line", classic.trust_lines, lines),
        ("offer", classic.offers, counts["offer"]),
        ("data", classic.data, counts["data"]),
        ("claimable_balance", classic.claimable_balances, counts["claimable_balance"]),
        ("liquidity_pool", classic.liquidity_pools, counts["liquidity_pool"]),
    ):
        yield name, _doom(world, make(world, count + doomed[name]), doomed[name])
    hashes, dead = [], []
    for name, make, count in (
        ("contract_data", contract.contract_data, counts["contract_data"]),
        ("contract_code", contract.contract_code, counts["contract_code"]),
    ):
        made = _doom(world, make(world, count + doomed[name]), doomed[name])
        hashes += [hashlib.sha256(key).digest() for each in made.batches for key in _bytes(each.shape.keys(each.rows))]
        dead += made.dead
        yield name, made
        if name == "contract_code":
            yield "config_setting", _Keyed(settings, [np.zeros(1, bool) for _ in settings])
    keys = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)
    yield "ttl", _Keyed([contract.ttls(world, keys)], [np.concatenate(dead)])


def _doom(world: classic.World, batches: list[Batch], number: int) -> _Keyed:
    """Choose which entries are dead: spread over all shapes; of accounts the last ones, which own nothing."""
    total = sum(len(batch.rows) for batch in batches)
    dead = np.zeros(total, bool)
    if batches[0].shape.entry_type == classic.ACCOUNT:
        dead[total - number :] = True
    else:
        dead[world.rng.choice(total, number, replace=False)] = True
    cuts = np.cumsum([len(batch.rows) for batch in batches])[:-1]
    return _Keyed(batches, np.split(dead, cuts))


def _write_type(archive: ArchiveWriter, world: classic.World, made: _Keyed) -> None:
    """Distribute the entries of one type over the buckets and append them in key order."""
    sorts: dict[int, list[npt.NDArray[np.bytes_]]] = {place: [] for place in range(len(PLACES))}
    records: dict[int, list[bytes]] = {place: [] for place in range(len(PLACES))}
    shares = np.asarray([share for _, share in PLACES])
    for batch, dead in zip(made.batches, made.dead, strict=True):
        count = len(batch.rows)
        if not count:
            continue
        rng = world.rng
        keys, sort_keys = batch.shape.keys(batch.rows), batch.shape.sort_keys(batch.rows)
        base = rng.choice(len(PLACES), count, p=shares / shares.sum())
        twice = (dead | (rng.random(count) < UPDATED)) & (base < len(PLACES) - 1)
        base[dead & (base == len(PLACES) - 1)] = 0
        twice |= dead
        newer = base + 1 + (rng.random(count) * (len(PLACES) - 1 - base)).astype(np.int64)
        kind = np.where((base > 0) & (rng.random(count) < 0.6), INIT, LIVE)
        second = _updated(batch, world)
        for place in range(len(PLACES)):
            for chosen, rows, what in (
                ((base == place) & (kind == LIVE), batch.rows, LIVE),
                ((base == place) & (kind == INIT), batch.rows, INIT),
                (twice & ~dead & (newer == place), second, LIVE),
                (dead & (newer == place), keys, DEAD),
            ):
                if chosen.any():
                    sorts[place].append(sort_keys[chosen])
                    records[place] += _framed(rows[chosen], what)
    for place, (name, _) in enumerate(PLACES):
        if records[place]:
            archive.bucket(name).write(_in_order(sorts[place], records[place]), len(records[place]))


def _updated(batch: Batch, world: classic.World) -> Bytes2D:
    """Return the entries as a later ledger left them: its number, and another amount where there is one."""
    rows: Bytes2D = batch.rows.copy()
    count = len(rows)
    start, end = batch.shape.holes["modified"]
    rows[:, start:end] = be32(np.full(count, world.checkpoint) - world.rng.integers(0, 1000, count))
    if "amount" in batch.shape.holes:
        start, end = batch.shape.holes["amount"]
        rows[:, start:end] = world.rng.permutation(rows[:, start:end])
    return rows


def _bytes(rows: Bytes2D) -> list[bytes]:
    """Return each row as a bytes object."""
    rows = np.ascontiguousarray(rows)
    records: list[bytes] = rows.view(f"V{rows.shape[1]}").ravel().tolist()
    return records


def _framed(rows: Bytes2D, kind: int) -> list[bytes]:
    """Put record mark and bucket entry type before each row."""
    framed = np.empty((len(rows), rows.shape[1] + 8), np.uint8)
    framed[:, :8] = np.frombuffer(struct.pack(">Ii", rows.shape[1] + 4 | 1 << 31, kind), np.uint8)
    framed[:, 8:] = rows
    return _bytes(framed)


def _in_order(sorts: list[npt.NDArray[np.bytes_]], records: list[bytes]) -> bytes:
    """Join records in the order of their keys.

    Raises:
        ValueError: a key stands twice.
    """
    keys = np.concatenate(sorts)
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    if (in_order[1:] == in_order[:-1]).any():
        raise ValueError("the generator made a key twice: use another seed")
    return b"".join([records[index] for index in order.tolist()])


def _write_hot(archive: ArchiveWriter, world: classic.World, count: int) -> None:
    """Write two hot-archive buckets: archived entries, and tombstones of some in the newer one."""
    batch = contract.contract_code(world, 4)[0]
    data = [each for each in contract.contract_data(world, count) if each.shape.share in {34, 22}]
    for name, kind, wanted in (((4, "curr"), 0, slice(None)), ((1, "curr"), 1, slice(0, None, 3))):
        bucket = archive.bucket(name, LIST_HOT)
        for same_type in (data, [batch]):
            sorts = [each.shape.sort_keys(each.rows)[wanted] for each in same_type]
            rows = [(each.rows if kind == 0 else each.shape.keys(each.rows))[wanted] for each in same_type]
            records = [record for some in rows for record in _framed(some, kind)]
            bucket.write(_in_order(sorts, records), len(records))


def main() -> None:
    """Make the archive that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--entries", type=int, help="live entries of a synthetic archive")
    size.add_argument("--x10", type=Path, metavar="TAR", help="pubnet archive (.tar) at 12001023 to copy ten times")
    parser.add_argument("--copies", type=int, default=10, help="copies of pubnet's state (with --x10)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--protocol", type=int, default=PROTOCOL)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--force", action="store_true", help="remove what is in the folder")
    arguments = parser.parse_args()
    if arguments.force and arguments.out.exists():
        shutil.rmtree(arguments.out)
    start = time.perf_counter()
    if arguments.x10:
        made = write_pubnet_copies(arguments.out, arguments.x10, arguments.copies, passphrase=NETWORK)
    else:
        made = write_synthetic_archive(
            arguments.out, arguments.entries, seed=arguments.seed, protocol=arguments.protocol
        )
    seconds = time.perf_counter() - start
    print(f"{made.entries} live entries, {sum(made.buckets.values())} records, {made.raw_bytes / 1e6:.1f} MB raw")
    print(f"{seconds:.1f} s, {made.entries / seconds:.0f} entries/s; {made.url} checkpoint {made.checkpoint}")


if __name__ == "__main__":
    main()
