"""Checkpoint arithmetic against counting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.errors import CheckpointError
from aurora_ingest.ledger import checkpoint as ck

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
