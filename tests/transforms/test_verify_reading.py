from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from aurora_ingest import _kernel
from aurora_ingest.errors import AuroraError, BackendError, LedgerStreamError, MissingLedgersError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import RawLedger
from aurora_ingest.network import STANDALONE
from aurora_ingest.transforms.verify_faults import broken_column
from aurora_ingest.transforms.verify_plan import VerifyPlan
from aurora_ingest.transforms.verify_reading import Hole, ledgers_and_holes
from verification_runs import change_stream

STREAM = Path(__file__).parents[1] / "data/standalone-accel-ledgers.xdr.zst"


@dataclass
class _Source:
    """A source of ledgers without content, of which some fail."""

    faults: dict[int, Callable[[int], AuroraError]]
    name: str = "data-lake"
    repeatable: bool = True
    asked: list[LedgerRange] = field(default_factory=list)

    def describe(self) -> str:
        return "a source"

    def has_genesis(self) -> bool:
        return False

    def check(self, ledgers: LedgerRange) -> None:
        pass

    def available(self) -> LedgerRange | None:
        return None

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        self.asked.append(ledgers)
        for ledger in ledgers:
            if ledger in self.faults:
                raise self.faults[ledger](ledger)
            yield RawLedger(ledger, b"", "here")

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        raise BackendError(f"nobody follows from {first} until {stop}")


def _plan(source: _Source) -> VerifyPlan:
    return VerifyPlan(STANDALONE, LedgerRange(10, 30), source, None, None, None, read_buckets=False, work_dir="unused")


def _read(source: _Source) -> list[int | tuple[int, int]]:
    """Ledgers by number, holes by their ends."""
    found = ledgers_and_holes(_plan(source), LedgerRange(10, 30))
    return [(each.first, each.last) if isinstance(each, Hole) else each.sequence for each in found]


def _missing(first: int, last: int) -> Callable[[int], AuroraError]:
    return lambda _ledger: MissingLedgersError("not there", [LedgerRange(first, last)])


def _damaged(ledger: int) -> AuroraError:
    return LedgerStreamError(f"ledger {ledger} is damaged", path="file")


def test_a_whole_range_is_asked_for_once() -> None:
    source = _Source({})
    assert _read(source) == list(range(10, 31))
    assert source.asked == [LedgerRange(10, 30)]


def test_what_is_missing_is_one_hole_and_the_rest_is_read() -> None:
    source = _Source({15: _missing(15, 17), 25: _missing(25, 40)})
    assert _read(source) == [*range(10, 15), (15, 17), *range(18, 25), (25, 30)]


def test_a_damaged_ledger_is_looked_for_one_by_one() -> None:
    source = _Source({15: _damaged})
    assert _read(source) == [*range(10, 15), (15, 15), *range(16, 31)]
    assert source.asked[:3] == [LedgerRange(10, 30), LedgerRange(15, 15), LedgerRange(16, 16)]


def test_one_that_spoils_the_whole_answer_is_found() -> None:
    """As an archive's file of results, which is read whole before a ledger of it is given."""

    class Spoiled(_Source):
        def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
            self.asked.append(ledgers)
            if 15 in ledgers:
                raise _damaged(15)
            return iter([RawLedger(ledger, b"", "here") for ledger in ledgers])

    assert _read(Spoiled({})) == [*range(10, 15), (15, 15), *range(16, 31)]


def test_a_source_that_fails_again_and_again_is_given_up() -> None:
    source = _Source(dict.fromkeys(range(15, 31), _damaged))
    assert _read(source) == [*range(10, 15), (15, 15), (16, 16), (17, 17), (18, 30)]
    assert len(source.asked) < 10


def test_a_pipe_is_not_asked_twice() -> None:
    source = replace(_Source({15: _damaged}), repeatable=False)
    holes = [each for each in ledgers_and_holes(_plan(source), LedgerRange(10, 30)) if isinstance(each, Hole)]
    assert holes == [Hole(15, 30, "ledger 15 is damaged", culprit=15)]
    assert source.asked == [LedgerRange(10, 30)]


def test_a_source_that_ends_too_early_is_a_hole() -> None:
    class Short(_Source):
        def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
            return (RawLedger(ledger, b"", "here") for ledger in ledgers if ledger < 20)

    assert _read(Short({}))[-1] == (20, 30)


def test_chunks_are_whole_checkpoints_unless_the_source_has_no_places() -> None:
    plan = replace(_plan(_Source({})), ledgers=LedgerRange(10, 200))
    assert plan.chunks == (LedgerRange(10, 63), LedgerRange(64, 127), LedgerRange(128, 191), LedgerRange(192, 200))
    quick = replace(plan, network=STANDALONE.with_checkpoint_frequency(24))
    assert all((chunk.last + 1) % 24 == 0 for chunk in quick.chunks[:-1])
    for source in (replace(_Source({}), repeatable=False), replace(_Source({}), name="meta-stream")):
        assert replace(plan, backend=source).chunks == (plan.ledgers,)


# --- Which part does not decode ---------------------------------------------------------------------------------------
def _fault(data: bytes) -> int:
    decoder = _kernel.LedgerDecoder(network_id=STANDALONE.network_id)
    with pytest.raises(_kernel.XdrError) as caught:
        decoder.push(data)
    return caught.value.offset


@pytest.mark.parametrize(
    "place,column",
    [
        (4 + 32 + 4 + 32 + 32 + 8, "header_hash"),  # upgrades: more than there may be
        (-4, "result_hash"),  # what ends the meta
    ],
)
def test_the_part_that_does_not_decode_is_told_by_its_place(place: int, column: str, tmp_path: Path) -> None:
    found: dict[int, bytes] = {}

    def change(ledgers: dict[int, bytearray]) -> None:
        ledgers[40][place] = 0x7F
        found[40] = bytes(ledgers[40])

    change_stream(STREAM, tmp_path / "changed.xdr", change)
    assert broken_column(found[40], _fault(found[40])) == column


def test_a_broken_set_is_told_from_what_follows_it(tmp_path: Path) -> None:
    whole: dict[int, bytes] = {}
    change_stream(STREAM, tmp_path / "same.xdr", lambda ledgers: whole.update({40: bytes(ledgers[40])}))
    data = whole[40]
    columns = set()
    for place in range(400, len(data), 97):
        broken = bytearray(data)
        broken[place - place % 4 : place - place % 4 + 4] = b"\xff" * 4
        decoder = _kernel.LedgerDecoder(network_id=STANDALONE.network_id)
        try:
            decoder.push(bytes(broken))
        except _kernel.XdrError as error:
            columns.add(broken_column(bytes(broken), error.offset))
    assert columns == {"tx_set_hash", "result_hash"}
