"""A state build in a process of its own that kills itself with SIGKILL at a named point; run by test_kill*.py."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from aurora_ingest.db import load, publish
from aurora_ingest.network import STANDALONE
from aurora_ingest.pipelines import build_state as graph
from aurora_ingest.pipelines.options import BuildStateOptions
from aurora_ingest.transforms.build_plan import SplitRule

SMALL_RANGES = SplitRule(segment_records=64, segments_per_range=4, partitions=2)


def die() -> None:
    print("killed here", flush=True)  # noqa: T201  # the test reads it as proof that the point was hit
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(module: Any, name: str, call: int = 1) -> None:
    """Makes the `call`-th call of a function deadly."""
    original: Callable[..., Any] = getattr(module, name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            die()
        return original(*args, **kwargs)

    setattr(module, name, deadly)


def die_after(module: Any, name: str, call: int = 1) -> None:
    """Makes the return of the `call`-th call of a function deadly."""
    original: Callable[..., Any] = getattr(module, name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        result = original(*args, **kwargs)
        if calls == call:
            die()
        return result

    setattr(module, name, deadly)


def die_inside_rows(number: int) -> None:
    """Makes the `number`-th row that SQLite is given deadly, in the middle of its statement."""
    original = load._rows
    given = 0

    def deadly(*args: Any) -> Iterator[tuple[Any, ...]]:
        nonlocal given
        for row in original(*args):
            given += 1
            if given == number:
                die()
            yield row

    load._rows = deadly


def arm(point: str) -> None:
    """Sets the trap for one named point."""
    traps: dict[str, Callable[[], None]] = {
        "never": lambda: None,
        "mid-insert": lambda: die_inside_rows(300),
        "mid-copy": lambda: die_after(load._kernel, "copy_rows", call=10),
        "after-receipt": lambda: die_after(graph.builds, "write_unit", call=3),
        "before-publish": lambda: die_before(_publish_module(), "publish"),
        "inside-publish": lambda: die_before(publish, "_write_cursor"),
        "after-publish": lambda: die_after(_publish_module(), "publish"),
    }
    traps[point]()


def _publish_module() -> Any:
    from aurora_ingest.transforms import publish as transform

    return transform


def main() -> None:
    """Runs one build: archive, checkpoint, database URL, work directory, point, resume or not."""
    archive, checkpoint, frequency, db_url, work_dir, point, resume = sys.argv[1:]
    arm(point)
    options = BuildStateOptions(
        network=STANDALONE.with_checkpoint_frequency(int(frequency)),
        archive_urls=(archive,),
        checkpoint=int(checkpoint),
        db_url=db_url,
        work_dir=work_dir,
        resume=resume == "resume",
        takeover_after=0.0,
    )
    plan = dataclasses.replace(graph.plan_state_build(options), split=SMALL_RANGES)
    plan = graph.open_sinks(plan)
    print(f"finished before: {len(plan.finished)}", flush=True)  # noqa: T201  # read by the test
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        _ = graph.build_state(pipeline, plan)


if __name__ == "__main__":
    main()
