//! What HAProxy's agent-check is told.

use super::Health;

/// The longest answer; HAProxy reads one buffer.
const LONGEST: usize = 200;

/// One line: `up 75%`, `up 0% #why` for a node that is to be drained, `down #why` for one to be given up.
///
/// Not `drain`: that changes what an operator may have set, and only `ready` takes it back, with the operator's
/// `maint` and `drain` as well. A weight of zero drains, and goes with the next answer.
pub(super) fn line(health: &Health) -> String {
    let mut line = if !health.alive {
        "down".to_owned()
    } else if health.ready {
        format!("up {}%", health.free_workers_percent.max(1))
    } else {
        "up 0%".to_owned()
    };
    if let Some(reason) = &health.reason {
        // A line end ends the answer, and what is not ASCII may not be shown.
        let shown = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
        line += " #";
        line.extend(reason.chars().map(shown).take(LONGEST));
    }
    line.push('\n');
    line
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    fn health(ready: bool, alive: bool, free_workers_percent: u8, reason: &str) -> Health {
        Health {
            ready,
            alive,
            shutting_down: false,
            free_workers_percent,
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            culprit: None,
        }
    }

    #[test]
    fn the_weight_is_the_share_of_free_workers() {
        assert_eq!(line(&health(true, true, 100, "")), "up 100%\n");
        assert_eq!(line(&health(true, true, 50, "")), "up 50%\n");
        assert_eq!(
            line(&health(true, true, 0, "")),
            "up 1%\n",
            "ready is ready"
        );
    }

    #[test]
    fn who_is_not_ready_is_drained_and_who_is_not_alive_is_down_with_a_reason_on_one_line() {
        let unready = health(false, true, 50, "all\n2 workers stand: é");
        assert_eq!(line(&unready), "up 0% #all 2 workers stand:  \n");
        let dead = health(false, false, 0, "it\r\ndoes not answer");
        assert_eq!(line(&dead), "down #it  does not answer\n");
        assert!(line(&health(false, true, 0, &"x".repeat(9_999))).len() < 220);
    }
}
