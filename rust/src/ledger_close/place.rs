//! Places of values in the bytes of one ledger, and what is found there.

/// Bytes from `start` to `end` of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The bytes between two positions; a ledger is shorter than 4 GiB.
    #[inline]
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes themselves.
    #[inline]
    #[must_use]
    pub fn of(self, ledger: &[u8]) -> &[u8] {
        &ledger[self.start as usize..self.end as usize]
    }
}

/// The `N` bytes that start at a place which was passed over when the ledger was walked.
#[inline]
#[must_use]
pub fn array<const N: usize>(ledger: &[u8], start: u32) -> &[u8; N] {
    ledger[start as usize..]
        .first_chunk()
        .expect("the place was measured when the ledger was walked")
}

/// An account as it stands in a `MuxedAccount`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Where its key starts.
    pub key: u32,
    /// Whether an id of eight bytes stands before the key.
    pub muxed: bool,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub source: Option<Account>,
    pub body: Span,
}

/// What a transaction asks for besides its operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Lowest and highest close time; 0 for the highest leaves it open.
    pub time: Option<(u64, u64)>,
    /// Lowest ledger and the one before which it must be; 0 leaves that open.
    pub ledger: Option<(u32, u32)>,
    pub more: Option<MoreConditions>,
}

/// What only `PreconditionsV2` has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoreConditions {
    pub sequence: Option<i64>,
    pub age: u64,
    pub gap: u32,
    /// The `SignerKey`s, one behind the other.
    pub signers: Span,
}

/// A memo: its `MemoType` and the content without length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memo {
    pub kind: u32,
    pub content: Span,
}

/// A transaction without what pays for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    pub hash: [u8; 32],
    pub source: Account,
    pub fee: u32,
    pub sequence: i64,
    pub conditions: Conditions,
    pub memo: Memo,
    /// First and last but one of its operations in [`super::walk::Walked::operations`].
    pub operations: (u32, u32),
    pub soroban: bool,
    /// The `DecoratedSignature`s, one behind the other.
    pub signatures: Span,
}

/// What a fee bump adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeBump {
    pub hash: [u8; 32],
    pub source: Account,
    pub fee: i64,
    pub signatures: Span,
}

/// A transaction envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub whole: Span,
    /// The `EnvelopeType`.
    pub kind: u32,
    pub transaction: Transaction,
    pub fee_bump: Option<FeeBump>,
}

impl Envelope {
    /// The hash under which the result stands.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        self.fee_bump.as_ref().map_or(&self.transaction.hash, |bump| &bump.hash)
    }
}

/// The result of a transaction, and where its metas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processed {
    /// The `TransactionResultPair`, which starts with the hash.
    pub pair: Span,
    /// The `TransactionResult`.
    pub result: Span,
    pub fee_charged: i64,
    pub code: i32,
    /// Where the hash of the inner transaction starts, and its result code.
    pub inner: Option<(u32, i32)>,
    /// First and last but one of the `OperationResult`s in [`super::walk::Walked::operation_results`].
    pub operation_results: (u32, u32),
    pub fee_changes: Span,
    pub meta: Span,
    pub post_fee_changes: Option<Span>,
}

impl Processed {
    /// Whether the transaction, or the one inside the fee bump, was applied.
    #[must_use]
    pub fn is_successful(&self) -> bool {
        matches!(self.code, 0 | 1)
    }
}

/// When in a ledger a list of changes happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Fee,
    TxBefore,
    Operation,
    TxAfter,
    PostApply,
    Upgrade,
    Eviction,
}

impl Phase {
    /// The phase in the table `changes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fee => "fee",
            Self::TxBefore => "tx_before",
            Self::Operation => "operation",
            Self::TxAfter => "tx_after",
            Self::PostApply => "post_apply",
            Self::Upgrade => "upgrade",
            Self::Eviction => "eviction",
        }
    }
}

/// A list of changes; orders start at 1 and are 0 where there is none, upgrades count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeList {
    pub phase: Phase,
    pub transaction: u32,
    pub operation: u32,
    pub upgrade: u32,
    /// First and last but one of the changes in [`super::walk::Walked::changes`].
    pub changes: (u32, u32),
}

/// One `LedgerEntryChange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The `LedgerEntryChangeType`.
    pub kind: u32,
    /// The `LedgerEntry`, or the `LedgerKey` of a removal.
    pub body: Span,
    /// Where the extension of the entry starts.
    pub extension: u32,
}

/// A contract event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Orders start at 1; 0 where the event belongs to no operation.
    pub transaction: u32,
    pub operation: u32,
    /// The `TransactionEventStage`.
    pub stage: Option<u32>,
    pub index: u32,
    /// For a diagnostic event: whether it happened in a successful contract call.
    pub diagnostic: Option<bool>,
    /// The `ContractEvent`.
    pub whole: Span,
    /// Where the contract's id starts.
    pub contract: Option<u32>,
    pub kind: i32,
    /// First and last but one of the topics in [`super::walk::Walked::topics`].
    pub topics: (u32, u32),
    pub data: Span,
}
