"""Stellar's XDR definitions as the generator reads them: found, checked, and asked about sizes and recursion."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CRATE = "stellar-xdr"

# What the newest protocol that core runs (28) brought: a definitions file without it was resolved with a feature off.
REQUIRED_MEMBERS = {
    "STELLAR_VALUE_EMPTY_TX_SET": "CAP-0083",
    "CONTRACT_EXECUTABLE_EXTERNAL_REF": "CAP-0085",
    "SCV_EXECUTABLE_TAG": "CAP-0085",
}

# Features under which the definitions may have been resolved; another name must be looked at by a person first.
KNOWN_FEATURES: frozenset[str] = frozenset()

NO_BOUND = 0xFFFF_FFFF

Definition = dict[str, Any]
TypeTree = dict[str, Any]


class DefinitionsError(Exception):
    """The definitions are not what the generator understands; the text says where and what to do."""


def find_definitions() -> Path:
    """Returns the path of `xdr.json` in the crate that `Cargo.toml` beside this file names, fetching it if needed.

    Raises:
        DefinitionsError: cargo failed, or the crate has no such file.
    """
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--manifest-path={HERE / 'Cargo.toml'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DefinitionsError(f"`{' '.join(command)}` failed ({done.stderr.strip()}); give the file with --xdr-json")
    for package in json.loads(done.stdout)["packages"]:
        if package["name"] == CRATE:
            path = Path(package["manifest_path"]).parent / "xdr-definitions-json" / "xdr.json"
            if path.is_file():
                return path
            raise DefinitionsError(f"crate {CRATE} {package['version']} has no {path}; give the file with --xdr-json")
    raise DefinitionsError(f"`cargo metadata` names no crate {CRATE}; see {HERE / 'Cargo.toml'}")


@dataclass(frozen=True)
class Definitions:
    """All named types of one `xdr.json`, in its order; constants are resolved in the file and left out."""

    by_name: dict[str, Definition]
    sha256: str
    features: tuple[str, ...]
    _min: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, path: Path) -> Definitions:
        """Reads and checks the file.

        Raises:
            DefinitionsError: an unresolved `#ifdef`, an unknown feature, or a member that protocol 28 needs is missing.
        """
        data = path.read_bytes()
        tree = json.loads(data)
        if tree["version"] != 1:
            raise DefinitionsError(f"{path}: format version {tree['version']}; the generator reads version 1")
        features = tuple(tree["resolved_features"])
        if unknown := sorted(set(features) - KNOWN_FEATURES):
            raise DefinitionsError(
                f"{path}: resolved with features {unknown}; check what they change and name them here"
            )
        found = cls({d["name"]: d for d in tree["definitions"]}, hashlib.sha256(data).hexdigest(), features)
        found._refuse_conditionals(path)
        found._require_members(path)
        return cls({name: d for name, d in found.by_name.items() if d["kind"] != "const"}, found.sha256, found.features)

    def _refuse_conditionals(self, path: Path) -> None:
        for name, definition in self.by_name.items():
            if lines := re.findall(r"^\s*#.*$", definition["source"], re.MULTILINE):
                raise DefinitionsError(
                    f"{path}: {name} has unresolved conditionals: {', '.join(map(str.strip, lines))}"
                )

    def _require_members(self, path: Path) -> None:
        members = {m["name"] for d in self.by_name.values() if d["kind"] == "enum" for m in d["members"]}
        for member, reason in REQUIRED_MEMBERS.items():
            if member not in members:
                raise DefinitionsError(f"{path}: {member} ({reason}) is missing; the definitions are older than core")

    def resolve(self, tree: TypeTree) -> TypeTree:
        """Follows references to typedefs until something else stands there."""
        while tree["kind"] == "ref" and self.by_name[tree["name"]]["kind"] == "typedef":
            tree = self.by_name[tree["name"]]["type"]
        return tree

    def raw_size(self, tree: TypeTree) -> int | None:
        """Returns the size in bytes of a type of which any bytes of that size are a value; None for all other types."""
        tree = self.resolve(tree)
        match tree["kind"]:
            case "int" | "unsigned_int":
                return 4
            case "hyper" | "unsigned_hyper":
                return 8
            case "opaque_fixed":
                return tree["size"] if tree["size"] % 4 == 0 else None
            case "array":
                element = self.raw_size(tree["element"])
                return None if element is None else element * tree["count"]
            case "ref":
                definition = self.by_name[tree["name"]]
                if definition["kind"] != "struct":
                    return None
                sizes = [self.raw_size(f["type"]) for f in definition["fields"]]
                return None if None in sizes else sum(size for size in sizes if size is not None)
        return None

    def smallest(self, tree: TypeTree) -> int:
        """Returns the size in bytes of the smallest value of a type: what a length is measured against."""
        tree = self.resolve(tree)
        match tree["kind"]:
            case "hyper" | "unsigned_hyper":
                return 8
            case "opaque_fixed":
                return (int(tree["size"]) + 3) // 4 * 4
            case "array":
                return self.smallest(tree["element"]) * int(tree["count"])
            case "ref":
                return self._smallest_named(tree["name"])
        return 4

    def _smallest_named(self, name: str) -> int:
        if name not in self._min:
            self._min[name] = 4  # stands for the value itself while a recursive type is measured
            definition = self.by_name[name]
            if definition["kind"] == "struct":
                self._min[name] = sum(self.smallest(f["type"]) for f in definition["fields"])
            elif definition["kind"] == "union":
                arms = [self.smallest(arm["type"]) if arm.get("type") else 0 for arm in definition["arms"]]
                self._min[name] = 4 + min(arms)
        return self._min[name]

    def uses(self, name: str) -> list[str]:
        """Returns the names that one definition refers to, in order."""
        definition = self.by_name[name]
        match definition["kind"]:
            case "typedef":
                trees = [definition["type"]]
            case "struct":
                trees = [f["type"] for f in definition["fields"]]
            case "union":
                trees = [definition["discriminant"]["type"], *(a["type"] for a in definition["arms"] if a.get("type"))]
            case _:
                trees = []
        names = []
        for tree in trees:
            inner = tree
            while "element" in inner:
                inner = inner["element"]
            if inner["kind"] == "ref":
                names.append(inner["name"])
        return names

    def reachable(self, *roots: str, without: str | None = None) -> set[str]:
        """Returns everything that values of `roots` may contain; `without` is not passed through."""
        seen: set[str] = set()
        todo = [name for root in roots for name in self.uses(root)]
        while todo:
            name = todo.pop()
            if name not in seen and name != without:
                seen.add(name)
                todo.extend(self.uses(name))
        return seen

    @cached_property
    def counted(self) -> frozenset[str]:
        """The types at which nesting is counted: one on every way that a value can contain its own type.

        Raises:
            DefinitionsError: a group of types needs more than one; the counting has to be thought over.
        """
        recursive = [name for name in self.by_name if name in self.reachable(name)]
        counted = set()
        for name in recursive:
            group = {other for other in recursive if other in self.reachable(name) and name in self.reachable(other)}
            breakers = [
                one for one in sorted(group) if all(o == one or o not in self.reachable(o, without=one) for o in group)
            ]
            unions = [one for one in breakers if self.by_name[one]["kind"] == "union"]
            if not breakers:
                raise DefinitionsError(f"no single type breaks the recursion of {sorted(group)}")
            counted.add((unions or breakers)[0])
        return frozenset(counted)

    def is_simple(self, name: str) -> bool:
        """Tells whether a typedef is written in place instead of as a call: an alias of bytes or of a number."""
        return self.by_name[name]["kind"] == "typedef" and self.resolve({"kind": "ref", "name": name})["kind"] in {
            "bool", "hyper", "int", "opaque_fixed", "opaque_var", "string", "unsigned_hyper", "unsigned_int",
        }  # fmt: skip
