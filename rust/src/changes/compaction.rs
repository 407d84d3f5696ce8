//! Compaction: all changes of one ledger become one net change per key, in core's key order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Int32Builder, Int64Builder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::fault::{Contradiction, Refusal};
use super::net::{Before, Change, Kind, Net, Phase};
use crate::rows::ENTRY_TYPES;
use crate::xdr::{Cur, generated};

/// `LedgerEntryType` of a TTL, whose key is the hash of another key.
const TTL: i32 = 9;
const HASH: usize = 32;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("ledger_sequence", DataType::Int64, false),
        Field::new("ledger_key", DataType::Binary, false),
        Field::new("key_hash", DataType::FixedSizeBinary(32), false),
        Field::new("entry_type", DataType::Int32, false),
        Field::new("pre_known", DataType::Boolean, false),
        Field::new("pre_xdr", DataType::Binary, true),
        Field::new("post_xdr", DataType::Binary, true),
        Field::new("evicted", DataType::Boolean, false),
        Field::new("restored", DataType::Boolean, false),
        Field::new("first_change", DataType::Int64, false),
        Field::new("last_change", DataType::Int64, false),
    ]))
});

/// The columns of the table `changes` that say what happened.
struct Columns<'a> {
    ledgers: &'a Int64Array,
    indexes: &'a Int64Array,
    phases: Option<&'a StringArray>,
    kinds: &'a StringArray,
    entry_types: &'a Int32Array,
    keys: &'a BinaryArray,
    hashes: &'a FixedSizeBinaryArray,
    pres: &'a BinaryArray,
    posts: &'a BinaryArray,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Refusal> {
        let hashes: &FixedSizeBinaryArray = column(batch, "key_hash", false)?;
        if hashes.value_length() as usize != HASH {
            let length = hashes.value_length();
            return Err(Refusal::Form(format!(
                "column key_hash has {length} bytes, expected {HASH}"
            )));
        }
        Ok(Self {
            ledgers: column(batch, "ledger_sequence", false)?,
            indexes: column(batch, "change_index", false)?,
            phases: match batch.column_by_name("phase") {
                Some(_) => Some(column(batch, "phase", false)?),
                None => None,
            },
            kinds: column(batch, "type", false)?,
            entry_types: column(batch, "entry_type", false)?,
            keys: column(batch, "ledger_key", false)?,
            hashes,
            pres: column(batch, "pre_xdr", true)?,
            posts: column(batch, "post_xdr", true)?,
        })
    }

    fn change(&self, row: usize) -> Result<Change<'a>, Refusal> {
        let name = self.kinds.value(row);
        let Some(kind) = Kind::named(name) else {
            return Err(Refusal::Form(format!("row {row}: unknown type of change {name:?}")));
        };
        Ok(Change {
            index: self.indexes.value(row),
            kind,
            phase: self
                .phases
                .map_or(Phase::Other, |phases| Phase::named(phases.value(row))),
            is_ttl: self.entry_types.value(row) == TTL,
            pre: self.pres.is_valid(row).then(|| self.pres.value(row)),
            post: self.posts.is_valid(row).then(|| self.posts.value(row)),
        })
    }

    fn contradiction(&self, row: usize, first: i64, why: &str) -> Refusal {
        self.contradiction_of(
            row,
            first,
            self.indexes.value(row),
            &format!("{} {why}", self.kinds.value(row)),
        )
    }

    /// Names the key of a row and two of its changes.
    fn contradiction_of(&self, row: usize, first: i64, second: i64, what: &str) -> Refusal {
        let ledger = self.ledgers.value(row);
        let entry_type = usize::try_from(self.entry_types.value(row)).ok();
        let entry = entry_type.and_then(|at| ENTRY_TYPES.get(at)).unwrap_or(&"unknown");
        let key: String = self.keys.value(row).iter().map(|byte| format!("{byte:02x}")).collect();
        let earlier = if first == second {
            String::new()
        } else {
            format!("; its change before is {first}")
        };
        Refusal::Contradiction(Contradiction {
            first,
            second,
            text: format!("ledger {ledger}: change {second}: {entry} {key} is {what}{earlier}"),
        })
    }
}

fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, name: &str, nullable: bool) -> Result<&'a T, Refusal> {
    let Some(found) = batch.column_by_name(name) else {
        return Err(Refusal::Form(format!("the batch of changes has no column {name}")));
    };
    if !nullable && found.null_count() > 0 {
        return Err(Refusal::Form(format!("column {name} of the changes has nulls")));
    }
    let kind = found.data_type();
    found.as_any().downcast_ref::<T>().ok_or_else(|| {
        Refusal::Form(format!(
            "column {name} of the changes is of type {kind}, expected another"
        ))
    })
}

/// Makes one net change per key out of the changes of one ledger; keys that end as they began absent are left out.
///
/// # Errors
/// Changes that contradict each other, of more than one ledger, or not of the form of the table `changes`.
pub fn compact(changes: &RecordBatch) -> Result<RecordBatch, Refusal> {
    let columns = Columns::of(changes)?;
    let mut places: HashMap<&[u8], usize> = HashMap::with_capacity(changes.num_rows());
    let mut nets: Vec<(usize, Net)> = Vec::new();
    for row in 0..changes.num_rows() {
        if columns.ledgers.value(row) != columns.ledgers.value(0) {
            let text = format!(
                "changes of ledgers {} and {} in one batch; give those of one ledger at a time",
                columns.ledgers.value(0),
                columns.ledgers.value(row)
            );
            let (first, second) = (columns.indexes.value(row - 1), columns.indexes.value(row));
            return Err(Contradiction { first, second, text }.into());
        }
        let change = columns.change(row)?;
        match places.entry(columns.keys.value(row)) {
            Entry::Vacant(place) => {
                let net = Net::begin(&change).map_err(|why| columns.contradiction(row, change.index, why))?;
                place.insert(nets.len());
                nets.push((row, net));
            }
            Entry::Occupied(place) => {
                let net = &mut nets[*place.get()].1;
                let last = net.last;
                net.follow(&change)
                    .map_err(|why| columns.contradiction(row, last, why))?;
            }
        }
    }
    for (row, net) in &nets {
        if let Some(gap) = &net.gap {
            return Err(columns.contradiction_of(
                *row,
                gap.first,
                gap.second,
                "changed from an image that no change left",
            ));
        }
    }
    nets.retain(|(_, net)| !net.is_nothing());
    let order = in_key_order(&columns, &nets)?;
    Ok(batch(&columns, &nets, &order))
}

/// Returns the places of the net changes in the order of their keys.
fn in_key_order(columns: &Columns, nets: &[(usize, Net)]) -> Result<Vec<usize>, Refusal> {
    let mut order = Vec::with_capacity(nets.len());
    for (place, (row, _)) in nets.iter().enumerate() {
        let mut cursor = Cur::new(columns.keys.value(*row));
        let mut sort_key = Vec::with_capacity(cursor.buf.len() + 8);
        generated::sort_key_LedgerKey(&mut cursor, &mut sort_key)
            .and_then(|()| cursor.end("LedgerKey"))
            .map_err(|reject| Refusal::Xdr { row: *row, reject })?;
        order.push((sort_key, place));
    }
    order.sort_unstable();
    Ok(order.into_iter().map(|(_, place)| place).collect())
}

fn batch(columns: &Columns, nets: &[(usize, Net)], order: &[usize]) -> RecordBatch {
    let count = order.len();
    let mut ledgers = Int64Builder::with_capacity(count);
    let mut keys = BinaryBuilder::new();
    let mut hashes = FixedSizeBinaryBuilder::with_capacity(count, HASH as i32);
    let mut entry_types = Int32Builder::with_capacity(count);
    let mut known = BooleanBuilder::with_capacity(count);
    let mut pres = BinaryBuilder::new();
    let mut posts = BinaryBuilder::new();
    let mut evicted = BooleanBuilder::with_capacity(count);
    let mut restored = BooleanBuilder::with_capacity(count);
    let mut firsts = Int64Builder::with_capacity(count);
    let mut lasts = Int64Builder::with_capacity(count);
    for (row, net) in order.iter().map(|place| &nets[*place]) {
        let key = columns.keys.value(*row);
        let entry_type = columns.entry_types.value(*row);
        // The tables know a TTL by the hash that its key names, not by the hash of that key.
        let hash = if entry_type == TTL {
            &key[4..]
        } else {
            columns.hashes.value(*row)
        };
        ledgers.append_value(columns.ledgers.value(*row));
        keys.append_value(key);
        hashes.append_value(hash).expect("a hash has 32 bytes");
        entry_types.append_value(entry_type);
        known.append_value(net.before != Before::Unknown);
        pres.append_option(match net.before {
            Before::Known(image) => Some(image),
            Before::Absent | Before::Unknown => None,
        });
        posts.append_option(net.now);
        evicted.append_value(net.evicted);
        restored.append_value(net.restored);
        firsts.append_value(net.first);
        lasts.append_value(net.last);
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(ledgers.finish()),
        Arc::new(keys.finish()),
        Arc::new(hashes.finish()),
        Arc::new(entry_types.finish()),
        Arc::new(known.finish()),
        Arc::new(pres.finish()),
        Arc::new(posts.finish()),
        Arc::new(evicted.finish()),
        Arc::new(restored.finish()),
        Arc::new(firsts.finish()),
        Arc::new(lasts.finish()),
    ];
    RecordBatch::try_new(Arc::clone(&SCHEMA), arrays).expect("the columns are those of the schema")
}
