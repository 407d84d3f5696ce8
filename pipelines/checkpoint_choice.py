"""Which checkpoint a following node builds its state from."""

from __future__ import annotations

from aurora_ingest.errors import ArchiveStateError, StateError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.ledger.checkpoint import previous_checkpoint


def checkpoint_to_build(archive: HistoryArchive, frequency: int, until: int | None, lost_at: int | None) -> int:
    """Choose the archive's newest checkpoint, or the last one that is not beyond the last ledger asked for.

    Args:
        archive: the archive.
        frequency: ledgers per checkpoint.
        until: last ledger asked for, or None.
        lost_at: a ledger that a former state could not take in; one of an earlier checkpoint could not either.

    Raises:
        ArchiveStateError: the archive has none yet.
        StateError: there cannot be one.
    """
    checkpoint = archive.latest_checkpoint()
    if until is not None and checkpoint > until:
        earlier = previous_checkpoint(until + 1, frequency)
        if earlier is None:
            raise StateError(f"ledger {until} lies before the first checkpoint: there is nothing to build from")
        checkpoint = earlier
    if lost_at is None or checkpoint >= lost_at:
        return checkpoint
    behind = (lost_at // frequency + 1) * frequency - 1
    if until is not None and behind > until:
        raise StateError(
            f"ledger {lost_at} is in quarantine and no checkpoint lies between it and ledger {until}: "
            f"the state can be built from checkpoint {behind} on"
        )
    raise ArchiveStateError(
        f"ledger {lost_at} is in quarantine: the state waits for checkpoint {behind}, the archive is at {checkpoint}"
    )
