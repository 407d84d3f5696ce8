"""Writes the table from which the kernel prints SEP-51 JSON: one shape per XDR type, with the names that JSON uses."""

from __future__ import annotations

import re

from definitions import Definition, Definitions, TypeTree
from emit_skip import bound

# Types whose JSON is one string by SEP-51, and what makes it (rust/src/xdr/json_special.rs).
SPECIAL = {
    "PublicKey": "Account",
    "ContractID": "Contract",
    "PoolID": "Pool",
    "ClaimableBalanceID": "ClaimableBalance",
    "MuxedAccount": "MuxedAccount",
    "MuxedAccountMed25519": "MuxedMed25519",
    "MuxedEd25519Account": "MuxedEd25519",
    "MuxedContract": "MuxedContract",
    "SCAddress": "Address",
    "SignerKey": "SignerKey",
    "SignerKeyEd25519SignedPayload": "SignedPayload",
    "AssetCode": "AssetCode",
    "AssetCode4": "AssetCode4",
    "AssetCode12": "AssetCode12",
    "Int128Parts": "Int128",
    "UInt128Parts": "UInt128",
    "Int256Parts": "Int256",
    "UInt256Parts": "UInt256",
}

PRIMITIVES = {"int": "I32", "unsigned_int": "U32", "hyper": "I64", "unsigned_hyper": "U64", "bool": "Bool"}


def words(name: str) -> list[str]:
    """Splits an identifier where SEP-51's reference does: at underscores, before capitals, after runs of capitals."""
    return re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+", name.replace("_", " "))


def field_name(name: str) -> str:
    """Returns the JSON name of a struct's field: `hiHi` becomes `hi_hi`."""
    return "_".join(words(name)).lower()


def member_name(name: str, prefix: str) -> str:
    """Returns the JSON name of an enum's member, or of the arm it selects, without what all members have in common.

    The reference makes a type-like name first and puts an underscore before each of its capitals, so `opINNER` is
    `op_inner` and `IPv4` is `i_pv4`; a name that would start with a digit keeps the first letter of its prefix.
    """
    rest = name.removeprefix(prefix)
    if rest[0].isdigit():
        rest = prefix[0] + rest
    camel = "".join(word[0].upper() + word[1:].lower() if word.isupper() else word[0].upper() + word[1:]
                    for part in rest.split("_") for word in words(part))  # fmt: skip
    return re.sub(r"(?<!^)(?=[A-Z])", "_", camel).lower()


def static_name(name: str) -> str:
    """Returns the name of the table's entry for a type."""
    return "_".join(words(name)).upper()


class JsonWriter:
    """Turns definitions into shapes."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions

    def entry(self, name: str) -> str:
        """Returns the shape of one named type as a static."""
        definition = self.definitions.by_name[name]
        if name in SPECIAL:
            shape = f'Shape::Special("{name}", Special::{SPECIAL[name]})'
        else:
            shape = {"enum": self.enum, "union": self.union, "struct": self.struct, "typedef": self.typedef}[
                definition["kind"]
            ](definition)
        if name in self.definitions.counted:
            shape = f'Shape::Counted("{name}", &{shape})'
        return f"static {static_name(name)}: Shape = {shape};"

    def enum(self, definition: Definition) -> str:
        """Returns the shape of an enum."""
        members = ", ".join(
            f'({m["value"]}, "{member_name(m["name"], definition["member_prefix"])}")'
            for m in sorted(definition["members"], key=lambda m: int(m["value"]))
        )
        return f'Shape::Enum("{definition["name"]}", &[{members}])'

    def union(self, definition: Definition) -> str:
        """Returns the shape of a union: arms by discriminant, and the enum that tells unknown from unarmed values."""
        tree = self.definitions.resolve(definition["discriminant"]["type"])
        prefix = self.definitions.by_name[tree["name"]]["member_prefix"] if tree["kind"] == "ref" else None
        arms: dict[int, str] = {}
        for arm in definition["arms"]:
            inner = f"Some({self.shape(arm['type'])})" if arm.get("type") else "None"
            for case in arm["cases"]:
                name = f"v{case['value']}" if prefix is None else member_name(case["name"], prefix)
                arms[case["value"]] = f'({case["value"]}, "{name}", {inner})'
        values = f"Some(&{static_name(tree['name'])})" if tree["kind"] == "ref" else "None"
        return f'Shape::Union("{definition["name"]}", {values}, &[{", ".join(arms[v] for v in sorted(arms))}])'

    def struct(self, definition: Definition) -> str:
        """Returns the shape of a struct."""
        fields = ", ".join(f'("{field_name(f["name"])}", {self.shape(f["type"])})' for f in definition["fields"])
        return f"Shape::Struct(&[{fields}])"

    def typedef(self, definition: Definition) -> str:
        """Returns the shape of a typedef."""
        return f"Shape::Alias({self.shape(definition['type'])})"

    def shape(self, tree: TypeTree) -> str:
        """Returns a reference to the shape of a type."""
        kind = tree["kind"]
        if kind == "ref":
            return f"&{static_name(tree['name'])}"
        if kind in PRIMITIVES:
            return f"&Shape::{PRIMITIVES[kind]}"
        match kind:
            case "opaque_fixed":
                return f"&Shape::Hex({tree['size']})"
            case "opaque_var":
                return f"&Shape::HexVar({bound(tree)})"
            case "string":
                return f"&Shape::Text({bound(tree)})"
            case "optional":
                return f"&Shape::Optional({self.shape(tree['element'])})"
            case "array":
                return f"&Shape::Array({tree['count']}, {self.shape(tree['element'])})"
            case "var_array":
                smallest = self.definitions.smallest(tree["element"])
                return f"&Shape::List({bound(tree)}, {smallest}, {self.shape(tree['element'])})"
        raise AssertionError(tree)
