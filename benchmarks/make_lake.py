"""Makes a long data lake out of a short one: its ledgers in order, again and again, under new sequence numbers.

Only the four bytes of ledgerSeq in each header are changed, as ../shared/data/lakes/README.md says of `pubnet-rep` and
`loadtest-rep`; header hashes are wrong then, which neither the peers nor a reingest check.
"""

from __future__ import annotations

import argparse
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

_UINT = struct.Struct(">I")


@dataclass(frozen=True)
class MadeLake:
    """A lake that was made.

    Attributes:
        folder: where it lies.
        first: first ledger.
        last: last ledger.
        raw_bytes: LedgerCloseMeta XDR in it, uncompressed.
        passphrase: its network.
    """

    folder: str
    first: int
    last: int
    raw_bytes: int
    passphrase: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"file://{self.folder}"

    def save(self) -> None:
        """Keep the facts beside the lake."""
        Path(f"{self.folder}.json").write_text(json.dumps(vars(self)))

    @staticmethod
    def load(folder: Path) -> MadeLake:
        """Read back what `save` kept."""
        return MadeLake(**json.loads(Path(f"{folder}.json").read_text()))


def ledger_sequence_place(lcm: bytes) -> int:
    """Return where the header's ledgerSeq stands in a LedgerCloseMeta, in bytes."""
    at = 4
    if _UINT.unpack_from(lcm)[0] > 0:  # v1 and v2 begin with an extension, which may hold another one and a 64-bit fee
        at += 4 + (12 if _UINT.unpack_from(lcm, at)[0] == 1 else 0)
    at += 32 + 4 + 32 + 32 + 8  # hash of the header; version, previous hash; set hash and close time of the value
    upgrades = _UINT.unpack_from(lcm, at)[0]
    at += 4
    for _ in range(upgrades):
        length = _UINT.unpack_from(lcm, at)[0]
        at += 4 + (length + 3) // 4 * 4
    if _UINT.unpack_from(lcm, at)[0] == 1:  # a signed value: key type and key, signature
        at += 4 + 32 + 4 + (_UINT.unpack_from(lcm, at + 40)[0] + 3) // 4 * 4
    return at + 4 + 32 + 32


def write_lake(source: Path, folder: Path, first: int, count: int) -> MadeLake:
    """Write a lake of ``count`` ledgers from ``first`` on, one per file, in partitions of 64,000.

    Args:
        source: a lake of one ledger per file.
        folder: where to write; it must not exist.
        first: first ledger sequence.
        count: how many ledgers.
    """
    config = json.loads((source / ".config.json").read_text())
    ledgers = [
        _ledger_of(path) for path in sorted(source.glob("*/*.xdr.zst*"), key=lambda path: path.name, reverse=True)
    ]
    per_partition = config["batchesPerPartition"]
    folder.mkdir(parents=True)
    (folder / ".config.json").write_text(json.dumps(config, indent=2))
    codec = pa.Codec("zstd")
    raw_bytes = 0
    for number in range(count):
        sequence = first + number
        lcm = bytearray(ledgers[number % len(ledgers)])
        _UINT.pack_into(lcm, ledger_sequence_place(lcm), sequence)
        raw_bytes += len(lcm)
        start = sequence // per_partition * per_partition
        partition = folder / f"{0xFFFFFFFF - start:08X}--{start}-{start + per_partition - 1}"
        partition.mkdir(exist_ok=True)
        batch = struct.pack(">III", sequence, sequence, 1) + lcm
        (partition / f"{0xFFFFFFFF - sequence:08X}--{sequence}.xdr.zst").write_bytes(
            codec.compress(batch, asbytes=True)
        )
    made = MadeLake(str(folder), first, first + count - 1, raw_bytes, config["networkPassphrase"])
    made.save()
    return made


def _ledger_of(path: Path) -> bytes:
    """Return the one LedgerCloseMeta of a file.

    Raises:
        ValueError: the file holds more than one ledger, or its ledgerSeq is not where it should be.
    """
    with pa.input_stream(str(path), compression="zstd") as stream:
        data = stream.read()
    start, end, count = struct.unpack_from(">III", data)
    lcm: bytes = data[12:]
    if start != end or count != 1:
        raise ValueError(f"{path} holds ledgers {start} to {end}; expected one ledger per file")
    found = _UINT.unpack_from(lcm, ledger_sequence_place(lcm))[0]
    if found != start:
        raise ValueError(f"{path}: ledgerSeq reads {found}, expected {start}")
    return lcm


def main() -> None:
    """Run ``make_lake.py SOURCE FOLDER --first N --count N``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    arguments = parser.parse_args()
    made = write_lake(arguments.source, arguments.folder, arguments.first, arguments.count)
    print(json.dumps(vars(made)))


if __name__ == "__main__":
    main()
