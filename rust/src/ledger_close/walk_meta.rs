//! Walks results and transaction metas of every version: changes by operation, and contract events.

use super::place::{Event, Phase, Processed, Span};
use super::walk::{Walk, Walked};
use crate::xdr::generated::{
    skip_ContractEvent, skip_ContractEventType, skip_DiagnosticEvent, skip_ExtensionPoint,
    skip_InnerTransactionResultExt, skip_InnerTransactionResultResult, skip_OperationResult, skip_SCVal,
    skip_SorobanTransactionMetaExt, skip_TransactionEvent, skip_TransactionResultExt, skip_TransactionResultResult,
};
use crate::xdr::{Cur, X};

/// Where an event belongs.
#[derive(Clone, Copy)]
struct Belongs {
    transaction: u32,
    operation: u32,
}

impl Walked {
    /// Walks a `TransactionResultPair`.
    pub fn result_pair(&mut self, c: &mut Cur<'_>) -> X<Processed> {
        let start = c.pos;
        c.skip(32, "TransactionResultPair.transactionHash")?;
        let result = c.pos;
        let fee_charged = c.hyper("TransactionResult.feeCharged")?.cast_signed();
        let at = c.pos;
        let code = c.word("TransactionResultResult")?.cast_signed();
        let mut inner = None;
        let first = self.operation_results.len() as u32;
        match code {
            -13 | 1 => {
                let hash = c.pos as u32;
                c.skip(32, "InnerTransactionResultPair.transactionHash")?;
                c.skip(8, "InnerTransactionResult.feeCharged")?;
                let at = c.pos;
                let inner_code = c.word("InnerTransactionResultResult")?.cast_signed();
                if matches!(inner_code, -1..=0) {
                    self.operation_results(c, "InnerTransactionResultResult.results")?;
                } else {
                    c.pos = at;
                    skip_InnerTransactionResultResult(c)?;
                }
                skip_InnerTransactionResultExt(c)?;
                inner = Some((hash, inner_code));
            }
            -1..=0 => self.operation_results(c, "TransactionResultResult.results")?,
            _ => {
                c.pos = at;
                skip_TransactionResultResult(c)?;
            }
        }
        skip_TransactionResultExt(c)?;
        Ok(Processed {
            pair: Span::new(start, c.pos),
            result: Span::new(result, c.pos),
            fee_charged,
            code,
            inner,
            operation_results: (first, self.operation_results.len() as u32),
            fee_changes: Span::default(),
            meta: Span::default(),
            post_fee_changes: None,
        })
    }

    fn operation_results(&mut self, c: &mut Cur<'_>, what: &'static str) -> X<()> {
        for _ in 0..c.length(u32::MAX, 4, what)? {
            let start = c.pos;
            skip_OperationResult(c)?;
            self.operation_results.push(Span::new(start, c.pos));
        }
        Ok(())
    }

    /// Walks a `TransactionMeta`.
    pub fn meta(&mut self, w: &mut Walk<'_>, order: u32) -> X<()> {
        match w.c.word("TransactionMeta")? {
            0 => self.operation_metas(w, order),
            1 => {
                self.change_list(w, Phase::TxBefore, order, 0, 0)?;
                self.operation_metas(w, order)
            }
            2 => self.around_operations(w, order),
            3 => {
                skip_ExtensionPoint(&mut w.c)?;
                self.around_operations(w, order)?;
                if w.c.flag("TransactionMetaV3.sorobanMeta")? {
                    skip_SorobanTransactionMetaExt(&mut w.c)?;
                    // A Soroban transaction has one operation; up to version 3 its events stand with the transaction.
                    self.contract_events(w, order, 1, "SorobanTransactionMeta.events")?;
                    skip_SCVal(&mut w.c)?;
                    self.diagnostic_events(w, order, "SorobanTransactionMeta.diagnosticEvents")?;
                }
                Ok(())
            }
            4 => self.meta_v4(w, order),
            _ => Err(w.c.bad_union("TransactionMeta")),
        }
    }

    fn around_operations(&mut self, w: &mut Walk<'_>, order: u32) -> X<()> {
        self.change_list(w, Phase::TxBefore, order, 0, 0)?;
        self.operation_metas(w, order)?;
        self.change_list(w, Phase::TxAfter, order, 0, 0)?;
        Ok(())
    }

    fn operation_metas(&mut self, w: &mut Walk<'_>, order: u32) -> X<()> {
        for operation in 1..=w.c.length(u32::MAX, 4, "TransactionMeta.operations")? {
            self.change_list(w, Phase::Operation, order, operation as u32, 0)?;
        }
        Ok(())
    }

    fn meta_v4(&mut self, w: &mut Walk<'_>, order: u32) -> X<()> {
        skip_ExtensionPoint(&mut w.c)?;
        self.change_list(w, Phase::TxBefore, order, 0, 0)?;
        for operation in 1..=w.c.length(u32::MAX, 12, "TransactionMetaV4.operations")? {
            skip_ExtensionPoint(&mut w.c)?;
            self.change_list(w, Phase::Operation, order, operation as u32, 0)?;
            self.contract_events(w, order, operation as u32, "OperationMetaV2.events")?;
        }
        self.change_list(w, Phase::TxAfter, order, 0, 0)?;
        if w.c.flag("TransactionMetaV4.sorobanMeta")? {
            skip_SorobanTransactionMetaExt(&mut w.c)?;
            if w.c.flag("SorobanTransactionMetaV2.returnValue")? {
                skip_SCVal(&mut w.c)?;
            }
        }
        self.transaction_events(w, order)?;
        self.diagnostic_events(w, order, "TransactionMetaV4.diagnosticEvents")
    }

    fn contract_events(&mut self, w: &mut Walk<'_>, transaction: u32, operation: u32, what: &'static str) -> X<()> {
        let belongs = Belongs { transaction, operation };
        for index in 0..w.c.length(u32::MAX, 24, what)? {
            if w.wanted.events {
                self.event(&mut w.c, belongs, index, None, None)?;
            } else {
                skip_ContractEvent(&mut w.c)?;
            }
        }
        Ok(())
    }

    fn transaction_events(&mut self, w: &mut Walk<'_>, transaction: u32) -> X<()> {
        let belongs = Belongs {
            transaction,
            operation: 0,
        };
        for index in 0..w.c.length(u32::MAX, 28, "TransactionMetaV4.events")? {
            if w.wanted.events {
                let stage = w.c.word("TransactionEventStage")?;
                w.c.member(stage <= 2, "TransactionEventStage")?;
                self.event(&mut w.c, belongs, index, Some(stage), None)?;
            } else {
                skip_TransactionEvent(&mut w.c)?;
            }
        }
        Ok(())
    }

    fn diagnostic_events(&mut self, w: &mut Walk<'_>, transaction: u32, what: &'static str) -> X<()> {
        let belongs = Belongs {
            transaction,
            operation: 0,
        };
        for index in 0..w.c.length(u32::MAX, 28, what)? {
            if w.wanted.events {
                let in_call = w.c.flag("DiagnosticEvent.inSuccessfulContractCall")?;
                self.event(&mut w.c, belongs, index, None, Some(in_call))?;
            } else {
                skip_DiagnosticEvent(&mut w.c)?;
            }
        }
        Ok(())
    }

    fn event(
        &mut self,
        c: &mut Cur<'_>,
        belongs: Belongs,
        index: usize,
        stage: Option<u32>,
        diagnostic: Option<bool>,
    ) -> X<()> {
        let start = c.pos;
        skip_ExtensionPoint(c)?;
        let contract = if c.flag("ContractEvent.contractID")? {
            let at = c.pos as u32;
            c.skip(32, "ContractEvent.contractID")?;
            Some(at)
        } else {
            None
        };
        let mut kind = c.clone();
        skip_ContractEventType(c)?;
        if c.word("ContractEventBody")? != 0 {
            return Err(c.bad_union("ContractEventBody"));
        }
        let first = self.topics.len() as u32;
        for _ in 0..c.length(u32::MAX, 4, "ContractEventV0.topics")? {
            let at = c.pos;
            skip_SCVal(c)?;
            self.topics.push(Span::new(at, c.pos));
        }
        let at = c.pos;
        skip_SCVal(c)?;
        self.events.push(Event {
            transaction: belongs.transaction,
            operation: belongs.operation,
            stage,
            index: index as u32,
            diagnostic,
            whole: Span::new(start, c.pos),
            contract,
            kind: kind.i32()?,
            topics: (first, self.topics.len() as u32),
            data: Span::new(at, c.pos),
        });
        Ok(())
    }
}
