//! Values of columns and parameters: the four kinds that every database of ours has.

use bytes::Bytes;

use super::Failure;

/// A column's or a parameter's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// No value; octets or text that are empty are stored so.
    Null,
    /// A whole number.
    Int(i64),
    /// Octets.
    Bytes(Bytes),
    /// Text, for people.
    Text(String),
}

/// Values of a statement's parameters, in the order of its head.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::driver::Value::from($value)),*] };
}
pub(crate) use values;

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}
impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Self::Int(i64::from(n))
    }
}
impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}
impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Int(i64::from(yes))
    }
}
impl From<Bytes> for Value {
    /// Empty octets are NULL on every database (one of them knows no other).
    fn from(octets: Bytes) -> Self {
        if octets.is_empty() {
            Self::Null
        } else {
            Self::Bytes(octets)
        }
    }
}
impl From<Vec<u8>> for Value {
    fn from(octets: Vec<u8>) -> Self {
        Bytes::from(octets).into()
    }
}
impl From<[u8; 32]> for Value {
    fn from(hash: [u8; 32]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(&hash))
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        if text.is_empty() {
            Self::Null
        } else {
            Self::Text(text.to_owned())
        }
    }
}
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Value {
    pub(crate) fn octets(&self) -> u64 {
        match self {
            Self::Null | Self::Int(_) => 1,
            Self::Bytes(octets) => octets.len() as u64,
            Self::Text(text) => text.len() as u64,
        }
    }
}

/// Rows of an answer, one after another in one list.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    width: usize,
    values: Vec<Value>,
    octets: u64,
    /// There may be more rows: reading stopped at the octets that were allowed.
    pub(crate) cut: bool,
}

impl Rows {
    pub(crate) const fn new(width: usize) -> Self {
        Self {
            width,
            values: Vec::new(),
            octets: 0,
            cut: false,
        }
    }
    pub(crate) fn push(&mut self, value: Value) {
        self.octets = self.octets.saturating_add(value.octets());
        self.values.push(value);
    }
    /// Octets so far.
    pub(crate) const fn octets(&self) -> u64 {
        self.octets
    }
    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }
    /// Each row, ready to have its values taken out.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = Row<'_>> {
        self.values.chunks_exact_mut(self.width.max(1)).map(Row)
    }
    /// The first row.
    pub(crate) fn first(&mut self) -> Option<Row<'_>> {
        self.each().next()
    }
}

/// One row. A column that is not of the expected kind is damage, never a panic.
pub(crate) struct Row<'a>(&'a mut [Value]);

impl Row<'_> {
    fn odd(&self, column: usize) -> Failure {
        Failure::Damaged(format!(
            "column {column} is {:?}",
            self.0.get(column).map(kind)
        ))
    }
    /// A whole number.
    pub(crate) fn int(&self, column: usize) -> Result<i64, Failure> {
        match self.0.get(column) {
            Some(Value::Int(n)) => Ok(*n),
            _ => Err(self.odd(column)),
        }
    }
    /// A whole number, or none.
    pub(crate) fn int_or_none(&self, column: usize) -> Result<Option<i64>, Failure> {
        match self.0.get(column) {
            Some(Value::Int(n)) => Ok(Some(*n)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.odd(column)),
        }
    }
    /// A number of 32 bits.
    pub(crate) fn u32(&self, column: usize) -> Result<u32, Failure> {
        u32::try_from(self.int(column)?).map_err(|_| self.odd(column))
    }
    /// A number that is not negative.
    pub(crate) fn u64(&self, column: usize) -> Result<u64, Failure> {
        u64::try_from(self.int(column)?).map_err(|_| self.odd(column))
    }
    /// Octets, taken out of the row; NULL is none.
    pub(crate) fn bytes(&mut self, column: usize) -> Result<Bytes, Failure> {
        Ok(self.bytes_or_none(column)?.unwrap_or_default())
    }
    /// Octets, taken out of the row.
    pub(crate) fn bytes_or_none(&mut self, column: usize) -> Result<Option<Bytes>, Failure> {
        match self.0.get_mut(column) {
            Some(Value::Bytes(octets)) => Ok(Some(std::mem::take(octets))),
            Some(Value::Text(text)) => Ok(Some(std::mem::take(text).into())),
            Some(Value::Null) => Ok(None),
            _ => Err(self.odd(column)),
        }
    }
    /// Text, taken out of the row; NULL is the empty text.
    pub(crate) fn text(&mut self, column: usize) -> Result<String, Failure> {
        Ok(self.text_or_none(column)?.unwrap_or_default())
    }
    /// Text, taken out of the row.
    pub(crate) fn text_or_none(&mut self, column: usize) -> Result<Option<String>, Failure> {
        match self.0.get_mut(column) {
            Some(Value::Text(text)) => Ok(Some(std::mem::take(text))),
            // MySQL and MariaDB tell text with a binary collation and octets apart by a flag that not each driver reads.
            Some(Value::Bytes(octets)) => String::from_utf8(std::mem::take(octets).into())
                .map(Some)
                .map_err(|_| Failure::Damaged(format!("column {column} is not UTF-8"))),
            Some(Value::Null) => Ok(None),
            _ => Err(self.odd(column)),
        }
    }
}

/// What kind of value stands there; never the value, which may be mail.
const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Int(_) => "a number",
        Value::Bytes(_) => "octets",
        Value::Text(_) => "text",
    }
}
