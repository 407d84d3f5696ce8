//! Tests of the row tables as a whole: one entry of every type, and what becomes of it when it is damaged.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int64Type};

use super::*;
use crate::xdr::ledger_key_of_entry;

const KEY: [u8; 32] = [7; 32];

/// Big-endian words.
fn words(list: &[u32]) -> Vec<u8> {
    list.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// An entry of ledger 5 that a sponsor pays for.
fn entry(entry_type: u32, data: &[Vec<u8>]) -> Vec<u8> {
    let sponsor = [words(&[1, 1, 0]), KEY.to_vec(), words(&[0])].concat();
    [words(&[5, entry_type]), data.concat(), sponsor].concat()
}

fn account_id() -> Vec<u8> {
    [words(&[0]), KEY.to_vec()].concat()
}

fn asset() -> Vec<u8> {
    [words(&[1]), b"USD\0".to_vec(), account_id()].concat()
}

fn symbol(text: &[u8; 4]) -> Vec<u8> {
    [words(&[15, 4]), text.to_vec()].concat()
}

fn account() -> Vec<u8> {
    let signed_payload = [words(&[3]), KEY.to_vec(), words(&[3]), b"abc\0".to_vec(), words(&[9])].concat();
    let hash_x = [words(&[2]), KEY.to_vec(), words(&[1])].concat();
    let v2 = [words(&[2, 3, 4, 2, 1]), account_id(), words(&[0])].concat();
    let v3 = words(&[3, 0, 77, 0, 1_700_000_000]);
    entry(
        0,
        &[
            account_id(),
            words(&[0, 100, 0, 200, 6, 1]),
            account_id(),
            words(&[0, 3]),
            b"a\0b\0".to_vec(),
            vec![1, 2, 3, 4],
            words(&[2]),
            signed_payload,
            hash_x,
            words(&[1, 0, 11, 0, 12]),
            v2,
            v3,
        ],
    )
}

/// One entry of every type, in the order of the types.
fn entries() -> Vec<Vec<u8>> {
    let claimant = |predicate: Vec<u8>| [words(&[0]), account_id(), predicate].concat();
    let predicate = words(&[1, 2, 4, 0x8000_0000, 0, 3, 1, 5, 0, 9]);
    let contract = [words(&[0, 1]), KEY.to_vec()].concat();
    vec![
        account(),
        entry(
            1,
            &[account_id(), asset(), words(&[0, 1, 0, 2, 3, 1, 0, 4, 0, 5, 2, 6, 0])],
        ),
        entry(
            2,
            &[account_id(), words(&[0, 8]), asset(), words(&[0, 0, 9, 1, 2, 3, 0])],
        ),
        entry(
            3,
            &[
                account_id(),
                words(&[2]),
                vec![0xff, b'\\', 0, 0],
                words(&[1]),
                vec![9, 0, 0, 0],
                words(&[0]),
            ],
        ),
        entry(
            4,
            &[
                words(&[0]),
                KEY.to_vec(),
                words(&[2]),
                claimant(predicate),
                claimant(words(&[0])),
                asset(),
                words(&[0, 5, 1, 0, 1]),
            ],
        ),
        entry(
            5,
            &[
                KEY.to_vec(),
                words(&[0, 0]),
                asset(),
                words(&[30, 0, 1, 0, 2, 0, 3, 0, 4]),
            ],
        ),
        entry(6, &[contract, symbol(b"name"), words(&[1]), symbol(b"good")]),
        entry(
            7,
            &[
                words(&[1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
                KEY.to_vec(),
                words(&[2]),
                vec![1, 2, 0, 0],
            ],
        ),
        entry(8, &[words(&[0, 65_536])]),
        entry(9, &[KEY.to_vec(), words(&[99])]),
    ]
}

fn tables() -> RowTables {
    RowTables::new(&Projection::all(), Some([0; 32]))
}

fn key_of(entry: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    ledger_key_of_entry(entry, &mut key).expect("the entry is sound");
    key
}

#[test]
fn one_entry_of_every_type_makes_one_row_in_its_table() {
    let mut tables = tables();
    let mut bytes = 0;
    for (entry_type, entry) in entries().iter().enumerate() {
        assert!(tables.wants(entry_type as i32));
        let key = key_of(entry);
        tables.push(entry, &key, 2).unwrap();
        tables.push_dead(&key, 1).unwrap();
        bytes += entry.len() + key.len();
    }
    assert_eq!((tables.rows(), tables.bytes()), (20, bytes));
    let batches = tables.take();
    assert_eq!((tables.rows(), tables.bytes()), (0, 0));
    let names: Vec<_> = batches.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [&ENTRY_TYPES[..], &[DEAD]].concat());
    for (name, batch) in &batches[..10] {
        assert_eq!(batch.num_rows(), 1, "{name}");
        assert_eq!(batch.schema(), schema(name).unwrap());
        let modified = batch["last_modified_ledger"].as_primitive::<Int64Type>().value(0);
        assert_eq!((modified, batch["sponsor"].as_string::<i32>().value(0).len()), (5, 56));
        assert_eq!(batch["bucket_entry_type"].as_primitive::<Int8Type>().value(0), 2);
    }
    let dead = &batches[10].1;
    let dead_types: Vec<_> = dead["entry_type"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(dead_types, ENTRY_TYPES);
    assert!(tables.take().iter().all(|(_, batch)| batch.num_rows() == 0));
}

#[test]
fn an_entry_cut_short_or_too_long_leaves_no_trace() {
    let mut tables = tables();
    for entry in entries() {
        let key = key_of(&entry);
        tables.push(&entry, &key, 0).unwrap();
        for length in 0..entry.len() {
            assert!(tables.push(&entry[..length], &key, 0).is_err(), "{length}");
        }
        assert!(tables.push(&[&entry[..], &[0; 4]].concat(), &key, 0).is_err());
    }
    assert!(tables.push_dead(&[0, 0, 0, 10], 1).is_err());
    assert!(tables.push_dead(&[0, 0], 1).is_err());
    assert_eq!(tables.rows(), 10);
    for (name, batch) in tables.take() {
        assert_eq!(batch.num_rows(), usize::from(name != DEAD), "{name}");
    }
}

#[test]
fn any_changed_word_gives_a_whole_row_or_none() {
    let mut tables = tables();
    let mut pushed = 0;
    for entry in entries() {
        let key = key_of(&entry);
        for at in (0..entry.len()).step_by(4) {
            for word in [0, 1, 2, 3, 7, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                let mut damaged = entry.clone();
                damaged[at..at + 4].copy_from_slice(&u32::to_be_bytes(word));
                pushed += usize::from(tables.push(&damaged, &key, 0).is_ok());
            }
        }
    }
    assert_eq!(tables.rows(), pushed);
    let rows: usize = tables.take().iter().map(|(_, batch)| batch.num_rows()).sum();
    assert_eq!(rows, pushed);
}

#[test]
fn a_table_that_is_not_built_takes_nothing() {
    let mut projection = Projection::default();
    projection.add("ttl", Some(&["key_hash"])).unwrap();
    let mut tables = RowTables::new(&projection, None);
    for (entry_type, entry) in entries().iter().enumerate() {
        assert_eq!(tables.wants(entry_type as i32), entry_type == 9);
        tables.push(entry, &[], 0).unwrap();
    }
    assert!(!tables.wants(-1) && !tables.wants(10));
    tables.push_dead(&[], 1).unwrap();
    let batches = tables.take();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].1["key_hash"].as_fixed_size_binary().value(0), KEY);
    assert_eq!(batches[0].1.num_columns(), 1);
}

#[test]
fn a_batch_is_refused_before_its_offsets_could_overflow() {
    let mut projection = Projection::default();
    projection.add("contract_code", Some(&["code_size"])).unwrap();
    let mut tables = RowTables::new(&projection, None);
    let code = vec![0; 100 << 20];
    let large = entry(7, &[words(&[0]), KEY.to_vec(), words(&[code.len() as u32]), code]);
    tables.push(&large, &[], 0).unwrap();
    tables.push(&large, &[], 0).unwrap();
    assert_eq!(tables.push(&large, &[], 0), Err(RowError::TooLarge));
    assert_eq!(tables.take()[0].1.num_rows(), 2);
    tables.push(&large, &[], 0).unwrap();
}

/// A claimable balance for ten claimants with this predicate.
fn claimable(predicate: &[u8]) -> Vec<u8> {
    let claimants = [words(&[0]), account_id(), predicate.to_vec()].concat().repeat(10);
    entry(
        4,
        &[
            words(&[0]),
            KEY.to_vec(),
            words(&[10]),
            claimants,
            asset(),
            words(&[0, 5, 0]),
        ],
    )
}

/// The entries whose JSON or escapes are longest for their size.
fn dearest() -> Vec<Vec<u8>> {
    let leaves = [
        words(&[0]),
        words(&[3, 0]),
        words(&[1, 0]),
        words(&[4, 0x8000_0000, 0]),
        words(&[5, 0x8000_0000, 0]),
    ];
    let mut dear = Vec::new();
    for leaf in leaves {
        let pair = [words(&[1, 2]), leaf.clone(), leaf.clone()].concat();
        let tree = [words(&[2, 2]), pair.clone(), pair].concat();
        dear.extend([claimable(&leaf), claimable(&tree)]);
    }
    for id in 0..config_setting::NAMES.len() as u32 {
        // The setting's length in words is the first with which it is a whole entry.
        let settings = (0..64).map(|length| entry(8, &[words(&[id]), vec![0x7f; length * 4]]));
        dear.extend(
            settings
                .filter(|setting| tables().push(setting, &[], 0).is_ok())
                .take(1),
        );
    }
    dear.push(entry(3, &[account_id(), words(&[64]), vec![0xff; 64], words(&[0, 0])]));
    dear
}

#[test]
fn no_column_outgrows_the_bound_on_growth() {
    let dear = dearest();
    assert!(dear.len() > 20);
    for entry in dear {
        let mut tables = tables();
        tables.push(&entry, &key_of(&entry), 0).unwrap();
        let bound = LARGEST_GROWTH * tables.bytes();
        for (name, batch) in tables.take() {
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let data = column.to_data();
                let nested = data.child_data().iter().flat_map(|child| child.child_data());
                for buffer in [&data].into_iter().chain(nested).flat_map(|data| data.buffers()) {
                    assert!(
                        buffer.len() <= bound,
                        "{name}.{}: {} of {bound}",
                        field.name(),
                        buffer.len()
                    );
                }
            }
        }
    }
}
