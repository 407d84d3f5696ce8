"""Our own networks in the shared data and the checkpoints for which core's state is there."""

from __future__ import annotations

P19 = [
    *(("standalone-p19", checkpoint) for checkpoint in (63, 127, 191, 255, 319, 383)),
    *(("standalone-p19-accel", checkpoint) for checkpoint in (15, 47, 95)),
    ("standalone-p19-bulk", 127),
]
P23 = [("standalone-p23", checkpoint) for checkpoint in (63, 127, 191, 255)]
