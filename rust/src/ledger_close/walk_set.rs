//! Walks transaction sets of every form and the envelopes in them, and hashes the transactions.

use sha2::{Digest, Sha256};

use super::place::{Account, Conditions, Envelope, FeeBump, Memo, MoreConditions, Operation, Span, Transaction};
use super::walk::{SetKind, Walk, Walked};
use crate::xdr::generated::{
    skip_DecoratedSignature, skip_FeeBumpTransactionExt, skip_Memo, skip_MuxedAccount, skip_OperationBody,
    skip_SignerKey, skip_SorobanTransactionData, skip_TransactionEnvelope, skip_TransactionExt, skip_TransactionV0Ext,
};
use crate::xdr::{Cur, X};

const ENVELOPE_TX_V0: u32 = 0;
const ENVELOPE_TX: u32 = 2;
const ENVELOPE_TX_FEE_BUMP: u32 = 5;
/// Bytes of the smallest envelope.
const ENVELOPE: usize = 68;

impl Walked {
    /// Walks a `TransactionSet`.
    pub fn legacy_set(&mut self, w: &mut Walk<'_>) -> X<()> {
        w.c.skip(32, "TransactionSet.previousLedgerHash")?;
        self.envelopes(w, "TransactionSet.txs")
    }

    /// Walks a `GeneralizedTransactionSet`.
    pub fn generalized_set(&mut self, w: &mut Walk<'_>) -> X<()> {
        self.set_kind = SetKind::Generalized;
        if w.c.word("GeneralizedTransactionSet")? != 1 {
            return Err(w.c.bad_union("GeneralizedTransactionSet"));
        }
        w.c.skip(32, "TransactionSetV1.previousLedgerHash")?;
        for _ in 0..w.c.length(u32::MAX, 8, "TransactionSetV1.phases")? {
            match w.c.word("TransactionPhase")? {
                0 => {
                    for _ in 0..w.c.length(u32::MAX, 12, "TransactionPhase.v0Components")? {
                        if w.c.word("TxSetComponent")? != 0 {
                            return Err(w.c.bad_enum("TxSetComponent"));
                        }
                        base_fee(&mut w.c, "TxSetComponentTxsMaybeDiscountedFee.baseFee")?;
                        self.envelopes(w, "TxSetComponentTxsMaybeDiscountedFee.txs")?;
                    }
                }
                1 => {
                    self.set_kind = SetKind::Parallel;
                    base_fee(&mut w.c, "ParallelTxsComponent.baseFee")?;
                    for _ in 0..w.c.length(u32::MAX, 4, "ParallelTxsComponent.executionStages")? {
                        for _ in 0..w.c.length(u32::MAX, 4, "ParallelTxExecutionStage")? {
                            self.envelopes(w, "DependentTxCluster")?;
                        }
                    }
                }
                _ => return Err(w.c.bad_union("TransactionPhase")),
            }
        }
        Ok(())
    }

    fn envelopes(&mut self, w: &mut Walk<'_>, what: &'static str) -> X<()> {
        for _ in 0..w.c.length(u32::MAX, ENVELOPE, what)? {
            w.c.nothing_noted()?;
            let envelope = self.envelope(w)?;
            if let Some(reject) = w.c.take_noted() {
                self.bad_envelopes.push((self.envelopes.len() as u32, reject));
            }
            self.envelopes.push(envelope);
        }
        Ok(())
    }

    fn envelope(&mut self, w: &mut Walk<'_>) -> X<Envelope> {
        let start = w.c.pos;
        let kind = w.c.word("TransactionEnvelope")?;
        let (transaction, fee_bump) = match kind {
            ENVELOPE_TX_V0 | ENVELOPE_TX => (self.signed(w, kind)?, None),
            ENVELOPE_TX_FEE_BUMP => {
                let at = w.c.pos;
                let source = account(&mut w.c)?;
                let fee = w.c.i64()?;
                let inner = w.c.word("FeeBumpTransactionInnerTx")?;
                if inner != ENVELOPE_TX {
                    let known = (0..=10).contains(&inner);
                    let what = "FeeBumpTransactionInnerTx";
                    return Err(if known { w.c.bad_union(what) } else { w.c.bad_enum(what) });
                }
                let transaction = self.signed(w, ENVELOPE_TX)?;
                skip_FeeBumpTransactionExt(&mut w.c)?;
                let hash = hash(w.network_id, ENVELOPE_TX_FEE_BUMP, &[w.c.slice_from(at)]);
                let signatures = signatures(&mut w.c, "FeeBumpTransactionEnvelope.signatures")?;
                let bump = FeeBump {
                    hash,
                    source,
                    fee,
                    signatures,
                };
                (transaction, Some(bump))
            }
            _ => {
                w.c.pos = start;
                skip_TransactionEnvelope(&mut w.c)?;
                return Err(w.c.bad_union("TransactionEnvelope"));
            }
        };
        Ok(Envelope {
            whole: Span::new(start, w.c.pos),
            kind,
            transaction,
            fee_bump,
        })
    }

    /// Walks a `TransactionV1Envelope` or a `TransactionV0Envelope`.
    fn signed(&mut self, w: &mut Walk<'_>, kind: u32) -> X<Transaction> {
        let c = &mut w.c;
        let start = c.pos;
        let old = kind == ENVELOPE_TX_V0;
        let mut made = Transaction::default();
        if old {
            made.source.key = c.pos as u32;
            c.skip(32, "TransactionV0.sourceAccountEd25519")?;
        } else {
            made.source = account(c)?;
        }
        made.fee = c.word("Transaction.fee")?;
        made.sequence = c.hyper("Transaction.seqNum")?.cast_signed();
        if old {
            made.conditions.time = time_bounds(c, "TransactionV0.timeBounds")?;
        } else {
            made.conditions = conditions(c)?;
        }
        made.memo = memo(c)?;
        let first = self.operations.len();
        for _ in 0..c.length(100, 8, "Transaction.operations")? {
            let source = if c.flag("Operation.sourceAccount")? {
                Some(account(c)?)
            } else {
                None
            };
            let at = c.pos;
            skip_OperationBody(c)?;
            self.operations.push(Operation {
                source,
                body: Span::new(at, c.pos),
            });
        }
        made.operations = (first as u32, self.operations.len() as u32);
        if old {
            skip_TransactionV0Ext(c)?;
            made.hash = hash(w.network_id, ENVELOPE_TX, &[&[0; 4], c.slice_from(start)]);
        } else {
            let mut extension = c.clone();
            if extension.word("TransactionExt")? == 1 {
                made.soroban = true;
                skip_SorobanTransactionData(&mut extension)?;
                c.pos = extension.pos;
            } else {
                skip_TransactionExt(c)?;
            }
            made.hash = hash(w.network_id, ENVELOPE_TX, &[c.slice_from(start)]);
        }
        made.signatures = signatures(c, "TransactionV1Envelope.signatures")?;
        Ok(made)
    }
}

/// SHA-256 of a `TransactionSignaturePayload`; a transaction of version 0 is hashed as one of version 1.
fn hash(network_id: &[u8; 32], kind: u32, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(network_id);
    hasher.update(kind.to_be_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn base_fee(c: &mut Cur<'_>, what: &'static str) -> X<()> {
    if c.flag(what)? {
        c.skip(8, what)?;
    }
    Ok(())
}

fn account(c: &mut Cur<'_>) -> X<Account> {
    let start = c.pos;
    skip_MuxedAccount(c)?;
    Ok(Account {
        key: (c.pos - 32) as u32,
        muxed: c.pos - start > 36,
    })
}

fn signatures(c: &mut Cur<'_>, what: &'static str) -> X<Span> {
    let count = c.length(20, 8, what)?;
    let start = c.pos;
    for _ in 0..count {
        skip_DecoratedSignature(c)?;
    }
    Ok(Span::new(start, c.pos))
}

fn time_bounds(c: &mut Cur<'_>, what: &'static str) -> X<Option<(u64, u64)>> {
    if c.flag(what)? {
        return Ok(Some((c.hyper(what)?, c.hyper(what)?)));
    }
    Ok(None)
}

fn conditions(c: &mut Cur<'_>) -> X<Conditions> {
    let mut made = Conditions::default();
    match c.word("Preconditions")? {
        0 => {}
        1 => made.time = Some((c.u64()?, c.u64()?)),
        2 => {
            made.time = time_bounds(c, "PreconditionsV2.timeBounds")?;
            if c.flag("PreconditionsV2.ledgerBounds")? {
                made.ledger = Some((c.u32()?, c.u32()?));
            }
            let mut more = MoreConditions::default();
            if c.flag("PreconditionsV2.minSeqNum")? {
                more.sequence = Some(c.i64()?);
            }
            more.age = c.u64()?;
            more.gap = c.u32()?;
            let count = c.length(2, 36, "PreconditionsV2.extraSigners")?;
            let start = c.pos;
            for _ in 0..count {
                skip_SignerKey(c)?;
            }
            more.signers = Span::new(start, c.pos);
            made.more = Some(more);
        }
        _ => return Err(c.bad_enum("Preconditions")),
    }
    Ok(made)
}

fn memo(c: &mut Cur<'_>) -> X<Memo> {
    let mut at = c.clone();
    let kind = at.word("Memo")?;
    skip_Memo(c)?;
    let content = match kind {
        1 => {
            let length = at.word("Memo.text")? as usize;
            Span::new(at.pos, at.pos + length)
        }
        _ => Span::new(at.pos, c.pos),
    };
    Ok(Memo { kind, content })
}
