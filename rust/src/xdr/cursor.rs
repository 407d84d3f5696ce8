//! A strict, borrowed cursor over XDR bytes: every read checks bounds, padding and ranges, and allocates nothing.

use std::cell::Cell;

pub use super::reject::{X, XdrFault, XdrReject};

/// Levels of recursive values that are followed when the caller names no limit.
pub const DEFAULT_DEPTH: u32 = 1500;

/// The deepest limit that a caller may ask for; more is cut to it, so that a thread's stack is never outgrown.
pub const MAX_DEPTH: u32 = 1500;

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
#[path = "cursor_tests.rs"]
mod tests;
