//! Which row of parameters is in these bytes?
//!
//! Arrow's reader takes lengths as they are written: it reserves what a header announces, before anything of it is there,
//! and reserves what a compressed body says it will become. A few hundred bytes would take all memory, or end the process.
//! So nothing is read whose lengths were not looked at first; and where the reader panics, as it does on offsets that no
//! writer writes, there is no row in the bytes, as in all others that hold none. Of what is read only plain values are bound:
//! the engine takes others as they come, and a decimal with more digits than it announces makes it panic.

use std::panic::catch_unwind;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray},
        datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType},
        ipc::{self, MessageHeader, reader::StreamReader, root_as_message},
        record_batch::RecordBatch,
    },
    common::ScalarValue,
};

use crate::terms::Refusal;

/// The first rows of an Arrow IPC stream; none where the bytes are no such stream of plain, few values.
#[must_use]
pub fn read_rows(bytes: &[u8]) -> Option<RecordBatch> {
    holds_what_it_says(bytes)?;
    catch_unwind(|| StreamReader::try_new(bytes, None)?.next().transpose()).ok()?.ok()?
}

/// The values of the one row of bound parameters; none where nothing is bound.
///
/// # Errors
/// [`Refusal::NotAQuestion`] for any other number of rows, and for what is no plain value.
pub fn bound(parameters: Option<&RecordBatch>) -> Result<Vec<ScalarValue>, Refusal> {
    let Some(batch) = parameters else { return Ok(vec![]) };
    if batch.num_rows() != 1 {
        return Err(Refusal::NotAQuestion { hint: "bind one row of parameters".into() });
    }
    let values = batch.columns().iter().map(value).collect::<Option<Vec<_>>>();
    values.ok_or_else(|| Refusal::NotAQuestion { hint: "bind numbers, texts, dates or booleans".into() })
}

fn value(column: &ArrayRef) -> Option<ScalarValue> {
    use DataType as T;
    let plain = match column.data_type() {
        T::Decimal128(digits, scale) => {
            is_decimal::<Decimal128Type>(*digits, *scale)
                && column.as_primitive::<Decimal128Type>().validate_decimal_precision(*digits).is_ok()
        }
        T::Decimal256(digits, scale) => {
            is_decimal::<Decimal256Type>(*digits, *scale)
                && column.as_primitive::<Decimal256Type>().validate_decimal_precision(*digits).is_ok()
        }
        T::Null | T::Boolean | T::Utf8 | T::LargeUtf8 | T::Utf8View => true,
        T::Date32 | T::Date64 | T::Time32(_) | T::Time64(_) | T::Timestamp(..) | T::Interval(_) | T::Duration(_) => {
            true
        }
        other => other.is_integer() || other.is_floating(),
    };
    ScalarValue::try_from_array(column, 0).ok().filter(|_| plain)
}

fn is_decimal<T: DecimalType>(digits: u8, scale: i8) -> bool {
    (1..=T::MAX_PRECISION).contains(&digits) && u8::try_from(scale).is_ok_and(|scale| scale <= digits)
}

/// Whether every message of an IPC stream is there as long as it says, and plain.
fn holds_what_it_says(mut rest: &[u8]) -> Option<()> {
    while !rest.is_empty() {
        let (first, after) = rest.split_first_chunk::<4>()?;
        // Streams of old have no mark before the length.
        let (length, after) = if *first == MARK { after.split_first_chunk::<4>()? } else { (first, after) };
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if length == 0 {
            return Some(());
        }
        let (header, after) = after.split_at_checked(length)?;
        rest = after.get(body_behind(header)?..)?;
    }
    Some(())
}

/// How long the body is that this header announces; none where it is no header of a schema or of few, uncompressed values.
#[must_use]
pub fn body_behind(header: &[u8]) -> Option<usize> {
    // A copy lies where the fields of a header may lie.
    let header = header.to_vec();
    let message = root_as_message(&header).ok()?;
    let plain = match message.header_type() {
        MessageHeader::Schema => true,
        MessageHeader::RecordBatch => is_plain(message.header_as_record_batch()?),
        MessageHeader::DictionaryBatch => is_plain(message.header_as_dictionary_batch()?.data()?),
        _ => false,
    };
    usize::try_from(message.bodyLength()).ok().filter(|_| plain)
}

fn is_plain(batch: ipc::RecordBatch<'_>) -> bool {
    let few = |length: i64| (0..=PARTS_MAX).contains(&length);
    let nodes = batch.nodes().is_none_or(|nodes| nodes.iter().all(|node| few(node.length())));
    batch.compression().is_none() && few(batch.length()) && nodes
}

/// No value of a parameter has more parts than this.
const PARTS_MAX: i64 = 1 << 16;
/// What stands before the length of a message.
const MARK: [u8; 4] = [0xff; 4];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::{
        array::{Array, Decimal128Array, Int64Array, ListArray, StringArray},
        buffer::Buffer,
        datatypes::Int32Type,
        ipc::{
            CompressionType,
            writer::{IpcWriteOptions, StreamWriter},
        },
    };

    use super::*;

    fn written(options: IpcWriteOptions) -> Vec<u8> {
        let columns: [(&str, ArrayRef); 2] =
            [("1", Arc::new(Int64Array::from(vec![1960]))), ("2", Arc::new(StringArray::from(vec!["a".repeat(1000)])))];
        let row = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = StreamWriter::try_new_with_options(vec![], &row.schema(), options).unwrap();
        writer.write(&row).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn lengths_that_nothing_follows_are_malformed_before_anything_is_reserved() {
        let good = written(IpcWriteOptions::default());
        assert_eq!(read_rows(&good).unwrap().num_columns(), 2);
        // Whatever stands in any four or eight bytes, the largest figures among them.
        for place in 0..good.len() {
            for figure in [u64::MAX, i64::MAX as u64, 1 << 62, 1 << 40, 1 << 34, 0x7fff_fff0] {
                for width in [4, 8] {
                    let mut bad = good.clone();
                    let end = (place + width).min(bad.len());
                    bad[place..end].copy_from_slice(&figure.to_le_bytes()[..end - place]);
                    let _refused_or_other_values = read_rows(&bad);
                }
            }
        }
        for cut in 0..good.len() {
            let _refused_or_whole = read_rows(&good[..cut]);
        }
    }

    #[test]
    fn plain_values_are_bound_and_decimals_with_as_many_digits_as_they_announce() {
        let decimal = |value: i128, digits: u8, scale: i8| {
            let data = Int64Array::from(vec![0]).into_data();
            let data = data.into_builder().data_type(DataType::Decimal128(digits, scale));
            let data = data.buffers(vec![Buffer::from_vec(vec![value])]).build().unwrap();
            let column: ArrayRef = Arc::new(Decimal128Array::from(data));
            bound(Some(&RecordBatch::try_from_iter([("1", column)]).unwrap())).ok().map(|values| values[0].to_string())
        };
        assert_eq!(decimal(196_050, 10, 2).as_deref(), Some("1960.50"));
        assert_eq!(decimal(-99, 2, 2).as_deref(), Some("-0.99"));
        for (value, digits, scale) in [(196_050, 3, 5), (196_050, 5, 2), (1, 0, 0), (1, 39, 0), (1, 9, -1), (1, 9, 10)]
        {
            assert_eq!(decimal(value, digits, scale), None, "{value} of {digits} digits, {scale} after the point");
        }
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]));
        let row = RecordBatch::try_from_iter([("1", list)]).unwrap();
        assert!(matches!(bound(Some(&row)), Err(Refusal::NotAQuestion { .. })));
        assert!(matches!(bound(Some(&row.slice(0, 0))), Err(Refusal::NotAQuestion { .. })));
        assert_eq!(bound(None).unwrap(), []);
    }

    #[test]
    fn what_is_compressed_is_malformed_whatever_it_says_it_will_become() {
        for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
            let options = IpcWriteOptions::default().try_with_compression(Some(compression)).unwrap();
            assert!(read_rows(&written(options)).is_none());
        }
    }
}
