"""How a ceiling of memory becomes a cutting rule."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from aurora_ingest.errors import UsageError
from aurora_ingest.transforms.build_plan import DEFAULT_MEMORY, SplitRule

_MIB = 1 << 20


@pytest.mark.parametrize("mib,segments", [(712, 1), (723, 1), (724, 2), (1024, 16), (2048, 64), (4096, 256)])
def test_more_memory_gives_larger_ranges(mib: int, segments: int) -> None:
    assert SplitRule.for_memory(mib * _MIB) == SplitRule(segments_per_range=segments)


def test_the_default_is_the_rule_without_a_ceiling() -> None:
    assert SplitRule.for_memory(DEFAULT_MEMORY) == SplitRule()


@hypothesis.given(st.integers(0, 1 << 45))
def test_what_a_range_may_hold_is_below_the_ceiling(ceiling: int) -> None:
    if ceiling < 712 * _MIB:
        with pytest.raises(UsageError, match=r"is too small: .* give at least 712 MiB"):
            SplitRule.for_memory(ceiling)
        return
    segments = SplitRule.for_memory(ceiling).segments_per_range
    assert 448 * _MIB + (segments + 21) * 12 * _MIB <= ceiling
    assert segments.bit_count() == 1
    assert segments <= 1024
