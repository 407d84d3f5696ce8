"""The generator refuses definitions that it might misread, and knows which types contain themselves."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

XDRGEN = Path(__file__).parents[2] / "rust/xdrgen"

INT = {"kind": "int"}


@pytest.fixture(name="xdrgen")
def _xdrgen(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The generator's module `definitions`; the generator is a script beside the crate, not a package."""
    monkeypatch.syspath_prepend(str(XDRGEN))
    return importlib.import_module("definitions")


def ref(name: str) -> dict[str, str]:
    return {"kind": "ref", "name": name}


def array(element: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "var_array", "element": element}


def struct(name: str, **fields: dict[str, Any]) -> dict[str, Any]:
    parts = [{"name": field, "type": tree} for field, tree in fields.items()]
    return {"kind": "struct", "name": name, "source": f"struct {name} {{…}};", "fields": parts}


def enum(name: str, *members: str) -> dict[str, Any]:
    numbered = [{"name": member, "value": value} for value, member in enumerate(members)]
    return {"kind": "enum", "name": name, "source": f"enum {name} {{…}};", "member_prefix": "", "members": numbered}


REQUIRED = enum("Kinds", "STELLAR_VALUE_EMPTY_TX_SET", "CONTRACT_EXECUTABLE_EXTERNAL_REF", "SCV_EXECUTABLE_TAG")


def written(folder: Path, *definitions: dict[str, Any], features: tuple[str, ...] = (), version: int = 1) -> Path:
    """Returns the path of a definitions file."""
    path = folder / "xdr.json"
    tree = {"version": version, "files": [], "resolved_features": features, "definitions": definitions}
    path.write_text(json.dumps(tree))
    return path


def test_an_unresolved_conditional_is_refused_by_name(xdrgen: ModuleType, tmp_path: Path) -> None:
    open_end = struct("Open", a=INT) | {"source": "struct Open\n{\n    int a;\n#ifdef CAP_0099\n    int b;\n#endif\n};"}
    with pytest.raises(xdrgen.DefinitionsError, match=r"Open has unresolved conditionals: #ifdef CAP_0099, #endif"):
        xdrgen.Definitions.load(written(tmp_path, REQUIRED, open_end))


def test_definitions_older_than_core_are_refused(xdrgen: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(xdrgen.DefinitionsError, match=r"STELLAR_VALUE_EMPTY_TX_SET \(CAP-0083\) is missing"):
        xdrgen.Definitions.load(written(tmp_path, enum("Kinds", "SCV_EXECUTABLE_TAG")))


def test_unknown_features_and_formats_are_refused(xdrgen: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(xdrgen.DefinitionsError, match="resolved with features"):
        xdrgen.Definitions.load(written(tmp_path, REQUIRED, features=("CAP_0099",)))
    with pytest.raises(xdrgen.DefinitionsError, match="format version 2"):
        xdrgen.Definitions.load(written(tmp_path, REQUIRED, version=2))


def test_sizes_are_those_of_the_smallest_values(xdrgen: ModuleType, tmp_path: Path) -> None:
    plain = struct("Plain", a=INT, b={"kind": "hyper"}, c={"kind": "opaque_fixed", "size": 32})
    mixed = struct("Mixed", a=ref("Plain"), b={"kind": "opaque_fixed", "size": 5}, c=array(ref("Plain")))
    definitions = xdrgen.Definitions.load(written(tmp_path, REQUIRED, plain, mixed))
    assert definitions.raw_size(ref("Plain")) == definitions.smallest(ref("Plain")) == 44
    assert definitions.raw_size(ref("Mixed")) is None
    assert definitions.smallest(ref("Mixed")) == 44 + 8 + 4
    assert definitions.raw_size(ref("Kinds")) is None


def test_nesting_is_counted_once_on_every_circle(xdrgen: ModuleType, tmp_path: Path) -> None:
    tree = struct("Tree", leaves=array(ref("Leaf")))
    leaf = struct("Leaf", a=INT, tree={"kind": "optional", "element": ref("Tree")})
    alone = struct("Alone", inner=array(ref("Alone")))
    definitions = xdrgen.Definitions.load(written(tmp_path, REQUIRED, tree, leaf, alone))
    assert definitions.counted == {"Leaf", "Alone"}


def test_recursion_that_the_loop_cannot_follow_is_refused(xdrgen: ModuleType, tmp_path: Path) -> None:
    skips = importlib.import_module("emit_skip")
    infix = struct("Infix", inner=array(ref("Infix")), after=INT)
    definitions = xdrgen.Definitions.load(written(tmp_path, REQUIRED, infix))
    with pytest.raises(xdrgen.DefinitionsError, match="Infix: a field follows a contained Infix"):
        skips.SkipWriter(definitions).function("Infix")


def test_json_names_are_cut_as_the_reference_cuts_them(xdrgen: ModuleType) -> None:
    names = importlib.import_module("emit_json")
    fields = ("hiHi", "lastModifiedLedgerSeq", "nonce_key", "contractID", "seqLedger", "nUnspent", "txSHA256")
    assert [names.field_name(name) for name in fields] == [
        "hi_hi", "last_modified_ledger_seq", "nonce_key", "contract_id", "seq_ledger", "n_unspent", "tx_sha256",
    ]  # fmt: skip
    members = (("txFEE_BUMP_INNER_FAILED", ""), ("opINNER", ""), ("IPv4", ""), ("FILTER_8_BIT", "FILTER_"))
    assert [names.member_name(name, prefix) for name, prefix in members] == [
        "tx_fee_bump_inner_failed", "op_inner", "i_pv4", "f8_bit",
    ]  # fmt: skip


def test_the_generated_code_names_its_definitions() -> None:
    for name in ("generated.rs", "json_table.rs"):
        head = (XDRGEN.parent / "src/xdr" / name).read_text().splitlines()[:4]
        assert "GENERATED by rust/xdrgen/generate.py" in head[2]
        assert "xdr.json of SHA-256" in head[3]
