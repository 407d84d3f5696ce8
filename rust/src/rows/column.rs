//! Columns: one Arrow array being filled each, or nothing at all when the column was not asked for.

use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use arrow_array::types::{ArrowPrimitiveType, Decimal256Type, Int8Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder, ScalarBuffer, i256};
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
pub struct Grown<T> {
    pub values: Vec<T>,
    hint: usize,
}

/// Room for the first values of a buffer that was never used.
const FIRST: usize = 80;
/// How many times longer a buffer becomes that was too short: from 80 values to 81,920, enough for 65,536 rows.
const GROWTH: usize = 4;

impl<T: Clone> Grown<T> {
    pub fn new() -> Self {
        Self {
            values: Vec::new(),
            hint: FIRST,
        }
    }

    #[inline]
    pub fn push(&mut self, value: T) {
        if self.values.len() == self.values.capacity() {
            self.grow(1);
        }
        self.values.push(value);
    }

    #[inline]
    pub fn extend(&mut self, values: &[T]) {
        if self.values.capacity() - self.values.len() < values.len() {
            self.grow(values.len());
        }
        self.values.extend_from_slice(values);
    }

    /// Makes room for `more` values at least, and the first time in a batch for as many as the last batch had.
    ///
    /// A first batch grows by fours: doubling copied its values, and touched fresh pages, twice as often.
    #[cold]
    pub fn grow(&mut self, more: usize) {
        let length = self.values.len();
        let usual = self.hint.saturating_sub(length).max(length * (GROWTH - 1));
        self.values.reserve_exact(more.max(usual));
    }

    pub fn take(&mut self) -> Vec<T> {
        let mut values = std::mem::take(&mut self.values);
        if !values.is_empty() {
            self.hint = (values.len() + values.len() / 16).max(FIRST);
        }
        if values.capacity() > values.len() * GROWTH {
            values.shrink_to_fit();
        }
        values
    }
}

/// Which entries of a nullable column are there; nothing at all for a column without nulls.
pub struct Validity<const NULLABLE: bool>(NullBufferBuilder);

impl<const NULLABLE: bool> Validity<NULLABLE> {
    pub fn new() -> Self {
        Self(NullBufferBuilder::new(1024))
    }

    #[inline]
    pub fn push(&mut self, there: bool) {
        if NULLABLE {
            self.0.append(there);
        }
    }

    pub fn take(&mut self) -> Option<NullBuffer> {
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
