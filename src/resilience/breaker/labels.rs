//! Counts per failure label, bounded, so that an upstream that invents statuses costs no memory.

use std::fmt;

use crate::resilience::outcome::Label;

/// How many labels are told apart; later ones are counted as "other".
const KNOWN: usize = 15;
/// The slot of all other labels.
const OTHER: usize = KNOWN;

/// A count for each label of a [`LabelTable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally([u32; KNOWN + 1]);

/// The number of a label in a [`LabelTable`]; fits into four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LabelId(u8);

/// How often a label was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelCount {
    /// The label; `None` stands for all labels that found no place among the first fifteen, and for failures without one.
    pub label: Option<Label>,
    /// How often.
    pub count: u32,
}

/// Numbers labels. It only grows, so a number keeps its meaning.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelTable(Vec<Label>);

#[cfg(test)]
impl LabelTable {
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Label>()
    }
}

impl LabelCount {
    /// The label, "other" where it is not known.
    #[must_use]
    pub fn name(&self) -> Label {
        self.label.unwrap_or(Label::Named("other"))
    }
}

impl fmt::Display for LabelCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.name())
    }
}

impl LabelId {
    /// The number itself, below 16.
    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    /// The number in the lower four bits.
    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x0f)
    }
}

impl LabelTable {
    /// The number of this label, assigned if one is left.
    pub(super) fn id(&mut self, label: Option<Label>) -> LabelId {
        let Some(label) = label else {
            return LabelId(OTHER as u8);
        };
        if let Some(known) = self.0.iter().position(|known| *known == label) {
            return LabelId(known as u8);
        }
        if self.0.len() == KNOWN {
            return LabelId(OTHER as u8);
        }
        self.0.push(label);
        LabelId((self.0.len() - 1) as u8)
    }

    /// The labels that were counted, most frequent first.
    pub(super) fn counts(&self, tally: &Tally) -> Vec<LabelCount> {
        let known = self.0.iter().copied().map(Some).zip(tally.0);
        let mut counts: Vec<LabelCount> = known
            .chain([(None, tally.0[OTHER])])
            .filter(|(_, count)| *count > 0)
            .map(|(label, count)| LabelCount { label, count })
            .collect();
        counts.sort_by_key(|entry| std::cmp::Reverse(entry.count));
        counts
    }
}

impl Tally {
    pub(super) fn add(&mut self, id: LabelId) {
        let slot = &mut self.0[usize::from(id.bits())];
        *slot = slot.saturating_add(1);
    }

    pub(super) fn remove(&mut self, id: LabelId) {
        let slot = &mut self.0[usize::from(id.bits())];
        *slot = slot.saturating_sub(1);
    }

    pub(super) fn remove_all(&mut self, other: &Self) {
        for (slot, gone) in self.0.iter_mut().zip(&other.0) {
            *slot = slot.saturating_sub(*gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_beyond_the_bound_are_counted_as_other() {
        let (mut table, mut tally) = (LabelTable::default(), Tally::default());
        for status in 500..600 {
            tally.add(table.id(Some(Label::Status(status))));
        }
        tally.add(table.id(None));
        let counts = table.counts(&tally);
        assert_eq!(counts.len(), 16);
        assert_eq!(
            counts[0],
            LabelCount {
                label: None,
                count: 86
            }
        );
        assert_eq!(
            counts[1],
            LabelCount {
                label: Some(Label::Status(500)),
                count: 1
            }
        );
    }

    #[test]
    fn a_label_keeps_its_number() {
        let mut table = LabelTable::default();
        let first = table.id(Some(Label::Named("timeout")));
        table.id(Some(Label::Status(503)));
        assert_eq!(table.id(Some(Label::Named("timeout"))), first);
        assert_eq!(LabelId::from_bits(first.bits() | 0xf0), first);
    }
}
