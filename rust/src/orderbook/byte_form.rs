//! Numbers as bytes, little-endian, for state that is kept by an engine.

/// Bytes that end too early, or are too many.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

/// Writes numbers one after the other.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub fn done(self) -> Vec<u8> {
        self.out
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    pub fn flag(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    pub fn int(&mut self, value: i32) {
        self.bytes(&value.to_le_bytes());
    }

    pub fn long(&mut self, value: i64) {
        self.bytes(&value.to_le_bytes());
    }

    pub fn wide(&mut self, value: i128) {
        self.bytes(&value.to_le_bytes());
    }

    pub fn count(&mut self, value: usize) {
        let value = u32::try_from(value).expect("fewer than 2^32 offers fit into a book");
        self.bytes(&value.to_le_bytes());
    }
}

/// Reads what a `Writer` wrote.
#[derive(Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(left: &'a [u8]) -> Self {
        Self { left }
    }

    /// # Errors
    /// Bytes are left.
    pub fn end(&self) -> Result<(), Broken> {
        if self.left.is_empty() { Ok(()) } else { Err(Broken) }
    }

    /// # Errors
    /// The bytes end too early; so do all of the following.
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (first, left) = self.left.split_first_chunk::<N>().ok_or(Broken)?;
        self.left = left;
        Ok(*first)
    }

    /// # Errors
    /// As `bytes`, or the byte is neither 0 nor 1.
    pub fn flag(&mut self) -> Result<bool, Broken> {
        match self.bytes::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Broken),
        }
    }

    /// # Errors
    /// As `bytes`.
    pub fn int(&mut self) -> Result<i32, Broken> {
        self.bytes().map(i32::from_le_bytes)
    }

    /// # Errors
    /// As `bytes`.
    pub fn long(&mut self) -> Result<i64, Broken> {
        self.bytes().map(i64::from_le_bytes)
    }

    /// # Errors
    /// As `bytes`.
    pub fn wide(&mut self) -> Result<i128, Broken> {
        self.bytes().map(i128::from_le_bytes)
    }

    /// # Errors
    /// As `bytes`.
    pub fn count(&mut self) -> Result<usize, Broken> {
        self.bytes().map(u32::from_le_bytes).map(|count| count as usize)
    }

    /// The count itself, if so many values of a size can still follow.
    ///
    /// # Errors
    /// They cannot.
    pub fn at_most(&self, count: usize, size: usize) -> Result<usize, Broken> {
        if count <= self.left.len() / size {
            Ok(count)
        } else {
            Err(Broken)
        }
    }
}
