"""Lakes on a local disk: every shared lake against its origin, and what is wrong told by name."""

from __future__ import annotations

import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from aurora_ingest.errors import (
    BackendError,
    LakeConflictError,
    LedgerStreamError,
    MissingLedgersError,
    NetworkMismatchError,
)
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import BackendOptions, RawLedger, readable_range
from aurora_ingest.ledger_backend.data_lake import DataLake
from aurora_ingest.ledger_backend.lake_layout import LakeLayout, Manifest
from aurora_ingest.network import PUBNET, STANDALONE, TESTNET
from ledger_backend.origins import LAKES, Lake
from ledger_backend.reading import read_until

_RANGE = LedgerRange(1410048, 1410303)


def write_lake(
    folder: Path, ledgers: dict[int, bytes], layout: LakeLayout, name: Callable[[str], str] = lambda path: path
) -> Path:
    """A lake made without the writer under test."""
    parts: dict[str, list[tuple[int, bytes]]] = {}
    for sequence, data in ledgers.items():
        parts.setdefault(layout.file_of(sequence).path, []).append((sequence, data))
    for path, part in parts.items():
        place = folder / name(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        head = struct.pack(">III", part[0][0], part[-1][0], len(part))
        place.write_bytes(zstandard.compress(head + b"".join(data for _, data in part)))
    return folder


def _read(backend: DataLake, ledgers: LedgerRange) -> dict[int, bytes]:
    found: list[RawLedger] = list(backend.read(ledgers))
    assert [raw.sequence for raw in found] == list(ledgers)
    assert all(raw.has_meta and raw.has_set for raw in found)
    return {raw.sequence: raw.data for raw in found}


@pytest.fixture
def light(shared_data: Path, tmp_path: Path) -> Path:
    """A copy of the lake with one ledger per file."""
    return shutil.copytree(shared_data / "lakes" / "testnet-1410048-1410303", tmp_path / "lake")


def _file(folder: Path, ledger: int) -> Path:
    return folder / LakeLayout().file_of(ledger).path


@pytest.mark.parametrize("lake", LAKES, ids=lambda lake: lake.name)
def test_a_lake_reads_as_its_origin(shared_data: Path, lake: Lake, impatient: BackendOptions) -> None:
    backend = DataLake(f"file://{shared_data / 'lakes' / lake.name}", lake.network, impatient)
    backend.check(lake.ledgers)
    assert backend.available() == lake.ledgers
    assert _read(backend, lake.ledgers) == lake.expected(shared_data)


@pytest.mark.parametrize("name", ["testnet-1410048-1410303", "testnet-1410048-1410303-b64"])
@pytest.mark.parametrize("ledgers", [(1410048, 1410048), (1410111, 1410112), (1410112, 1410239), (1410303, 1410303)])
def test_a_range_is_exact_in_both_layouts(shared_data: Path, name: str, ledgers: tuple[int, int]) -> None:
    expected = LAKES[1].expected(shared_data)
    wanted = LedgerRange(*ledgers)
    backend = pickle.loads(pickle.dumps(DataLake(str(shared_data / "lakes" / name), TESTNET)))  # noqa: S301
    assert _read(backend, wanted) == {n: expected[n] for n in wanted}


@pytest.mark.parametrize("extension", ["zst", "zstd"])
@pytest.mark.parametrize("start", [0, 2])
@pytest.mark.parametrize("manifest", [True, False])
def test_lakes_from_the_first_ledger_on(
    tmp_path: Path, core_ledgers: dict[int, bytes], extension: str, start: int, manifest: bool
) -> None:
    ledgers = {n: core_ledgers[n] for n in range(2, 192)}
    layout = LakeLayout(32, 2, extension, start)

    def name(path: str) -> str:
        return path.replace("FFFFFFFF--0-31.", "FFFFFFFD--2-31.") if start else path

    write_lake(tmp_path, ledgers, layout, name)
    if manifest:
        (tmp_path / ".config.json").write_bytes(Manifest(STANDALONE.passphrase, LakeLayout(32, 2)).render())
    backend = DataLake(str(tmp_path), STANDALONE)
    wanted, told = readable_range(backend, LedgerRange(1, 191))
    assert wanted == LedgerRange(2, 191)
    assert "ledger 1 is genesis" in told
    assert "starts at ledger 2" in told
    backend.check(wanted)
    assert backend.available() == wanted
    assert _read(backend, wanted) == ledgers
    for refused in (lambda: backend.check(LedgerRange(1, 9)), lambda: next(backend.read(LedgerRange(1, 9)))):
        with pytest.raises(MissingLedgersError, match="ledger 1 is not there: it is genesis"):
            refused()
    with pytest.raises(MissingLedgersError, match="history archive has its header"):
        readable_range(backend, LedgerRange(1, 1))


def test_a_lake_without_folders(tmp_path: Path, core_ledgers: dict[int, bytes]) -> None:
    ledgers = {n: core_ledgers[n] for n in range(64, 192)}
    backend = DataLake(str(write_lake(tmp_path, ledgers, LakeLayout(64, 1))), STANDALONE)
    assert backend.available() == LedgerRange(64, 191)
    assert _read(backend, LedgerRange(100, 130)) == {n: ledgers[n] for n in range(100, 131)}


def test_a_lake_below_the_path_of_its_manifest(tmp_path: Path, core_ledgers: dict[int, bytes]) -> None:
    ledgers = {n: core_ledgers[n] for n in range(64, 70)}
    write_lake(tmp_path / "ledgers", ledgers, LakeLayout(1, 10))
    manifest = replace(Manifest(None, LakeLayout(1, 10)))
    text = manifest.render().replace(b'"version"', b'"ledgersPath": "ledgers", "version"')
    (tmp_path / ".config.json").write_bytes(text)
    backend = DataLake(str(tmp_path), STANDALONE)
    backend.check(LedgerRange(64, 69))
    assert _read(backend, LedgerRange(64, 69)) == ledgers


def test_holes_are_told_as_ranges(light: Path, impatient: BackendOptions, waits: list[float]) -> None:
    for ledger in (1410100, *range(1410200, 1410210)):
        _file(light, ledger).unlink()
    backend = DataLake(str(light), TESTNET, impatient)
    lost = (LedgerRange(1410040, 1410047), LedgerRange(1410100, 1410100), LedgerRange(1410200, 1410209))
    with pytest.raises(MissingLedgersError, match="19 ledgers are not there: 1410040-1410047, 1410100, ") as checked:
        backend.check(LedgerRange(1410040, 1410303))
    assert checked.value.ranges == lost
    given, error = read_until(MissingLedgersError, backend.read(_RANGE))
    assert given == list(range(1410048, 1410100))
    assert error.ranges == lost[1:]
    assert waits == [], "what is not there is not asked for again"
    backend.check(LedgerRange(1410101, 1410199))


def test_another_network_is_refused(light: Path) -> None:
    with pytest.raises(NetworkMismatchError, match="of network 'Test SDF Network"):
        DataLake(str(light), PUBNET).check(_RANGE)
    with pytest.raises(NetworkMismatchError):
        next(DataLake(str(light), PUBNET).read(_RANGE))


def test_names_that_contradict_the_manifest_are_refused(light: Path) -> None:
    (light / ".config.json").write_bytes(Manifest(TESTNET.passphrase, LakeLayout(64, 2)).render())
    with pytest.raises(LakeConflictError, match="not a file of a lake of 64 ledgers per file"):
        DataLake(str(light), TESTNET).check(_RANGE)
    asked = BackendOptions(ledgers_per_file=2)
    with pytest.raises(LakeConflictError, match=r"has 64 ledgers per file .* not 2 ledgers per file"):
        DataLake(str(light), TESTNET, asked).check(_RANGE)


def test_a_layout_may_be_given(light: Path) -> None:
    (light / ".config.json").unlink()
    assert DataLake(str(light), TESTNET).available() == _RANGE, "inferred"
    given = BackendOptions(ledgers_per_file=1, files_per_partition=64000)
    assert DataLake(str(light), TESTNET, given).available() == _RANGE
    wrong = BackendOptions(ledgers_per_file=1, files_per_partition=10)
    with pytest.raises(LakeConflictError):
        DataLake(str(light), TESTNET, wrong).available()


def test_no_lake_at_all(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"there is no data lake at .*FFFFFFFD--2.xdr.zst"):
        DataLake(str(tmp_path / "nothing"), TESTNET).available()
    (tmp_path / ".config.json").write_bytes(Manifest(TESTNET.passphrase, LakeLayout()).render())
    empty = DataLake(str(tmp_path), TESTNET)
    assert empty.available() is None
    with pytest.raises(MissingLedgersError, match="it is empty"):
        empty.check(LedgerRange(5, 6))


def _swap(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(zstandard.compress(change(zstandard.decompress(path.read_bytes()))))


@pytest.mark.parametrize(
    "break_it, told",
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "zstd stream is cut off"),
        (lambda path: path.write_bytes(b""), "0 of the 12 bytes"),
        (lambda path: path.write_bytes(b"<html>not here</html>"), "the batch announces ledgers"),
        (lambda path: path.write_bytes(b"\0" * 12), "0 to 0 but 0 ledgers"),
        (lambda path: _swap(path, lambda data: data[:-1]), "ends 4839 bytes into ledger 1410100"),
        (lambda path: _swap(path, lambda data: data + b"\0\0\0\0"), "4 bytes follow the last"),
        (lambda path: _swap(path, lambda data: data[:8] + b"\0\0\0\2" + data[12:]), "but 2 ledgers"),
        (lambda path: _swap(path, lambda data: struct.pack(">II", 1, 1) + data[8:]), "where ledger 1 is due"),
        (
            lambda path: path.write_bytes(path.with_name("FFEA7B98--1410151.xdr.zst").read_bytes()),
            "holds ledger 1410151",
        ),
    ],
    ids=["cut", "empty", "html", "zeros", "short", "long", "count", "bounds", "another ledger"],
)
def test_a_damaged_object_is_named(light: Path, break_it: Callable[[Path], object], told: str) -> None:
    path = _file(light, 1410100)
    break_it(path)
    given, error = read_until(LedgerStreamError, DataLake(str(light), TESTNET).read(_RANGE), told)
    assert str(path.relative_to(light)) in str(error)
    assert error.path.endswith("FFEA7BCB--1410100.xdr.zst")
    assert given == list(range(1410048, 1410100))


def test_a_batch_with_too_few_ledgers_is_named(shared_data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(shared_data / "lakes" / "testnet-1410048-1410303-b64", tmp_path / "lake")
    layout = LakeLayout(64, 2)
    ledgers = LAKES[1].expected(shared_data)
    part = [ledgers[n] for n in range(1410112, 1410170)]
    place = folder / layout.file_of(1410112).path
    place.write_bytes(zstandard.compress(struct.pack(">III", 1410112, 1410169, 58) + b"".join(part)))
    backend = DataLake(str(folder), TESTNET)
    with pytest.raises(
        LedgerStreamError, match="ends before ledger 1410170; by its name it has ledgers 1410112-1410175"
    ):
        list(backend.read(_RANGE))
    assert len(list(backend.read(LedgerRange(1410176, 1410303)))) == 128


def test_following_waits_for_the_next_file(
    light: Path, tmp_path: Path, impatient: BackendOptions, waits: list[float]
) -> None:
    late = tmp_path / "late"
    late.mkdir()
    for ledger in range(1410298, 1410304):
        _file(light, ledger).rename(late / _file(light, ledger).name)

    def arrive(seconds: float) -> None:
        waits.append(seconds)
        for path in sorted(late.iterdir(), reverse=True)[:2]:
            path.rename(_file(light, 1410300).with_name(path.name))

    backend = DataLake(str(light), TESTNET, replace(impatient, sleep=arrive))
    given: list[int] = []
    for raw in backend.follow(1410290, lambda: len(given) == 14):
        given.append(raw.sequence)  # noqa: PERF401 - the stop condition looks at it
    assert given == list(range(1410290, 1410304))
    assert len(waits) == 3


def test_following_reports_a_hole_instead_of_waiting_for_ever(light: Path, impatient: BackendOptions) -> None:
    for ledger in range(1410298, 1410301):
        _file(light, ledger).unlink()
    backend = DataLake(str(light), TESTNET, impatient)
    given, error = read_until(MissingLedgersError, backend.follow(1410290, lambda: False))
    assert given == list(range(1410290, 1410298))
    assert error.ranges == (LedgerRange(1410298, 1410300),)
