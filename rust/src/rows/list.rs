//! List columns: the signers of an account and the claimants of a claimable balance.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};

use super::column::{Columns, Int64, columns};
use super::strings::{OptText, Text};

columns! {
    /// One signer.
    SignerColumns {
        key: Text,
        weight: Int64,
        sponsor: OptText,
    }
}

columns! {
    /// One claimant.
    ClaimantColumns {
        destination: Text,
        predicate_json: Text,
    }
}

/// A column of lists of structs.
pub struct Lists<C: Columns> {
    on: bool,
    offsets: Vec<i32>,
    length: i32,
    items: C,
}

pub type Signers = Lists<SignerColumns>;
pub type Claimants = Lists<ClaimantColumns>;

impl<C: Columns> Lists<C> {
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Adds a list; `add` adds its items and says how many; it is not called for a column not asked for.
    pub fn push_with(&mut self, add: impl FnOnce(&mut C) -> usize) {
        if self.on {
            if self.offsets.is_empty() {
                self.offsets.push(0);
            }
            self.length += add(&mut self.items) as i32;
            self.offsets.push(self.length);
        }
    }

    fn item_fields() -> Fields {
        let mut fields = Vec::new();
        C::fields("", &mut fields);
        Fields::from(fields)
    }

    fn item() -> Field {
        Field::new("item", DataType::Struct(Self::item_fields()), false)
    }
}

impl<C: Columns> Columns for Lists<C> {
    fn fields(name: &str, out: &mut Vec<Field>) {
        out.push(Field::new(name, DataType::List(Arc::new(Self::item())), false));
    }

    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        let on = select(name);
        Self {
            on,
            offsets: Vec::new(),
            length: 0,
            items: C::new("", &|_| on),
        }
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        if self.on {
            let mut columns = Vec::new();
            self.items.take(&mut columns);
            let structs = StructArray::new(Self::item_fields(), columns, None);
            let hint = self.offsets.len();
            let offsets = match std::mem::replace(&mut self.offsets, Vec::with_capacity(hint)) {
                offsets if offsets.is_empty() => OffsetBuffer::new_empty(),
                offsets => OffsetBuffer::new(ScalarBuffer::from(offsets)),
            };
            self.length = 0;
            out.push(Arc::new(ListArray::new(
                Arc::new(Self::item()),
                offsets,
                Arc::new(structs),
                None,
            )));
        }
    }
}
