//! Tests of the rules that one key's changes follow, and of the order of the keys.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};

use super::{Refusal, compact, entry_rows};
use crate::rows::Projection;

type Row = (&'static str, u8, Option<&'static [u8]>, Option<&'static [u8]>);

const A: Option<&[u8]> = Some(b"a");
const B: Option<&[u8]> = Some(b"b");
const C: Option<&[u8]> = Some(b"c");

/// A batch of changes of config settings, whose keys are the shortest: type and number.
fn changes(ledger: i64, rows: &[Row]) -> RecordBatch {
    let keys: Vec<[u8; 8]> = rows.iter().map(|row| [0, 0, 0, 8, 0, 0, 0, row.1]).collect();
    let count = rows.len();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ledger_sequence", Arc::new(Int64Array::from(vec![ledger; count]))),
        ("change_index", Arc::new(Int64Array::from_iter_values(0..count as i64))),
        (
            "type",
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        ),
        ("entry_type", Arc::new(Int32Array::from(vec![8; count]))),
        ("ledger_key", Arc::new(BinaryArray::from_iter_values(&keys))),
        (
            "key_hash",
            Arc::new(FixedSizeBinaryArray::try_from_iter(rows.iter().map(|row| [row.1; 32])).unwrap()),
        ),
        (
            "pre_xdr",
            Arc::new(BinaryArray::from_iter(rows.iter().map(|row| row.2))),
        ),
        (
            "post_xdr",
            Arc::new(BinaryArray::from_iter(rows.iter().map(|row| row.3))),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

type Kept = (u8, bool, Option<Vec<u8>>, Option<Vec<u8>>, i64, i64);

fn kept(rows: &[Row]) -> Vec<Kept> {
    let batch = compact(&changes(7, rows)).unwrap();
    let binary = |name: &str| batch.column_by_name(name).unwrap().as_binary::<i32>().clone();
    let number = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
    let (keys, pre, post) = (binary("ledger_key"), binary("pre_xdr"), binary("post_xdr"));
    let known = batch.column_by_name("pre_known").unwrap().as_boolean().clone();
    let (first, last) = (number("first_change"), number("last_change"));
    (0..batch.num_rows())
        .map(|at| {
            let image = |array: &BinaryArray| array.iter().nth(at).unwrap().map(<[u8]>::to_vec);
            (
                keys.value(at)[7],
                known.value(at),
                image(&pre),
                image(&post),
                first.value(at),
                last.value(at),
            )
        })
        .collect()
}

fn refused(rows: &[Row]) -> (i64, i64) {
    match compact(&changes(7, rows)) {
        Err(Refusal::Contradiction(contradiction)) => (contradiction.first, contradiction.second),
        other => panic!("expected a contradiction, got {other:?}"),
    }
}

fn image(bytes: Option<&[u8]>) -> Option<Vec<u8>> {
    bytes.map(<[u8]>::to_vec)
}

#[test]
fn first_image_and_last_image_are_kept_in_key_order() {
    let rows = [
        ("created", 9, None, A),
        ("updated", 1, A, B),
        ("updated", 9, A, B),
        ("updated", 1, B, C),
    ];
    assert_eq!(
        kept(&rows),
        [(1, true, image(A), image(C), 1, 3), (9, true, None, image(B), 0, 2)]
    );
}

#[test]
fn what_came_and_went_is_nothing() {
    assert!(kept(&[("created", 1, None, A), ("updated", 1, A, B), ("removed", 1, B, None)]).is_empty());
    assert_eq!(
        kept(&[("updated", 1, A, B), ("removed", 1, B, None)]),
        [(1, true, image(A), None, 0, 1)]
    );
    assert_eq!(
        kept(&[("removed", 1, A, None), ("created", 1, None, B)]),
        [(1, true, image(A), image(B), 0, 1)]
    );
}

#[test]
fn restored_and_evicted_entries_may_have_no_former_image() {
    assert_eq!(kept(&[("restored", 1, None, A)]), [(1, false, None, image(A), 0, 0)]);
    assert_eq!(kept(&[("restored", 1, A, B)]), [(1, true, image(A), image(B), 0, 0)]);
    assert_eq!(
        kept(&[("restored", 1, None, A), ("removed", 1, A, None)]),
        [(1, false, None, None, 0, 1)]
    );
    assert_eq!(kept(&[("evicted", 1, None, None)]), [(1, false, None, None, 0, 0)]);
    assert_eq!(
        kept(&[("updated", 1, A, B), ("evicted", 1, None, None)]),
        [(1, true, image(A), None, 0, 1)]
    );
    assert_eq!(
        kept(&[("updated", 1, A, B), ("restored", 1, None, C)]),
        [(1, true, image(A), image(C), 0, 1)]
    );
}

#[test]
fn contradictions_name_both_changes() {
    assert_eq!(
        refused(&[("created", 1, None, A), ("updated", 2, A, B), ("created", 1, None, A)]),
        (0, 2)
    );
    assert_eq!(refused(&[("removed", 1, A, None), ("updated", 1, A, B)]), (0, 1));
    assert_eq!(refused(&[("removed", 1, A, None), ("removed", 1, A, None)]), (0, 1));
    assert_eq!(refused(&[("updated", 1, A, B), ("updated", 1, A, C)]), (0, 1));
    assert_eq!(refused(&[("created", 1, A, B)]), (0, 0));
    assert_eq!(refused(&[("updated", 1, A, None)]), (0, 0));
    assert_eq!(refused(&[("evicted", 1, None, A)]), (0, 0));
}

#[test]
fn a_second_ledger_is_refused() {
    let first = changes(7, &[("created", 1, None, A)]);
    let second = changes(8, &[("removed", 1, A, None)]);
    let both = arrow_two(&first, &second);
    let Err(Refusal::Contradiction(contradiction)) = compact(&both) else {
        panic!("two ledgers were taken");
    };
    assert!(contradiction.text.contains("ledgers 7 and 8"));
}

/// Puts the rows of two batches of one row each under each other.
fn arrow_two(first: &RecordBatch, second: &RecordBatch) -> RecordBatch {
    let mut both = changes(7, &[("created", 1, None, A), ("removed", 1, A, None)]);
    let ledgers = [first, second].map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0));
    let mut columns = both.columns().to_vec();
    columns[0] = Arc::new(Int64Array::from(ledgers.to_vec()));
    both = RecordBatch::try_new(both.schema(), columns).unwrap();
    both
}

#[test]
fn the_form_of_the_batch_is_checked() {
    let batch = changes(7, &[("moved", 1, None, A)]);
    assert!(matches!(compact(&batch), Err(Refusal::Form(text)) if text.contains("moved")));
    let batch = batch.project(&[0, 1, 2]).unwrap();
    assert!(matches!(compact(&batch), Err(Refusal::Form(text)) if text.contains("key_hash")));
    let none = changes(7, &[("created", 1, None, A)]).slice(0, 0);
    assert_eq!(compact(&none).unwrap().num_rows(), 0);
}

#[test]
fn images_that_are_no_entries_are_refused_by_row() {
    let entries = BinaryArray::from_iter([None, A]);
    let refusal = entry_rows(&entries, &Projection::entries(), None).unwrap_err();
    assert!(matches!(refusal, Refusal::Xdr { row: 1, .. }));
}

/// Changes with their phases; `o` is an operation, `b` what is done before a transaction, `f` a fee.
fn phased(rows: &[(&'static str, Row)]) -> RecordBatch {
    let batch = changes(7, &rows.iter().map(|row| row.1).collect::<Vec<_>>());
    let phases = rows.iter().map(|row| match row.0 {
        "o" => "operation",
        "b" => "tx_before",
        _ => "fee",
    });
    let mut columns: Vec<(String, ArrayRef)> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
        .collect();
    columns.push(("phase".to_owned(), Arc::new(StringArray::from_iter_values(phases))));
    RecordBatch::try_from_iter(columns).unwrap()
}

fn images_of(batch: &RecordBatch) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let net = compact(batch).unwrap();
    let first = |name: &str| {
        net.column_by_name(name)
            .unwrap()
            .as_binary::<i32>()
            .iter()
            .next()
            .unwrap()
            .map(<[u8]>::to_vec)
    };
    (first("pre_xdr"), first("post_xdr"))
}

const D: Option<&[u8]> = Some(b"d");

#[test]
fn what_a_parallel_phase_does_first_may_be_listed_later() {
    // Fee A to B; a later transaction's sequence number B to C; an earlier one's operation C to D.
    let batch = phased(&[
        ("f", ("updated", 1, A, B)),
        ("o", ("updated", 1, C, D)),
        ("b", ("updated", 1, B, C)),
    ]);
    assert_eq!(images_of(&batch), (image(A), image(D)));
    // The same without a fee: another account paid it.
    let batch = phased(&[
        ("o", ("updated", 1, C, D)),
        ("b", ("updated", 1, B, C)),
        ("b", ("updated", 1, A, B)),
    ]);
    assert_eq!(images_of(&batch), (image(A), image(D)));
    let batch = phased(&[
        ("f", ("updated", 1, A, B)),
        ("o", ("updated", 1, B, C)),
        ("b", ("updated", 1, B, B)),
    ]);
    assert_eq!(images_of(&batch), (image(A), image(C)));
}

#[test]
fn an_operation_that_nothing_explains_is_a_contradiction() {
    let batch = phased(&[
        ("f", ("updated", 1, A, B)),
        ("o", ("updated", 1, C, D)),
        ("b", ("updated", 1, A, C)),
    ]);
    assert!(matches!(compact(&batch), Err(Refusal::Contradiction(found)) if (found.first, found.second) == (1, 2)));
    let batch = phased(&[("f", ("updated", 1, A, B)), ("o", ("updated", 1, C, D))]);
    assert!(matches!(compact(&batch), Err(Refusal::Contradiction(found)) if (found.first, found.second) == (0, 1)));
}

#[test]
fn of_lives_prolonged_side_by_side_the_longest_holds() {
    let ttl = |live_until: u32| {
        [
            &[0, 0, 0, 1, 0, 0, 0, 9][..],
            &[7; 32],
            &live_until.to_be_bytes(),
            &[0; 4],
        ]
        .concat()
    };
    let key = [&[0, 0, 0, 9][..], &[7; 32]].concat();
    for lives in [[300, 200], [200, 300]] {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("ledger_sequence", Arc::new(Int64Array::from(vec![7; 3]))),
            ("change_index", Arc::new(Int64Array::from(vec![0, 1, 2]))),
            ("phase", Arc::new(StringArray::from(vec!["operation"; 3]))),
            ("type", Arc::new(StringArray::from(vec!["updated"; 3]))),
            ("entry_type", Arc::new(Int32Array::from(vec![9; 3]))),
            (
                "ledger_key",
                Arc::new(BinaryArray::from_iter_values([&key, &key, &key])),
            ),
            (
                "key_hash",
                Arc::new(FixedSizeBinaryArray::try_from_iter([[1; 32]; 3].iter()).unwrap()),
            ),
            (
                "pre_xdr",
                Arc::new(BinaryArray::from_iter_values([ttl(100), ttl(100), ttl(300)])),
            ),
            (
                "post_xdr",
                Arc::new(BinaryArray::from_iter_values([ttl(lives[0]), ttl(lives[1]), ttl(400)])),
            ),
        ];
        assert_eq!(
            images_of(&RecordBatch::try_from_iter(columns).unwrap()),
            (Some(ttl(100)), Some(ttl(400)))
        );
    }
}
