//! SEP-51 JSON of any XDR value: one loop over the shapes of `json_table`, strict as the validators are.
//!
//! The loop keeps its own stack on the heap, so that nesting never grows the thread's.

use super::cursor::{Cur, X};
use super::json_special::{self, Special};
use super::json_text;

/// What a type looks like in XDR and in JSON.
pub enum Shape {
    /// `int`, a JSON number.
    I32,
    /// `unsigned int`, a JSON number.
    U32,
    /// `hyper`, a JSON string of digits.
    I64,
    /// `unsigned hyper`, a JSON string of digits.
    U64,
    /// `bool`.
    Bool,
    /// `opaque[n]` in hexadecimal digits.
    Hex(usize),
    /// `opaque<max>` in hexadecimal digits.
    HexVar(u32),
    /// `string<max>`, escaped where it is not printable ASCII.
    Text(u32),
    /// The value or `null`.
    Optional(&'static Shape),
    /// Array of fixed length.
    Array(usize, &'static Shape),
    /// Array of at most so many elements of at least so many bytes.
    List(u32, usize, &'static Shape),
    /// Object with a member per field.
    Struct(&'static [Field]),
    /// The name of the arm, or an object with the name of the arm as its only member; arms by discriminant.
    Union(&'static str, Option<&'static Shape>, &'static [Arm]),
    /// The name of the value; values in ascending order.
    Enum(&'static str, &'static [(i32, &'static str)]),
    /// Another name for a shape.
    Alias(&'static Shape),
    /// A type at which nesting is counted.
    Counted(&'static str, &'static Shape),
    /// A string that SEP-51 defines for this very type.
    Special(&'static str, Special),
}

/// Name and shape of a struct's field.
pub type Field = (&'static str, &'static Shape);

/// Discriminant, name and shape of a union's arm.
pub type Arm = (i32, &'static str, Option<&'static Shape>);

/// A writer of JSON: appends the text of one value.
pub type Json = fn(&mut Cur<'_>, &mut String) -> X<()>;

/// What is still to be written, last first.
enum Task {
    Value(&'static Shape, &'static str),
    Fields(&'static [Field]),
    Elements(usize, &'static Shape, &'static str),
    Close(char),
    Leave,
}

/// Appends the JSON of one value of a shape.
///
/// # Errors
/// What the validator of the type refuses; `out` then ends in an unfinished text.
pub fn write(shape: &'static Shape, c: &mut Cur<'_>, out: &mut String) -> X<()> {
    let mut tasks = vec![Task::Value(shape, "value")];
    while let Some(task) = tasks.pop() {
        match task {
            Task::Value(shape, what) => value(shape, what, c, out, &mut tasks)?,
            Task::Fields([]) => out.push('}'),
            Task::Fields([(name, shape), rest @ ..]) => {
                out.push_str(if out.ends_with('{') { "\"" } else { ",\"" });
                out.push_str(name);
                out.push_str("\":");
                tasks.push(Task::Fields(rest));
                value(shape, name, c, out, &mut tasks)?;
            }
            Task::Elements(0, ..) => out.push(']'),
            Task::Elements(left, shape, what) => {
                if !out.ends_with('[') {
                    out.push(',');
                }
                tasks.push(Task::Elements(left - 1, shape, what));
                value(shape, what, c, out, &mut tasks)?;
            }
            Task::Close(bracket) => out.push(bracket),
            Task::Leave => c.leave(),
        }
    }
    Ok(())
}

/// Writes a value as far as it goes without contained values, and notes those as tasks.
fn value(shape: &'static Shape, what: &'static str, c: &mut Cur<'_>, out: &mut String, tasks: &mut Vec<Task>) -> X<()> {
    match shape {
        Shape::I32 => json_text::number(c.word(what)? as i32, out),
        Shape::U32 => json_text::number(c.word(what)?, out),
        Shape::I64 => json_text::digits(c.hyper(what)? as i64, out),
        Shape::U64 => json_text::digits(c.hyper(what)?, out),
        Shape::Bool => out.push_str(if c.flag(what)? { "true" } else { "false" }),
        Shape::Hex(n) => json_text::hex(c.padded(*n, what)?, out),
        Shape::HexVar(max) => json_text::hex(c.bytes(*max, what)?, out),
        Shape::Text(max) => json_text::escaped(c.bytes(*max, what)?, out),
        Shape::Optional(inner) => {
            if c.flag(what)? {
                tasks.push(Task::Value(inner, what));
            } else {
                out.push_str("null");
            }
        }
        Shape::Array(count, element) => {
            out.push('[');
            tasks.push(Task::Elements(*count, element, what));
        }
        Shape::List(max, smallest, element) => {
            let count = c.length(*max, *smallest, what)?;
            out.push('[');
            tasks.push(Task::Elements(count, element, what));
        }
        Shape::Struct(fields) => {
            out.push('{');
            tasks.push(Task::Fields(fields));
        }
        Shape::Union(name, values, arms) => union(name, *values, arms, c, out, tasks)?,
        Shape::Enum(name, members) => {
            let number = c.word(name)? as i32;
            let Ok(index) = members.binary_search_by_key(&number, |member| member.0) else {
                return Err(c.bad_enum(name));
            };
            quoted(members[index].1, out);
        }
        Shape::Alias(inner) => tasks.push(Task::Value(inner, what)),
        Shape::Counted(name, inner) => {
            c.enter(name)?;
            tasks.push(Task::Leave);
            tasks.push(Task::Value(inner, what));
        }
        Shape::Special(name, special) => json_special::write(*special, name, c, out)?,
    }
    Ok(())
}

/// Writes a union up to the value of its arm.
fn union(
    name: &'static str,
    values: Option<&'static Shape>,
    arms: &'static [Arm],
    c: &mut Cur<'_>,
    out: &mut String,
    tasks: &mut Vec<Task>,
) -> X<()> {
    let number = c.word(name)? as i32;
    let Ok(index) = arms.binary_search_by_key(&number, |arm| arm.0) else {
        let known = match values {
            Some(Shape::Enum(_, members)) => members.iter().any(|member| member.0 == number),
            _ => true,
        };
        return Err(if known { c.bad_union(name) } else { c.bad_enum(name) });
    };
    match &arms[index] {
        (_, arm, None) => quoted(arm, out),
        (_, arm, Some(inner)) => {
            out.push('{');
            quoted(arm, out);
            out.push(':');
            tasks.push(Task::Close('}'));
            tasks.push(Task::Value(inner, name));
        }
    }
    Ok(())
}

/// Appends a name, which never needs escaping, in quotes.
fn quoted(name: &str, out: &mut String) {
    out.push('"');
    out.push_str(name);
    out.push('"');
}
