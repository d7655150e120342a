//! Is an older tree the beginning of a newer one? (RFC 6962 section 2.1.2, verified as in RFC 9162 section 2.1.4.2)

use super::tree::{Hash, hash_children, split, subtree};

/// The consistency proof between the trees of the first `old` and the first `new` leaves. Needs `old <= new`; empty where
/// the one has no leaf or both are the same.
///
/// # Errors
/// What `node` returns.
pub fn consistency<E>(old: u64, new: u64, mut node: impl FnMut(u32, u64) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    // From the root down; the proof is wanted from the leaves up. `whole` says that the old root is known to the verifier.
    let (mut low, mut high, mut old, mut whole) = (0, new, old, true);
    while old < high - low {
        let middle = split(high - low);
        if old <= middle {
            proof.push(subtree(low + middle, high, &mut node)?);
            high = low + middle;
        } else {
            proof.push(subtree(low, low + middle, &mut node)?);
            (low, old, whole) = (low + middle, old - middle, false);
        }
    }
    if !whole {
        proof.push(subtree(low, high, &mut node)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` shows that the tree of `old` leaves with root `old_root` is the beginning of the tree of `new` leaves
/// with root `new_root`.
#[must_use]
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (old, new);
    match (old, new) {
        (0, _) => return proof.is_empty(),
        (old, new) if old == new => return proof.is_empty() && old_root == new_root,
        (old, new) if old > new => return false,
        _ => {}
    }
    let mut steps = proof.iter();
    let (mut first, mut last) = (old - 1, new - 1);
    while first & 1 == 1 {
        first >>= 1;
        last >>= 1;
    }
    let begin = if old.is_power_of_two() { Some(old_root) } else { steps.next() };
    let Some(begin) = begin else { return false };
    let (mut old_hash, mut new_hash) = (*begin, *begin);
    for step in steps {
        if last == 0 {
            return false;
        }
        if first & 1 == 1 || first == last {
            old_hash = hash_children(step, &old_hash);
            new_hash = hash_children(step, &new_hash);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = hash_children(&new_hash, step);
        }
        first >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            text::from_hex,
            tree::{Tree, hash_leaf},
        },
        *,
    };

    fn tree_of(leaves: u64) -> Tree {
        let mut tree = Tree::default();
        (0..leaves).for_each(|n| tree.push(hash_leaf(&n.to_be_bytes())));
        tree
    }

    // The figures published with the Certificate Transparency reference implementation, over its eight leaves.
    #[test]
    fn proofs_are_those_of_certificate_transparency() {
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let mut tree = Tree::default();
        for leaf in leaves {
            let bytes: Vec<u8> =
                (0..leaf.len() / 2).map(|n| u8::from_str_radix(&leaf[2 * n..2 * n + 2], 16).unwrap()).collect();
            tree.push(hash_leaf(&bytes));
        }
        let published: [(u64, u64, &[&str]); 4] = [
            (1, 1, &[]),
            (
                1,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                6,
                8,
                &[
                    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (
                2,
                5,
                &[
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ],
            ),
        ];
        for (old, new, proof) in published {
            let expected: Vec<Hash> = proof.iter().map(|hash| from_hex(hash).unwrap()).collect();
            assert_eq!(tree.consistency(old, new), Some(expected), "{old} in {new}");
        }
    }

    #[test]
    fn every_older_tree_is_shown_to_be_the_beginning_and_nothing_else_is() {
        let roots: Vec<Hash> = (0..70).map(|n| tree_of(n).root().unwrap()).collect();
        let tree = tree_of(69);
        for new in 0..70_u64 {
            for old in 0..=new {
                let proof = tree.consistency(old, new).unwrap();
                let root = |n: u64| &roots[usize::try_from(n).unwrap()];
                assert!(verify_consistency((old, root(old)), (new, root(new)), &proof), "{old} in {new}");
                if old == 0 {
                    continue;
                }
                let other = hash_leaf(b"other");
                assert!(!verify_consistency((old, &other), (new, root(new)), &proof), "another old root");
                assert!(!verify_consistency((old, root(old)), (new, &other), &proof), "another new root");
                for cut in 0..proof.len() {
                    assert!(!verify_consistency((old, root(old)), (new, root(new)), &proof[..cut]), "cut");
                    let mut changed = proof.clone();
                    changed[cut][0] ^= 1;
                    assert!(!verify_consistency((old, root(old)), (new, root(new)), &changed), "changed");
                }
                let longer: Vec<Hash> = proof.iter().copied().chain([other]).collect();
                assert!(!verify_consistency((old, root(old)), (new, root(new)), &longer), "longer");
                if old + 1 < new {
                    assert!(!verify_consistency((old + 1, root(old)), (new, root(new)), &proof), "another size");
                }
            }
        }
        assert!(!verify_consistency((5, &roots[5]), (4, &roots[4]), &[]), "a tree never shrinks");
    }
}
