//! Requests that are late because others keep the workers from them.

use redhanded::report::{Class, Confidence, Role};
use redhanded_tests::{Asked, Caught, PATIENCE, SLOW_AFTER, Stall, caught, show};
use std::sync::Mutex;

/// One at a time: there are no more cores than hogs.
static CPU: Mutex<()> = Mutex::new(());

/// `late` waits a second for its timer; nobody is overdue before that, whatever the machine does.
const THRESHOLD: [&str; 2] = ["--slow-after", "1500"];

/// Connections that are open and were served: nothing is left to do but the request itself.
fn connected(stall: &Stall, connections: usize) -> Vec<Asked> {
    let open = |_| {
        let mut asked = stall.get("/healthy");
        assert!(asked.body_within(PATIENCE).is_some(), "healthy at first");
        asked
    };
    (0..connections).map(open).collect()
}

/// One request that waits for its timer, and the hogs that come meanwhile.
fn late_and_hogs(stall: &Stall, hogs: &[&str]) -> Vec<Asked> {
    let mut connections = connected(stall, 1 + hogs.len()).into_iter();
    let late = connections.next().expect("its own").get_again("/late/1");
    std::thread::sleep(SLOW_AFTER / 2);
    let hogs = connections
        .zip(hogs)
        .map(|(connection, hog)| connection.get_again(hog));
    [late].into_iter().chain(hogs).collect()
}

#[track_caller]
fn hog<'s>(stall: &'s Stall, path: &str) -> Caught<'s> {
    caught(stall, path)
        .as_class(Class::CpuLoop)
        .by_role(Role::Culprit)
        .at("stall::cpu::spin")
        .and_as_nothing_else()
}

#[track_caller]
fn names_a_hog(args: &[&str], hogs: &[&str]) {
    let _alone = CPU.lock();
    let names = ["spin", "late"];
    let alone = Stall::of(&names).args(&["--without"]).args(args).start();
    let mut asked = late_and_hogs(&alone, hogs);
    assert_eq!(
        asked[0].body_within(4 * SLOW_AFTER),
        None,
        "it is late without us"
    );
    drop(alone);

    let stall = Stall::of(&names).args(&THRESHOLD).args(args).start();
    let _asked = late_and_hogs(&stall, hogs);
    let victim = caught(&stall, "/late/1")
        .as_class(Class::Starved)
        .by_role(Role::Victim)
        .at_least(Confidence::Likely)
        .never_as_culprit();
    let ids: Vec<String> = hogs
        .iter()
        .map(|path| hog(&stall, path).record().id)
        .collect();
    let blamed = victim.record().verdict.and_then(|v| v.victim_of);
    assert!(
        blamed.as_ref().is_some_and(|id| ids.contains(id)),
        "{victim:?} blames {blamed:?}, and the hogs are {ids:?}\n{}",
        show(&stall.records())
    );
}

#[test]
fn two_hogs_on_two_workers_and_their_victim() {
    names_a_hog(&["--workers", "2"], &["/spin/1", "/spin/2"]);
}

#[test]
fn one_hog_on_the_only_thread_and_its_victim() {
    names_a_hog(&["--current-thread"], &["/spin/1"]);
}
