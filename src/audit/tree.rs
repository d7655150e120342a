//! How do many leaves become one hash, and how is one leaf shown to be among them? (RFC 6962 section 2.1)
//!
//! Pure: nodes come from and go to the caller. A node `(level, position)` is the hash of the full subtree over the leaves
//! `position << level` to `(position + 1) << level`; such a node never changes once written.

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// The hash of a leaf's data.
#[must_use]
pub fn hash_leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// The hash of two neighbours.
#[must_use]
pub fn hash_children(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Adds `leaf` as number `size`: gives every node that becomes full to `write`, lowest first.
///
/// # Errors
/// What `node` or `write` return.
pub fn append<E>(
    leaf: Hash,
    size: u64,
    mut node: impl FnMut(u32, u64) -> Result<Hash, E>,
    mut write: impl FnMut(u32, u64, &Hash) -> Result<(), E>,
) -> Result<(), E> {
    let (mut hash, mut level, mut position) = (leaf, 0, size);
    write(level, position, &hash)?;
    while position & 1 == 1 {
        hash = hash_children(&node(level, position - 1)?, &hash);
        level += 1;
        position >>= 1;
        write(level, position, &hash)?;
    }
    Ok(())
}

/// The root over the first `size` leaves: MTH of RFC 6962.
///
/// # Errors
/// What `node` returns.
pub fn root<E>(size: u64, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    match size {
        0 => Ok(Sha256::digest([]).into()),
        size => subtree(0, size, &mut node),
    }
}

/// The audit path of leaf `index` in the tree of the first `size` leaves, lowest first: PATH of RFC 6962. Needs
/// `index < size`.
///
/// # Errors
/// What `node` returns.
pub fn inclusion<E>(index: u64, size: u64, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let (mut low, mut high, mut path) = (0, size, Vec::new());
    // From the root down; the path is wanted from the leaf up.
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            path.push(subtree(middle, high, &mut node)?);
            high = middle;
        } else {
            path.push(subtree(low, middle, &mut node)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` leads from `leaf` at `index` to `root` in a tree of `size` leaves (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut position, mut last, mut hash) = (index, size - 1, *leaf);
    for neighbour in path {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            hash = hash_children(neighbour, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = hash_children(&hash, neighbour);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// A tree in memory, for those who have all leaves at hand.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    levels: Vec<Vec<Hash>>,
    size: u64,
}

impl Tree {
    /// Adds one leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(nodes) = self.levels.get_mut(level) else { break };
            let left = if nodes.len() % 2 == 1 { nodes.last().copied() } else { None };
            nodes.push(hash);
            match left {
                Some(left) => hash = hash_children(&left, &hash),
                None => break,
            }
        }
        self.size += 1;
    }

    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its root; none only if this type is broken.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        root(self.size, |level, position| self.node(level, position)).ok()
    }

    /// The audit path of leaf `index`; none where there is no such leaf.
    #[must_use]
    pub fn inclusion(&self, index: u64) -> Option<Vec<Hash>> {
        let path = || inclusion(index, self.size, |level, position| self.node(level, position)).ok();
        if index < self.size { path() } else { None }
    }

    /// The proof that the first `old` leaves are the beginning of the first `new`; none where there are not so many.
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        let proof = || super::consistency::consistency(old, new, |level, position| self.node(level, position)).ok();
        if old <= new && new <= self.size { proof() } else { None }
    }

    /// The root over the first `size` leaves; none where there are not so many.
    #[must_use]
    pub fn root_of(&self, size: u64) -> Option<Hash> {
        let root = || root(size, |level, position| self.node(level, position)).ok();
        if size <= self.size { root() } else { None }
    }

    /// The hash of a full subtree; none where it is not full.
    #[must_use]
    pub fn full(&self, level: u32, position: u64) -> Option<Hash> {
        self.node(level, position).ok()
    }

    fn node(&self, level: u32, position: u64) -> Result<Hash, ()> {
        let nodes = usize::try_from(level).ok().and_then(|level| self.levels.get(level));
        let node = nodes.and_then(|nodes| nodes.get(usize::try_from(position).ok()?));
        node.copied().ok_or(())
    }
}

/// The largest power of two below `count`, which is above 1.
pub(super) fn split(count: u64) -> u64 {
    let above = count.next_power_of_two();
    if above == count { count / 2 } else { above / 2 }
}

pub(super) fn subtree<E>(low: u64, high: u64, node: &mut impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    let count = high - low;
    if count.is_power_of_two() {
        return node(count.trailing_zeros(), low / count);
    }
    let middle = low + split(count);
    let left = subtree(low, middle, node)?;
    Ok(hash_children(&left, &subtree(middle, high, node)?))
}

#[cfg(test)]
mod tests {
    use super::{super::text::from_hex, *};

    // The leaves and figures published with the Certificate Transparency reference implementation.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    const PATHS: [(u64, u64, &[&str]); 5] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];

    fn tree_of(leaves: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Tree {
        let mut tree = Tree::default();
        leaves.into_iter().for_each(|leaf| tree.push(hash_leaf(leaf.as_ref())));
        tree
    }

    // RFC 6962 section 2.1, word by word.
    fn by_definition(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => hash_leaf(leaf),
            many => {
                let (left, right) = many.split_at((1..many.len()).rev().find(|k| k.is_power_of_two()).unwrap());
                hash_children(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(tree_of(&LEAVES[..size]).root(), from_hex(root), "{size} leaves");
        }
    }

    #[test]
    fn paths_are_those_of_certificate_transparency() {
        for (index, size, path) in PATHS {
            let expected: Vec<Hash> = path.iter().map(|hash| from_hex(hash).unwrap()).collect();
            let tree = tree_of(&LEAVES[..usize::try_from(size).unwrap()]);
            assert_eq!(tree.inclusion(index), Some(expected), "leaf {index} of {size}");
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_nothing_else_is() {
        let leaves: Vec<Vec<u8>> = (0_u8..70).map(|n| vec![n; usize::from(n)]).collect();
        for size in 0..=leaves.len() {
            let tree = tree_of(&leaves[..size]);
            let root = tree.root().unwrap();
            assert_eq!(root, by_definition(&leaves[..size]));
            for index in 0..tree.size() {
                let leaf = hash_leaf(&leaves[usize::try_from(index).unwrap()]);
                let path = tree.inclusion(index).unwrap();
                assert!(verify_inclusion(&leaf, index, tree.size(), &path, &root));
                for other in (0..tree.size() + 2).filter(|other| *other != index) {
                    assert!(!verify_inclusion(&leaf, other, tree.size(), &path, &root), "{index} as {other}");
                }
                assert!(!verify_inclusion(&root, index, tree.size(), &path, &root) || tree.size() == 1);
                for cut in 0..path.len() {
                    assert!(!verify_inclusion(&leaf, index, tree.size(), &path[..cut], &root));
                }
                let longer: Vec<Hash> = path.iter().copied().chain([root]).collect();
                assert!(!verify_inclusion(&leaf, index, tree.size(), &longer, &root));
            }
        }
    }

    #[test]
    fn stored_nodes_give_the_same_tree() {
        let mut nodes = std::collections::BTreeMap::new();
        let mut tree = Tree::default();
        for size in 0_u64..40 {
            let leaf = hash_leaf(&size.to_be_bytes());
            let before = nodes.clone();
            append(
                leaf,
                size,
                |l, p| before.get(&(l, p)).copied().ok_or(()),
                |l, p, hash| {
                    nodes.insert((l, p), *hash);
                    Ok(())
                },
            )
            .unwrap();
            tree.push(leaf);
            let node = |l, p| nodes.get(&(l, p)).copied().ok_or(());
            assert_eq!(root(size + 1, node).ok(), tree.root());
            for index in 0..=size {
                assert_eq!(inclusion(index, size + 1, node).ok(), tree.inclusion(index));
            }
        }
    }
}
