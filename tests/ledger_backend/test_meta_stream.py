"""Streams: every form of a file, pipes, and the three endings told apart."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from aurora_ingest.errors import BackendError, DeadWriterError, LedgerStreamError, MissingLedgersError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import BackendOptions, readable_range
from aurora_ingest.ledger_backend.meta_stream import MetaStream
from aurora_ingest.network import LOAD_TEST, PUBNET, STANDALONE, TESTNET
from ledger_backend.origins import LAKES, framed, unpacked
from ledger_backend.reading import read_until

_WHOLE = LedgerRange(2, 400)
_PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": lambda data: gzip.compress(data, 1),
    "zst": zstandard.compress,
}


@pytest.fixture(params=sorted(_PACK))
def packed(request: pytest.FixtureRequest, core_stream: bytes, tmp_path: Path) -> Path:
    """Core's stream as a file, in each compression."""
    path = tmp_path / f"meta.{request.param}"
    path.write_bytes(_PACK[request.param](core_stream))
    return path


def _sequences(ledgers: Iterator[object]) -> list[int]:
    return [raw.sequence for raw in ledgers]  # type: ignore[attr-defined]


# --- Files -----------------------------------------------------------------------------------------------------------
def test_a_file_gives_exactly_the_range(packed: Path, core_ledgers: dict[int, bytes]) -> None:
    backend = pickle.loads(pickle.dumps(MetaStream(f"file://{packed}", STANDALONE)))  # noqa: S301
    assert backend.repeatable
    assert backend.available() == _WHOLE
    backend.check(_WHOLE)
    for ledgers in (_WHOLE, LedgerRange(2, 2), LedgerRange(400, 400), LedgerRange(120, 260)):
        found = list(backend.read(ledgers))
        assert [(raw.sequence, raw.data) for raw in found] == [(n, core_ledgers[n]) for n in ledgers]
        place = sum(len(core_ledgers[n]) + 4 for n in range(2, ledgers.first))
        assert found[0].origin == f"stream {packed}, byte {place}"


def test_the_three_endings_of_a_file(packed: Path, core_stream: bytes, core_ledgers: dict[int, bytes]) -> None:
    pack = _PACK[packed.suffix[1:]]
    backend = MetaStream(str(packed), STANDALONE)
    given, clean = read_until(
        MissingLedgersError, backend.read(LedgerRange(390, 410)), "ends after ledger 400, cleanly"
    )
    assert given == list(range(390, 401))
    assert clean.ranges == (LedgerRange(401, 410),)
    with pytest.raises(MissingLedgersError, match="401-410; it has ledgers 2-400"):
        backend.check(LedgerRange(390, 410))

    last = len(core_stream) - len(core_ledgers[400]) - 4
    packed.write_bytes(pack(core_stream[:-5]))
    given, cut = read_until(LedgerStreamError, backend.read(_WHOLE), f"truncated frame at byte {last}")
    assert given == list(range(2, 400))
    assert cut.offset == last
    assert not isinstance(cut, DeadWriterError), "nobody writes this file any more"
    with pytest.raises(LedgerStreamError, match=f"truncated frame at byte {last}"):
        backend.check(_WHOLE)
    given, cut = read_until(LedgerStreamError, backend.read(LedgerRange(300, 400)), "truncated frame at byte")
    assert given == list(range(300, 400))
    assert cut.offset == last
    if packed.suffix == ".plain":
        assert "(bytes and records counted from byte" in str(cut), "reading began in the middle"
    backend.check(LedgerRange(2, 399))
    assert backend.available() == LedgerRange(2, 399)
    assert _sequences(backend.read(LedgerRange(2, 399))) == list(range(2, 400))


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_compressed_file_that_is_cut(kind: str, core_stream: bytes, tmp_path: Path) -> None:
    path = tmp_path / "meta"
    path.write_bytes(_PACK[kind](core_stream)[:-1000])
    backend = MetaStream(str(path), STANDALONE)
    given, _ = read_until(LedgerStreamError, backend.read(_WHOLE))
    assert given == list(range(2, 2 + len(given)))
    assert len(given) > 300
    assert backend.available() == LedgerRange(2, given[-1])


def test_damage_inside_is_told_with_its_place(core_ledgers: dict[int, bytes], tmp_path: Path) -> None:
    parts = [framed(core_ledgers[n]) for n in range(2, 50)]
    place = sum(len(part) for part in parts[:28])
    parts[28] = parts[28][:4] + b"\0\0\0\x63" + parts[28][8:]  # LedgerCloseMeta of version 99
    path = tmp_path / "meta"
    path.write_bytes(b"".join(parts))
    given, error = read_until(LedgerStreamError, MetaStream(str(path), STANDALONE).read(LedgerRange(2, 49)))
    assert given == list(range(2, 30))
    assert error.offset is not None
    assert place <= error.offset < place + len(parts[28])
    assert str(path) in str(error)


def test_holes_repetitions_and_steps_back(core_ledgers: dict[int, bytes], tmp_path: Path) -> None:
    path = tmp_path / "meta"
    path.write_bytes(b"".join(framed(core_ledgers[n]) for n in (2, 3, 4, 4, 5, 9, 10, 20)))
    backend = MetaStream(str(path), STANDALONE)
    assert _sequences(backend.read(LedgerRange(3, 5))) == [3, 4, 5], "a restarted core writes its last ledger again"
    with pytest.raises(MissingLedgersError) as checked:
        backend.check(LedgerRange(2, 20))
    assert checked.value.ranges == (LedgerRange(6, 8), LedgerRange(11, 19))
    given, error = read_until(MissingLedgersError, backend.read(LedgerRange(4, 10)), "ledger 9 comes next")
    assert given == [4, 5]
    assert error.ranges == (LedgerRange(6, 8),)
    path.write_bytes(b"".join(framed(core_ledgers[n]) for n in (2, 3, 4, 3)))
    with pytest.raises(LedgerStreamError, match="ledger 3 after ledger 4"):
        backend.check(LedgerRange(2, 5))
    read_until(LedgerStreamError, backend.read(LedgerRange(2, 5)), "ledger 3 after ledger 4")


def test_converted_streams_may_hold_genesis(shared_data: Path) -> None:
    path = shared_data / "public" / "diamante-block-go" / "scenarios" / "kahuna.lcm.xdr.zst"
    backend = MetaStream(str(path), TESTNET)
    wanted, told = readable_range(backend, LedgerRange(1, 61))
    assert wanted == LedgerRange(1, 61)
    assert "ledger 1 (genesis) comes from" in told
    assert _sequences(backend.read(wanted)) == list(wanted)


def test_core_starts_with_ledger_2(packed: Path) -> None:
    wanted, told = readable_range(MetaStream(str(packed), STANDALONE), LedgerRange(1, 400))
    assert wanted == _WHOLE
    assert "reading starts at ledger 2" in told


@pytest.mark.parametrize(
    "lake",
    [lake for lake in LAKES if Path(lake.origin).suffix and "base64" not in lake.origin],
    ids=lambda lake: lake.name,
)
def test_other_files_of_ledgers(shared_data: Path, lake: object) -> None:
    origin = lake.origin  # type: ignore[attr-defined]
    network = lake.network  # type: ignore[attr-defined]
    assert network in {PUBNET, TESTNET, LOAD_TEST}
    backend = MetaStream(str(shared_data / "public" / origin), network)
    ledgers = lake.ledgers  # type: ignore[attr-defined]
    backend.check(ledgers)
    assert backend.available() == ledgers
    assert {raw.sequence: raw.data for raw in backend.read(ledgers)} == lake.expected(shared_data)  # type: ignore[attr-defined]


def test_files_that_are_no_streams(tmp_path: Path, shared_data: Path) -> None:
    path = tmp_path / "meta"
    with pytest.raises(BackendError, match="No such file"):
        MetaStream(str(path), STANDALONE).available()
    for content in (
        b"",
        b"abc",
        b"\x28\xb5\x2f\xfd\0\0\0\0\0",
        b"\x1f\x8b" + b"\xff" * 40,
        b"\x80\0\0\4abcd",
        b"hello, world",
    ):
        path.write_bytes(content)
        with pytest.raises(LedgerStreamError, match=str(path)):
            MetaStream(str(path), STANDALONE).check(LedgerRange(2, 3))


# --- Files that grow -------------------------------------------------------------------------------------------------
def test_a_growing_file_is_followed(core_stream: bytes, tmp_path: Path, impatient: BackendOptions) -> None:
    path = tmp_path / "meta"
    path.write_bytes(core_stream[:10])

    def grow(_seconds: float) -> None:
        with path.open("ab") as handle:
            size = handle.tell()
            handle.write(core_stream[size : size + 700_001])

    given: list[int] = []
    backend = MetaStream(str(path), STANDALONE, replace(impatient, sleep=grow))
    for raw in backend.follow(5, lambda: len(given) == 396):
        given.append(raw.sequence)  # noqa: PERF401 - the stop condition looks at it
    assert given == list(range(5, 401))


@pytest.mark.parametrize("kind", sorted(_PACK))
@pytest.mark.parametrize("first", [2, 200, 400])
def test_following_begins_in_the_middle(core_stream: bytes, tmp_path: Path, kind: str, first: int) -> None:
    path = tmp_path / "meta"
    path.write_bytes(_PACK[kind](core_stream))
    given: list[int] = []
    for raw in MetaStream(str(path), STANDALONE, _PIPE).follow(first, lambda: 400 in given):
        given.append(raw.sequence)  # noqa: PERF401 - the stop condition looks at it
    assert given == list(range(first, 401))


def test_a_file_whose_writer_died_inside_of_a_frame(
    core_stream: bytes, tmp_path: Path, impatient: BackendOptions
) -> None:
    path = tmp_path / "meta"
    path.write_bytes(core_stream[:-5])
    now = [0.0]
    policy = replace(impatient.retry, clock=lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += 60

    options = replace(impatient, silence=300.0, retry=policy, sleep=wait)
    given, error = read_until(
        DeadWriterError, MetaStream(str(path), STANDALONE, options).follow(2, lambda: False), "silent"
    )
    assert given == list(range(2, 400))
    assert now[0] == pytest.approx(360.0)
    path.write_bytes(core_stream)
    now[0] = 0.0
    quiet = MetaStream(str(path), STANDALONE, options).follow(2, lambda: now[0] > 5000)
    assert _sequences(quiet) == list(range(2, 401)), "between two ledgers silence means nothing"
    assert error.offset is not None


def test_a_file_begun_anew_is_noticed(core_stream: bytes, tmp_path: Path, impatient: BackendOptions) -> None:
    path = tmp_path / "meta"
    path.write_bytes(core_stream)
    options = replace(impatient, sleep=lambda _seconds: os.truncate(path, 100))
    read_until(
        LedgerStreamError, MetaStream(str(path), STANDALONE, options).follow(2, lambda: False), "shrank to 100 bytes"
    )


# --- Pipes -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def _write(pipe: Path, *parts: bytes) -> threading.Thread:
    def write() -> None:
        try:
            with pipe.open("wb") as handle:
                for part in parts:
                    handle.write(part)
                    handle.flush()
        except BrokenPipeError:
            pass  # the reader had enough

    thread = threading.Thread(target=write)
    thread.start()
    return thread


_PIPE = BackendOptions(poll_interval=0.02, silence=0.3)


@pytest.mark.parametrize("kind", sorted(_PACK))
def test_a_pipe_is_read_to_its_clean_end(pipe: Path, core_stream: bytes, kind: str) -> None:
    backend = MetaStream(str(pipe), STANDALONE, _PIPE)
    assert not backend.repeatable
    assert backend.available() is None
    backend.check(LedgerRange(2, 10**6))
    data = _PACK[kind](core_stream)
    thread = _write(pipe, data[:2], data[2:100_000], data[100_000:])
    assert _sequences(backend.follow(2, lambda: False)) == list(_WHOLE)
    thread.join()
    thread = _write(pipe, data)
    given, error = read_until(MissingLedgersError, backend.read(LedgerRange(2, 402)), "ends after ledger 400, cleanly")
    assert given == list(_WHOLE)
    assert error.ranges == (LedgerRange(401, 402),)
    thread.join()
    thread = _write(pipe, data)
    assert _sequences(backend.read(LedgerRange(100, 120))) == list(range(100, 121))
    thread.join()


@pytest.mark.parametrize("kind", sorted(_PACK))
def test_a_writer_that_dies_inside_of_a_frame(pipe: Path, core_stream: bytes, kind: str) -> None:
    thread = _write(pipe, _PACK[kind](core_stream[:-5]) if kind == "plain" else _PACK[kind](core_stream)[:-20])
    backend = MetaStream(str(pipe), STANDALONE, _PIPE)
    given, error = read_until(DeadWriterError, backend.read(_WHOLE), "its writer closed it inside of the frame at byte")
    thread.join()
    assert given
    assert given == list(range(2, 2 + len(given)))
    assert error.path == str(pipe)


def test_a_writer_that_is_killed(pipe: Path, core_stream: bytes, tmp_path: Path) -> None:
    source = tmp_path / "meta"
    source.write_bytes(core_stream[:-5])
    script = (
        "import sys; out = open(sys.argv[2], 'wb'); out.write(open(sys.argv[1], 'rb').read()); out.flush(); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(source), str(pipe)], stdin=subprocess.PIPE)
    ledgers = MetaStream(str(pipe), STANDALONE, replace(_PIPE, silence=60.0)).read(_WHOLE)
    given = [next(ledgers).sequence for _ in range(398)]
    assert given == list(range(2, 400))
    child.kill()
    child.communicate()
    with pytest.raises(DeadWriterError, match="closed it inside of the frame"):
        next(ledgers)


def test_a_writer_that_falls_silent(pipe: Path, core_stream: bytes) -> None:
    release = threading.Event()

    def write() -> None:
        with pipe.open("wb") as handle:
            handle.write(core_stream[:-5])
            handle.flush()
            release.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        given, _ = read_until(
            DeadWriterError, MetaStream(str(pipe), STANDALONE, _PIPE).read(_WHOLE), r"silent for 0\.3 s inside"
        )
        assert given == list(range(2, 400))
    finally:
        release.set()
        thread.join()


def test_a_pipe_without_a_writer(pipe: Path, core_stream: bytes, caplog: pytest.LogCaptureFixture) -> None:
    backend = MetaStream(str(pipe), STANDALONE, _PIPE)
    looks = iter(range(40))
    with caplog.at_level("INFO", logger="aurora_ingest"):
        assert _sequences(backend.follow(2, lambda: next(looks, None) is None)) == [], "it waits until it is stopped"
    assert f"pipe {pipe}: nothing for 0.3 s after byte 0; waiting" in caplog.text
    with _late(pipe, core_stream):
        assert _sequences(backend.read(LedgerRange(2, 9))) == list(range(2, 10)), "core may take its time"


@contextmanager
def _late(pipe: Path, data: bytes) -> Iterator[None]:
    """A writer that opens the pipe and closes it, and comes again later."""
    with os.fdopen(os.open(pipe, os.O_RDWR)):
        pass
    timer = threading.Timer(0.5, lambda: _write(pipe, data).join())
    timer.start()
    yield
    timer.join()


def test_standard_input(shared_data: Path, core_stream: bytes) -> None:
    script = (
        "from aurora_ingest.ledger_backend.detect import open_backend\n"
        "from aurora_ingest.ledger.ledger_range import LedgerRange\n"
        "from aurora_ingest.network import STANDALONE\n"
        "source = open_backend('-', STANDALONE)\n"
        "assert not source.repeatable\n"
        "print(source.describe(), sum(1 for _ in source.read(LedgerRange(2, 400))))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", script], input=core_stream, env=environment, capture_output=True, check=True
    )
    assert done.stdout == b"standard input 399\n"
    assert unpacked(shared_data / "standalone-p19" / "meta" / "ledger-close-meta.xdr.zst") == core_stream
