"""The model of `docs/scale.md`: what one worker does in a second, put together to what a network takes.

CPU seconds are what adds up: a run is ``fixed + work / rate`` of them, memory is flat, and what is shuffled or put
aside is a share of the work. Wall time on N workers is what the longest unit takes more than its share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """Figures that grow evenly: ``fixed + slope * work``."""

    fixed: float
    slope: float

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> Line:
        """The line through the first and the last of some points.

        Args:
            points: (work, figure), by ascending work.
        """
        (x0, y0), (x1, y1) = points[0], points[-1]
        slope = (y1 - y0) / (x1 - x0)
        return cls(y0 - slope * x0, slope)

    def at(self, work: float) -> float:
        """The figure for that much work."""
        return self.fixed + self.slope * work


@dataclass(frozen=True)
class Price:
    """What a cloud takes; the defaults are from memory, not checked against a price list: give your own.

    Attributes:
        cpu_hour: of one virtual core for an hour.
        gigabyte_hour: of one gigabyte of memory for an hour.
        gigabytes_per_core: memory of a worker, by core.
        gigabyte_stored: of one gigabyte of objects for a month.
        thousand_writes: of a thousand objects written.
    """

    cpu_hour: float = 0.056
    gigabyte_hour: float = 0.003557
    gigabytes_per_core: float = 4.0
    gigabyte_stored: float = 0.020
    thousand_writes: float = 0.005

    def of_cores(self, cpu_seconds: float) -> float:
        """What so many core seconds cost with their memory."""
        return cpu_seconds / 3600 * (self.cpu_hour + self.gigabytes_per_core * self.gigabyte_hour)


def wall_seconds(cpu_seconds: float, cores: int, longest_unit: float, serial: float) -> float:
    """Wall time on so many cores.

    Args:
        cpu_seconds: of all units together.
        cores: of all workers together.
        longest_unit: CPU seconds of the longest unit, which one core does alone.
        serial: seconds that nothing runs beside: start of the job, planning, publishing.
    """
    return serial + max(cpu_seconds / cores + longest_unit, longest_unit)
