//! What becomes of a log, a note, a proof or a tree that somebody has had in their hands?

use std::{
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use sekisho::{
    audit::{
        Checkpoint, ENTRIES, Hash, KEY, Proof, Receipt, Tree, Verifier, WitnessKey, hash_leaf, open_cosigned,
        read_lines, tiles, verify_consistency, verify_inclusion, without_cosignatures,
    },
    gateway::replay,
    ledger::{Effect, Replay},
    record::{VerifyFault, verify_export},
    terms::{Clock, EntryNumber, Instant},
    witness::{Notary, Verdict},
};

/// A log that was made once, with everything that its key, and a witness's, ever signed.
struct Kept {
    vkey: String,
    witness: String,
    checkpoint: String,
    ledger: String,
    entries: Vec<u8>,
    signed: Vec<String>,
    receipts: Vec<String>,
    proof: String,
}

fn kept() -> &'static Kept {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    KEPT.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let corpus = if here.ends_with("fuzz") { here.join("../tests/corpus") } else { here.join("tests/corpus") };
        let read = |name: &str| std::fs::read_to_string(corpus.join(name)).unwrap();
        let notes = |names: &[&str]| names.iter().map(|name| read(&format!("notes/{name}"))).collect::<Vec<_>>();
        Kept {
            vkey: read("log/log.vkey"),
            witness: read("log/witness.vkey"),
            checkpoint: read("log/checkpoint"),
            ledger: read("log/ledger.json"),
            entries: read("entries/log.jsonl").into_bytes(),
            signed: notes(&["checkpoint", "published", "public", "proof", "request"]),
            receipts: notes(&["promise.json", "included.json"]),
            proof: read("notes/proof"),
        }
    })
}

/// The entries of an export, in a folder whose other files are genuine: read, added up, verified and replayed.
pub fn entries(data: &[u8]) -> &'static str {
    static FOLDER: OnceLock<(Mutex<()>, tempfile::TempDir)> = OnceLock::new();
    let (one_at_a_time, folder) = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [(KEY, &kept().vkey), ("checkpoint", &kept().checkpoint), ("ledger.json", &kept().ledger)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        (Mutex::default(), folder)
    });
    let mut read = vec![];
    let mut sums = Replay::default();
    let whole = read_lines(data, |line| {
        read.extend(serde_json::to_vec(&line).unwrap());
        read.push(b'\n');
        let _leaf = line.leaf();
        let body: serde_json::Value = serde_json::from_str(&line.body).unwrap_or_default();
        let effect = body.get("ledger").cloned().and_then(|effect| serde_json::from_value::<Effect>(effect).ok());
        // What cannot have happened is a fault; the sums stay within their integers.
        effect.is_none_or(|effect| sums.apply(EntryNumber(line.entry), &effect).is_ok())
    });
    assert!(data.starts_with(&read), "a line was read in another spelling than it has");
    let _totals = sums.totals();

    let _alone = one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::write(folder.path().join(ENTRIES), data).unwrap();
    let verified = verify_export(folder.path(), None);
    // The tiles are not there, so that a genuine log comes as far as that, and nothing else does.
    let genuine = matches!(verified, Err(VerifyFault::Tile(_)));
    assert_eq!(genuine, data == kept().entries, "verified: {verified:?}");
    assert!(verified.is_err());
    let mut verdicts = 0_usize;
    let replayed = replay(folder.path(), Path::new("no/such/catalogue"), |_| true, |_| verdicts += 1);
    match (whole.unwrap_or(false), replayed.is_ok(), verdicts) {
        (true, true, 1..) => "replayed",
        (true, true, 0) => "without a verdict",
        (true, false, _) => "not replayed",
        (false, _, _) => "not a log",
    }
}

/// Signed notes, receipts, proofs and requests to a witness, each read as each of them.
pub fn notes(data: &[u8]) -> &'static str {
    static NOTARY: OnceLock<(tempfile::TempDir, Notary)> = OnceLock::new();
    let (_folder, notary) = NOTARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("witness");
        Notary::make(&own, "ethics.example/fuzz").unwrap();
        Notary::add_log(&own, &kept().vkey).unwrap();
        let notary = Notary::open(&own, Clock::from_fn(|| Instant(1_780_000_000_000_000))).unwrap();
        (folder, notary)
    });
    let Ok(text) = std::str::from_utf8(data) else { return "not text" };
    let (log, witness) = (Verifier::from_text(&kept().vkey).unwrap(), WitnessKey::from_text(&kept().witness).unwrap());
    let keys = [witness];
    let signed = |said: &str| kept().signed.iter().any(|genuine| genuine.contains(said));
    let mut end = "refused";
    if let Ok(said) = log.open(text) {
        assert!(signed(said), "a forged note verifies");
        end = "a note";
    }
    if let Ok(checkpoint) = Checkpoint::open(text, &log) {
        assert!(signed(&format!("\n{}\n", checkpoint.size)));
        end = "a checkpoint";
    }
    if let Ok((said, by)) = open_cosigned(text, &log, &keys) {
        assert!(signed(said) && by.len() <= 64, "a forged note verifies");
        end = if by.is_empty() { end } else { "cosigned" };
    }
    if let Some(bare) = without_cosignatures(text) {
        assert!(bare.len() <= text.len() + 1);
    }
    if let Some(checkpoint) = Checkpoint::of_text(text, &log) {
        assert!(checkpoint.extension.iter().all(|line| !line.is_empty()));
        end = "a text of a checkpoint";
    }
    if let Ok(receipt) = Receipt::from_json(text) {
        end = "a receipt's form";
        if receipt.verify(&log).is_ok() {
            assert!(
                kept().receipts.iter().any(|genuine| genuine.trim_end() == text.trim_end()),
                "a forged receipt verifies"
            );
            end = "a receipt";
        }
    }
    if let Ok(proof) = Proof::from_text(text) {
        end = "a proof's form";
        if proof.verify(&log, &keys).is_ok() {
            let genuine = Proof::from_text(&kept().proof).unwrap();
            let same = (proof.index, &proof.path, &proof.opening) == (genuine.index, &genuine.path, &genuine.opening);
            assert!(same, "a forged proof verifies");
            end = "a proof";
        }
    }
    if let Ok(key) = Verifier::from_text(text) {
        assert_eq!(key.to_text(), text.trim_end_matches('\n'), "a key in another spelling");
        end = "a key";
    }
    if let Ok(key) = WitnessKey::from_text(text) {
        assert_eq!(key.to_text(), text.trim_end_matches('\n'), "a key in another spelling");
        end = "a key";
    }
    match notary.add_checkpoint(text).unwrap() {
        Verdict::Cosigned(_) => {
            let (_, note) = text.split_once("\n\n").unwrap_or_default();
            let said = note.rsplit_once("\n\n").map_or("", |(said, _)| said);
            assert!(!said.is_empty() && signed(said), "a forged checkpoint was cosigned");
            "a request, cosigned"
        }
        Verdict::Malformed => end,
        _ => "a request",
    }
}

/// Sizes, places and hashes: what a tree gives for any of them verifies, and what was changed does not.
pub fn trees(data: &[u8]) -> &'static str {
    let Some((head, rest)) = data.split_first_chunk::<32>() else { return "too short" };
    let number = |at: usize| u64::from_be_bytes(head[at..at + 8].try_into().unwrap());
    let hashes: Vec<Hash> = rest.chunks_exact(32).take(80).map(|hash| hash.try_into().unwrap()).collect();
    let (size, old, index) = (number(0) % 700, number(8), number(16));
    let mut tree = Tree::default();
    let leaf = |n: u64| hash_leaf(&n.to_be_bytes());
    (0..size).for_each(|n| tree.push(leaf(n)));
    let root = tree.root().unwrap_or([0; 32]);
    // Whatever a stranger sends as a proof is judged, however large its numbers.
    let any = hashes.first().copied().unwrap_or([7; 32]);
    let huge = (number(0), number(8));
    let _judged = verify_inclusion(&any, index, huge.0, &hashes, &any);
    let _judged = verify_consistency((huge.1, &any), (huge.0, &root), &hashes);
    // No proof that is not the tree's own.
    let small = index % size.max(1);
    if let Some(path) = tree.inclusion(small) {
        assert!(verify_inclusion(&leaf(small), small, size, &path, &root), "{small} of {size}");
        assert!(path == hashes || !verify_inclusion(&leaf(small), small, size, &hashes, &root), "{small} of {size}");
        assert!(!verify_inclusion(&any, small, size, &path, &root) || any == leaf(small), "{small} of {size}");
        for other in [index, small + 1, small ^ 1, size, u64::MAX] {
            assert!(other == small || !verify_inclusion(&leaf(small), other, size, &path, &root), "{other} of {size}");
        }
    }
    let before = old % (size + 1);
    if let (Some(proof), Some(older)) = (tree.consistency(before, size), tree.root_of(before)) {
        assert!(verify_consistency((before, &older), (size, &root), &proof), "{before} to {size}");
        let forged = verify_consistency((before, &any), (size, &root), &proof);
        assert!(!forged || before == 0 || any == older, "{before} to {size}");
        let shown = verify_consistency((before, &older), (size, &any), &proof);
        assert!(!shown || before == 0 || any == root, "{before} to {size}");
    }
    // Tiles that are written on from any size are those of the whole.
    let written = |from| tiles(from, size, |l, p| tree.full(l, p).ok_or(()), |n| Ok(leaf(n)));
    let (all, rest) = (written(0).unwrap(), written(before).unwrap());
    assert!(rest.iter().all(|tile| all.contains(tile)), "{before} to {size}");
    "a tree"
}
