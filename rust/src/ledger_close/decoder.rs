//! The ledger decoder: one bare `LedgerCloseMeta` after the other becomes rows of the five ledger tables.

use arrow_array::RecordBatch;

use super::change_row::ChangeRows;
use super::event_row;
use super::header::Header;
use super::ledger_row;
use super::matching::Matching;
use super::operation_row;
use super::payment::Payments;
use super::refusal::{Refusals, RefusedTransaction};
use super::tables::{Changes, ContractEvents, LedgerProjection, Ledgers, Operations, Table, Transactions};
use super::transaction_row::{self, Setting};
use super::walk::{Walk, Walked, Wanted};
use crate::bucket::fault::Fault;
use crate::xdr::{Cur, XdrReject};

/// Ledger bytes between two takes, so that every column stays below 2 GiB: the strkey of an operation's account can be
/// seven times its operation.
const MOST_BYTES: u64 = 256 << 20;
/// The same with JSON columns, which can be ten times their XDR.
const MOST_BYTES_WITH_JSON: u64 = 128 << 20;

/// Decodes ledgers into growing tables.
pub struct LedgerDecoder {
    network_id: [u8; 32],
    max_depth: u32,
    walked: Walked,
    matching: Matching,
    refusals: Refusals,
    refused: Vec<RefusedTransaction>,
    change_rows: ChangeRows,
    payments: Payments,
    ledgers: Option<Table<Ledgers>>,
    transactions: Option<Table<Transactions>>,
    operations: Option<Table<Operations>>,
    changes: Option<Table<Changes>>,
    events: Option<Table<ContractEvents>>,
    needs_payments: bool,
    pushed: u64,
    counts: Counts,
}

/// What was built since the last take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub ledgers: u64,
    pub rows: u64,
    /// Bytes of the ledgers.
    pub bytes: u64,
}

impl LedgerDecoder {
    /// A decoder with empty tables.
    #[must_use]
    pub fn new(network_id: [u8; 32], projection: &LedgerProjection, max_depth: u32) -> Self {
        let operations = Table::<Operations>::new(2, projection);
        Self {
            network_id,
            max_depth,
            walked: Walked::default(),
            matching: Matching::default(),
            refusals: Refusals::default(),
            refused: Vec::new(),
            change_rows: ChangeRows::default(),
            payments: Payments::new(network_id),
            ledgers: Table::new(0, projection),
            transactions: Table::new(1, projection),
            needs_payments: operations.is_some() && projection.has_column("operations", "is_payment"),
            operations,
            changes: Table::new(3, projection),
            events: Table::new(4, projection),
            pushed: 0,
            counts: Counts::default(),
        }
    }

    /// What was built since the last take.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Adds the rows of one ledger and returns its sequence; without metas (`has_meta` false) it has no changes and no
    /// events, and the columns of metas are null. If it is to be tolerant, a transaction with a wrong value that leaves
    /// no doubt where it ends gets no rows, and is told by [`Self::take_refused`].
    ///
    /// # Errors
    /// The bytes are not exactly one `LedgerCloseMeta`, or too many were added since the last take; no row was added.
    pub fn push(&mut self, ledger: &[u8], has_meta: bool, tolerant: bool) -> Result<u32, Fault> {
        self.check_room(ledger)?;
        let mut walk = Walk {
            c: Cur::with_depth(ledger, self.max_depth).tolerant(tolerant),
            wanted: Wanted {
                changes: has_meta && self.changes.is_some(),
                events: has_meta && (self.events.is_some() || self.needs_payments),
            },
            network_id: &self.network_id,
        };
        if let Err(reject) = self.walked.read(&mut walk) {
            // What a tolerant cursor passed over before is where the trouble began.
            let passed = self.walked.first_bad().or_else(|| walk.c.take_noted());
            return Err(self.fault(&passed.unwrap_or(reject)));
        }
        let header = Header::read(ledger, self.walked.header_entry).map_err(|reject| self.fault(&reject))?;
        self.matching.read(ledger, &self.walked);
        self.refusals.read(&self.walked, &self.matching);
        self.refused.extend(self.refusals.of(header.sequence));
        let setting = Setting {
            ledger,
            sequence: header.sequence,
            close_time: header.close_time,
            has_meta,
        };
        self.counts.ledgers += 1;
        self.counts.bytes += ledger.len() as u64;
        self.pushed += 1;
        self.build(setting, &header);
        Ok(header.sequence)
    }

    fn build(&mut self, setting: Setting<'_>, header: &Header<'_>) {
        let (ledger, walked) = (setting.ledger, &self.walked);
        let mut rows = 0;
        if let Some(table) = &mut self.ledgers {
            ledger_row::push(&mut table.columns, ledger, walked, header, &self.matching);
            table.rows += 1;
            rows += 1;
        }
        let mut events = walked.events.iter().peekable();
        for (at, (processed, envelope)) in walked.processed.iter().zip(&self.matching.envelopes).enumerate() {
            let order = at as u32 + 1;
            let refused = self.refusals.has(order);
            let mut moved = false;
            while self.needs_payments
                && let Some(event) = events.next_if(|event| event.transaction == order)
            {
                moved = moved
                    || (event.operation > 0
                        && !refused
                        && processed.is_successful()
                        && self.payments.is_payment(ledger, walked, event));
            }
            let Some(envelope) = envelope.map(|at| &walked.envelopes[at as usize]).filter(|_| !refused) else {
                continue;
            };
            if let Some(table) = &mut self.transactions {
                transaction_row::push(&mut table.columns, setting, order, envelope, processed);
                table.rows += 1;
                rows += 1;
            }
            if let Some(table) = &mut self.operations {
                let columns = &mut table.columns;
                let added = operation_row::push(columns, setting, order, envelope, processed, walked, moved);
                table.rows += added;
                rows += added;
            }
        }
        if let Some(table) = &mut self.changes
            && setting.has_meta
        {
            let added = self
                .change_rows
                .push(&mut table.columns, ledger, setting.sequence, walked, &self.refusals);
            table.rows += added;
            rows += added;
        }
        if let Some(table) = &mut self.events {
            let added = event_row::push(&mut table.columns, ledger, setting.sequence, walked, &self.refusals);
            table.rows += added;
            rows += added;
        }
        self.counts.rows += rows as u64;
    }

    /// The rows built so far, by table; all tables start anew.
    pub fn take(&mut self) -> Vec<(&'static str, RecordBatch)> {
        self.counts = Counts::default();
        let mut batches = Vec::with_capacity(5);
        batches.extend(self.ledgers.as_mut().map(Table::take));
        batches.extend(self.transactions.as_mut().map(Table::take));
        batches.extend(self.operations.as_mut().map(Table::take));
        batches.extend(self.changes.as_mut().map(Table::take));
        batches.extend(self.events.as_mut().map(Table::take));
        batches
    }

    /// The transactions that got no rows since the last call.
    pub fn take_refused(&mut self) -> Vec<RefusedTransaction> {
        std::mem::take(&mut self.refused)
    }

    fn check_room(&self, ledger: &[u8]) -> Result<(), Fault> {
        let json = self
            .changes
            .as_ref()
            .is_some_and(|table| table.columns.post_json.is_on());
        let most = if json { MOST_BYTES_WITH_JSON } else { MOST_BYTES };
        if self.counts.bytes + ledger.len() as u64 <= most {
            return Ok(());
        }
        Err(Fault::Xdr {
            offset: 0,
            record_index: self.pushed,
            entry_type: None,
            reason: format!(
                "{} bytes of ledgers are built and {} more would exceed {most}; take() them first",
                self.counts.bytes,
                ledger.len()
            ),
        })
    }

    fn fault(&self, reject: &XdrReject) -> Fault {
        Fault::Xdr {
            offset: reject.pos as u64,
            record_index: self.pushed,
            entry_type: None,
            reason: format!("{}: {}", reject.what, reject.fault.text()),
        }
    }
}
