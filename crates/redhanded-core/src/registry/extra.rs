//! What few requests have and a slot has no room for: an id that somebody asked for, labels,
//! children, outbound calls. Off the hot path: a lock, and memory that is taken at first use.

use super::slot::Key;
use crate::calls::Ledger;
use crate::copied::TraceIds;

/// Labels of one request, and the bytes of a key and a value that are kept.
const LABELS: usize = 16;
const LABEL_KEY_BYTES: usize = 64;
const LABEL_VALUE_BYTES: usize = 256;
/// Children of one request that are known one by one.
pub(crate) const CHILDREN: usize = 64;

/// The extras of the request that had the slot in `generation`.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(super) generation: u32,
    /// The id it is reported by, fixed when somebody first asked.
    pub(crate) id: Option<String>,
    /// Its place in its trace, fixed when it was first told to anybody.
    pub(crate) trace: Option<TraceIds>,
    /// Its outbound calls.
    pub(crate) calls: Ledger,
    labels: Vec<Label>,
    labels_dropped: u32,
    children: Vec<(Key, u32)>,
    children_unlisted: u32,
    /// What children that ended have allocated, and what they left unfreed.
    pub(crate) left_by_children: (u64, i64),
}

/// What the application said about a request; raw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) key: String,
    pub(crate) value: String,
    /// Bytes of the value that were not kept.
    pub(crate) cut: u64,
}

impl Extra {
    pub(super) fn of(generation: u32) -> Self {
        Self {
            generation,
            ..Self::default()
        }
    }

    /// Sets a label, or sets it anew. What is too long is cut; one too many is counted.
    pub(crate) fn set_label(&mut self, key: &str, mut value: String) {
        let key = &key[..key.floor_char_boundary(LABEL_KEY_BYTES)];
        let whole = value.len();
        value.truncate(value.floor_char_boundary(LABEL_VALUE_BYTES));
        let cut = (whole - value.len()) as u64;
        let key = key.to_owned();
        let label = Label { key, value, cut };
        let known = self.labels.iter().position(|known| known.key == label.key);
        if let Some(known) = known.and_then(|at| self.labels.get_mut(at)) {
            *known = label;
        } else if self.labels.len() < LABELS {
            self.labels.push(label);
        } else {
            self.labels_dropped = self.labels_dropped.saturating_add(1);
        }
    }

    /// The labels, and how many there was no room for.
    pub(crate) fn labels(&self) -> (Vec<Label>, u32) {
        (self.labels.clone(), self.labels_dropped)
    }

    /// Notes a child; `is_live` tells which of the known ones may be forgotten.
    pub(crate) fn add_child(
        &mut self,
        key: Key,
        generation: u32,
        is_live: impl Fn(Key, u32) -> bool,
    ) {
        if self.children.len() == CHILDREN {
            self.children
                .retain(|(key, generation)| is_live(*key, *generation));
        }
        if self.children.len() < CHILDREN {
            self.children.push((key, generation));
        } else {
            self.children_unlisted = self.children_unlisted.saturating_add(1);
        }
    }

    /// The known children, ended ones among them, and how many were not noted.
    pub(crate) fn children(&self) -> (Vec<(Key, u32)>, u32) {
        (self.children.clone(), self.children_unlisted)
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_and_the_last_word_wins() {
        let mut extra = Extra::default();
        extra.set_label("tenant", "a".into());
        extra.set_label("tenant", "é".repeat(200));
        for i in 0..100 {
            extra.set_label(&format!("{i:03}{}", "x".repeat(100)), String::new());
        }
        let (labels, dropped) = extra.labels();
        assert_eq!((labels.len(), dropped), (LABELS, 85));
        assert_eq!((labels[0].value.len(), labels[0].cut), (256, 144));
        assert_eq!(labels[1].key.len(), LABEL_KEY_BYTES);
    }

    #[test]
    fn children_that_ended_make_room() {
        let mut extra = Extra::default();
        for i in 0..200u32 {
            extra.add_child(Key::new(0, 0, i), 7, |key, _| key.index() >= 100);
        }
        let (children, unlisted) = extra.children();
        assert_eq!(children.len(), CHILDREN);
        assert_eq!(
            unlisted, 36,
            "the first to come after the room is full of live ones"
        );
    }
}
