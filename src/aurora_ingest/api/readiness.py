"""Whether the state of the database may be shown."""

from __future__ import annotations

from aurora_ingest.api.problems import StateInvalid, StillIngesting
from aurora_ingest.db.cursor import CURRENT_VERSION
from aurora_ingest.db.reader import Standing


def ready_ledger(standing: Standing) -> int:
    """Returns the ledger of a state that may be shown.

    Raises:
        StillIngesting: there is no state yet, or one of another version.
        StateInvalid: the state was found wrong.
    """
    if standing.ledger is None or standing.version != CURRENT_VERSION:
        raise StillIngesting
    if standing.state_invalid:
        raise StateInvalid
    return standing.ledger
