"""Writes `skip_<Type>`: full structural validation of one value, without reading more than bounds and ranges need."""

from __future__ import annotations

from collections.abc import Callable

from definitions import NO_BOUND, Definition, Definitions, DefinitionsError, TypeTree


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
        if name in self.definitions.counted:
            body = f"let inner = {{ {self.head(definition)} }};\nOk(inner)"
            head = f"fn head_{name}(c: &mut Cur<'_>) -> X<usize> {{\n{body}\n}}\n"
            return f'{head}pub fn skip_{name}(c: &mut Cur<\'_>) -> X<()> {{ c.nested("{name}", head_{name}) }}\n'
        body = {"enum": self.enum, "union": self.union, "struct": self.struct, "typedef": self.typedef}[
            definition["kind"]
        ](definition)
        if definition["kind"] != "enum":
            body += "\nOk(())"
        return f"pub fn skip_{name}(c: &mut Cur<'_>) -> X<()> {{\n{body}\n}}\n"

    def enum(self, definition: Definition) -> str:
        """Returns the body for an enum: one of its values stands there."""
        name, pattern = definition["name"], ranges([m["value"] for m in definition["members"]])
        return f'let v = c.word("{name}")? as i32;\nc.member(matches!(v, {pattern}), "{name}")'

    def union(self, definition: Definition) -> str:
        """Returns the body for a union: a known discriminant, then its arm."""
        return self.choice(definition, lambda tree, what: "\n".join(self.flush(self.steps(tree, what))), "")

    def choice(self, definition: Definition, write: Callable[[TypeTree, str], str], void: str) -> str:
        """Returns the match over a union's discriminant, with what `write` makes of each arm and `void` for none."""
        name = definition["name"]
        tree = self.definitions.resolve(definition["discriminant"]["type"])
        arms: dict[str, list[int]] = {}
        for arm in definition["arms"]:
            body = write(arm["type"], f"{name}.{arm['name']}") if arm.get("type") else void
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

    def head(self, definition: Definition) -> str:
        """Returns, for a type at which nesting is counted, what passes over a value but for the values of the same type
        that it ends with, as an expression: how many of those follow.

        So the values are passed over in one loop (`Cur::nested`), whatever their depth.

        Raises:
            DefinitionsError: something else follows a contained value.
        """
        name = definition["name"]
        if definition["kind"] == "union":
            return self.choice(definition, lambda tree, what: self.tail(tree, what, name), "0")
        return self.struct_tail(definition, name)

    def tail(self, tree: TypeTree, what: str, name: str) -> str:
        """Returns a block that passes over a value up to the values of type `name` it ends with, and counts these."""
        tree = self.definitions.resolve(tree)
        if self.multiple(tree, name):
            return str(self.multiple(tree, name))
        if tree["kind"] == "optional":
            return f'if c.flag("{what}")? {{ {self.tail(tree["element"], what, name)} }} else {{ 0 }}'
        if tree["kind"] == "var_array" and (each := self.multiple(tree["element"], name)):
            length = f'c.length({bound(tree)}, {self.definitions.smallest(tree["element"])}, "{what}")?'
            return length if each == 1 else f"{each} * {length}"
        if tree["kind"] == "ref" and name in self.definitions.reachable(tree["name"]):
            return self.struct_tail(self.definitions.by_name[tree["name"]], name)
        return "\n".join([*self.flush(self.steps(tree, what)), "0"])

    def struct_tail(self, definition: Definition, name: str) -> str:
        """Returns :meth:`tail` of a struct."""
        if definition["kind"] != "struct":
            raise DefinitionsError(f"{definition['name']}: only structs are expected between {name} and itself")
        *before, last = definition["fields"]
        if any(f["type"] == {"kind": "ref", "name": name} or name in self.reached(f["type"]) for f in before):
            raise DefinitionsError(f"{definition['name']}: a field follows a contained {name}")
        owner = definition["name"]
        steps = [step for f in before for step in self.steps(f["type"], f"{owner}.{f['name']}")]
        return "\n".join([*self.flush(steps), self.tail(last["type"], f"{owner}.{last['name']}", name)])

    def reached(self, tree: TypeTree) -> set[str]:
        """Returns the names of all types that a value of this type may contain."""
        while "element" in tree:
            tree = tree["element"]
        return self.definitions.reachable(tree["name"]) | {tree["name"]} if tree["kind"] == "ref" else set()

    def multiple(self, tree: TypeTree, name: str) -> int:
        """Returns how many values of type `name` a type consists of, 0 if there is anything else in it."""
        tree = self.definitions.resolve(tree)
        if tree["kind"] != "ref":
            return 0
        if tree["name"] == name:
            return 1
        definition = self.definitions.by_name[tree["name"]]
        if definition["kind"] != "struct":
            return 0
        parts = [self.multiple(f["type"], name) for f in definition["fields"]]
        return sum(parts) if all(parts) else 0


def bound(tree: TypeTree) -> str:
    """Returns the largest length that a type of varying length allows, as Rust text."""
    limit = tree.get("max_size", tree.get("max_count"))
    return "u32::MAX" if limit is None or limit == NO_BOUND else str(limit)
