//! A strict, borrowed cursor over XDR bytes: every read checks bounds, padding and ranges, and allocates nothing.

use std::cell::Cell;
use std::fmt;

/// Levels of recursive values that are followed when the caller names no limit.
pub const DEFAULT_DEPTH: u32 = 1500;

/// The deepest limit that a caller may ask for; more is cut to it, so that a thread's stack is never outgrown.
pub const MAX_DEPTH: u32 = 1500;

/// Result of reading XDR.
pub type X<T> = Result<T, XdrReject>;

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdrFault {
    /// The bytes end inside a value.
    Truncated,
    /// A bool or the flag before an optional value is neither 0 nor 1.
    BadBool,
    /// A number is no member of its enum.
    BadEnum,
    /// A discriminant has no arm in its union.
    BadUnion,
    /// Padding to the next multiple of four is not zero.
    BadPadding,
    /// A length is above the bound of its type.
    TooLong,
    /// Recursive values are nested deeper than the limit.
    TooDeep,
    /// Bytes follow where a value should end the buffer.
    Trailing,
}

impl XdrFault {
    /// The fault in words, as a predicate.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::BadBool => "neither 0 nor 1",
            Self::BadEnum => "not a member of the enum",
            Self::BadUnion => "not an arm of the union",
            Self::BadPadding => "padding is not zero",
            Self::TooLong => "longer than its type allows",
            Self::TooDeep => "nested too deeply",
            Self::Trailing => "followed by bytes that belong to no value",
        }
    }
}

/// Why bytes are no value of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdrReject {
    /// What is wrong.
    pub fault: XdrFault,
    /// The type or field that was being read.
    pub what: &'static str,
    /// Byte offset in the cursor's buffer.
    pub pos: usize,
}

impl fmt::Display for XdrReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.what, self.pos, self.fault.text())
    }
}

impl std::error::Error for XdrReject {}

/// Zero bytes that follow `n` bytes of content up to a multiple of four.
#[inline(always)]
const fn pad(n: usize) -> usize {
    n.wrapping_neg() & 3
}

/// A reader over one buffer; a failed read leaves it at an unspecified position inside the buffer.
#[derive(Clone, Debug)]
pub struct Cur<'a> {
    /// The bytes.
    pub buf: &'a [u8],
    /// Offset of the next byte; never beyond the end of `buf`.
    pub pos: usize,
    /// Levels of recursive values that may still be entered.
    pub depth: u32,
    /// Whether values that are wrong, but leave no doubt where they end, are noted and passed over.
    tolerant: bool,
    /// The first of them since the last question.
    noted: Cell<Option<XdrReject>>,
    /// How many of them there were since the start.
    notes: Cell<u32>,
}

impl<'a> Cur<'a> {
    /// A cursor at the start of `buf` with the default depth limit.
    #[inline]
    #[must_use]
    pub fn new(buf: &'a [u8]) -> Self {
        Self::with_depth(buf, DEFAULT_DEPTH)
    }

    /// A cursor at the start of `buf` that follows at most `depth` levels (cut to [`MAX_DEPTH`]).
    #[inline]
    #[must_use]
    pub fn with_depth(buf: &'a [u8], depth: u32) -> Self {
        Self {
            buf,
            pos: 0,
            depth: depth.min(MAX_DEPTH),
            tolerant: false,
            noted: Cell::new(None),
            notes: Cell::new(0),
        }
    }

    /// The same cursor, which passes over wrong values as long as it is clear where they end: bools, members of enums,
    /// padding and bounds of lengths. The first of them is kept for [`Self::take_noted`].
    #[must_use]
    pub fn tolerant(mut self, tolerant: bool) -> Self {
        self.tolerant = tolerant;
        self
    }

    /// What a tolerant cursor passed over first since the last call.
    #[inline(always)]
    #[must_use]
    pub fn take_noted(&self) -> Option<XdrReject> {
        if self.tolerant { self.noted.take() } else { None }
    }

    /// How many wrong values were passed over since the start.
    #[inline(always)]
    #[must_use]
    pub fn notes(&self) -> u32 {
        self.notes.get()
    }

    /// Requires that nothing was passed over since the last call of [`Self::take_noted`].
    ///
    /// # Errors
    /// What was.
    #[inline(always)]
    pub fn nothing_noted(&self) -> X<()> {
        match self.take_noted() {
            Some(reject) => Err(reject),
            None => Ok(()),
        }
    }

    /// Passes over a wrong value, or rejects it.
    #[cold]
    fn note(&self, fault: XdrFault, what: &'static str, pos: usize) -> X<()> {
        let reject = self.reject(fault, what, pos);
        if !self.tolerant {
            return Err(reject);
        }
        self.notes.set(self.notes.get().saturating_add(1));
        if self.noted.get().is_none() {
            self.noted.set(Some(reject));
        }
        Ok(())
    }

    /// Bytes that are left.
    #[inline(always)]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.buf.len() - self.pos
    }

    /// The bytes from offset `start` to the cursor.
    #[inline(always)]
    #[must_use]
    pub fn slice_from(&self, start: usize) -> &'a [u8] {
        &self.buf[start..self.pos]
    }

    /// The rejection of what stands at offset `pos`.
    #[cold]
    #[must_use]
    pub fn reject(&self, fault: XdrFault, what: &'static str, pos: usize) -> XdrReject {
        XdrReject { fault, what, pos }
    }

    /// The rejection of the enum value (or discriminant) just read: it is no member of its enum.
    #[cold]
    #[must_use]
    pub fn bad_enum(&self, what: &'static str) -> XdrReject {
        self.reject(XdrFault::BadEnum, what, self.pos - 4)
    }

    /// The rejection of the discriminant just read: it has no arm in its union.
    #[cold]
    #[must_use]
    pub fn bad_union(&self, what: &'static str) -> XdrReject {
        self.reject(XdrFault::BadUnion, what, self.pos - 4)
    }

    /// Requires that the enum value just read is a member.
    ///
    /// # Errors
    /// `BadEnum`.
    #[inline(always)]
    pub fn member(&self, is_member: bool, what: &'static str) -> X<()> {
        if is_member {
            Ok(())
        } else {
            self.note(XdrFault::BadEnum, what, self.pos - 4)
        }
    }

    /// Reads `n` bytes as they are, without padding.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline(always)]
    pub fn take(&mut self, n: usize, what: &'static str) -> X<&'a [u8]> {
        if n > self.remaining() {
            return Err(self.reject(XdrFault::Truncated, what, self.pos));
        }
        let start = self.pos;
        self.pos += n;
        Ok(&self.buf[start..start + n])
    }

    /// Passes over `n` bytes that may be anything.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline(always)]
    pub fn skip(&mut self, n: usize, what: &'static str) -> X<()> {
        if n > self.remaining() {
            return Err(self.reject(XdrFault::Truncated, what, self.pos));
        }
        self.pos += n;
        Ok(())
    }

    /// Reads `N` bytes.
    #[inline(always)]
    fn array<const N: usize>(&mut self, what: &'static str) -> X<[u8; N]> {
        match self.buf[self.pos..].first_chunk::<N>() {
            Some(bytes) => {
                self.pos += N;
                Ok(*bytes)
            }
            None => Err(self.reject(XdrFault::Truncated, what, self.pos)),
        }
    }

    /// Reads a length, an enum value or a discriminant.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline(always)]
    pub fn word(&mut self, what: &'static str) -> X<u32> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// Reads eight bytes as an unsigned number; `what` names it.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline(always)]
    pub fn hyper(&mut self, what: &'static str) -> X<u64> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// Reads an `unsigned int`.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline(always)]
    pub fn u32(&mut self) -> X<u32> {
        self.word("uint32")
    }

    /// Reads an `int`.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline(always)]
    pub fn i32(&mut self) -> X<i32> {
        Ok(i32::from_be_bytes(self.array("int32")?))
    }

    /// Reads an `unsigned hyper`.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline(always)]
    pub fn u64(&mut self) -> X<u64> {
        self.hyper("uint64")
    }

    /// Reads a `hyper`.
    ///
    /// # Errors
    /// `Truncated`.
    #[inline(always)]
    pub fn i64(&mut self) -> X<i64> {
        Ok(i64::from_be_bytes(self.array("int64")?))
    }

    /// Reads a `bool` that must be 0 or 1; `what` names it.
    ///
    /// # Errors
    /// `Truncated`, `BadBool`.
    #[inline(always)]
    pub fn flag(&mut self, what: &'static str) -> X<bool> {
        match self.word(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.note(XdrFault::BadBool, what, self.pos - 4).map(|()| true),
        }
    }

    /// Reads a `bool`.
    ///
    /// # Errors
    /// `Truncated`, `BadBool`.
    #[inline(always)]
    pub fn bool_(&mut self) -> X<bool> {
        self.flag("bool")
    }

    /// Reads the flag before an optional value: is there one?
    ///
    /// # Errors
    /// `Truncated`, `BadBool`.
    #[inline(always)]
    pub fn optional(&mut self) -> X<bool> {
        self.flag("optional")
    }

    /// Reads an `opaque[n]` and its padding.
    ///
    /// # Errors
    /// `Truncated`, `BadPadding`.
    #[inline(always)]
    pub fn fixed(&mut self, n: usize) -> X<&'a [u8]> {
        self.padded(n, "opaque")
    }

    /// Reads an `opaque<max>` or `string<max>`: its length, content and padding.
    ///
    /// # Errors
    /// `Truncated`, `TooLong`, `BadPadding`.
    #[inline(always)]
    pub fn var(&mut self, max: u32) -> X<&'a [u8]> {
        self.bytes(max, "opaque<>")
    }

    /// [`Self::fixed`] with a name.
    ///
    /// # Errors
    /// `Truncated`, `BadPadding`.
    #[inline(always)]
    pub fn padded(&mut self, n: usize, what: &'static str) -> X<&'a [u8]> {
        let start = self.pos;
        let fill = pad(n);
        // `n` is at most u32::MAX, so the sum cannot overflow; the content is measured before its padding.
        if n > self.remaining() || n + fill > self.remaining() {
            return Err(self.reject(XdrFault::Truncated, what, start));
        }
        self.pos = start + n + fill;
        let (content, padding) = self.buf[start..self.pos].split_at(n);
        if padding.iter().any(|&byte| byte != 0) {
            self.note(XdrFault::BadPadding, what, start + n)?;
        }
        Ok(content)
    }

    /// [`Self::var`] with a name.
    ///
    /// # Errors
    /// `Truncated`, `TooLong`, `BadPadding`.
    #[inline(always)]
    pub fn bytes(&mut self, max: u32, what: &'static str) -> X<&'a [u8]> {
        let length = self.word(what)?;
        if length > max {
            self.note(XdrFault::TooLong, what, self.pos - 4)?;
        }
        self.padded(length as usize, what)
    }

    /// Reads the length of an array of at most `max` elements of at least `smallest` bytes each.
    ///
    /// A length that the bytes left cannot hold is refused here, before anything is done per element.
    ///
    /// # Errors
    /// `Truncated`, `TooLong`.
    #[inline(always)]
    pub fn length(&mut self, max: u32, smallest: usize, what: &'static str) -> X<usize> {
        let length = self.word(what)?;
        if length > max {
            self.note(XdrFault::TooLong, what, self.pos - 4)?;
        }
        let length = length as usize;
        if length > self.remaining() / smallest {
            return Err(self.reject(XdrFault::Truncated, what, self.pos - 4));
        }
        Ok(length)
    }

    /// Enters one level of a recursive value.
    ///
    /// # Errors
    /// `TooDeep`.
    #[inline(always)]
    pub fn enter(&mut self, what: &'static str) -> X<()> {
        if self.depth == 0 {
            return Err(self.reject(XdrFault::TooDeep, what, self.pos));
        }
        self.depth -= 1;
        Ok(())
    }

    /// Leaves the level entered last.
    #[inline(always)]
    pub fn leave(&mut self) {
        self.depth += 1;
    }

    /// Passes over a value that may contain values of its own type, with a constant share of the thread's stack.
    ///
    /// `head` passes over one value up to the values of the same type that it ends with, and returns their number.
    ///
    /// # Errors
    /// Those of `head`, `TooDeep`.
    #[inline]
    pub fn nested(&mut self, what: &'static str, head: fn(&mut Self) -> X<usize>) -> X<()> {
        self.enter(what)?;
        let mut left = head(self)?;
        if left > 0 {
            self.enter(what)?;
            let mut outer = Vec::new();
            loop {
                left -= 1;
                let inner = head(self)?;
                if inner > 0 {
                    self.enter(what)?;
                    outer.push(left);
                    left = inner;
                }
                while left == 0 {
                    self.leave();
                    match outer.pop() {
                        Some(more) => left = more,
                        None => {
                            self.leave();
                            return Ok(());
                        }
                    }
                }
            }
        }
        self.leave();
        Ok(())
    }

    /// Requires that nothing is left.
    ///
    /// # Errors
    /// `Trailing`.
    #[inline]
    pub fn end(&self, what: &'static str) -> X<()> {
        if self.remaining() == 0 {
            return Ok(());
        }
        Err(self.reject(XdrFault::Trailing, what, self.pos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault<T: std::fmt::Debug>(result: X<T>) -> (XdrFault, usize) {
        let reject = result.unwrap_err();
        (reject.fault, reject.pos)
    }

    #[test]
    fn numbers_are_big_endian_and_bounded() {
        let mut c = Cur::new(&[0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 7, 1]);
        assert_eq!(c.i32(), Ok(-2));
        assert_eq!(c.u64(), Ok(7));
        assert_eq!(fault(c.u32()), (XdrFault::Truncated, 12));
        assert_eq!(fault(c.end("all")), (XdrFault::Trailing, 12));
    }

    #[test]
    fn bools_are_zero_or_one() {
        assert_eq!(Cur::new(&[0, 0, 0, 1]).bool_(), Ok(true));
        assert_eq!(fault(Cur::new(&[0, 0, 0, 2]).bool_()), (XdrFault::BadBool, 0));
        assert_eq!(fault(Cur::new(&[1, 0, 0, 0]).optional()), (XdrFault::BadBool, 0));
    }

    #[test]
    fn opaques_end_on_a_multiple_of_four_with_zeros() {
        assert_eq!(Cur::new(b"\0\0\0\x01a\0\0\0").var(1), Ok(&b"a"[..]));
        assert_eq!(Cur::new(b"\0\0\0\0").var(0), Ok(&b""[..]));
        assert_eq!(
            fault(Cur::new(b"\0\0\0\x01a\0\0\x01").var(1)),
            (XdrFault::BadPadding, 5)
        );
        assert_eq!(fault(Cur::new(b"\0\0\0\x02ab\0\0").var(1)), (XdrFault::TooLong, 0));
        assert_eq!(fault(Cur::new(b"\0\0\0\x02ab\0").var(9)), (XdrFault::Truncated, 4));
        assert_eq!(
            fault(Cur::new(b"\xff\xff\xff\xff").var(u32::MAX)),
            (XdrFault::Truncated, 4)
        );
        assert_eq!(Cur::new(b"abc\0").fixed(3), Ok(&b"abc"[..]));
        assert_eq!(fault(Cur::new(b"abcd").fixed(3)), (XdrFault::BadPadding, 3));
    }

    #[test]
    fn array_lengths_are_measured_against_the_bytes_left() {
        assert_eq!(Cur::new(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]).length(9, 4, "a"), Ok(2));
        assert_eq!(
            fault(Cur::new(&[0, 0, 0, 3, 0, 0, 0, 0]).length(9, 4, "a")),
            (XdrFault::Truncated, 0)
        );
        assert_eq!(
            fault(Cur::new(&[0xff; 4]).length(u32::MAX, 4, "a")),
            (XdrFault::Truncated, 0)
        );
        assert_eq!(fault(Cur::new(&[0, 0, 0, 1]).length(0, 4, "a")), (XdrFault::TooLong, 0));
    }

    #[test]
    fn depth_is_a_plain_counter_with_a_cap() {
        let mut c = Cur::with_depth(&[], 1);
        assert_eq!(c.enter("a"), Ok(()));
        assert_eq!(fault(c.enter("a")), (XdrFault::TooDeep, 0));
        c.leave();
        assert_eq!(c.enter("a"), Ok(()));
        assert_eq!(Cur::with_depth(&[], u32::MAX).depth, MAX_DEPTH);
    }

    #[test]
    fn a_tolerant_cursor_passes_over_values_whose_end_is_clear() {
        let mut c = Cur::new(b"\0\0\0\x02ab\0\x01\0\0\0\x05\0\0\0\x09\xff\xff\xff\xff").tolerant(true);
        assert_eq!(c.bytes(1, "text"), Ok(&b"ab"[..]));
        let noted = c.take_noted().unwrap();
        assert_eq!((noted.fault, noted.pos), (XdrFault::TooLong, 0));
        assert_eq!((c.take_noted(), c.notes()), (None, 1));
        assert_eq!(c.flag("flag"), Ok(true));
        let kind = c.word("kind").unwrap();
        assert_eq!(c.member(kind < 9, "kind"), Ok(()));
        assert_eq!(fault(c.nothing_noted()), (XdrFault::BadBool, 8));
        assert_eq!(c.nothing_noted(), Ok(()));
        assert_eq!(fault(c.bytes(9, "cut off")), (XdrFault::Truncated, 20));
    }

    #[test]
    fn a_rejection_says_what_where_and_why() {
        let reject = Cur::new(&[0, 0]).word("AccountEntry.flags").unwrap_err();
        assert_eq!(reject.to_string(), "AccountEntry.flags at byte 0: truncated");
    }
}
