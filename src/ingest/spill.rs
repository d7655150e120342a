//! Where do rows wait until all rows of a bucket of persons are together?
//!
//! Rows of a table arrive in the source's order and leave by bucket. One file takes them all: whenever the buffers are
//! full, each bucket's rows are appended as one chunk, so that memory is bounded and one file is open, however many
//! buckets there are.

use std::{
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use datafusion::arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::SchemaRef,
    ipc::{reader::StreamReader, writer::StreamWriter},
};

use super::fault::{IngestFault, disk};

/// Buffered bytes at which everything is appended to the file.
const BUFFER_BYTES: usize = 96 << 20;

/// Rows on their way in.
pub(super) struct Spill {
    path: PathBuf,
    file: BufWriter<File>,
    schema: SchemaRef,
    buffers: Vec<Vec<RecordBatch>>,
    buffered_bytes: usize,
    chunks: Vec<Vec<Chunk>>,
    end: u64,
}

/// Rows on their way out.
pub(super) struct Spilled {
    path: PathBuf,
    schema: SchemaRef,
    chunks: Vec<Vec<Chunk>>,
}

#[derive(Clone, Copy)]
struct Chunk {
    start: u64,
    bytes: u64,
}

impl Spill {
    pub(super) fn new(path: PathBuf, schema: SchemaRef, buckets: usize) -> Result<Self, IngestFault> {
        let file = BufWriter::with_capacity(1 << 20, File::create_new(&path).map_err(disk(&path))?);
        let (buffers, chunks) = (vec![Vec::new(); buckets], vec![Vec::new(); buckets]);
        Ok(Self { path, file, schema, buffers, buffered_bytes: 0, chunks, end: 0 })
    }

    /// Takes the rows of one bucket, which occupy about `bytes` of memory.
    pub(super) fn push(&mut self, bucket: usize, rows: RecordBatch, bytes: usize) -> Result<(), IngestFault> {
        let buffer = self.buffers.get_mut(bucket).ok_or(IngestFault::Stopped("sorting rows into buckets"))?;
        buffer.push(rows);
        self.buffered_bytes += bytes;
        if self.buffered_bytes > BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is still buffered.
    pub(super) fn finish(mut self) -> Result<Spilled, IngestFault> {
        self.flush()?;
        self.file.flush().map_err(disk(&self.path))?;
        Ok(Spilled { path: self.path, schema: self.schema, chunks: self.chunks })
    }

    fn flush(&mut self) -> Result<(), IngestFault> {
        let stopped = |_| IngestFault::Stopped("sorting rows into buckets");
        for (buffer, chunks) in self.buffers.iter_mut().zip(&mut self.chunks) {
            if buffer.is_empty() {
                continue;
            }
            let rows = concat_batches(&self.schema, buffer.iter()).map_err(stopped)?;
            buffer.clear();
            let mut bytes = Vec::new();
            let mut writer = StreamWriter::try_new(&mut bytes, &self.schema).map_err(stopped)?;
            writer.write(&rows).and_then(|()| writer.finish()).map_err(stopped)?;
            drop(writer);
            self.file.write_all(&bytes).map_err(disk(&self.path))?;
            chunks.push(Chunk { start: self.end, bytes: bytes.len() as u64 });
            self.end += bytes.len() as u64;
        }
        self.buffered_bytes = 0;
        Ok(())
    }
}

impl Spilled {
    /// All rows of a bucket.
    pub(super) fn read(&self, bucket: usize) -> Result<RecordBatch, IngestFault> {
        let lost = |_| IngestFault::Stopped("reading rows of a bucket");
        let chunks = self.chunks.get(bucket).map(Vec::as_slice).unwrap_or_default();
        let mut batches = Vec::new();
        if !chunks.is_empty() {
            let mut file = File::open(&self.path).map_err(disk(&self.path))?;
            for chunk in chunks {
                let mut bytes = vec![0; usize::try_from(chunk.bytes).unwrap_or(usize::MAX)];
                file.seek(SeekFrom::Start(chunk.start)).map_err(disk(&self.path))?;
                file.read_exact(&mut bytes).map_err(disk(&self.path))?;
                for batch in StreamReader::try_new(bytes.as_slice(), None).map_err(lost)? {
                    batches.push(batch.map_err(lost)?);
                }
            }
        }
        match batches.pop() {
            Some(only) if batches.is_empty() => Ok(only),
            last => concat_batches(&self.schema, batches.iter().chain(&last)).map_err(lost),
        }
    }

    /// How many buckets there are.
    pub(super) fn buckets(&self) -> usize {
        self.chunks.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::{
        array::{AsArray, Int64Array, StringArray},
        datatypes::{DataType, Field, Int64Type, Schema},
    };

    use super::*;

    #[test]
    fn every_row_comes_back_in_its_bucket_however_often_the_buffers_were_full() {
        let dir = tempfile::tempdir().unwrap();
        let fields = vec![Field::new("n", DataType::Int64, false), Field::new("t", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields));
        let mut spill = Spill::new(dir.path().join("x"), Arc::clone(&schema), 3).unwrap();
        for n in 0..30_i64 {
            let texts = StringArray::from(vec![None, Some("二")]);
            let columns: Vec<Arc<dyn datafusion::arrow::array::Array>> =
                vec![Arc::new(Int64Array::from(vec![n, n + 100])), Arc::new(texts)];
            let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
            // Every third row finds the buffers full.
            let bytes = if n % 3 == 0 { BUFFER_BYTES + 1 } else { 1 };
            spill.push(usize::try_from(n % 2).unwrap(), rows, bytes).unwrap();
        }
        let spilled = spill.finish().unwrap();
        for bucket in 0..2 {
            let rows = spilled.read(bucket).unwrap();
            let mut values: Vec<i64> = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
            values.sort_unstable();
            let parity = i64::try_from(bucket).unwrap();
            let expected: Vec<i64> = (0..130).filter(|n| (*n < 30 || *n >= 100) && n % 2 == parity).collect();
            assert_eq!(values, expected);
            assert_eq!(rows.column(1).null_count(), 15);
        }
        assert_eq!(spilled.read(2).unwrap().num_rows(), 0);
        assert_eq!(spilled.read(9).unwrap().num_rows(), 0);
    }
}
