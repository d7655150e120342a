//! Where does the kept corpus come from?
//!
//! Texts were written by hand. What has a binary form or a signature is made here, once, and kept: cases must be the same
//! on every run, and a log that was signed anew would be another one each time.

use std::{path::Path, sync::Arc};

use arrow_flight::encode::FlightDataEncoderBuilder;
use datafusion::arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray,
        DurationSecondArray, Float64Array, Int8Array, Int64Array, IntervalMonthDayNanoArray, LargeStringArray,
        ListArray, NullArray, RecordBatch, RunArray, StringArray, StringViewArray, StructArray, Time64NanosecondArray,
        TimestampMicrosecondArray, UInt64Array,
    },
    datatypes::{DataType, Field, Int32Type, IntervalMonthDayNano, i256},
    ipc::writer::StreamWriter,
};
use futures::TryStreamExt;
use prost::Message;
use sekisho::{
    audit::Cosigner,
    keys::Keys,
    record::{Publication, Receipt},
    terms::{EntryNumber, Instant},
};

use super::corpus;
use crate::gateway::house::{House, NOON};

fn write(folder: &str, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(corpus(folder).join(name), bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "no test but a tool: it overwrites the made files of tests/corpus, for when their format has changed"]
async fn the_made_part_of_the_corpus_is_made_anew() {
    parameters().await;
    trees();
    log().await;
}

/// One column of each type that a client may bind, or try to.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let dictionary: DictionaryArray<Int32Type> = vec!["month"].into_iter().collect();
    let runs = RunArray::<Int32Type>::try_new(&[1].to_vec().into(), &Int64Array::from(vec![1960])).unwrap();
    let field = Arc::new(Field::new("a", DataType::Int64, true));
    let inside: ArrayRef = Arc::new(Int64Array::from(vec![1960]));
    let interval = IntervalMonthDayNano::new(1, 2, 3);
    vec![
        ("int64", Arc::new(Int64Array::from(vec![1960]))),
        ("int8", Arc::new(Int8Array::from(vec![-1]))),
        ("uint64", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("null", Arc::new(NullArray::new(1))),
        ("none", Arc::new(Int64Array::from(vec![None]))),
        ("float64", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("infinite", Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]))),
        ("boolean", Arc::new(BooleanArray::from(vec![true]))),
        ("text", Arc::new(StringArray::from(vec!["%a_"]))),
        ("large-text", Arc::new(LargeStringArray::from(vec!["month"]))),
        ("text-view", Arc::new(StringViewArray::from(vec!["a text of more than twelve bytes"]))),
        ("binary", Arc::new(BinaryArray::from(vec![&b"\xff\0"[..]]))),
        ("date", Arc::new(Date32Array::from(vec![i32::MAX]))),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN]).with_timezone("Asia/Tokyo"))),
        ("time", Arc::new(Time64NanosecondArray::from(vec![-1]))),
        ("duration", Arc::new(DurationSecondArray::from(vec![i64::MAX]))),
        ("interval", Arc::new(IntervalMonthDayNanoArray::from(vec![interval]))),
        ("decimal128", Arc::new(Decimal128Array::from(vec![196_000]).with_precision_and_scale(38, 37).unwrap())),
        ("decimal256", Arc::new(Decimal256Array::from(vec![i256::MAX]).with_precision_and_scale(76, -3).unwrap())),
        ("dictionary", Arc::new(dictionary)),
        ("runs", Arc::new(runs)),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]))),
        ("struct", Arc::new(StructArray::from(vec![(field, inside)]))),
    ]
}

async fn parameters() {
    for (n, (name, column)) in columns().into_iter().enumerate() {
        let which = u8::try_from(n % 10).unwrap();
        let width = [1, 2, 2, 1, 1, 1, 3, 1, 1, 3][usize::from(which)];
        let named = (0..width).map(|i| (format!("{}", i + 1), Arc::clone(&column)));
        let row = RecordBatch::try_from_iter(named).unwrap();
        let mut writer = StreamWriter::try_new(vec![which, 0], &row.schema()).unwrap();
        writer.write(&row).unwrap();
        write("parameters", &format!("{name}-ticket"), writer.into_inner().unwrap());
        let encoded = FlightDataEncoderBuilder::new().build(futures::stream::iter([Ok(row)]));
        let messages: Vec<_> = encoded.try_collect().await.unwrap();
        let mut bytes = vec![which, 1];
        messages.iter().for_each(|message| message.encode_length_delimited(&mut bytes).unwrap());
        write("parameters", &format!("{name}-put"), bytes);
    }
}

fn trees() {
    for (n, size) in [0_u64, 1, 2, 3, 7, 8, 255, 256, 257, 600, u64::MAX].into_iter().enumerate() {
        let mut bytes = vec![];
        for number in [size, size / 2, size / 3, 0] {
            bytes.extend(number.to_be_bytes());
        }
        for hash in 0..n {
            bytes.extend([u8::try_from(hash).unwrap(); 32]);
        }
        write("trees", &format!("size-{size}"), bytes);
    }
}

/// A small log with everything that its key, and a witness's, ever signed.
async fn log() {
    let house = House::new().await;
    let hanako = house.asker("hanako", "P-WIDE").await;
    for sql in [
        "SELECT COUNT(*) AS n FROM demo.person WHERE year_of_birth > 1950",
        "SELECT gender_concept_id, AVG(year_of_birth) AS y FROM demo.person GROUP BY 1",
    ] {
        hanako.ask(sql).await;
    }
    let again = hanako.ask("SELECT COUNT(*) FROM demo.person WHERE year_of_birth > 1950").await;
    hanako.refusal("SELECT * FROM demo.person").await;
    let entry: EntryNumber = again.receipt().entry;
    let promise = house.books.receipt(entry).unwrap();
    write("notes", "promise.json", promise.to_json());
    let witness = tempfile::tempdir().unwrap();
    let keys = Keys::make(&witness.path().join("keys")).unwrap();
    let witness = Cosigner::new("ethics.example/w1", keys.log()).unwrap();
    let made = house.books.publish(house.books.next_instant(Instant(NOON))).unwrap().unwrap();
    let lines = [&made.public, &made.totals].map(|note| {
        let (text, _) = note.rsplit_once("\n\n").unwrap();
        witness.cosign(&format!("{text}\n"), 1_780_000_000)
    });
    let cosigned: Publication = house.books.cosigned(&made, &lines[0], &lines[1]).unwrap();
    write("notes", "published", &cosigned.totals);
    write("notes", "public", &cosigned.public);
    write("notes", "request", format!("old 0\n\n{}", made.totals));
    let included: Receipt = house.books.receipt(entry).unwrap();
    write("notes", "included.json", included.to_json());
    write("notes", "proof", house.books.proof(entry).unwrap().to_text());
    write("notes", "log.vkey", format!("{}\n", house.books.verifier().to_text()));
    write("notes", "witness.vkey", format!("{}\n", witness.key().to_text()));
    write("log", "witness.vkey", witness.key().to_text());
    let to = house.folder().join("export");
    house.books.export(&to).unwrap();
    let copied = |name: &str| std::fs::read(Path::new(&to).join(name)).unwrap();
    write("entries", "log.jsonl", copied("entries.jsonl"));
    for name in ["checkpoint", "ledger.json", "log.vkey"] {
        write("log", name, copied(name));
    }
    write("notes", "checkpoint", copied("checkpoint"));
}
