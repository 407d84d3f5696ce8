//! Columns of bytes: texts, byte strings and hashes.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::types::{BinaryType, ByteArrayType, Utf8Type};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, GenericByteArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::column::{Columns, Grown, Validity};

/// A column of texts or of byte strings.
pub struct Strings<T: ByteArrayType<Offset = i32>, const NULLABLE: bool> {
    on: bool,
    offsets: Grown<i32>,
    values: Grown<u8>,
    validity: Validity<NULLABLE>,
    kind: PhantomData<T>,
}

pub type Text = Strings<Utf8Type, false>;
pub type OptText = Strings<Utf8Type, true>;
pub type Bytes = Strings<BinaryType, false>;
pub type OptBytes = Strings<BinaryType, true>;

impl<T: ByteArrayType<Offset = i32>, const NULLABLE: bool> Strings<T, NULLABLE> {
    pub fn is_on(&self) -> bool {
        self.on
    }

    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        if self.on {
            self.values.extend(value);
            self.close(true);
        }
    }

    /// Adds what `write` appends to the buffer, which holds earlier rows too; not called for a column not asked for.
    #[inline]
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.on {
            if self.values.values.capacity() == 0 {
                self.values.grow(1);
            }
            write(&mut self.values.values);
            self.close(true);
        }
    }

    /// `RowTables` refuses entries before the values of a column could reach 2 GiB.
    #[inline]
    fn close(&mut self, there: bool) {
        if self.offsets.values.is_empty() {
            self.offsets.push(0);
        }
        self.offsets.push(self.values.values.len() as i32);
        self.validity.push(there);
    }
}

impl<T: ByteArrayType<Offset = i32>> Strings<T, true> {
    #[inline]
    pub fn push_null(&mut self) {
        if self.on {
            self.close(false);
        }
    }
}

impl<T: ByteArrayType<Offset = i32>, const NULLABLE: bool> Columns for Strings<T, NULLABLE> {
    fn fields(name: &str, out: &mut Vec<Field>) {
        out.push(Field::new(name, T::DATA_TYPE, NULLABLE));
    }

    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        Self {
            on: select(name),
            offsets: Grown::new(),
            values: Grown::new(),
            validity: Validity::new(),
            kind: PhantomData,
        }
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        if self.on {
            out.push(Arc::new(self.take_array()));
        }
    }
}

impl<T: ByteArrayType<Offset = i32>, const NULLABLE: bool> Strings<T, NULLABLE> {
    /// For texts this checks once more that the bytes are UTF-8, at the speed of memory.
    fn take_array(&mut self) -> GenericByteArray<T> {
        let offsets = self.offsets.take();
        let offsets = if offsets.is_empty() {
            OffsetBuffer::new_empty()
        } else {
            OffsetBuffer::new(ScalarBuffer::from(offsets))
        };
        GenericByteArray::<T>::new(offsets, Buffer::from_vec(self.values.take()), self.validity.take())
    }
}

/// A column of byte strings of 32 bytes: hashes and ids.
pub struct Hashes<const NULLABLE: bool> {
    on: bool,
    values: Grown<u8>,
    rows: usize,
    validity: Validity<NULLABLE>,
}

pub type Hash = Hashes<false>;
pub type OptHash = Hashes<true>;

impl<const NULLABLE: bool> Hashes<NULLABLE> {
    #[inline]
    pub fn push(&mut self, value: &[u8; 32]) {
        if self.on {
            self.values.extend(value);
            self.rows += 1;
            self.validity.push(true);
        }
    }

    /// Adds the value of `make`, which is not called for a column not asked for.
    #[inline]
    pub fn push_with(&mut self, make: impl FnOnce() -> [u8; 32]) {
        if self.on {
            self.push(&make());
        }
    }
}

impl Hashes<true> {
    #[inline]
    pub fn push_null(&mut self) {
        if self.on {
            self.values.extend(&[0; 32]);
            self.rows += 1;
            self.validity.push(false);
        }
    }
}

impl<const NULLABLE: bool> Columns for Hashes<NULLABLE> {
    fn fields(name: &str, out: &mut Vec<Field>) {
        out.push(Field::new(name, DataType::FixedSizeBinary(32), NULLABLE));
    }

    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        Self {
            on: select(name),
            values: Grown::new(),
            rows: 0,
            validity: Validity::new(),
        }
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        if self.on {
            let values = Buffer::from_vec(self.values.take());
            let array = FixedSizeBinaryArray::new(32, values, self.validity.take());
            assert_eq!(
                array.len(),
                std::mem::take(&mut self.rows),
                "every row has its 32 bytes"
            );
            out.push(Arc::new(array));
        }
    }
}
