"""Writes `skip_<Type>`: full structural validation of one value, without reading more than bounds and ranges need."""

from __future__ import annotations

from definitions import NO_BOUND, Definition, Definitions, TypeTree


def ranges(values: list[int]) -> str:
    """Returns a Rust pattern of the values, with runs written as ranges."""
    ordered = sorted(values)
    runs: list[list[int]] = []
    for value in ordered:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return " | ".join(str(low) if low == high else f"{low}..={high}" for low, high in runs)


class SkipWriter:
    """Turns definitions into validators."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions

    def function(self, name: str) -> str:
        """Returns the validator of one named type."""
        definition = self.definitions.by_name[name]
        body = {"enum": self.enum, "union": self.union, "struct": self.struct, "typedef": self.typedef}[
            definition["kind"]
        ](definition)
        if name in self.definitions.counted:
            body = f'c.enter("{name}")?;\n{body}\nc.leave();'
        if definition["kind"] != "enum":
            body += "\nOk(())"
        return f"pub fn skip_{name}(c: &mut Cur<'_>) -> X<()> {{\n{body}\n}}\n"

    def enum(self, definition: Definition) -> str:
        """Returns the body for an enum: one of its values stands there."""
        name, pattern = definition["name"], ranges([m["value"] for m in definition["members"]])
        return f'let v = c.word("{name}")? as i32;\nc.member(matches!(v, {pattern}), "{name}")'

    def union(self, definition: Definition) -> str:
        """Returns the body for a union: a known discriminant, then its arm."""
        name = definition["name"]
        tree = self.definitions.resolve(definition["discriminant"]["type"])
        arms: dict[str, list[int]] = {}
        for arm in definition["arms"]:
            what = f"{name}.{arm['name']}" if arm["name"] else name
            body = "\n".join(self.flush(self.steps(arm["type"], what))) if arm.get("type") else ""
            arms.setdefault(body, []).extend(case["value"] for case in arm["cases"])
        lines = [f'match c.word("{name}")? as i32 {{']
        lines += [f"{ranges(values)} => {{ {body} }}" for body, values in arms.items()]
        armed = {value for values in arms.values() for value in values}
        if tree["kind"] == "ref":
            known = {m["value"] for m in self.definitions.by_name[tree["name"]]["members"]}
            if unarmed := sorted(known - armed):
                lines.append(f'{ranges(unarmed)} => return Err(c.bad_union("{name}")),')
            lines.append(f'_ => return Err(c.bad_enum("{name}")),')
        else:
            lines.append(f'_ => return Err(c.bad_union("{name}")),')
        return "\n".join([*lines, "}"])

    def struct(self, definition: Definition) -> str:
        """Returns the body for a struct: its fields, with neighbours that may be anything passed over at once."""
        steps: list[str | tuple[int, str]] = []
        for field in definition["fields"]:
            steps += self.steps(field["type"], f"{definition['name']}.{field['name']}")
        return "\n".join(self.flush(steps))

    def typedef(self, definition: Definition) -> str:
        """Returns the body for a typedef."""
        return "\n".join(self.flush(self.steps(definition["type"], definition["name"])))

    @staticmethod
    def flush(steps: list[str | tuple[int, str]]) -> list[str]:
        """Joins neighbouring runs of free bytes into one call."""
        lines: list[str] = []
        run, run_name = 0, ""
        for step in [*steps, ""]:
            if isinstance(step, tuple):
                run_name = run_name if run else step[1]
                run += step[0]
                continue
            if run:
                lines.append(f'c.skip({run}, "{run_name}")?;')
                run = 0
            if step:
                lines.append(step)
        return lines

    def steps(self, tree: TypeTree, what: str) -> list[str | tuple[int, str]]:
        """Returns what passes over one value: statements, and (size, name) for bytes that may be anything."""
        size = self.definitions.raw_size(tree)
        if size is not None:
            return [(size, what)]
        if tree["kind"] == "ref" and self.definitions.is_simple(tree["name"]):
            tree = self.definitions.resolve(tree)
        match tree["kind"]:
            case "ref":
                return [f"skip_{tree['name']}(c)?;"]
            case "bool":
                return [f'c.flag("{what}")?;']
            case "opaque_fixed":
                return [f'c.padded({tree["size"]}, "{what}")?;']
            case "opaque_var" | "string":
                return [f'c.bytes({bound(tree)}, "{what}")?;']
            case "optional":
                return [f'if c.flag("{what}")? {{ {self.inner(tree["element"], what)} }}']
            case "array":
                return [f"for _ in 0..{tree['count']} {{ {self.inner(tree['element'], what)} }}"]
            case "var_array":
                return [self.var_array(tree, what)]
        raise AssertionError(tree)

    def var_array(self, tree: TypeTree, what: str) -> str:
        """Returns what passes over an array of varying length."""
        element = tree["element"]
        size = self.definitions.raw_size(element)
        length = f'c.length({bound(tree)}, {self.definitions.smallest(element)}, "{what}")?'
        if size is not None:
            return f'let n = {length};\nc.skip(n * {size}, "{what}")?;'
        return f"for _ in 0..{length} {{ {self.inner(element, what)} }}"

    def inner(self, tree: TypeTree, what: str) -> str:
        """Returns the statements of a contained value."""
        return " ".join(self.flush(self.steps(tree, what)))


def bound(tree: TypeTree) -> str:
    """Returns the largest length that a type of varying length allows, as Rust text."""
    limit = tree.get("max_size", tree.get("max_count"))
    return "u32::MAX" if limit is None or limit == NO_BOUND else str(limit)
