//! The line to blame for a request that grows: its child's, if that holds most of it.

use super::children::NamedChild;
use redhanded_report::{Class, Verdict};

/// Completes the verdict on a request that grows, and holds `held_bytes` with its children, by the
/// child that makes it grow. Pure.
pub(super) fn blame(verdict: &mut Verdict, children: &[NamedChild], held_bytes: u64) {
    if verdict.class != Class::MemoryGrowth {
        return;
    }
    let most = children.iter().max_by_key(|child| child.held_bytes);
    let Some(child) = most.filter(|child| child.held_bytes > held_bytes / 2) else {
        return;
    };
    verdict.cause += &format!("; most of it was allocated by {}", child.who);
    if let Some(culprit) = &child.named.culprit {
        verdict.cause += &format!(", in {}", culprit.function);
        verdict.culprit = Some(culprit.clone());
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::children::tests::child;
    use super::*;
    use redhanded_report::{Confidence, Culprit, Role};

    fn grows() -> Verdict {
        Verdict::new(
            Class::MemoryGrowth,
            Role::Culprit,
            Confidence::Likely,
            "grows",
        )
    }

    fn family(held: [u64; 2]) -> Vec<NamedChild> {
        held.into_iter()
            .enumerate()
            .map(|(number, held_bytes)| {
                let mut child = child(Class::StuckAwait, Confidence::Likely, false);
                let function = format!("app::produce{number}");
                child.named.culprit = Some(Culprit::new(function, None, None, None));
                child.held_bytes = held_bytes;
                child
            })
            .collect()
    }

    #[test]
    fn the_child_that_holds_most_is_to_blame() {
        let mut verdict = grows();
        blame(&mut verdict, &family([10, 60]), 100);
        let culprit = verdict.culprit.expect("blamed");
        assert_eq!(culprit.function, "app::produce1");
        assert!(verdict.cause.contains("most of it"), "{}", verdict.cause);
    }

    #[test]
    fn a_child_that_holds_a_part_is_not() {
        let mut verdict = grows();
        blame(&mut verdict, &family([10, 40]), 100);
        assert_eq!((verdict.culprit, verdict.cause.as_str()), (None, "grows"));
        let mut other = grows();
        other.class = Class::StuckAwait;
        blame(&mut other, &family([10, 60]), 100);
        assert_eq!(other.culprit, None);
    }
}
