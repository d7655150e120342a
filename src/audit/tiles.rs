//! How is the tree laid out in files that any C2SP reader knows? (C2SP tlog-tiles)
//!
//! `tile/<level>/<index>` holds 256 hashes, `tile/entries/<index>` the data of 256 leaves, each behind its length in two
//! bytes; the rightmost ones are partial and end in `.p/<width>`. The data of a leaf is the salted commitment to its
//! entry, 32 bytes whatever the entry: published tiles show neither kind nor size of anything.

use super::tree::Hash;

/// One file below the folder of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Its path, with `/` between its parts.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The tiles of the tree of `size` leaves that the tree of `before` leaves did not have, entries included.
///
/// # Errors
/// What `node` (the hash of a full subtree, by level and position) or `leaf` (the data of a leaf, by index) return.
pub fn tiles<E>(
    before: u64,
    size: u64,
    mut node: impl FnMut(u32, u64) -> Result<Hash, E>,
    mut leaf: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Vec<Tile>, E> {
    let mut tiles = Vec::new();
    for (index, width) in missing(before, size) {
        let mut bytes = Vec::new();
        for number in index * WIDTH..index * WIDTH + width {
            bytes.extend(LEAF_BYTES.to_be_bytes());
            bytes.extend(leaf(number)?);
        }
        tiles.push(Tile { path: path("entries", index, width), bytes });
    }
    for level in 0..LEVELS {
        let count = |size: u64| size.checked_shr(level * HEIGHT).unwrap_or(0);
        if count(size) == 0 {
            break;
        }
        for (index, width) in missing(count(before), count(size)) {
            let mut bytes = Vec::new();
            for position in index * WIDTH..index * WIDTH + width {
                bytes.extend(node(level * HEIGHT, position)?);
            }
            tiles.push(Tile { path: path(&level.to_string(), index, width), bytes });
        }
    }
    Ok(tiles)
}

/// Index and width of the tiles over `count` nodes that `before` nodes did not have.
fn missing(before: u64, count: u64) -> impl Iterator<Item = (u64, u64)> {
    let first = if before == count { count.div_ceil(WIDTH) } else { before / WIDTH };
    (first..count.div_ceil(WIDTH)).map(move |index| (index, WIDTH.min(count - index * WIDTH)))
}

fn path(kind: &str, index: u64, width: u64) -> String {
    let mut parts = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        parts.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    parts.reverse();
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{kind}/{}{partial}", parts.join("/"))
}

/// Hashes in a full tile.
const WIDTH: u64 = 256;
/// Levels of the tree in one tile.
const HEIGHT: u32 = 8;
/// Levels of tiles that a tree of 2^64 leaves needs.
const LEVELS: u32 = 8;
/// The length of every leaf's data.
const LEAF_BYTES: u16 = 32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::tree::{Tree, hash_leaf},
        *,
    };

    fn data(number: u64) -> Hash {
        hash_leaf(&number.to_le_bytes())
    }

    fn tree_of(size: u64) -> Tree {
        let mut tree = Tree::default();
        (0..size).for_each(|n| tree.push(hash_leaf(&data(n))));
        tree
    }

    fn all(tree: &Tree, before: u64, size: u64) -> Vec<Tile> {
        tiles(before, size, |l, p| tree.full(l, p).ok_or(()), |n| Ok(data(n))).unwrap()
    }

    #[test]
    fn an_index_is_written_in_groups_of_three_digits() {
        assert_eq!(path("0", 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path("entries", 0, 1), "tile/entries/000.p/1");
        assert_eq!(path("2", 1000, 255), "tile/2/x001/000.p/255");
    }

    // The example of the specification.
    #[test]
    fn a_tree_of_seventy_thousand_has_the_tiles_of_the_specification() {
        let tree = tree_of(70_000);
        let made = all(&tree, 0, 70_000);
        let of = |start: &str| made.iter().filter(|t| t.path.starts_with(start)).collect::<Vec<_>>();
        let full = |tiles: &[&Tile]| tiles.iter().filter(|t| !t.path.contains(".p/")).count();
        let (zero, one, two) = (of("tile/0/"), of("tile/1/"), of("tile/2/"));
        assert_eq!((zero.len(), full(&zero)), (274, 273));
        assert!(zero.iter().any(|t| t.path == "tile/0/273.p/112" && t.bytes.len() == 112 * 32));
        assert_eq!((one.len(), full(&one)), (2, 1));
        assert!(one.iter().any(|t| t.path == "tile/1/001.p/17"));
        assert_eq!(two.iter().map(|t| t.path.as_str()).collect::<Vec<_>>(), ["tile/2/000.p/1"]);
        assert_eq!(of("tile/entries/").len(), 274);
        assert!(
            made.iter()
                .filter(|t| !t.path.contains(".p/") && !t.path.contains("entries"))
                .all(|t| t.bytes.len() == 8192)
        );
        assert_eq!(
            all(&tree_of(256), 0, 256).iter().map(|t| t.path.as_str()).collect::<Vec<_>>(),
            ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
        );
    }

    #[test]
    fn tiles_written_as_the_tree_grows_are_those_of_the_whole() {
        let tree = tree_of(1_100);
        let (mut files, mut before) = (BTreeMap::new(), 0);
        for size in [1, 2, 255, 256, 257, 511, 512, 900, 900, 1_100] {
            for tile in all(&tree, before, size) {
                files.insert(tile.path, tile.bytes);
            }
            for tile in all(&tree, 0, size) {
                assert_eq!(files.get(&tile.path), Some(&tile.bytes), "{} at {size}", tile.path);
            }
            before = size;
        }
        assert_eq!(all(&tree, 1_100, 1_100), []);
    }

    #[test]
    fn the_entries_of_a_bundle_hash_to_the_leaves_of_its_tile() {
        let made = all(&tree_of(300), 0, 300);
        let bytes = |path: &str| &made.iter().find(|t| t.path == path).unwrap().bytes;
        let (bundle, tile) = (bytes("tile/entries/001.p/44"), bytes("tile/0/001.p/44"));
        for (entry, hash) in bundle.chunks(34).zip(tile.chunks(32)) {
            assert_eq!(entry[..2], [0, 32]);
            assert_eq!(hash_leaf(&entry[2..]), hash);
        }
    }
}
