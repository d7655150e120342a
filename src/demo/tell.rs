//! How does the demo say what it does?

use std::{io::Write, time::Instant};

use datafusion::arrow::{datatypes::SchemaRef, record_batch::RecordBatch};

use crate::cli::{
    Stop,
    render::{self, Format},
};

/// Writes the demo's text, in English with a Japanese line below.
pub(super) struct Teller<'a> {
    out: &'a mut dyn Write,
    chapter: u32,
}

impl<'a> Teller<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, chapter: 0 }
    }

    pub(super) fn chapter(&mut self, en: &str, ja: &str) -> Result<(), Stop> {
        self.chapter += 1;
        writeln!(self.out, "\n━━ {}. {en}\n      {ja}\n", self.chapter)?;
        Ok(self.out.flush()?)
    }

    pub(super) fn line(&mut self, text: &str) -> Result<(), Stop> {
        writeln!(self.out, "   {text}")?;
        Ok(self.out.flush()?)
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Stop> {
        for line in text.lines() {
            writeln!(self.out, "{}", format!("   {line}").trim_end())?;
        }
        Ok(self.out.flush()?)
    }

    /// A question as it is asked.
    pub(super) fn question(&mut self, sql: &str) -> Result<(), Stop> {
        for (place, line) in sql.lines().enumerate() {
            writeln!(self.out, "   {} {line}", if place == 0 { "sql>" } else { "   >" })?;
        }
        Ok(self.out.flush()?)
    }

    /// An answer as a table with its price below.
    pub(super) fn answer(&mut self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), Stop> {
        let mut table = Vec::new();
        render::write(Format::Table, schema, batches, &mut table)?;
        self.text(&String::from_utf8_lossy(&table))?;
        match render::price_line(schema) {
            Some(line) => self.line(&line),
            None => Ok(()),
        }
    }

    /// Does a long piece of work and says how long it took.
    pub(super) fn timed<T>(&mut self, what: &str, work: impl FnOnce() -> Result<(T, String), Stop>) -> Result<T, Stop> {
        let begun = Instant::now();
        let (done, said) = work()?;
        self.line(&format!("{what}: {said} [{:.1} s]", begun.elapsed().as_secs_f64()))?;
        Ok(done)
    }
}
