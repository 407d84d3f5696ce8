"""Checkpoint arithmetic: which ledgers an archive publishes a state for, and which ledgers each checkpoint holds.

A ledger is a checkpoint if ``(sequence + 1) % frequency == 0``. The first checkpoint holds ``frequency - 1`` ledgers,
because ledger 0 does not exist; every other holds ``frequency``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora_ingest.errors import CheckpointError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import DEFAULT_CHECKPOINT_FREQUENCY, UINT32_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_checkpoint(ledger: int, frequency: int = DEFAULT_CHECKPOINT_FREQUENCY) -> bool:
    """Whether an archive publishes a state for that ledger sequence."""
    return 0 < ledger <= UINT32_MAX and (ledger + 1) % frequency == 0


def checkpoint_containing(ledger: int, frequency: int = DEFAULT_CHECKPOINT_FREQUENCY) -> int:
    """The checkpoint whose files hold the ledger: the lowest one not below it.

    Raises:
        CheckpointError: the ledger is below 1 or above the last checkpoint that 32 bits can name.
    """
    found = ledger // frequency * frequency + frequency - 1
    if ledger < 1 or found > UINT32_MAX:
        raise CheckpointError(f"ledger {ledger} lies in no checkpoint; ledgers start at 1 and end at {UINT32_MAX}")
    return found


def previous_checkpoint(ledger: int, frequency: int = DEFAULT_CHECKPOINT_FREQUENCY) -> int | None:
    """The highest checkpoint below the ledger, which may itself be one; None if there is none."""
    found = min(ledger, UINT32_MAX + 1) // frequency * frequency - 1
    return found if found > 0 else None


def next_checkpoint(ledger: int, frequency: int = DEFAULT_CHECKPOINT_FREQUENCY) -> int | None:
    """The lowest checkpoint above the ledger, which may itself be one; None if 32 bits cannot name it."""
    found = (max(ledger, 0) + 1) // frequency * frequency + frequency - 1
    return found if found <= UINT32_MAX else None


def checkpoint_ledgers(checkpoint: int, frequency: int = DEFAULT_CHECKPOINT_FREQUENCY) -> LedgerRange:
    """The ledgers that the files of a checkpoint hold: ``frequency`` of them, one less in the first.

    Raises:
        CheckpointError: the ledger is not a checkpoint.
    """
    require_checkpoint(checkpoint, frequency)
    return LedgerRange(max(checkpoint - frequency + 1, 1), checkpoint)


def checkpoints_of(ledgers: LedgerRange, frequency: int = DEFAULT_CHECKPOINT_FREQUENCY) -> range:
    """The checkpoints, ascending, whose files together hold all ledgers of the range.

    Raises:
        CheckpointError: the last ledger lies above the last checkpoint.
    """
    first = checkpoint_containing(ledgers.first, frequency)
    return range(first, checkpoint_containing(ledgers.last, frequency) + 1, frequency)


def require_checkpoint(ledger: int, frequency: int = DEFAULT_CHECKPOINT_FREQUENCY) -> int:
    """Gives the ledger back if it is a checkpoint.

    Raises:
        CheckpointError: it is not; the message names the nearest ones.
    """
    if is_checkpoint(ledger, frequency):
        return ledger
    near = [
        str(found)
        for found in (previous_checkpoint(ledger, frequency), next_checkpoint(ledger, frequency))
        if found is not None
    ]
    nearest = f"nearest are {' and '.join(near)}" if len(near) > 1 else f"nearest is {near[0]}"
    raise CheckpointError(f"ledger {ledger} is not a checkpoint; {nearest}")


def format_checkpoints(checkpoints: Sequence[int], frequency: int = DEFAULT_CHECKPOINT_FREQUENCY) -> str:
    """Checkpoints as archive tools print them: in hex, consecutive ones joined to ``[first-last]``.

    Args:
        checkpoints: ascending checkpoints without repetition.
        frequency: ledgers per checkpoint; two checkpoints this far apart are consecutive.

    Returns:
        for instance ``[0x0000003f-0x0000007f], 0x000000ff``; empty for no checkpoint.
    """
    runs: list[list[int]] = []
    for checkpoint in checkpoints:
        if runs and checkpoint == runs[-1][-1] + frequency:
            runs[-1][1:] = [checkpoint]
        else:
            runs.append([checkpoint])
    return ", ".join(f"[0x{run[0]:08x}-0x{run[1]:08x}]" if len(run) > 1 else f"0x{run[0]:08x}" for run in runs)
