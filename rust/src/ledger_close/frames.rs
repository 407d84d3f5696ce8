//! Whole ledgers out of compressed chunks: framed streams, Galexie batches, one bare `LedgerCloseMeta`.

use std::ops::Range;

use super::locate::ledger_sequence;
use super::stream::{Framing, LedgerStream};
use crate::bucket::fault::Fault;
use crate::bucket::inflate::{Compression, Inflate, Pulled};
use crate::xdr::generated::skip_LedgerCloseMeta;
use crate::xdr::{Cur, XdrFault, XdrReject};

const PIECE: usize = 256 << 10;
/// Ledgers are usually compressed to less than this part.
const USUAL_RATIO: usize = 4;
/// Room that is made at once on the word of a compressed chunk's length.
const MOST_ROOM: usize = 16 << 20;
const LAST_FRAGMENT: u32 = 0x8000_0000;
const FRAME_HEADER: usize = 4;
/// `startSequence`, `endSequence` and the number of ledgers of a `LedgerCloseMetaBatch`.
const BATCH_HEADER: usize = 12;

/// One whole ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub sequence: u32,
    /// Its bytes in [`LedgerFrames::bytes`].
    pub place: Range<usize>,
}

/// A push parser from compressed chunks to validated ledgers.
pub struct LedgerFrames {
    stream: LedgerStream,
    inflate: Inflate,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were given away or belong to no ledger.
    start: usize,
    /// Bytes of `buffer` that are filled.
    end: usize,
    /// Position in the uncompressed stream of `buffer[0]`.
    base: u64,
    ledgers: u64,
    /// First and last ledger that a batch announces.
    announced: Option<(u32, u32)>,
    /// Unframed ledgers are tried again only when so many bytes are there.
    worth_trying: usize,
    /// What is wrong behind the ledgers given last.
    waiting: Option<Fault>,
}

impl LedgerFrames {
    /// A parser at the start of its stream.
    ///
    /// # Errors
    /// When the decompressor cannot be made.
    pub fn new(stream: LedgerStream) -> Result<Self, Fault> {
        let inflate = Inflate::new(stream.compression).map_err(|reason| Fault::Xdr {
            offset: 0,
            record_index: 0,
            entry_type: None,
            reason,
        })?;
        Ok(Self {
            stream,
            inflate,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            base: 0,
            ledgers: 0,
            announced: None,
            worth_trying: 0,
            waiting: None,
        })
    }

    /// The buffer that the places of found ledgers index, valid until the next call of `feed` or `finish`.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Uncompressed bytes seen so far.
    #[must_use]
    pub fn uncompressed(&self) -> u64 {
        self.base + self.end as u64
    }

    /// Takes compressed bytes; returns the ledgers that they complete.
    ///
    /// Ledgers in front of a fault are returned; the fault itself comes with the next call.
    ///
    /// # Errors
    /// The compression is damaged, the framing is broken, or a record is not a `LedgerCloseMeta`.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Found>, Fault> {
        self.compact();
        if self.stream.compression == Compression::None {
            self.append(chunk)?;
        } else {
            self.make_room(chunk.len().saturating_mul(USUAL_RATIO).min(MOST_ROOM) + PIECE);
            self.inflate.feed(chunk);
        }
        self.gather()
    }

    /// Ends the stream; returns the ledgers that only its end completes, all of them or a fault.
    ///
    /// # Errors
    /// As [`LedgerFrames::feed`]; the stream is cut off; a batch holds other ledgers than it announces.
    pub fn finish(&mut self) -> Result<Vec<Found>, Fault> {
        self.compact();
        self.inflate.end();
        let found = self.gather()?;
        match self.waiting.take() {
            Some(fault) => Err(fault),
            None => self.check_end().map(|()| found),
        }
    }

    fn gather(&mut self) -> Result<Vec<Found>, Fault> {
        if let Some(fault) = self.waiting.take() {
            return Err(fault);
        }
        let mut found = Vec::new();
        if let Err(fault) = self.gather_into(&mut found) {
            if found.is_empty() {
                return Err(fault);
            }
            self.waiting = Some(fault);
        }
        Ok(found)
    }

    fn gather_into(&mut self, found: &mut Vec<Found>) -> Result<(), Fault> {
        loop {
            let more = self.pull()?;
            while let Some(ledger) = self.next_ledger(!more && self.inflate.is_ended())? {
                found.push(ledger);
            }
            if self.end - self.start > self.stream.max_record.saturating_add(BATCH_HEADER) {
                let text = format!("a ledger is longer than the cap of {} bytes", self.stream.max_record);
                return Err(self.fault(self.start, text));
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        if self.buffer.len() < self.end + bytes {
            self.buffer.resize(self.end + bytes, 0);
        }
    }

    /// Inflates one piece; false when the input is used up.
    fn pull(&mut self) -> Result<bool, Fault> {
        if self.buffer.len() - self.end < PIECE {
            self.make_room(self.buffer.len().max(PIECE));
        }
        let upper = self.end + PIECE;
        match self.inflate.pull(&mut self.buffer[self.end..upper]) {
            Err(reason) => Err(self.fault(self.end, reason)),
            Ok(Pulled::Starved | Pulled::Finished) => Ok(false),
            Ok(Pulled::Some(count)) => {
                self.end += count;
                self.check_inflated()?;
                Ok(true)
            }
        }
    }

    /// Adds bytes that are not compressed.
    fn append(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        if let Some(fault) = self.waiting.take() {
            return Err(fault);
        }
        self.buffer.truncate(self.end);
        self.buffer.extend_from_slice(chunk);
        self.end = self.buffer.len();
        self.check_inflated()
    }

    fn check_inflated(&self) -> Result<(), Fault> {
        match self.stream.max_inflated {
            Some(cap) if self.uncompressed() > cap => {
                Err(self.fault(self.end, format!("stream inflates to more than the cap of {cap} bytes")))
            }
            _ => Ok(()),
        }
    }

    fn next_ledger(&mut self, last: bool) -> Result<Option<Found>, Fault> {
        match self.stream.framing {
            Framing::Framed => self.next_framed(),
            Framing::Batch => self.next_of_batch(last),
            Framing::Single => self.next_single(last),
        }
    }

    fn next_framed(&mut self) -> Result<Option<Found>, Fault> {
        let Some(header) = self.buffer[self.start..self.end].first_chunk::<FRAME_HEADER>() else {
            return Ok(None);
        };
        let mark = u32::from_be_bytes(*header);
        let length = (mark & !LAST_FRAGMENT) as usize;
        let refuse = |reason: String| Err(self.fault(self.start, reason));
        if mark & LAST_FRAGMENT == 0 {
            return refuse(format!(
                "frame header {mark:08x} has the last-fragment bit clear; Stellar writes single fragments"
            ));
        }
        if length > self.stream.max_record {
            let cap = self.stream.max_record;
            return refuse(format!("frame declares {length} bytes, the cap is {cap} bytes"));
        }
        let body = self.start + FRAME_HEADER..self.start + FRAME_HEADER + length;
        if body.end > self.end {
            return Ok(None);
        }
        if self.stream.validate {
            let mut c = Cur::with_depth(&self.buffer[body.clone()], self.stream.max_depth);
            skip_LedgerCloseMeta(&mut c)
                .and_then(|()| c.end("LedgerCloseMeta"))
                .map_err(|reject| self.rejected(body.start, &reject))?;
        }
        let ledger = self.found(body.clone())?;
        self.start = body.end;
        Ok(Some(ledger))
    }

    fn next_of_batch(&mut self, last: bool) -> Result<Option<Found>, Fault> {
        let (first, end) = match self.announced {
            Some(announced) => announced,
            None => match self.batch_header()? {
                Some(announced) => announced,
                None => return Ok(None),
            },
        };
        let expected = u64::from(first) + self.ledgers;
        if expected > u64::from(end) {
            return self.nothing_more();
        }
        let at = self.start;
        let found = self.next_unframed(last, expected == u64::from(end))?;
        match &found {
            Some(ledger) if u64::from(ledger.sequence) != expected => {
                self.ledgers -= 1;
                let got = ledger.sequence;
                Err(self.fault(
                    at,
                    format!("the batch of ledgers {first} to {end} has ledger {got} where ledger {expected} is due"),
                ))
            }
            _ => Ok(found),
        }
    }

    fn batch_header(&mut self) -> Result<Option<(u32, u32)>, Fault> {
        let Some(header) = self.buffer[self.start..self.end].first_chunk::<BATCH_HEADER>() else {
            return Ok(None);
        };
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (first, last, count) = (word(0), word(4), word(8));
        if last < first || u64::from(last) - u64::from(first) + 1 != u64::from(count) {
            return Err(self.fault(
                self.start,
                format!("the batch announces ledgers {first} to {last} but {count} ledgers"),
            ));
        }
        self.start += BATCH_HEADER;
        self.announced = Some((first, last));
        Ok(self.announced)
    }

    fn next_single(&mut self, last: bool) -> Result<Option<Found>, Fault> {
        if self.ledgers > 0 {
            return self.nothing_more();
        }
        self.next_unframed(last, true)
    }

    fn nothing_more(&self) -> Result<Option<Found>, Fault> {
        if self.end == self.start {
            return Ok(None);
        }
        let count = self.end - self.start;
        Err(self.fault(self.start, format!("{count} bytes follow the last ledger")))
    }

    /// A ledger whose end only its own structure tells, or the end of the stream if nothing else is to come.
    fn next_unframed(&mut self, last: bool, final_one: bool) -> Result<Option<Found>, Fault> {
        let have = self.end - self.start;
        if final_one && !self.stream.validate && self.stream.framing == Framing::Single {
            if have == 0 || !last {
                return Ok(None);
            }
            let ledger = self.found(self.start..self.end)?;
            self.start = self.end;
            return Ok(Some(ledger));
        }
        if have == 0 || (!last && have < self.worth_trying) {
            return Ok(None);
        }
        // Where a ledger ends is all that is asked here; whoever decodes it judges a value whose end is clear.
        let mut c = Cur::with_depth(&self.buffer[self.start..self.end], self.stream.max_depth);
        c = c.tolerant(!self.stream.validate);
        match skip_LedgerCloseMeta(&mut c) {
            Ok(()) => {
                let place = self.start..self.start + c.pos;
                if place.len() > self.stream.max_record {
                    let (length, cap) = (place.len(), self.stream.max_record);
                    return Err(self.fault(
                        self.start,
                        format!("a ledger of {length} bytes, the cap is {cap} bytes"),
                    ));
                }
                let ledger = self.found(place.clone())?;
                self.start = place.end;
                self.worth_trying = 0;
                Ok(Some(ledger))
            }
            Err(reject) if reject.fault == XdrFault::Truncated => {
                self.worth_trying = have.saturating_mul(2);
                Ok(None)
            }
            Err(reject) => Err(self.rejected(self.start, &reject)),
        }
    }

    fn found(&mut self, place: Range<usize>) -> Result<Found, Fault> {
        let sequence =
            ledger_sequence(&self.buffer[place.clone()]).map_err(|reject| self.rejected(place.start, &reject))?;
        self.ledgers += 1;
        Ok(Found { sequence, place })
    }

    fn check_end(&self) -> Result<(), Fault> {
        let have = self.end - self.start;
        match (self.stream.framing, self.announced) {
            (Framing::Framed, _) if have == 0 => Ok(()),
            (Framing::Framed, _) => {
                let at = self.base + self.start as u64;
                let header = self.buffer[self.start..self.end].first_chunk::<FRAME_HEADER>();
                let whole = header.map_or(FRAME_HEADER, |header| {
                    FRAME_HEADER + (u32::from_be_bytes(*header) & !LAST_FRAGMENT) as usize
                });
                Err(self.fault(
                    self.start,
                    format!("truncated frame at byte {at}: {have} of {whole} bytes"),
                ))
            }
            (Framing::Batch, None) => Err(self.fault(
                self.start,
                format!("truncated batch: {have} of the {BATCH_HEADER} bytes before its ledgers"),
            )),
            (Framing::Batch, Some((first, last))) if u64::from(last) - u64::from(first) + 1 == self.ledgers => Ok(()),
            (Framing::Batch, Some((first, last))) => {
                let due = u64::from(first) + self.ledgers;
                Err(self.fault(
                    self.start,
                    format!("truncated batch of ledgers {first} to {last}: it ends {have} bytes into ledger {due}"),
                ))
            }
            (Framing::Single, _) if self.ledgers == 1 => Ok(()),
            (Framing::Single, _) => Err(self.fault(
                self.start,
                format!("truncated ledger: the stream ends {have} bytes into it"),
            )),
        }
    }

    fn fault(&self, at: usize, reason: String) -> Fault {
        Fault::Xdr {
            offset: self.base + at as u64,
            record_index: self.ledgers,
            entry_type: None,
            reason,
        }
    }

    fn rejected(&self, start: usize, reject: &XdrReject) -> Fault {
        self.fault(start + reject.pos, format!("{}: {}", reject.what, reject.fault.text()))
    }

    /// Drops what the last call gave away.
    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        self.start = 0;
    }
}
