"""Running a transform on a few elements at once and looking at what comes out."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

_collected: dict[str, list[Any]] = {}


class _CollectFn(beam.DoFn):
    """Keeps elements in this process; FnApiRunner works in it too."""

    def __init__(self, key: str) -> None:
        self._key = key

    def process(self, element: Any) -> None:
        _collected[self._key].append(element)


class EagerPipeline:
    """Applies transforms the moment they are written down, on FnApiRunner in this process."""

    def run(self, elements: Iterable[Any], transform: beam.PTransform) -> list[Any]:
        """Returns what `transform` makes of `elements`, in the order it came out."""
        return self.graph(lambda pipeline: pipeline | "Elements" >> beam.Create(list(elements)) | "Tested" >> transform)

    def graph(self, build: Any) -> list[Any]:
        """Returns the elements of the PCollection that `build(pipeline)` makes."""
        key = uuid.uuid4().hex
        _collected[key] = []
        with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
            _ = build(pipeline) | "Collect" >> beam.ParDo(_CollectFn(key))
        return _collected.pop(key)
