//! Tests over a real archive (our own small network) and over hand-made entries of the newer types.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::cursor::{Cur, XdrFault};
use super::generated::{skip_BucketEntry, skip_LedgerEntry, skip_LedgerKey, sort_key_LedgerKey};
use super::{json_by_name, ledger_key_of_entry, skip_by_name, sort_key_of_entry};

const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/standalone-accel");

/// Appends the records of all buckets below a folder.
fn bucket_records(folder: &Path, records: &mut Vec<Vec<u8>>) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            bucket_records(&path, records);
        } else if name.starts_with("bucket-") && name.ends_with(".xdr.gz") {
            let mut data = Vec::new();
            let packed = fs::read(&path).unwrap();
            flate2::read::GzDecoder::new(&packed[..])
                .read_to_end(&mut data)
                .unwrap();
            let mut rest = &data[..];
            while let Some((mark, after)) = rest.split_first_chunk::<4>() {
                let (record, next) = after.split_at((u32::from_be_bytes(*mark) & 0x7fff_ffff) as usize);
                records.push(record.to_vec());
                rest = next;
            }
        }
    }
}

fn archive_records() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    bucket_records(Path::new(ARCHIVE), &mut records);
    assert!(records.len() > 500, "{ARCHIVE} has {} records", records.len());
    records
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Entries of the types that the archive's protocol does not have, with their keys.
fn newer_entries() -> Vec<(Vec<u8>, Vec<u8>)> {
    let hash = [7u8; 32];
    let contract = [words(&[1]), hash.to_vec()].concat();
    let vec_key = words(&[16, 1, 2, 4, u32::MAX, 17, 1, 0]); // [i32 -1, {}]
    let version_1 = words(&[1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]); // two extension points and ten counts
    let parts = [
        (6, words(&[0]), [contract, vec_key, words(&[1])].concat(), words(&[1])),
        (7, words(&[0]), hash.to_vec(), words(&[0])),
        (7, version_1, hash.to_vec(), words(&[0])),
        (8, vec![], words(&[0]), words(&[65536])),
        (9, vec![], hash.to_vec(), words(&[4000])),
    ];
    parts
        .map(|(kind, before, key, after)| {
            let entry = [words(&[77, kind]), before, key.clone(), after, words(&[0])].concat();
            (entry, [words(&[kind]), key].concat())
        })
        .to_vec()
}

fn keys_of(entry: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut key, mut sort) = (Vec::new(), Vec::new());
    ledger_key_of_entry(entry, &mut key).unwrap();
    sort_key_of_entry(entry, &mut sort).unwrap();
    (key, sort)
}

fn sort_key(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut c = Cur::new(key);
    sort_key_LedgerKey(&mut c, &mut out).unwrap();
    c.end("LedgerKey").unwrap();
    out
}

#[test]
fn the_sort_key_of_an_entry_is_that_of_its_ledger_key() {
    let mut seen = 0;
    for record in archive_records() {
        if !matches!(record[..4], [0, 0, 0, 0 | 2]) {
            continue;
        }
        let (key, sort) = keys_of(&record[4..]);
        let mut c = Cur::new(&key);
        skip_LedgerKey(&mut c).unwrap();
        c.end("LedgerKey").unwrap();
        assert_eq!(sort, sort_key(&key));
        seen += 1;
    }
    assert!(seen > 400);
}

#[test]
fn keys_of_contract_entries_settings_and_ttls_stand_behind_what_comes_before_them() {
    for (entry, expected) in newer_entries() {
        let mut c = Cur::new(&entry);
        skip_LedgerEntry(&mut c).unwrap();
        c.end("LedgerEntry").unwrap();
        let (key, sort) = keys_of(&entry);
        assert_eq!(key, expected);
        assert_eq!(sort, sort_key(&key));
    }
}

#[test]
fn an_unknown_entry_type_has_no_key() {
    let entry = words(&[1, 10, 0, 0]);
    let mut out = Vec::new();
    assert_eq!(
        ledger_key_of_entry(&entry, &mut out).unwrap_err().fault,
        XdrFault::BadEnum
    );
    assert_eq!(
        sort_key_of_entry(&entry, &mut out).unwrap_err().fault,
        XdrFault::BadEnum
    );
}

#[test]
fn cut_anywhere_a_record_is_truncated_for_validator_and_json_alike() {
    let json = json_by_name("BucketEntry").unwrap();
    for record in archive_records().iter().step_by(29) {
        for end in 0..record.len() {
            let cut = &record[..end];
            let refused = skip_BucketEntry(&mut Cur::new(cut)).unwrap_err();
            assert_eq!(refused.fault, XdrFault::Truncated);
            assert!(refused.pos <= end);
            let also = json(&mut Cur::new(cut), &mut String::new()).unwrap_err();
            assert_eq!(also.fault, XdrFault::Truncated);
        }
    }
}

#[test]
fn every_changed_bit_is_judged_alike_by_validator_and_json() {
    let json = json_by_name("BucketEntry").unwrap();
    for record in archive_records().iter().step_by(43) {
        for bit in 0..8 * record.len() {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let (mut validated, mut written) = (Cur::new(&changed), Cur::new(&changed));
            let verdicts = (
                skip_BucketEntry(&mut validated).map_err(|reject| reject.fault),
                json(&mut written, &mut String::new()).map_err(|reject| reject.fault),
            );
            assert_eq!(verdicts.0, verdicts.1);
            if verdicts.0.is_ok() {
                assert_eq!(validated.pos, written.pos);
                assert_eq!(validated.depth, written.depth);
            }
        }
    }
}

#[test]
fn types_are_found_by_their_xdr_names() {
    for name in [
        "SCVal",
        "uint32",
        "LedgerCloseMetaBatch",
        "AccountEntry",
        "TransactionEnvelope",
    ] {
        assert!(skip_by_name(name).is_some() && json_by_name(name).is_some(), "{name}");
    }
    assert!(skip_by_name("ScVal").is_none() && json_by_name("").is_none());
}
