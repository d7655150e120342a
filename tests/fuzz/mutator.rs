//! How is an input changed so that it stays close to what is read, and is not it?
//!
//! Texts are changed by their words, with further words of the language, and spliced with other inputs; bytes by bits,
//! lengths and figures at the edges of their types. The same name gives the same cases.

/// Further words of a language; none for what is no text.
pub type Words = &'static [&'static str];

/// The words of a dictionary as libFuzzer reads it: one in quotes on a line.
fn words_of(dictionary: &'static str) -> Vec<&'static str> {
    let word = |line: &str| {
        let quoted = line.strip_prefix('"')?.strip_suffix('"')?;
        let (mut bytes, mut rest) = (vec![], quoted.as_bytes());
        while let Some((&first, after)) = rest.split_first() {
            let byte;
            (byte, rest) = match (first, after) {
                (b'\\', [b'x', high, low, after @ ..]) => {
                    let hex = [*high, *low];
                    (u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap(), after)
                }
                (b'\\', [escaped, after @ ..]) => (*escaped, after),
                (plain, after) => (plain, after),
            };
            bytes.push(byte);
        }
        Some(&*String::from_utf8(bytes).unwrap().leak())
    };
    dictionary.lines().filter_map(word).collect()
}

pub fn config() -> Words {
    words_of(include_str!("../../fuzz/words/config.dict")).leak()
}

pub fn catalogue() -> Words {
    words_of(include_str!("../../fuzz/words/catalogue.dict")).leak()
}

pub fn log() -> Words {
    words_of(include_str!("../../fuzz/words/log.dict")).leak()
}

/// The words of SQL with every function that the engine has.
pub fn sql() -> Words {
    let functions = sekisho::privacy::SETTLED.iter().map(|settled| &*format!("{}(", settled.name).leak());
    words_of(include_str!("../../fuzz/words/sql.dict")).into_iter().chain(functions).collect::<Vec<_>>().leak()
}

/// Figures at the edges of their types.
const EDGES: [u64; 10] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, i64::MAX as u64, u64::MAX];

pub struct Mutator {
    dice: u64,
    words: Words,
}

impl Mutator {
    pub fn new(name: &str, words: Words) -> Self {
        let seed =
            name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |seed, b| (seed ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self { dice: seed | 1, words }
    }

    fn below(&mut self, sides: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice >> 11).unwrap() % sides.max(1)
    }

    /// One of `pool`, changed a few times over.
    pub fn mutated(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut case = pool[self.below(pool.len())].clone();
        let changes = 1 + self.below(2) + self.below(3) * self.below(4);
        for _ in 0..changes {
            let other = self.below(pool.len());
            case = match self.words.is_empty() || self.below(12) == 0 {
                true => self.bytes_changed(case, &pool[other]),
                false => self.words_changed(&case, &pool[other]),
            };
            case.truncate(1 << 17);
        }
        case
    }

    fn words_changed(&mut self, case: &[u8], other: &[u8]) -> Vec<u8> {
        let (text, other) = (String::from_utf8_lossy(case), String::from_utf8_lossy(other));
        let mut tokens: Vec<&str> = tokens(&text);
        let others = self::tokens(&other);
        let (at, word) = (self.below(tokens.len() + 1), self.words[self.below(self.words.len())]);
        let length = 1 + self.below(6);
        let to = (at + length).min(tokens.len());
        match self.below(9) {
            0 => tokens.insert(at, word),
            1 if at < tokens.len() => tokens[at] = word,
            2 => drop(tokens.drain(at..to)),
            3 => {
                let again: Vec<&str> = tokens[at..to].to_vec();
                let times = 1 + self.below(3) * self.below(40);
                for _ in 0..times {
                    tokens.splice(at..at, again.iter().copied());
                }
            }
            4 if tokens.len() > 1 => {
                let there = self.below(tokens.len());
                let here = at.min(tokens.len() - 1);
                tokens.swap(here, there);
            }
            // A piece of another one.
            5 if !others.is_empty() => {
                let from = self.below(others.len());
                let until = (from + 1 + self.below(20)).min(others.len());
                tokens.splice(at..to, others[from..until].iter().copied());
            }
            // A word from elsewhere in the same one.
            6 if !tokens.is_empty() => {
                let taken = tokens[self.below(tokens.len())];
                tokens.insert(at, taken);
            }
            // Deeper.
            7 => {
                let depth = 1 + self.below(3) * self.below(30);
                let (open, close) = [("(", ")"), ("[", "]"), ("{", "}"), ("NOT ", ""), ("-", "")][self.below(5)];
                tokens.splice(to..to, std::iter::repeat_n(close, depth));
                tokens.splice(at..at, std::iter::repeat_n(open, depth));
            }
            // A figure at the edge of its type.
            _ => {
                let numbers: Vec<usize> =
                    (0..tokens.len()).filter(|&n| tokens[n].starts_with(|c: char| c.is_ascii_digit())).collect();
                if let Some(&number) = numbers.get(self.below(numbers.len())) {
                    let edge: &'static str = EDGES[self.below(EDGES.len())].to_string().leak();
                    tokens[number] = edge;
                }
            }
        }
        // Words that were put beside each other are kept apart now and then, as in a text.
        let between = if self.below(2) == 0 { "" } else { " " };
        let mut out = String::new();
        for (n, token) in tokens.iter().enumerate() {
            let near = n.abs_diff(at) <= 1;
            out.push_str(if near { between } else { "" });
            out.push_str(token);
        }
        out.into_bytes()
    }

    fn bytes_changed(&mut self, mut case: Vec<u8>, other: &[u8]) -> Vec<u8> {
        let at = self.below(case.len() + 1);
        let to = (at + 1 + self.below(16)).min(case.len());
        match self.below(8) {
            0 if at < case.len() => case[at] ^= 1 << self.below(8),
            1 if at < case.len() => case[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            2 => drop(case.drain(at..to)),
            3 => {
                let again = case[at..to].to_vec();
                case.splice(at..at, again);
            }
            4 if !other.is_empty() => {
                let from = self.below(other.len());
                let until = (from + 1 + self.below(64)).min(other.len());
                case.splice(at..to, other[from..until].iter().copied());
            }
            5 => case.truncate(at),
            // A length or an offset, little-endian as Arrow writes it, where one may stand.
            6 if case.len() >= 8 => {
                let (place, edge) = (self.below(case.len() / 4) * 4, EDGES[self.below(EDGES.len())].to_le_bytes());
                let width = [4, 8][self.below(2)].min(case.len() - place);
                case[place..place + width].copy_from_slice(&edge[..width]);
            }
            _ => {
                let byte = u8::try_from(self.below(256)).unwrap();
                case.insert(at, byte);
            }
        }
        case
    }
}

/// Words, figures, and every other character by itself.
fn tokens(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut all = vec![];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match kind(first) {
            2 => first.len_utf8(),
            same => rest.find(|c: char| kind(c) != same).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        all.push(token);
        rest = after;
    }
    all
}

#[test]
fn a_text_is_the_sum_of_its_words_and_the_same_name_gives_the_same_cases() {
    let text = "SELECT a1,\n'é' -- ?";
    assert_eq!(tokens(text).concat(), text);
    let cases = |name: &str| {
        let mut mutator = Mutator::new(name, sql());
        (0..50).map(|_| mutator.mutated(&[text.into(), b"\0\x01".to_vec()])).collect::<Vec<_>>()
    };
    assert_eq!(cases("one"), cases("one"));
    assert_ne!(cases("one"), cases("two"));
}
