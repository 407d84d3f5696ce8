//! Why changes cannot be compacted, or images cannot become rows.

use std::fmt;

use crate::rows::RowError;
use crate::xdr::XdrReject;

/// Two changes of one ledger that cannot both have happened, by their `change_index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The earlier change; the later one itself when it contradicts its own form.
    pub first: i64,
    /// The later change.
    pub second: i64,
    /// What is wrong, in words.
    pub text: String,
}

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The batch is not of the form of the table `changes`.
    Form(String),
    /// The changes contradict each other.
    Contradiction(Contradiction),
    /// A key or an image is no XDR of its type.
    Xdr {
        /// Row of the batch.
        row: usize,
        /// What is wrong with it.
        reject: XdrReject,
    },
    /// A validated image did not become a row.
    Row {
        /// Row of the batch.
        row: usize,
        /// Why not.
        error: RowError,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Form(text) => f.write_str(text),
            Refusal::Contradiction(contradiction) => f.write_str(&contradiction.text),
            Refusal::Xdr { row, reject } => write!(f, "row {row}: {reject}"),
            Refusal::Row { row, error } => write!(f, "row {row}: {error}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Contradiction> for Refusal {
    fn from(contradiction: Contradiction) -> Self {
        Refusal::Contradiction(contradiction)
    }
}
