"""Checkpoint arithmetic against counting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.errors import CheckpointError
from aurora_ingest.ledger import checkpoint as ck
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import UINT32_MAX

_FREQUENCIES = st.sampled_from([2, 8, 64])


@given(st.integers(1, 5000), _FREQUENCIES)
def test_a_ledgers_checkpoint_is_found_by_counting(ledger: int, frequency: int) -> None:
    found = next(number for number in range(ledger, ledger + frequency) if (number + 1) % frequency == 0)
    assert ck.checkpoint_containing(ledger, frequency) == found
    assert ledger in ck.checkpoint_ledgers(found, frequency)
    assert ck.is_checkpoint(ledger, frequency) == (found == ledger)


@given(st.integers(0, 200), _FREQUENCIES)
def test_the_ledgers_of_checkpoints_are_all_ledgers_once(number: int, frequency: int) -> None:
    checkpoint = (number + 1) * frequency - 1
    ledgers = ck.checkpoint_ledgers(checkpoint, frequency)
    assert ledgers.last == checkpoint
    assert len(ledgers) == (frequency - 1 if number == 0 else frequency)
    after = ck.next_checkpoint(checkpoint, frequency)
    assert after is not None
    assert ck.checkpoint_ledgers(after, frequency).first == checkpoint + 1
    assert ck.previous_checkpoint(after, frequency) == checkpoint


@pytest.mark.parametrize(
    "ledger,frequency,message",
    [
        (8192, 64, "ledger 8192 is not a checkpoint; nearest are 8191 and 8255"),
        (8064, 64, "ledger 8064 is not a checkpoint; nearest are 8063 and 8127"),
        (90, 8, "ledger 90 is not a checkpoint; nearest are 87 and 95"),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_its_neighbours(ledger: int, frequency: int, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        ck.require_checkpoint(ledger, frequency)


@given(st.integers(-5, 10_000), _FREQUENCIES)
def test_a_checkpoint_is_let_through(ledger: int, frequency: int) -> None:
    if ledger > 0 and (ledger + 1) % frequency == 0:
        assert ck.require_checkpoint(ledger, frequency) == ledger
    else:
        with pytest.raises(CheckpointError):
            ck.require_checkpoint(ledger, frequency)


@pytest.mark.shared_data
def test_checkpoints_are_written_as_the_archive_tools_write_them(shared_data: Path) -> None:
    path = shared_data / "public" / "vectors" / "checkpoint-range-format.json"
    cases = json.loads(path.read_bytes())["cases"]
    assert len(cases) == 7
    for case in cases:
        assert ck.format_checkpoints(case["checkpoints"]) == case["formatted"]


def test_other_frequencies_are_joined_by_their_own_step() -> None:
    assert ck.format_checkpoints([7, 15, 23, 39], 8) == "[0x00000007-0x00000017], 0x00000027"
    assert ck.format_checkpoints([7, 15], 64) == "0x00000007, 0x0000000f"


@given(st.integers(-100, 5000), _FREQUENCIES)
def test_the_neighbours_of_a_ledger_are_found_by_counting(ledger: int, frequency: int) -> None:
    below = [number for number in range(1, ledger) if (number + 1) % frequency == 0]
    above = (number for number in range(max(ledger + 1, 1), 5000 + 2 * frequency) if (number + 1) % frequency == 0)
    assert ck.previous_checkpoint(ledger, frequency) == (below[-1] if below else None)
    assert ck.next_checkpoint(ledger, frequency) == next(above)


@given(st.integers(1, 3000), st.integers(0, 500), _FREQUENCIES)
def test_the_checkpoints_of_a_range_hold_all_of_it_and_no_more(first: int, more: int, frequency: int) -> None:
    ledgers = LedgerRange(first, first + more)
    checkpoints = ck.checkpoints_of(ledgers, frequency)
    assert list(checkpoints) == sorted({ck.checkpoint_containing(ledger, frequency) for ledger in ledgers})


def test_the_end_of_32_bits_is_a_checkpoint_and_the_last() -> None:
    top = UINT32_MAX
    assert ck.is_checkpoint(top)
    assert ck.checkpoint_containing(top) == top
    assert ck.next_checkpoint(top) is None
    assert ck.next_checkpoint(top - 1) == top
    assert ck.previous_checkpoint(top + 1000) == top
    assert ck.checkpoint_ledgers(top) == LedgerRange(top - 63, top)
    assert not ck.is_checkpoint(top + 64)
    with pytest.raises(CheckpointError, match="lies in no checkpoint"):
        ck.checkpoint_containing(top + 1)
    with pytest.raises(CheckpointError, match=f"nearest is {top}$"):
        ck.require_checkpoint(top + 64)


@pytest.mark.parametrize("ledger", [0, -1, -64])
def test_ledgers_before_the_first_lie_in_no_checkpoint(ledger: int) -> None:
    assert not ck.is_checkpoint(ledger)
    assert ck.previous_checkpoint(ledger) is None
    assert ck.next_checkpoint(ledger) == 63
    with pytest.raises(CheckpointError, match="lies in no checkpoint"):
        ck.checkpoint_containing(ledger)
    with pytest.raises(CheckpointError, match=r"nearest is 63$"):
        ck.require_checkpoint(ledger)
