//! Reader: steps through the bytes of an entry that was validated before, never past their end.

use super::RowError;
use crate::xdr::{Cur, X};

/// What reading gives; after a refusal nothing was added to any table, since rows are read wholly before they are added.
pub type Read<T> = Result<T, RowError>;

/// A position in the bytes of one entry.
pub struct Reader<'a> {
    data: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, pos: 0 }
    }

    /// Returns the byte offset reached.
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// Returns the bytes from `start` to here.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.data[start..self.pos]
    }

    /// Returns a refusal at this place.
    pub fn refuse<T>(&self, what: &'static str) -> Read<T> {
        Err(RowError::Unreadable { what, pos: self.pos })
    }

    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Read<&'a [u8; N]> {
        match self.data[self.pos..].first_chunk::<N>() {
            Some(chunk) => {
                self.pos += N;
                Ok(chunk)
            }
            None => self.refuse(what),
        }
    }

    #[inline]
    pub fn u32(&mut self, what: &'static str) -> Read<u32> {
        Ok(u32::from_be_bytes(*self.array(what)?))
    }

    #[inline]
    pub fn i32(&mut self, what: &'static str) -> Read<i32> {
        Ok(i32::from_be_bytes(*self.array(what)?))
    }

    #[inline]
    pub fn u64(&mut self, what: &'static str) -> Read<u64> {
        Ok(u64::from_be_bytes(*self.array(what)?))
    }

    #[inline]
    pub fn i64(&mut self, what: &'static str) -> Read<i64> {
        Ok(i64::from_be_bytes(*self.array(what)?))
    }

    /// Reads the number before an optional value or the choice of a union that knows only 0 and 1.
    #[inline]
    pub fn flag(&mut self, what: &'static str) -> Read<bool> {
        match self.u32(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.refuse(what),
        }
    }

    /// Reads a choice or a version that can only be `value`.
    #[inline]
    pub fn only(&mut self, value: u32, what: &'static str) -> Read<()> {
        if self.u32(what)? == value {
            Ok(())
        } else {
            self.refuse(what)
        }
    }

    /// Reads a counted byte string and its padding.
    #[inline]
    pub fn bytes(&mut self, what: &'static str) -> Read<&'a [u8]> {
        let length = self.u32(what)? as usize;
        match self.data[self.pos..].get(..length) {
            Some(bytes) if length.next_multiple_of(4) <= self.data.len() - self.pos => {
                self.pos += length.next_multiple_of(4);
                Ok(bytes)
            }
            _ => self.refuse(what),
        }
    }

    /// Reads an `AccountID`.
    #[inline]
    pub fn account(&mut self, what: &'static str) -> Read<&'a [u8; 32]> {
        self.only(0, what)?;
        self.array(what)
    }

    /// Reads an optional `AccountID`.
    #[inline]
    pub fn optional_account(&mut self, what: &'static str) -> Read<Option<&'a [u8; 32]>> {
        if self.flag(what)? {
            Ok(Some(self.account(what)?))
        } else {
            Ok(None)
        }
    }

    /// Moves on as far as a generated function does.
    pub fn walk(&mut self, step: impl FnOnce(&mut Cur<'a>) -> X<()>) -> Read<()> {
        let mut cursor = Cur::new(self.data);
        cursor.pos = self.pos;
        step(&mut cursor)?;
        self.pos = cursor.pos;
        Ok(())
    }

    /// Moves past `expected` if it stands here, and says whether it did.
    pub fn starts_with(&mut self, expected: &[u8]) -> bool {
        let found = self.data[self.pos..].starts_with(expected);
        if found {
            self.pos += expected.len();
        }
        found
    }

    /// Asks that the entry ends here.
    pub fn end(&self) -> Read<()> {
        if self.pos == self.data.len() {
            Ok(())
        } else {
            self.refuse("end of the entry")
        }
    }
}
