//! Kinds of columns that only ledger tables have: plain truth values and lists of byte strings.

use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use arrow_array::types::{BinaryType, ByteArrayType, Utf8Type};
use arrow_array::{ArrayRef, ListArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use crate::rows::column::{Columns, Grown, Validity};
use crate::rows::strings::Strings;

/// A column of truth values without nulls.
pub struct Bool {
    on: bool,
    values: BooleanBuilder,
}

impl Bool {
    pub fn push(&mut self, value: bool) {
        if self.on {
            self.values.append_value(value);
        }
    }
}

impl Columns for Bool {
    fn fields(name: &str, out: &mut Vec<Field>) {
        out.push(Field::new(name, DataType::Boolean, false));
    }

    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        Self {
            on: select(name),
            values: BooleanBuilder::new(),
        }
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        if self.on {
            out.push(Arc::new(self.values.finish()));
        }
    }
}

/// A column of lists of texts or byte strings.
pub struct StringLists<T: ByteArrayType<Offset = i32>, const NULLABLE: bool> {
    on: bool,
    offsets: Grown<i32>,
    length: i32,
    items: Strings<T, false>,
    validity: Validity<NULLABLE>,
}

pub type BytesList = StringLists<BinaryType, false>;
pub type TextList = StringLists<Utf8Type, false>;
pub type OptTextList = StringLists<Utf8Type, true>;

/// The items of one list, being added.
pub struct Items<'a, T: ByteArrayType<Offset = i32>> {
    items: &'a mut Strings<T, false>,
    count: i32,
}

impl<T: ByteArrayType<Offset = i32>> Items<'_, T> {
    /// Adds an item.
    pub fn push(&mut self, value: &[u8]) {
        self.items.push(value);
        self.count += 1;
    }

    /// Adds what `write` appends to the buffer, which holds earlier items too.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.items.push_with(write);
        self.count += 1;
    }
}

impl<T: ByteArrayType<Offset = i32>, const NULLABLE: bool> StringLists<T, NULLABLE> {
    /// Adds a list; `add` adds its items and is not called for a column not asked for.
    pub fn push_with(&mut self, add: impl FnOnce(&mut Items<'_, T>)) {
        if self.on {
            let mut items = Items {
                items: &mut self.items,
                count: 0,
            };
            add(&mut items);
            self.length += items.count;
            self.close(true);
        }
    }

    fn close(&mut self, there: bool) {
        if self.offsets.values.is_empty() {
            self.offsets.push(0);
        }
        self.offsets.push(self.length);
        self.validity.push(there);
    }

    fn item() -> Field {
        Field::new("item", T::DATA_TYPE, false)
    }
}

impl<T: ByteArrayType<Offset = i32>> StringLists<T, true> {
    /// Adds no list.
    pub fn push_null(&mut self) {
        if self.on {
            self.close(false);
        }
    }
}

impl<T: ByteArrayType<Offset = i32>, const NULLABLE: bool> Columns for StringLists<T, NULLABLE> {
    fn fields(name: &str, out: &mut Vec<Field>) {
        out.push(Field::new(name, DataType::List(Arc::new(Self::item())), NULLABLE));
    }

    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        let on = select(name);
        Self {
            on,
            offsets: Grown::new(),
            length: 0,
            items: Strings::new(name, &|_| on),
            validity: Validity::new(),
        }
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        if !self.on {
            return;
        }
        let mut items = Vec::with_capacity(1);
        self.items.take(&mut items);
        let offsets = self.offsets.take();
        let offsets = if offsets.is_empty() {
            OffsetBuffer::new_empty()
        } else {
            OffsetBuffer::new(ScalarBuffer::from(offsets))
        };
        self.length = 0;
        out.extend(items.pop().map(|items| -> ArrayRef {
            Arc::new(ListArray::new(
                Arc::new(Self::item()),
                offsets,
                items,
                self.validity.take(),
            ))
        }));
    }
}
