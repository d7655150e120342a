//! Which small number stands for which group?
//!
//! Keys become dense ids so that the fold can address its accumulators directly. Ids are handed out as rows come and
//! mean nothing outside one fold; results are merged by the key values themselves.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, BuildHasherDefault, Hasher},
};

use datafusion::arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, StringArray, TimestampMicrosecondArray,
    },
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit},
};
use sha2::{Digest, Sha256};

use super::EngineFault;

/// One key value of one group, in an order that is that of SQL with NULL first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Value {
    Null,
    /// Integers, booleans, days, microseconds.
    Int(i64),
    /// Floating-point numbers by their bits in total order.
    Float(i64),
    Text(Box<str>),
}

/// The id of a row whose key is not in the public list.
pub(super) const OUTSIDE: u32 = u32::MAX;

/// The keys of one fold.
pub(super) struct Interner {
    columns: Vec<ColumnInterner>,
    pairs: Vec<HashMap<(u32, u32), u32, BuildHasherDefault<Mixer>>>,
    /// For each id its key and its secret hash.
    groups: Vec<Group>,
}

/// What is known of one group.
pub(super) struct Group {
    pub(super) key: Vec<Value>,
    /// A keyed hash of the key: fixed, and independent of every row.
    pub(super) hash: u64,
}

impl Interner {
    /// An interner for `width` keys; with `public`, only values in those lists get an id.
    pub(super) fn new(width: usize, public: Option<&[BTreeSet<Value>]>, secret: &[u8; 32]) -> Self {
        let column = |i: usize| ColumnInterner::new(public.and_then(|lists| lists.get(i)).cloned(), secret);
        let pairs = (1..width).map(|_| HashMap::default()).collect();
        Self { columns: (0..width).map(column).collect(), pairs, groups: vec![] }
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Writes the id of every row of `keys` into `ids`.
    pub(super) fn ids(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        secret: &[u8; 32],
        ids: &mut Vec<u32>,
    ) -> Result<(), EngineFault> {
        ids.clear();
        let mut keys = keys.iter();
        let Some(first) = keys.next() else {
            if self.groups.is_empty() {
                self.groups.push(Group { key: vec![], hash: 0 });
            }
            ids.resize(rows, 0);
            return Ok(());
        };
        let mut columns = self.columns.iter_mut();
        if let Some(column) = columns.next() {
            column.codes(first, ids)?;
        }
        let mut codes = Vec::with_capacity(rows);
        for ((key, column), pairs) in keys.zip(columns).zip(&mut self.pairs) {
            codes.clear();
            column.codes(key, &mut codes)?;
            for (id, code) in ids.iter_mut().zip(&codes) {
                if *id == OUTSIDE || *code == OUTSIDE {
                    *id = OUTSIDE;
                    continue;
                }
                let next = u32::try_from(pairs.len()).map_err(|_| EngineFault::TooManyGroups)?;
                *id = *pairs.entry((*id, *code)).or_insert(next);
            }
        }
        self.name_new_groups(secret)
    }

    fn name_new_groups(&mut self, secret: &[u8; 32]) -> Result<(), EngineFault> {
        let known = match (self.pairs.last(), self.columns.first()) {
            (Some(pairs), _) => pairs.len(),
            (None, Some(column)) => column.values.len(),
            (None, None) => 0,
        };
        if known == self.groups.len() {
            return Ok(());
        }
        let mut back: Vec<Vec<(u32, u32)>> = vec![];
        for pairs in &self.pairs {
            let mut by_id = vec![(0, 0); pairs.len()];
            for (pair, id) in pairs {
                if let Some(slot) = usize::try_from(*id).ok().and_then(|i| by_id.get_mut(i)) {
                    *slot = *pair;
                }
            }
            back.push(by_id);
        }
        for id in self.groups.len()..known {
            let mut codes = vec![];
            let mut current = u32::try_from(id).map_err(|_| EngineFault::TooManyGroups)?;
            for level in back.iter().rev() {
                let (left, code) = level.get(index(current)).copied().ok_or(EngineFault::Shape)?;
                codes.push(code);
                current = left;
            }
            codes.push(current);
            codes.reverse();
            let values = codes.iter().zip(&self.columns).map(|(c, column)| column.values.get(index(*c)).cloned());
            let key = values.collect::<Option<Vec<_>>>().ok_or(EngineFault::Shape)?;
            let hash = keyed_hash(secret, &key);
            self.groups.push(Group { key, hash });
        }
        Ok(())
    }
}

/// The codes of one key column, by direct address where values are small whole numbers.
struct ColumnInterner {
    public: Option<BTreeSet<Value>>,
    values: Vec<Value>,
    null: Option<u32>,
    /// Codes of the whole numbers from `WINDOW_LOW` on; `UNSEEN` where none is given yet.
    window: Vec<u32>,
    others: HashMap<i64, u32, BuildHasherDefault<Mixer>>,
    /// The value last seen at each place of its hash, with its code.
    recent: Vec<(i64, u32)>,
    texts: HashMap<Box<str>, u32, Seeded>,
    /// The code of the text last seen at each place of its length and ends.
    recent_texts: Vec<u32>,
}

const WINDOW_LOW: i64 = -1024;
const WINDOW: usize = 65_536;
const UNSEEN: u32 = u32::MAX - 1;
const RECENT: usize = 4096;

impl ColumnInterner {
    fn new(public: Option<BTreeSet<Value>>, secret: &[u8; 32]) -> Self {
        let (values, others) = (vec![], HashMap::default());
        let texts = HashMap::with_hasher(Seeded::new(secret));
        Self { public, values, null: None, window: vec![], others, recent: vec![], texts, recent_texts: vec![] }
    }

    fn codes(&mut self, array: &ArrayRef, codes: &mut Vec<u32>) -> Result<(), EngineFault> {
        match array.data_type() {
            DataType::Float64 | DataType::Float32 | DataType::Float16 => {
                let floats = cast(array, &DataType::Float64).map_err(|_| EngineFault::Shape)?;
                for value in floats.as_primitive::<Float64Type>() {
                    let code = match value {
                        None => self.null_code(),
                        Some(value) => self.other(ordered_bits(value), Value::Float),
                    };
                    codes.push(code?);
                }
            }
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => {
                let texts = cast(array, &DataType::Utf8).map_err(|_| EngineFault::Shape)?;
                self.recent_texts.resize(RECENT, UNSEEN);
                let mut last: Option<(&str, u32)> = None;
                for value in texts.as_string::<i32>() {
                    let code = match (value, last) {
                        (None, _) => self.null_code()?,
                        (Some(text), Some((before, code))) if text == before => code,
                        (Some(text), _) => self.text(text)?,
                    };
                    last = value.map(|text| (text, code));
                    codes.push(code);
                }
            }
            _ => {
                let integers = whole_numbers(array)?;
                let integers = integers.as_primitive::<Int64Type>();
                self.window.resize(WINDOW, UNSEEN);
                self.recent.resize(RECENT, (0, UNSEEN));
                match integers.nulls().filter(|nulls| nulls.null_count() > 0) {
                    None => {
                        for value in integers.values() {
                            codes.push(self.integer(*value)?);
                        }
                    }
                    Some(nulls) => {
                        for (value, present) in integers.values().iter().zip(nulls) {
                            codes.push(if present { self.integer(*value)? } else { self.null_code()? });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn integer(&mut self, value: i64) -> Result<u32, EngineFault> {
        let place = usize::try_from(value.wrapping_sub(WINDOW_LOW)).unwrap_or(usize::MAX);
        match self.window.get(place) {
            Some(&code) if code != UNSEEN => Ok(code),
            Some(_) => self.small(value, place),
            None => {
                let place = recent_place(value);
                match self.recent.get(place) {
                    Some((known, code)) if *known == value && *code != UNSEEN => Ok(*code),
                    _ => self.large(value, place),
                }
            }
        }
    }

    #[cold]
    fn small(&mut self, value: i64, place: usize) -> Result<u32, EngineFault> {
        let code = self.admit(Value::Int(value))?;
        if let Some(slot) = self.window.get_mut(place) {
            *slot = code;
        }
        Ok(code)
    }

    #[cold]
    fn large(&mut self, value: i64, place: usize) -> Result<u32, EngineFault> {
        let code = self.other(value, Value::Int)?;
        if let Some(slot) = self.recent.get_mut(place) {
            *slot = (value, code);
        }
        Ok(code)
    }

    fn other(&mut self, bits: i64, wrap: fn(i64) -> Value) -> Result<u32, EngineFault> {
        if let Some(code) = self.others.get(&bits) {
            return Ok(*code);
        }
        let code = self.admit(wrap(bits))?;
        self.others.insert(bits, code);
        Ok(code)
    }

    #[inline]
    fn text(&mut self, text: &str) -> Result<u32, EngineFault> {
        let place = text_place(text);
        let code = self.recent_texts.get(place).copied().unwrap_or(UNSEEN);
        match self.values.get(index(code)) {
            Some(Value::Text(known)) if known.as_ref() == text => Ok(code),
            _ => self.other_text(text, place),
        }
    }

    fn other_text(&mut self, text: &str, place: usize) -> Result<u32, EngineFault> {
        let code = match self.texts.get(text) {
            Some(code) => *code,
            None => self.new_text(text)?,
        };
        if let Some(recent) = self.recent_texts.get_mut(place) {
            *recent = code;
        }
        Ok(code)
    }

    #[cold]
    fn new_text(&mut self, text: &str) -> Result<u32, EngineFault> {
        let code = self.admit(Value::Text(text.into()))?;
        self.texts.insert(text.into(), code);
        Ok(code)
    }

    fn null_code(&mut self) -> Result<u32, EngineFault> {
        match self.null {
            Some(code) => Ok(code),
            None => {
                let code = self.admit(Value::Null)?;
                self.null = Some(code);
                Ok(code)
            }
        }
    }

    /// A new code, or [`OUTSIDE`] where a public list does not hold the value.
    fn admit(&mut self, value: Value) -> Result<u32, EngineFault> {
        if self.public.as_ref().is_some_and(|list| !list.contains(&value)) {
            return Ok(OUTSIDE);
        }
        let code = u32::try_from(self.values.len()).ok().filter(|c| *c < UNSEEN).ok_or(EngineFault::TooManyGroups)?;
        self.values.push(value);
        Ok(code)
    }
}

#[inline]
fn recent_place(value: i64) -> usize {
    // The highest bits of a product with a large odd number depend on all bits of the value.
    let hash = value.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
    usize::try_from(hash).unwrap_or(0)
}

/// A place that texts which differ at their ends or in length rarely share.
#[inline]
fn text_place(text: &str) -> usize {
    let bytes = text.as_bytes();
    let word = |bytes: Option<&[u8; 8]>| u64::from_le_bytes(*bytes.unwrap_or(&[0; 8]));
    let short = || bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let (first, last) = match bytes.len() < 8 {
        true => (short(), 0),
        false => (word(bytes.first_chunk()), word(bytes.last_chunk())),
    };
    let ends = first ^ last.rotate_left(29) ^ u64::try_from(bytes.len()).unwrap_or(0);
    recent_place(ends.cast_signed())
}

pub(super) fn whole_numbers(array: &ArrayRef) -> Result<ArrayRef, EngineFault> {
    let shape = |_| EngineFault::Shape;
    match array.data_type() {
        DataType::Date32 => {
            let days = cast(array, &DataType::Int32).map_err(shape)?;
            cast(&days, &DataType::Int64).map_err(shape)
        }
        _ => cast(array, &DataType::Int64).map_err(shape),
    }
}

/// The bits of a number such that integers compare as the numbers do; -0 is 0, every NaN the same.
pub(super) fn ordered_bits(value: f64) -> i64 {
    let value = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    };
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

fn from_ordered_bits(bits: i64) -> f64 {
    let bits = bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed();
    f64::from_bits(bits.cast_unsigned())
}

/// The value of a literal as a key value.
pub(super) fn value_of(scalar: &datafusion::common::ScalarValue) -> Result<Value, EngineFault> {
    let array = scalar.to_array_of_size(1).map_err(|_| EngineFault::Shape)?;
    let mut interner = ColumnInterner::new(None, &[0; 32]);
    interner.codes(&array, &mut vec![])?;
    interner.values.pop().ok_or(EngineFault::Shape)
}

/// Key values as an array of `data_type`.
pub(super) fn array_of(values: &[&Value], data_type: &DataType) -> Result<ArrayRef, EngineFault> {
    use std::sync::Arc;
    let shape = |_| EngineFault::Shape;
    let integers = || values.iter().map(|v| if let Value::Int(i) = v { Some(*i) } else { None });
    match data_type {
        DataType::Float64 | DataType::Float32 | DataType::Float16 => {
            let floats =
                values.iter().map(|v| if let Value::Float(b) = v { Some(from_ordered_bits(*b)) } else { None });
            cast(&Float64Array::from_iter(floats), data_type).map_err(shape)
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => {
            let texts = values.iter().map(|v| if let Value::Text(t) = v { Some(t.as_ref()) } else { None });
            cast(&StringArray::from_iter(texts), data_type).map_err(shape)
        }
        DataType::Date32 => {
            Ok(Arc::new(Date32Array::from_iter(integers().map(|v| v.and_then(|d| i32::try_from(d).ok())))))
        }
        DataType::Boolean => Ok(Arc::new(BooleanArray::from_iter(integers().map(|v| v.map(|b| b != 0))))),
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            Ok(Arc::new(TimestampMicrosecondArray::from_iter(integers())))
        }
        _ => {
            let array: ArrayRef = Arc::new(datafusion::arrow::array::Int64Array::from_iter(integers()));
            cast(&array, data_type).map_err(shape)
        }
    }
}

fn keyed_hash(secret: &[u8; 32], key: &[Value]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(secret);
    for value in key {
        match value {
            Value::Null => hash.update([0]),
            Value::Int(v) => {
                hash.update([1]);
                hash.update(v.to_be_bytes());
            }
            Value::Float(v) => {
                hash.update([2]);
                hash.update(v.to_be_bytes());
            }
            Value::Text(v) => {
                hash.update([3]);
                hash.update(u64::try_from(v.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(v.as_bytes());
            }
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
}

#[inline]
pub(super) fn index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014): every input bit reaches every output bit.
#[inline]
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A hasher for small integers that the fold itself has made.
#[derive(Default, Clone)]
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    #[inline]
    fn finish(&self) -> u64 {
        mix(self.0)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.0 = self.0.rotate_left(32) ^ u64::from(value);
    }
    #[inline]
    fn write_i64(&mut self, value: i64) {
        self.0 ^= value.cast_unsigned();
    }
    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0 ^= value;
    }
}

/// A hasher for texts that come from rows: seeded, so that nobody can prepare texts that collide.
#[derive(Clone)]
pub(super) struct Seeded(u64);

impl Seeded {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(keyed_hash(secret, &[Value::Text("the seed of the hash of texts".into())]))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Words;
    fn build_hasher(&self) -> Words {
        Words(self.0)
    }
}

/// Eight bytes at a time: each step multiplies the state, the word folded in, to 128 bits and folds the halves.
pub(super) struct Words(u64);

impl Hasher for Words {
    #[inline]
    fn finish(&self) -> u64 {
        mix(self.0)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.fold(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        if let Some(last) = last.get_mut(..rest.len()) {
            last.copy_from_slice(rest);
        }
        self.fold(u64::from_le_bytes(last));
        self.fold(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.fold(u64::from(byte));
    }
}

impl Words {
    #[inline]
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = high(product) ^ low(product);
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn low(product: u128) -> u64 {
    product as u64
}

#[inline]
fn high(product: u128) -> u64 {
    low(product >> 64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{arrow::array::Int64Array, common::ScalarValue};

    use super::*;

    #[test]
    fn numbers_far_apart_texts_and_nulls_keep_their_groups_apart() {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(5), None, Some(i64::MIN), Some(5), Some(i64::MAX)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("a"), None, Some("a"), Some("b")]));
        let mut interner = Interner::new(2, None, &[7; 32]);
        let mut ids = vec![];
        interner.ids(&[numbers, texts], 5, &[7; 32], &mut ids).unwrap();
        assert_eq!(ids, [0, 1, 2, 0, 3]);
        assert_eq!(interner.groups()[2].key, [Value::Int(i64::MIN), Value::Null]);
    }

    #[test]
    fn only_values_of_the_public_list_get_an_id() {
        let list = BTreeSet::from([Value::Int(1), Value::Null]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(1)]));
        let mut interner = Interner::new(1, Some(&[list]), &[7; 32]);
        let mut ids = vec![];
        interner.ids(&[numbers], 4, &[7; 32], &mut ids).unwrap();
        assert_eq!(ids, [0, OUTSIDE, 1, 0]);
    }

    #[test]
    fn values_come_back_as_they_went_in_and_in_order() {
        for float in [f64::NEG_INFINITY, -2.5, 0.0, 1e-300, 7.0, f64::INFINITY] {
            assert_eq!(from_ordered_bits(ordered_bits(float)).to_bits(), float.to_bits());
        }
        assert!(ordered_bits(-2.5) < ordered_bits(-1.0) && ordered_bits(-1.0) < ordered_bits(0.5));
        assert_eq!(ordered_bits(-0.0), ordered_bits(0.0));
        for scalar in [
            ScalarValue::Date32(Some(19_000)),
            ScalarValue::Boolean(Some(true)),
            ScalarValue::Utf8(Some("東京".into())),
            ScalarValue::Int32(None),
        ] {
            let value = value_of(&scalar).unwrap();
            let array = array_of(&[&value], &scalar.data_type()).unwrap();
            assert_eq!(ScalarValue::try_from_array(&array, 0).unwrap(), scalar);
        }
    }
}
