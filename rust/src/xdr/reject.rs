//! Why bytes are no XDR value of the type asked for.

use std::fmt;

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
