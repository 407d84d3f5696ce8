"""Writes `sort_key_<Type>`, bytes in core's order of ledger keys, and what reads a ledger key out of an entry."""

from __future__ import annotations

from collections.abc import Callable

from definitions import Definition, Definitions, DefinitionsError, TypeTree
from emit_skip import SkipWriter, bound, ranges

ROOT = "LedgerKey"

# Types whose XDR is in order as it is, and their size.
FREE = {"unsigned_int": 4, "unsigned_hyper": 8}


class SortKeyWriter:
    """Turns `LedgerKey` and all that it contains into writers of order-preserving bytes."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.skips = SkipWriter(definitions)

    def names(self) -> list[str]:
        """Returns the types that get a writer, in the order of the definitions."""
        wanted = self.definitions.reachable(ROOT) | {ROOT}
        return [
            name
            for name, d in self.definitions.by_name.items()
            if name in wanted and not self.definitions.is_simple(name) and d["kind"] != "enum"
        ]

    def function(self, name: str) -> str:
        """Returns the writer for one named type."""
        definition = self.definitions.by_name[name]
        if name in self.definitions.counted:
            return self.nested(definition)
        body = {"union": self.union, "struct": self.struct, "typedef": self.typedef}[definition["kind"]](definition)
        return f"pub fn sort_key_{name}(c: &mut Cur<'_>, out: &mut Vec<u8>) -> X<()> {{\n{body}\nOk(())\n}}\n"

    def union(self, definition: Definition) -> str:
        """Returns the body for a union: the discriminant in signed order, then the arm."""
        return self.choice(definition, lambda tree, what: self.flush(self.steps(tree, what)), "")

    def choice(self, definition: Definition, write: Callable[[TypeTree, str], str], void: str) -> str:
        """Returns the match over a union's discriminant, with what `write` makes of each arm and `void` for none."""
        name = definition["name"]
        arms: dict[str, list[int]] = {}
        for arm in definition["arms"]:
            body = write(arm["type"], f"{name}.{arm['name']}") if arm.get("type") else void
            arms.setdefault(body, []).extend(case["value"] for case in arm["cases"])
        # The type of a ledger key stands as it is: its values are never negative, and readers of keys look at it.
        push = "order::unsigned(out, &v.to_be_bytes());" if name == ROOT else "order::signed(out, v as i32);"
        lines = [f'let v = c.word("{name}")?;', push, "match v as i32 {"]
        lines += [f"{ranges(values)} => {{ {body} }}" for body, values in arms.items()]
        lines += [f'_ => return Err(c.bad_union("{name}")),', "}"]
        return "\n".join(lines)

    def nested(self, definition: Definition) -> str:
        """Returns the writer for a type at which nesting is counted, as a loop (`order::nested`) over its heads.

        Raises:
            DefinitionsError: the type contains itself otherwise than in the array that a value ends with.
        """
        name = definition["name"]
        if definition["kind"] != "union":
            raise DefinitionsError(f"{name}: sort keys are defined for recursive unions only")
        head = self.choice(definition, lambda tree, what: self.tail(tree, what, name), "None")
        return (
            f"fn key_head_{name}(c: &mut Cur<'_>, out: &mut Vec<u8>) -> X<order::Elements> {{\n"
            f"let inner = {{ {head} }};\nOk(inner)\n}}\n"
            f"pub fn sort_key_{name}(c: &mut Cur<'_>, out: &mut Vec<u8>) -> X<()> {{\n"
            f'order::nested(c, out, "{name}", key_head_{name})\n}}\n'
        )

    def tail(self, tree: TypeTree, what: str, name: str) -> str:
        """Returns a block that writes a value up to the array of values of type `name` that it ends with."""
        tree = self.definitions.resolve(tree)
        if tree["kind"] == "optional" and name in self.skips.reached(tree):
            inner = self.tail(tree["element"], what, name)
            return f'if c.flag("{what}")? {{ out.push(1); {inner} }} else {{ out.push(0); None }}'
        if tree["kind"] == "var_array" and (each := self.skips.multiple(tree["element"], name)):
            length = f'c.length({bound(tree)}, {self.definitions.smallest(tree["element"])}, "{what}")?'
            return f"Some(({length}, {each}))"
        if name not in self.skips.reached(tree):
            return "\n".join([self.flush(self.steps(tree, what)), "None"])
        definition = self.definitions.by_name.get(tree.get("name", ""), {"kind": tree["kind"]})
        if definition["kind"] != "struct":
            raise DefinitionsError(f"{what}: {name} contains itself in {tree}, for which no sort key is defined")
        *before, last = definition["fields"]
        if any(name in self.skips.reached(f["type"]) for f in before):
            raise DefinitionsError(f"{definition['name']}: a field follows a contained {name}")
        steps = [step for f in before for step in self.steps(f["type"], f"{definition['name']}.{f['name']}")]
        return "\n".join([self.flush(steps), self.tail(last["type"], f"{definition['name']}.{last['name']}", name)])

    def struct(self, definition: Definition) -> str:
        """Returns the body for a struct: its fields in order."""
        steps: list[str | tuple[int, str]] = []
        for field in definition["fields"]:
            steps += self.steps(field["type"], f"{definition['name']}.{field['name']}")
        return self.flush(steps)

    def typedef(self, definition: Definition) -> str:
        """Returns the body for a typedef."""
        return self.flush(self.steps(definition["type"], definition["name"]))

    @staticmethod
    def flush(steps: list[str | tuple[int, str]]) -> str:
        """Joins neighbouring bytes that are copied as they are."""
        lines = SkipWriter.flush(steps)
        return "\n".join(
            line.replace("c.skip(", "order::unsigned(out, c.take(").replace(")?;", ")?);")
            if line.startswith("c.skip(")
            else line
            for line in lines
        )

    def steps(self, tree: TypeTree, what: str) -> list[str | tuple[int, str]]:
        """Returns what writes one value: statements, and (size, name) for bytes that are copied."""
        if tree["kind"] == "ref" and self.definitions.is_simple(tree["name"]):
            tree = self.definitions.resolve(tree)
        kind = tree["kind"]
        if kind == "ref":
            return [self.named(tree["name"], what)]
        if kind in FREE:
            return [(FREE[kind], what)]
        if kind == "opaque_fixed" and tree["size"] % 4 == 0:
            return [(tree["size"], what)]
        if kind in {"optional", "var_array"}:
            return [self.container(tree, what)]
        read = {
            "int": f'order::signed(out, c.word("{what}")? as i32);',
            "hyper": f'order::signed_hyper(out, c.take(8, "{what}")?);',
            "bool": f'out.push(u8::from(c.flag("{what}")?));',
            "opaque_fixed": f'order::unsigned(out, c.padded({tree.get("size")}, "{what}")?);',
            "opaque_var": f'order::bytes(out, c.bytes({bound(tree)}, "{what}")?);',
            "string": f'order::bytes(out, c.bytes({bound(tree)}, "{what}")?);',
        }
        if kind not in read:
            raise DefinitionsError(f"{what}: no sort key is defined for {tree}")
        return [read[kind]]

    def named(self, name: str, what: str) -> str:
        """Returns what writes a value of a named type: a call, or the value of an enum in place."""
        definition = self.definitions.by_name[name]
        if definition["kind"] != "enum":
            return f"sort_key_{name}(c, out)?;"
        pattern = ranges([m["value"] for m in definition["members"]])
        check = f'c.member(matches!(v, {pattern}), "{what}")?;'
        return f'let v = c.word("{what}")? as i32;\n{check}\norder::signed(out, v);'

    def container(self, tree: TypeTree, what: str) -> str:
        """Returns what writes an optional value or an array: a 1 before each value, a 0 for none and at the end."""
        inner = self.flush(self.steps(tree["element"], what))
        if tree["kind"] == "optional":
            return f'if c.flag("{what}")? {{ out.push(1); {inner} }} else {{ out.push(0); }}'
        length = f'c.length({bound(tree)}, {self.definitions.smallest(tree["element"])}, "{what}")?'
        return f"for _ in 0..{length} {{ out.push(1); {inner} }}\nout.push(0);"

    def of_entry(self) -> str:
        """Returns `ledger_key_of_entry` and `sort_key_of_entry`, checked against the definitions."""
        arms = [self._arm(arm) for arm in self.definitions.by_name[ROOT]["arms"]]
        keys = "\n".join(f"{value} => {{ {prefix} start = c.pos; {skips} }}" for value, prefix, skips, _ in arms)
        sorts = "\n".join(f"{value} => {{ {prefix} {sort} }}" for value, prefix, _, sort in arms)
        return f"""
/// Appends the canonical XDR of the `LedgerKey` of a validated `LedgerEntry` to `out`.
///
/// # Errors
/// Whatever is wrong up to the end of the key's fields; never on a validated entry.
pub fn ledger_key_of_entry(entry: &[u8], out: &mut Vec<u8>) -> X<()> {{
    let c = &mut Cur::new(entry);
    c.skip(4, "LedgerEntry.lastModifiedLedgerSeq")?;
    let kind = c.word("LedgerEntryData")?;
    let start;
    match kind as i32 {{ {keys} _ => return Err(c.bad_enum("LedgerEntryData")), }}
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(c.slice_from(start));
    Ok(())
}}

/// Appends the sort key of a validated `LedgerEntry` to `out`: `sort_key_LedgerKey` of its key, in one pass.
///
/// # Errors
/// Whatever is wrong up to the end of the key's fields; never on a validated entry.
pub fn sort_key_of_entry(entry: &[u8], out: &mut Vec<u8>) -> X<()> {{
    let c = &mut Cur::new(entry);
    c.skip(4, "LedgerEntry.lastModifiedLedgerSeq")?;
    let kind = c.word("LedgerEntryData")?;
    out.extend_from_slice(&kind.to_be_bytes());
    match kind as i32 {{ {sorts} _ => return Err(c.bad_enum("LedgerEntryData")), }}
    Ok(())
}}
"""

    def _arm(self, arm: Definition) -> tuple[int, str, str, str]:
        """Returns an entry type, what passes over the fields before its key, over the key's, and what sorts them.

        Raises:
            DefinitionsError: the key's fields do not stand together and in order in the entry.
        """
        value = arm["cases"][0]["value"]
        key_fields = self.definitions.by_name[arm["type"]["name"]]["fields"]
        data = next(
            a for a in self.definitions.by_name["LedgerEntryData"]["arms"] if a["cases"][0]["value"] == value
        )  # fmt: skip
        entry = self.definitions.by_name[data["type"]["name"]]
        if entry["kind"] == "union":  # a config setting's key is its discriminant
            if [f["type"] for f in key_fields] != [entry["discriminant"]["type"]]:
                raise DefinitionsError(f"{arm['type']['name']} is not the discriminant of {entry['name']}")
            fields, first = key_fields, 0
        else:
            fields = entry["fields"]
            first = next(i for i, f in enumerate(fields) if f == key_fields[0])
        found = fields[first : first + len(key_fields)]
        if found != key_fields:
            raise DefinitionsError(f"{entry['name']} has {found} where {arm['type']['name']} has {key_fields}")
        before = self.skips.flush([s for f in fields[:first] for s in self.skips.steps(f["type"], entry["name"])])
        own = self.skips.flush(
            [s for f in found for s in self.skips.steps(f["type"], f"{entry['name']}.{f['name']}")]
        )  # fmt: skip
        sort = self.flush([s for f in found for s in self.steps(f["type"], f"{entry['name']}.{f['name']}")])
        return value, " ".join(before), " ".join(own), sort
