"""Lakes in gs:// (played by fake-gcs-server) and s3:// (played by moto): read, listed, written, raced."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from postgres_server import free_port

from aurora_ingest.errors import BackendError, MissingLedgersError, NetworkMismatchError, UsageError
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import BusyError, NotThereError, RefusedError, UnreachableError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import BackendOptions
from aurora_ingest.ledger_backend.data_lake import DataLake
from aurora_ingest.ledger_backend.lake_layout import LakeLayout
from aurora_ingest.ledger_backend.lake_writer import LakeWriter
from aurora_ingest.network import PUBNET, TESTNET
from aurora_ingest.object_store.local_store import LocalStore
from aurora_ingest.object_store.store import ObjectStore, open_store, patiently
from buckets import fake_gcs, moto_s3
from ledger_backend.origins import LAKES

_LIGHT = LAKES[2]


@pytest.fixture(scope="module")
def gs() -> Iterator[str]:
    """Address of a bucket in the emulator."""
    with fake_gcs("lakes"):
        yield "gs://lakes"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Address of a bucket at moto's server; the region and keys come from the environment."""
    with moto_s3("lakes") as address:
        yield address


@pytest.fixture(params=["gs", "s3", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address for a lake of this test's own."""
    name = request.node.name.replace("[", "-").replace("]", "").replace("_", "-")
    if request.param == "file":
        return f"file://{tmp_path / 'lake'}"
    address: str = request.getfixturevalue(request.param)
    base, question, query = address.partition("?")
    return f"{base.rstrip('/')}/some/{name}{question}{query}"


@pytest.fixture
def filled(place: str, shared_data: Path) -> str:
    """The same lake, a copy of the shared one."""
    folder = shared_data / "lakes" / _LIGHT.name
    storage = open_store(place, RetryPolicy())
    for path in folder.rglob("*"):
        if path.is_file():
            assert storage.put_new(str(path.relative_to(folder)), path.read_bytes(), {})
    return place


def _storage(url: str) -> ObjectStore:
    return open_store(url, RetryPolicy())


def test_a_lake_is_read_and_listed(filled: str, shared_data: Path, impatient: BackendOptions) -> None:
    backend = pickle.loads(pickle.dumps(DataLake(filled, TESTNET)))  # noqa: S301
    backend.check(_LIGHT.ledgers)
    assert backend.available() == _LIGHT.ledgers
    assert {raw.sequence: raw.data for raw in backend.read(_LIGHT.ledgers)} == _LIGHT.expected(shared_data)
    with pytest.raises(MissingLedgersError) as error:
        backend.check(LedgerRange(1410300, 1410305))
    assert error.value.ranges == (LedgerRange(1410304, 1410305),)
    with pytest.raises(NetworkMismatchError):
        DataLake(filled, PUBNET, impatient).check(_LIGHT.ledgers)
    assert "someone" not in backend.describe()
    assert "?" not in backend.describe()


def test_names_are_listed_between_two(place: str) -> None:
    storage = _storage(place)
    layout = LakeLayout(1, 20)
    paths = [layout.file_of(ledger).path for ledger in range(100, 130)]
    for path in [".config.json", *paths]:
        assert storage.put_new(path, b"x", {})
    folder = layout.folder_of(100)
    names = sorted(path.removeprefix(folder) for path in paths if path.startswith(folder))
    assert len(names) == 20
    assert list(storage.names(folder)) == names
    assert list(storage.names(folder, names[5], names[10])) == names[5:11]
    assert list(storage.names(folder, names[18])) == names[18:]
    assert list(storage.names(folder, "FFFFFF9A", "FFFFFF9C")) == names[-2:], "101 and 100, by the start of their names"
    assert list(storage.names("nothing/")) == []
    assert list(storage.names("")) == [".config.json"]
    assert storage.folders() == [layout.folder_of(120).rstrip("/"), folder.rstrip("/")]
    assert storage.folders(folder) == []


def test_what_is_there_stays(place: str) -> None:
    storage = _storage(place)
    with pytest.raises(NotThereError):
        storage.get("a/b.bin")
    assert storage.put_new("a/b.bin", b"first", {"start-ledger": "5", "network-passphrase": TESTNET.passphrase})
    assert not storage.put_new("a/b.bin", b"second", {})
    assert storage.get("a/b.bin") == b"first"
    assert list(storage.names("a/")) == ["b.bin"], "nothing is left beside it"


def test_of_many_writers_of_one_file_one_wins(place: str) -> None:
    storages = [_storage(place) for _ in range(4)]  # the emulator resets a sixth connection that waits
    barrier = threading.Barrier(len(storages))

    def write(number: int) -> bool:
        barrier.wait()
        return storages[number].put_new("p/one", b"%d" % number * 1000, {})

    with ThreadPoolExecutor(len(storages)) as pool:
        won = [number for number, first in enumerate(pool.map(write, range(len(storages)))) if first]
    assert len(won) == 1
    assert storages[0].get("p/one") == b"%d" % won[0] * 1000


def test_a_lake_is_written_and_read_again(place: str, shared_data: Path) -> None:
    source = DataLake(str(shared_data / "lakes" / _LIGHT.name), TESTNET)
    writer = LakeWriter(place, TESTNET, LakeLayout(32, 4))
    plan = writer.plan(source, _LIGHT.ledgers)
    assert (plan.files, plan.missing) == (8, (_LIGHT.ledgers,))
    done = writer.write(source, plan)
    assert (done.written, done.found, done.ledgers) == (8, 0, 256)
    made = DataLake(place, TESTNET)
    assert {raw.sequence: raw.data for raw in made.read(_LIGHT.ledgers)} == _LIGHT.expected(shared_data)
    assert LakeWriter(place, TESTNET).plan(source, _LIGHT.ledgers).missing == ()


def test_no_such_bucket(gs: str, s3: str) -> None:
    for address in (gs.replace("lakes", "nothing"), s3.replace("lakes", "nothing")):
        with pytest.raises(BackendError, match=r"no bucket|no such bucket|there is no data lake"):
            DataLake(address, TESTNET).available()
        with pytest.raises((RefusedError, NotThereError)):
            _storage(address).put_new("x", b"", {})


def test_a_server_that_is_not_there_is_given_up(waits: list[float]) -> None:
    pytest.importorskip("obstore")
    policy = RetryPolicy(rounds=3, sleep=waits.append, chance=lambda: 1.0)
    address = f"s3://lakes/x?endpoint_url=http://127.0.0.1:{free_port()}&region=us-east-1&anonymous=1"
    with pytest.raises(BackendError, match="given up after 3 tries"):
        DataLake(address, TESTNET, BackendOptions(retry=policy)).available()
    assert waits == [1.0, 2.0]


def test_patience_is_kept_within_its_budget(waits: list[float]) -> None:
    policy = RetryPolicy(rounds=5, sleep=waits.append, chance=lambda: 1.0, total_wait=100)
    faults = iter([UnreachableError("cut"), BusyError("429", 30.0), BusyError("429", 3.0)])

    def use() -> str:
        for fault in faults:
            raise fault
        return "done"

    assert patiently(policy, "place", "file", use) == "done"
    assert waits == [1.0, 30.0, 4.0]
    faults = iter([BusyError("429", 101.0)])
    with pytest.raises(BackendError, match="file of place: 429; given up after 1 tries"):
        patiently(policy, "place", "file", use)
    faults = iter([RefusedError("forbidden")])
    with pytest.raises(BackendError, match="file of place: forbidden"):
        patiently(policy, "place", "file", use)


def test_faults_that_pass_cost_no_ledger(shared_data: Path, impatient: BackendOptions, waits: list[float]) -> None:
    """Every file is cut off once and busy once before it comes; all ledgers come, once and in order."""
    backend = DataLake(str(shared_data / "lakes" / LAKES[1].name), TESTNET, impatient)
    storage, asked = _Flaky(backend.index.storage), LAKES[1].ledgers
    backend.index.storage = storage
    backend.check(asked)
    given = list(backend.read(asked))
    assert {raw.sequence: raw.data for raw in given} == LAKES[1].expected(shared_data)
    assert [raw.sequence for raw in given] == list(asked)
    assert len(waits) == 2 * (len(asked) + 1), "each file and the manifest"
    assert set(waits) == {1.0, 7.0}


class _Flaky:
    """A storage that fails twice per file."""

    local = False

    def __init__(self, storage: ObjectStore) -> None:
        self._storage = storage
        self.url = storage.url
        self.names, self.folders, self.put_new = storage.names, storage.folders, storage.put_new
        self._tries: dict[str, int] = {}

    def get(self, path: str) -> bytes:
        tries = self._tries[path] = self._tries.get(path, 0) + 1
        if tries == 1:
            raise UnreachableError("cut off")
        if tries == 2:
            raise BusyError("HTTP 503", 7.0)
        return self._storage.get(path)


def test_missing_credentials_are_told() -> None:
    obstore_errors = pytest.importorskip("obstore.exceptions")
    from aurora_ingest.object_store.s3_store import _storage_fault

    text = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 2ms"
    fault = _storage_fault(obstore_errors.GenericError(text))
    assert isinstance(fault, RefusedError)
    assert "add ?anonymous=1" in fault.reason
    assert isinstance(_storage_fault(obstore_errors.GenericError("status code: 503 Slow Down")), BusyError)
    assert isinstance(_storage_fault(obstore_errors.GenericError("connection reset")), UnreachableError)


def test_addresses_that_cannot_be() -> None:
    pytest.importorskip("obstore")
    for address, told in (
        ("gs://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3://lakes?color=red", "unknown parameter 'color'"),
        ("ftp://host/x", "unknown scheme"),
        ("file://host/x", "names the host"),
    ):
        with pytest.raises(UsageError, match=told):
            _storage(address)


def test_a_local_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("a file where a folder is needed")
    with pytest.raises(RefusedError):
        LocalStore(str(tmp_path)).put_new("p/x", b"data", {})
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
