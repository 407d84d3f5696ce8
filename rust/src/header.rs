//! Ledger headers: the framed `LedgerHeaderHistoryEntry` records of a checkpoint as one table.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use sha2::{Digest, Sha256};

use crate::rows::RowError;
use crate::rows::column::{Columns, Int64, UInt64, columns};
use crate::rows::reader::{Read, Reader};
use crate::rows::strings::{Bytes, Hash};
use crate::xdr::generated::{skip_LedgerHeaderHistoryEntry, skip_StellarValue};

columns! {
    /// The table of ledger headers.
    Headers {
        ledger_sequence: Int64,
        ledger_hash: Hash,
        computed_hash: Hash,
        previous_ledger_hash: Hash,
        bucket_list_hash: Hash,
        tx_set_hash: Hash,
        tx_set_result_hash: Hash,
        close_time: UInt64,
        protocol_version: Int64,
        total_coins: Int64,
        fee_pool: Int64,
        inflation_sequence: Int64,
        id_pool: UInt64,
        base_fee: Int64,
        base_reserve: Int64,
        max_tx_set_size: Int64,
        header_xdr: Bytes,
    }
}

/// The bit of a frame's length that says that the record ends with it.
const LAST_FRAGMENT: u32 = 0x8000_0000;
/// Bytes of the extension behind the header, which has only one form.
const EXTENSION: usize = 4;

/// Why bytes are not framed ledger headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    /// Number of the record, from 0.
    pub record_index: usize,
    /// Byte offset of the fault in the whole input.
    pub offset: usize,
    /// The fault in words.
    pub reason: String,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ledger header record {} at byte {}: {}",
            self.record_index, self.offset, self.reason
        )
    }
}

impl std::error::Error for HeaderError {}

/// Returns the schema of the table of ledger headers.
pub fn schema() -> SchemaRef {
    let mut fields = Vec::new();
    Headers::fields("", &mut fields);
    Arc::new(Schema::new(fields))
}

/// Reads framed `LedgerHeaderHistoryEntry` records, in their order, into one table.
///
/// `ledger_hash` is the hash that a record states, `computed_hash` the SHA-256 of its header: comparing them, and the
/// chain, is the caller's.
///
/// # Errors
/// A frame is cut short or of several fragments, or a record is not a `LedgerHeaderHistoryEntry`.
pub fn read_ledger_headers(data: &[u8]) -> Result<RecordBatch, HeaderError> {
    let mut headers = Headers::new("", &|_| true);
    let mut record_index = 0;
    let mut start = 0;
    while start < data.len() {
        let fault = |offset: usize, reason: String| HeaderError {
            record_index,
            offset,
            reason,
        };
        let record = next_frame(&data[start..]).map_err(|reason| fault(start, reason))?;
        let body = start + 4;
        push(&mut headers, record).map_err(|error| match error {
            RowError::Unreadable { what, pos } => fault(body + pos, format!("not a LedgerHeaderHistoryEntry: {what}")),
            RowError::TooLarge => fault(body, "the headers exceed 2 GiB".to_owned()),
        })?;
        start = body + record.len();
        record_index += 1;
    }
    let mut arrays = Vec::new();
    headers.take(&mut arrays);
    Ok(RecordBatch::try_new(schema(), arrays).expect("the columns have the schema and all have the same rows"))
}

fn next_frame(data: &[u8]) -> Result<&[u8], String> {
    let Some((word, rest)) = data.split_first_chunk::<4>() else {
        return Err(format!("frame length truncated, {} of 4 bytes", data.len()));
    };
    let word = u32::from_be_bytes(*word);
    if word & LAST_FRAGMENT == 0 {
        return Err(format!("frame length {word:#010x} without the last-fragment bit"));
    }
    let length = (word & !LAST_FRAGMENT) as usize;
    rest.get(..length)
        .ok_or_else(|| format!("record truncated, {} of {length} bytes", rest.len()))
}

fn push(headers: &mut Headers, record: &[u8]) -> Read<()> {
    let mut whole = Reader::new(record);
    whole.walk(skip_LedgerHeaderHistoryEntry)?;
    whole.end()?;
    let mut r = Reader::new(record);
    let ledger_hash = r.array::<32>("hash")?;
    let header = &record[r.pos()..record.len() - EXTENSION];
    let protocol_version = r.u32("ledgerVersion")?;
    let previous_ledger_hash = r.array("previousLedgerHash")?;
    let start = r.pos();
    r.walk(skip_StellarValue)?;
    let mut value = Reader::new(r.since(start));
    let tx_set_hash = value.array("txSetHash")?;
    let close_time = value.u64("closeTime")?;
    let tx_set_result_hash = r.array("txSetResultHash")?;
    let bucket_list_hash = r.array("bucketListHash")?;
    let ledger_sequence = r.u32("ledgerSeq")?;
    let total_coins = r.i64("totalCoins")?;
    let fee_pool = r.i64("feePool")?;
    let inflation_sequence = r.u32("inflationSeq")?;
    let id_pool = r.u64("idPool")?;
    let base_fee = r.u32("baseFee")?;
    let base_reserve = r.u32("baseReserve")?;
    let max_tx_set_size = r.u32("maxTxSetSize")?;
    headers.ledger_sequence.push(i64::from(ledger_sequence));
    headers.ledger_hash.push(ledger_hash);
    headers.computed_hash.push_with(|| Sha256::digest(header).into());
    headers.previous_ledger_hash.push(previous_ledger_hash);
    headers.bucket_list_hash.push(bucket_list_hash);
    headers.tx_set_hash.push(tx_set_hash);
    headers.tx_set_result_hash.push(tx_set_result_hash);
    headers.close_time.push(close_time);
    headers.protocol_version.push(i64::from(protocol_version));
    headers.total_coins.push(total_coins);
    headers.fee_pool.push(fee_pool);
    headers.inflation_sequence.push(i64::from(inflation_sequence));
    headers.id_pool.push(id_pool);
    headers.base_fee.push(i64::from(base_fee));
    headers.base_reserve.push(i64::from(base_reserve));
    headers.max_tx_set_size.push(i64::from(max_tx_set_size));
    headers.header_xdr.push(header);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, UInt64Type};

    /// A framed genesis header, every field its own value.
    fn framed() -> Vec<u8> {
        let mut record = vec![0xaa; 32];
        record.extend(23u32.to_be_bytes());
        record.extend([1; 32]);
        record.extend([2; 32]);
        record.extend(1_700_000_000u64.to_be_bytes());
        record.extend([0; 8]); // no upgrades, basic value
        record.extend([3; 32]);
        record.extend([4; 32]);
        record.extend(63u32.to_be_bytes());
        record.extend(1_000_000_000_000_000_000i64.to_be_bytes());
        record.extend(7i64.to_be_bytes());
        record.extend(8u32.to_be_bytes());
        record.extend(u64::MAX.to_be_bytes());
        record.extend(100u32.to_be_bytes());
        record.extend(5_000_000u32.to_be_bytes());
        record.extend(u32::MAX.to_be_bytes());
        record.extend([5; 128]);
        record.extend([0; 8]);
        let mut framed = (record.len() as u32 | LAST_FRAGMENT).to_be_bytes().to_vec();
        framed.extend(record);
        framed
    }

    #[test]
    fn every_field_has_its_column() {
        let data = [framed(), framed()].concat();
        let batch = read_ledger_headers(&data).unwrap();
        assert_eq!(batch.num_rows(), 2);
        let int = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(1);
        let unsigned = |name: &str| {
            batch
                .column_by_name(name)
                .unwrap()
                .as_primitive::<UInt64Type>()
                .value(1)
        };
        let hash = |name: &str| batch.column_by_name(name).unwrap().as_fixed_size_binary().value(1)[0];
        let ints = [
            "ledger_sequence",
            "protocol_version",
            "total_coins",
            "fee_pool",
            "inflation_sequence",
        ]
        .map(int);
        assert_eq!(ints, [63, 23, 1_000_000_000_000_000_000, 7, 8]);
        let more = ["base_fee", "base_reserve", "max_tx_set_size"].map(int);
        assert_eq!(more, [100, 5_000_000, i64::from(u32::MAX)]);
        assert_eq!((unsigned("close_time"), unsigned("id_pool")), (1_700_000_000, u64::MAX));
        let hashes = [
            "ledger_hash",
            "previous_ledger_hash",
            "tx_set_hash",
            "tx_set_result_hash",
            "bucket_list_hash",
        ];
        assert_eq!(hashes.map(hash), [0xaa, 1, 2, 3, 4]);
        let header = batch.column_by_name("header_xdr").unwrap().as_binary::<i32>().value(1);
        assert_eq!(header, &framed()[36..framed().len() - 4]);
        let computed = batch
            .column_by_name("computed_hash")
            .unwrap()
            .as_fixed_size_binary()
            .value(1);
        assert_eq!(computed, &Sha256::digest(header)[..]);
    }

    #[test]
    fn broken_frames_name_their_place() {
        assert_eq!(read_ledger_headers(&[]).unwrap().num_rows(), 0);
        let good = framed();
        let at = |tail: &[u8]| read_ledger_headers(&[&good[..], tail].concat()).unwrap_err();
        for (tail, reason) in [
            (&[0x80, 0, 0][..], "frame length truncated, 3 of 4 bytes"),
            (&[0x80, 0, 0, 8, 0, 0, 0, 0][..], "record truncated, 4 of 8 bytes"),
            (
                &[0, 0, 0, 4, 0, 0, 0, 0][..],
                "frame length 0x00000004 without the last-fragment bit",
            ),
        ] {
            let error = at(tail);
            assert_eq!(
                (error.record_index, error.offset, error.reason.as_str()),
                (1, good.len(), reason)
            );
        }
    }

    #[test]
    fn a_record_of_another_form_is_refused() {
        let error = read_ledger_headers(&[0x80, 0, 0, 4, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(error.record_index, 0);
        assert!(error.reason.starts_with("not a LedgerHeaderHistoryEntry"));
    }
}
