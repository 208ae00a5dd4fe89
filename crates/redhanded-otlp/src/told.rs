//! Which outbound calls of one request were exported, by the ids of their own spans.

use opentelemetry::trace::SpanId;

/// As many as two looks at a request tell of. What is not remembered here is never exported under
/// its own id, so nothing is said twice for want of memory.
const LIMIT: usize = 64;

/// Ids that were used, so that none is used twice: two spans with one id are shown as two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// And whether the call was over when it was told.
    calls: Vec<(SpanId, bool)>,
    /// Somebody may have used ids that we do not know of.
    unsure: bool,
}

impl Told {
    /// Of a request that may have been exported before, where nobody remembers: none of its ids
    /// can be used.
    pub(crate) fn unsure() -> Self {
        Self {
            calls: Vec::new(),
            unsure: true,
        }
    }

    /// Whether the end of this call was exported: there is nothing more to say.
    pub(crate) fn is_over(&self, id: SpanId) -> bool {
        self.calls.contains(&(id, true))
    }

    /// Whether a span may have this id; it is taken then.
    pub(crate) fn take(&mut self, id: SpanId, over: bool) -> bool {
        if let Some(there) = self.calls.iter_mut().find(|there| there.0 == id) {
            there.1 |= over;
            return false;
        }
        if self.calls.len() >= LIMIT {
            return false;
        }
        self.calls.push((id, over));
        !self.unsure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_once() {
        let mut told = Told::default();
        let id = SpanId::from(7);
        assert!(told.take(id, false));
        assert!(!told.is_over(id));
        assert!(!told.take(id, true), "again, now that it is over");
        assert!(told.is_over(id));
        assert!(!told.take(id, false) && told.is_over(id));
    }

    #[test]
    fn what_is_not_remembered_has_no_id_of_its_own() {
        let mut told = Told::default();
        let taken = (1..=1000).filter(|n| told.take(SpanId::from(*n), true));
        assert_eq!(taken.count(), LIMIT);
        assert!(!told.take(SpanId::from(1000), true), "nor the second time");

        let mut unsure = Told::unsure();
        assert!(!unsure.take(SpanId::from(1), true));
        assert!(unsure.is_over(SpanId::from(1)), "but it was told");
    }
}
