//! Everything that can be wrong with a bucket, as values that the Python face turns into exceptions.

use std::fmt;

/// Why a bucket (or any framed XDR stream) was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are not what the format says.
    Xdr {
        /// Position in the uncompressed stream.
        offset: u64,
        /// Number of the record in the stream, META included, from 0.
        record_index: u64,
        /// XDR name of the ledger entry type, when the record got that far.
        entry_type: Option<&'static str>,
        reason: String,
    },
    /// The uncompressed stream has another SHA-256 than the one that names it.
    Hash { expected: [u8; 32], computed: [u8; 32] },
    /// Keys do not ascend strictly.
    Order(String),
    /// META, INIT, LIVE and DEAD are not where the protocol allows them.
    Algebra(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Xdr {
                offset,
                record_index,
                entry_type,
                reason,
            } => {
                write!(f, "record {record_index}")?;
                if let Some(name) = entry_type {
                    write!(f, " ({name})")?;
                }
                write!(f, ": {reason} (at uncompressed byte {offset})")
            }
            Fault::Hash { expected, computed } => {
                write!(
                    f,
                    "SHA-256 of the uncompressed stream is {}, expected {}",
                    hex(computed),
                    hex(expected)
                )
            }
            Fault::Order(text) | Fault::Algebra(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// The same fault with the name of its bucket in front of the text.
    #[must_use]
    pub fn in_bucket(self, name: &str) -> Self {
        if name.is_empty() {
            return self;
        }
        match self {
            Fault::Xdr {
                offset,
                record_index,
                entry_type,
                reason,
            } => Fault::Xdr {
                offset,
                record_index,
                entry_type,
                reason: format!("bucket {name}: {reason}"),
            },
            Fault::Order(text) => Fault::Order(format!("bucket {name}: {text}")),
            Fault::Algebra(text) => Fault::Algebra(format!("bucket {name}: {text}")),
            hash @ Fault::Hash { .. } => hash,
        }
    }
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
