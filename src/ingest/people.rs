//! Which persons does the load hold, and what are their owner keys?
//!
//! Owner keys are dense, 0 to n-1, in the order of the keyed pseudonym: their order says nothing about the source.

use std::collections::{HashMap, HashSet};

use super::{fault::IngestFault, pseudonym::Pseudonyms};

/// Who was found so far. Holds about 24 bytes for each person.
pub(super) struct Census {
    population_max: u64,
    persons: HashMap<i64, u32>,
    duplicates: HashSet<u64>,
}

/// Everybody, with their owner keys.
pub(super) struct People {
    owner_keys: HashMap<i64, u32>,
    /// In the order of the owner keys.
    pseudonyms: Vec<u64>,
    duplicates: HashSet<u64>,
}

impl Census {
    pub(super) fn new(population_max: u64) -> Self {
        let population_max = population_max.min(u64::from(u32::MAX));
        Self { population_max, persons: HashMap::new(), duplicates: HashSet::new() }
    }

    /// Counts the person `id` of the row at `origin`: the first row of a person stands, every further one is a duplicate.
    pub(super) fn count(&mut self, id: i64, origin: u64) -> Result<(), IngestFault> {
        if self.persons.insert(id, 0).is_some() {
            self.duplicates.insert(origin);
        }
        if self.persons.len() as u64 > self.population_max {
            return Err(IngestFault::PopulationExceeded { population_max: self.population_max });
        }
        Ok(())
    }

    /// Hands out the owner keys.
    pub(super) fn close(mut self, pseudonyms: &Pseudonyms) -> People {
        let mut order: Vec<(u64, i64)> = self.persons.keys().map(|id| (pseudonyms.of_person(*id), *id)).collect();
        order.sort_unstable();
        let mut pseudonyms = Vec::with_capacity(order.len());
        for (owner_key, (pseudonym, id)) in (0..).zip(order) {
            self.persons.insert(id, owner_key);
            pseudonyms.push(pseudonym);
        }
        People { owner_keys: self.persons, pseudonyms, duplicates: self.duplicates }
    }
}

impl People {
    /// For tables whose rows are about no person.
    pub(super) fn nobody() -> Self {
        Self { owner_keys: HashMap::new(), pseudonyms: vec![], duplicates: HashSet::new() }
    }

    /// The owner key of a person of the source.
    pub(super) fn owner_key(&self, id: i64) -> Option<u32> {
        self.owner_keys.get(&id).copied()
    }

    /// The pseudonyms of the owner keys from `first` up to `end`, as many as there are.
    pub(super) fn pseudonyms(&self, first: u64, end: u64) -> &[u64] {
        let at = |owner_key: u64| usize::try_from(owner_key).unwrap_or(usize::MAX).min(self.pseudonyms.len());
        self.pseudonyms.get(at(first)..at(end)).unwrap_or_default()
    }

    /// Whether the row of the person table at `origin` repeats a person.
    pub(super) fn repeats(&self, origin: u64) -> bool {
        self.duplicates.contains(&origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::PopulationName;

    fn pseudonyms(key: u8) -> Pseudonyms {
        Pseudonyms::new(&[key; 32], &PopulationName::new("jp").unwrap())
    }

    fn keys(ids: &[i64], key: u8) -> Vec<Option<u32>> {
        let mut census = Census::new(100);
        ids.iter().zip(1..).for_each(|(id, row)| census.count(*id, row).unwrap());
        let people = census.close(&pseudonyms(key));
        (1..=20).map(|id| people.owner_key(id)).collect()
    }

    #[test]
    fn owner_keys_are_dense_and_independent_of_the_order_of_the_source() {
        let ids: Vec<i64> = (1..=20).collect();
        let backwards: Vec<i64> = (1..=20).rev().collect();
        let forth = keys(&ids, 1);
        assert_eq!(forth, keys(&backwards, 1));
        assert_ne!(forth, keys(&ids, 2), "another key gives another order");
        let mut dense: Vec<_> = forth.into_iter().flatten().collect();
        assert!(!dense.is_sorted(), "the order of the source would show");
        dense.sort_unstable();
        assert_eq!(dense, (0..20).collect::<Vec<u32>>());
    }

    #[test]
    fn the_first_row_of_a_person_stands() {
        let mut census = Census::new(10);
        for (id, row) in [(5, 1), (6, 2), (5, 3), (5, 4)] {
            census.count(id, row).unwrap();
        }
        let people = census.close(&pseudonyms(1));
        let repeated: Vec<_> = (1..=4).filter(|row| people.repeats(*row)).collect();
        assert_eq!(repeated, [3, 4]);
        assert_eq!(people.owner_key(7), None);
    }

    #[test]
    fn more_persons_than_declared_are_refused() {
        let mut census = Census::new(2);
        census.count(1, 1).unwrap();
        census.count(2, 2).unwrap();
        census.count(2, 3).unwrap();
        assert!(matches!(census.count(3, 4), Err(IngestFault::PopulationExceeded { population_max: 2 })));
    }
}
