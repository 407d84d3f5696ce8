"""What Dataflow does not support in a graph, found without asking it; translating alone would not tell."""

from __future__ import annotations

import base64
import bz2
import zlib
from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam
from apache_beam.coders import registry
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.pipeline_utils import group_by_key_input_visitor
from apache_beam.transforms.core import ParDo
from apache_beam.transforms.userstate import OrderedListStateSpec, get_dofn_specs, is_stateful_dofn

from aurora_ingest.errors import UsageError

_FOREIGN: Final = ("flink:", "beam:transform:teststream")
"""How the names of transforms begin that only another engine has."""
_PARDO: Final = common_urns.primitives.PAR_DO.urn
_LOCAL: Final = (b"sqlite:", b"file://")
"""Beginnings of addresses that only this machine has."""


def check(pipeline: beam.Pipeline) -> None:
    """Refuses keys whose bytes are not the same on every worker, and state that Dataflow does not have.

    Raises:
        UsageError: names the step.
    """
    try:
        pipeline.visit(group_by_key_input_visitor(deterministic_key_coders=True))
    except ValueError as error:
        raise UsageError(f"Dataflow: {error}") from error
    pipeline.visit(_StateVisitor())


def check_proto(proto: Any) -> None:
    """Refuses a translated graph with transforms of other engines, ordered list state, or addresses of this machine.

    Raises:
        UsageError: names the step.
    """
    for transform in proto.components.transforms.values():
        name = transform.unique_name
        if transform.spec.urn.startswith(_FOREIGN):
            raise UsageError(f"Dataflow has no {transform.spec.urn}, which step {name} is")
        if transform.spec.urn == _PARDO:
            _check_pardo(name, transform.spec.payload)
        for found in _local_addresses(transform.spec.payload):
            raise UsageError(f"Dataflow: step {name} names {found}, which only this machine has: give gs://bucket/…")


def _check_pardo(name: str, data: bytes) -> None:
    payload = beam_runner_api_pb2.ParDoPayload.FromString(data)
    for state, spec in payload.state_specs.items():
        if spec.WhichOneof("spec") == "ordered_list_spec":
            raise UsageError(f"Dataflow has no ordered list state in Python, which step {name} keeps as {state!r}")
    for found in _local_addresses(payload.do_fn.payload):
        raise UsageError(f"Dataflow: step {name} names {found}, which only this machine has: give gs://bucket/…")


def _local_addresses(payload: bytes) -> Iterator[str]:
    """Yields addresses of this machine in a payload, which Beam writes packed and as base64."""
    for data in (payload, *_unpacked(payload)):
        for start in _LOCAL:
            at = data.find(start)
            if at >= 0:
                end = at
                while end < len(data) and 0x20 < data[end] < 0x7F:
                    end += 1
                yield data[at:end].decode()


def _unpacked(payload: bytes) -> Iterator[bytes]:
    try:
        packed = base64.b64decode(payload, validate=True)
    except ValueError:
        packed = payload
    for unpack in (bz2.decompress, zlib.decompress):
        try:
            yield unpack(packed)
        except (OSError, ValueError, zlib.error):
            continue


class _StateVisitor(PipelineVisitor):  # type: ignore[misc]  # Beam is untyped
    """Looks at the stateful steps of a graph."""

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        step = transform_node.transform
        if not (isinstance(step, ParDo) and is_stateful_dofn(step.fn)):
            return
        states, _ = get_dofn_specs(step.fn)
        for spec in states:
            if isinstance(spec, OrderedListStateSpec):
                raise UsageError(
                    f"Dataflow has no ordered list state in Python, which step {transform_node.full_label} "
                    f"keeps as {spec.name!r}"
                )
        coder = registry.get_coder(transform_node.inputs[0].element_type or Any)
        if not coder.is_kv_coder():
            raise UsageError(f"Dataflow: the elements of step {transform_node.full_label} have no key: {coder}")
        if not coder.key_coder().is_deterministic():
            raise UsageError(
                f"Dataflow: keys of step {transform_node.full_label} are written by {coder.key_coder()}, whose bytes "
                "may differ from worker to worker"
            )
