//! Columns of bytes: texts, byte strings and hashes.

use std::any::TypeId;
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
    /// Whether all bytes of this batch are ASCII, and so are texts without another look.
    ascii: bool,
    kind: PhantomData<T>,
}

/// Room that a writer of a short text finds; those of longer ones let the buffer grow by themselves.
const ROOM: usize = 256;

pub type Text = Strings<Utf8Type, false>;
pub type OptText = Strings<Utf8Type, true>;
pub type Bytes = Strings<BinaryType, false>;
pub type OptBytes = Strings<BinaryType, true>;

impl<T: ByteArrayType<Offset = i32>, const NULLABLE: bool> Strings<T, NULLABLE> {
    fn is_text() -> bool {
        TypeId::of::<T>() == TypeId::of::<Utf8Type>()
    }

    pub fn is_on(&self) -> bool {
        self.on
    }

    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        if self.on {
            let start = self.values.values.len();
            self.values.extend(value);
            self.note(start);
            self.close(true);
        }
    }

    /// Adds what `write` appends to the buffer, which holds earlier rows too; not called for a column not asked for.
    #[inline]
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.on {
            let start = self.values.values.len();
            if self.values.values.capacity() - start < ROOM {
                self.values.grow(ROOM);
            }
            write(&mut self.values.values);
            self.note(start);
            self.close(true);
        }
    }

    /// Looks at a text that was just written, while it is near; nothing is asked of byte strings.
    #[inline]
    fn note(&mut self, start: usize) {
        if Self::is_text() {
            self.ascii &= self.values.values[start..].is_ascii();
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
            ascii: true,
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
    /// Texts that are not all ASCII are checked once more: they must be UTF-8.
    #[expect(
        unsafe_code,
        reason = "checking gigabytes of keys and names again took a twentieth of reading a bucket"
    )]
    fn take_array(&mut self) -> GenericByteArray<T> {
        let offsets = self.offsets.take();
        let offsets = if offsets.is_empty() {
            OffsetBuffer::new_empty()
        } else {
            OffsetBuffer::new(ScalarBuffer::from(offsets))
        };
        let (values, validity) = (Buffer::from_vec(self.values.take()), self.validity.take());
        if !std::mem::replace(&mut self.ascii, true) {
            return GenericByteArray::<T>::new(offsets, values, validity);
        }
        debug_assert!(!Self::is_text() || values.is_ascii());
        // SAFETY: `close` noted the end of the values after each of them, so offsets ascend from 0 to the length of
        // `values`, and added one place to `validity`; `note` saw that each text is ASCII, so every offset is a
        // border of characters.
        unsafe { GenericByteArray::<T>::new_unchecked(offsets, values, validity) }
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
