//! Columns: one Arrow array being filled each, or nothing at all when the column was not asked for.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use arrow_array::types::{ArrowPrimitiveType, BinaryType, ByteArrayType, Decimal256Type, Utf8Type};
use arrow_array::types::{Int8Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, GenericByteArray, PrimitiveArray};
use arrow_buffer::{Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::{DataType, Field};

/// A column, or a group of columns, of a table.
pub trait Columns: Sized {
    /// Appends the fields, in order; `name` is the column's name or the prefix of the group.
    fn fields(name: &str, out: &mut Vec<Field>);
    /// Makes it empty; only columns that `select` names will hold anything.
    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self;
    /// Appends the arrays of the selected columns, in order, and starts anew.
    fn take(&mut self, out: &mut Vec<ArrayRef>);
}

/// A growing buffer that remembers how long it was in the last batch and does not allocate before it is needed.
struct Grown<T> {
    values: Vec<T>,
    hint: usize,
}

impl<T: Clone> Grown<T> {
    fn new() -> Self {
        Self {
            values: Vec::new(),
            hint: 64,
        }
    }

    #[inline]
    fn push(&mut self, value: T) {
        if self.values.len() == self.values.capacity() {
            self.grow(1);
        }
        self.values.push(value);
    }

    #[inline]
    fn extend(&mut self, values: &[T]) {
        if self.values.capacity() - self.values.len() < values.len() {
            self.grow(values.len());
        }
        self.values.extend_from_slice(values);
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        self.values.reserve(
            more.max(self.values.len())
                .max(self.hint - self.hint.min(self.values.len())),
        );
    }

    fn take(&mut self) -> Vec<T> {
        let mut values = std::mem::take(&mut self.values);
        self.hint = (values.len() + values.len() / 16).max(64);
        if values.capacity() > values.len() * 2 {
            values.shrink_to_fit();
        }
        values
    }
}

/// Which entries of a nullable column are there; nothing at all for a column without nulls.
pub struct Validity<const NULLABLE: bool>(NullBufferBuilder);

impl<const NULLABLE: bool> Validity<NULLABLE> {
    fn new() -> Self {
        Self(NullBufferBuilder::new(1024))
    }

    #[inline]
    fn push(&mut self, there: bool) {
        if NULLABLE {
            self.0.append(there);
        }
    }

    fn take(&mut self) -> Option<NullBuffer> {
        if NULLABLE { self.0.finish() } else { None }
    }
}

/// A column of numbers.
pub struct Numbers<T: ArrowPrimitiveType, const NULLABLE: bool> {
    on: bool,
    values: Grown<T::Native>,
    validity: Validity<NULLABLE>,
}

pub type Int8 = Numbers<Int8Type, false>;
pub type Int32 = Numbers<Int32Type, false>;
pub type Int64 = Numbers<Int64Type, false>;
pub type UInt64 = Numbers<UInt64Type, false>;
pub type OptInt32 = Numbers<Int32Type, true>;
pub type OptInt64 = Numbers<Int64Type, true>;
pub type OptUInt64 = Numbers<UInt64Type, true>;

impl<T: ArrowPrimitiveType> Numbers<T, false> {
    #[inline]
    pub fn push(&mut self, value: T::Native) {
        if self.on {
            self.values.push(value);
        }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T, true> {
    #[inline]
    pub fn push(&mut self, value: Option<T::Native>) {
        if self.on {
            self.validity.push(value.is_some());
            self.values.push(value.unwrap_or_default());
        }
    }
}

impl<T: ArrowPrimitiveType, const NULLABLE: bool> Columns for Numbers<T, NULLABLE> {
    fn fields(name: &str, out: &mut Vec<Field>) {
        out.push(Field::new(name, T::DATA_TYPE, NULLABLE));
    }

    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        Self {
            on: select(name),
            values: Grown::new(),
            validity: Validity::new(),
        }
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        if self.on {
            let values = ScalarBuffer::from(self.values.take());
            out.push(Arc::new(PrimitiveArray::<T>::new(values, self.validity.take())));
        }
    }
}

/// A column of whole numbers of up to 39 digits.
pub struct OptInt128 {
    on: bool,
    values: Grown<i256>,
    validity: Validity<true>,
}

impl OptInt128 {
    const PRECISION: u8 = 39;

    pub fn push(&mut self, value: Option<i128>) {
        if self.on {
            self.validity.push(value.is_some());
            self.values.push(i256::from_i128(value.unwrap_or_default()));
        }
    }
}

impl Columns for OptInt128 {
    fn fields(name: &str, out: &mut Vec<Field>) {
        out.push(Field::new(name, DataType::Decimal256(Self::PRECISION, 0), true));
    }

    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        Self {
            on: select(name),
            values: Grown::new(),
            validity: Validity::new(),
        }
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        if self.on {
            let values = ScalarBuffer::from(self.values.take());
            let array = PrimitiveArray::<Decimal256Type>::new(values, self.validity.take());
            out.push(Arc::new(array.with_data_type(DataType::Decimal256(Self::PRECISION, 0))));
        }
    }
}

/// A column of truth values.
pub struct OptBool {
    on: bool,
    values: BooleanBuilder,
}

impl OptBool {
    pub fn push(&mut self, value: Option<bool>) {
        if self.on {
            self.values.append_option(value);
        }
    }
}

impl Columns for OptBool {
    fn fields(name: &str, out: &mut Vec<Field>) {
        out.push(Field::new(name, DataType::Boolean, true));
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

/// Declares a table, or a group of columns, as a struct whose fields are its columns in order.
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        pub struct $name {
            $(pub $field: $kind,)*
        }

        impl $crate::rows::column::Columns for $name {
            fn fields(_name: &str, out: &mut Vec<arrow_schema::Field>) {
                $(<$kind as $crate::rows::column::Columns>::fields(stringify!($field), out);)*
            }

            fn new(_name: &str, select: &dyn Fn(&str) -> bool) -> Self {
                Self { $($field: <$kind as $crate::rows::column::Columns>::new(stringify!($field), select),)* }
            }

            fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
                $($crate::rows::column::Columns::take(&mut self.$field, out);)*
            }
        }
    };
}
pub(crate) use columns;
