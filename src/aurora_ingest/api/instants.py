"""Times as Horizon writes them."""

from __future__ import annotations

from datetime import datetime


def instant(moment: datetime) -> str:
    """Writes a time in UTC to the second: ``2019-06-03T16:34:02Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
