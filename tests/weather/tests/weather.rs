//! The log of a real process on real disks that fill, go away, hang, break, and a log that others rotate: nothing that
//! was acknowledged is lost, no request waits for the disk, and all goes on by itself.

use redhanded_weather::{Catcher, Left, PATIENCE, Place, until};
use std::path::PathBuf;
use std::time::Duration;

/// Requests that are caught at a time.
const FEW: u32 = 10;
/// Each of them has two lines.
const LINES: usize = 2 * FEW as usize;

/// A process whose log is on the disk of a place.
struct Logged<'a> {
    place: &'a Place,
    catcher: Catcher,
    log: PathBuf,
}

impl<'a> Logged<'a> {
    fn start(place: &'a Place) -> Self {
        let log = place.disk().join("slow.jsonl");
        let catcher = Catcher::start(place.command(), &log, &[]);
        catcher.answer("ready");
        Self {
            place,
            catcher,
            log,
        }
    }

    /// Catches some; all of them, and all before them, are on disk.
    #[track_caller]
    fn catch_durably(&mut self) {
        self.catcher.catch(FEW);
        let (done, _) = self.catcher.flush(PATIENCE);
        assert!(done, "the disk takes all");
    }

    /// Catches some while the disk does not take all: nobody waits for it.
    #[track_caller]
    fn catch_in_bad_weather(&mut self) {
        let before = self.told();
        let slowest_ms = self.catcher.catch(FEW);
        let bound_ms = PATIENCE.as_millis() as u64;
        assert!(slowest_ms < bound_ms, "a request waited: {slowest_ms} ms");
        let told = until(PATIENCE, || (self.told() >= before + LINES).then_some(()));
        assert_eq!(told, Some(()), "sinks are told without the disk");
        let (done, after_ms) = self.catcher.flush(Duration::from_millis(100));
        assert!(!done, "it says that not all is on disk");
        assert!(after_ms < bound_ms, "deadlines hold: {after_ms} ms");
        let (waiting, lost) = self.catcher.stats();
        assert!(waiting > 0, "lines wait in memory");
        assert_eq!(lost, 0);
    }

    fn told(&self) -> usize {
        self.catcher
            .told()
            .all()
            .values()
            .map(|n| *n as usize)
            .sum()
    }

    /// Nothing of what was told is lost, and nothing waits any more.
    #[track_caller]
    fn all_is_there(&mut self) -> Left {
        assert_eq!(self.catcher.stats(), (0, 0), "waiting and lost");
        let left = Left::of(&self.place.seen(&self.log));
        let told = self.catcher.told().all();
        assert_eq!(left.missing(&told), Vec::<String>::new());
        assert_eq!(left.torn_ends, 0);
        let waiting: u32 = self.catcher.told().waiting.values().sum();
        assert!(left.not_durable <= waiting, "{left:?}");
        left
    }
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_line() {
    let Some(place) = Place::new() else { return };
    place.mount_memory();
    let mut logged = Logged::start(&place);
    logged.catch_durably();
    // A page is left, so that a write ends somewhere within a line.
    place.run("head -c 1G /dev/zero >disk/ballast || truncate -s -4096 disk/ballast");
    logged.catch_in_bad_weather();
    place.run("rm disk/ballast");
    logged.catch_durably();
    logged.all_is_there();
}

#[test]
fn a_mount_that_vanishes_and_comes_back() {
    let Some(place) = Place::new() else { return };
    place.make_disk();
    place.mount_disk();
    let mut logged = Logged::start(&place);
    logged.catch_durably();
    place.unmount();
    logged.catch_in_bad_weather();
    let below = place.seen(&place.disk()).read_dir().expect("a directory");
    assert_eq!(below.count(), 0, "nothing is written below the mount");
    place.mount_disk();
    logged.catch_durably();
    logged.all_is_there();
}

#[test]
fn a_disk_that_hangs_and_answers_again() {
    let Some(place) = Place::new() else { return };
    place.make_disk();
    place.mount_disk();
    let mut logged = Logged::start(&place);
    logged.catch_durably();
    let frozen = place.freeze();
    logged.catch_in_bad_weather();
    drop(frozen);
    logged.catch_durably();
    logged.all_is_there();
}

#[test]
fn a_file_system_that_turned_read_only_and_is_mounted_anew() {
    let Some(place) = Place::new() else { return };
    place.make_disk();
    place.mount_disk();
    let mut logged = Logged::start(&place);
    logged.catch_durably();
    // As the kernel does when it has found an error: what is open cannot be written any more.
    place.run("mount -o remount,abort disk");
    logged.catch_in_bad_weather();
    place.unmount();
    place.is_let_go();
    place.run("e2fsck -fy image >e2fsck.log 2>&1 || [ $? -eq 1 ]");
    place.mount_disk();
    logged.catch_durably();
    logged.all_is_there();
}

/// Rotates by logrotate while requests are caught; `how` it takes the file away.
fn rotated(how: &str) {
    let Some(place) = Place::new() else { return };
    place.mount_memory();
    let mut logged = Logged::start(&place);
    let log = logged.log.display();
    let rules = format!("{log} {{\nrotate 50\nnotifempty\ncompress\n{how}\n}}");
    place.run(&format!("echo '{rules}' >rules; chmod 600 rules"));
    for _ in 0..5 {
        logged.catcher.say(&format!("catch {FEW}"));
        place.run("logrotate --force --state state rules");
        logged.catcher.answer("served");
    }
    logged.catch_durably();
    let left = logged.all_is_there();
    assert!(left.files > 2, "it was rotated: {} files", left.files);
    assert_eq!(left.torn, Vec::<String>::new());
}

#[test]
fn a_log_that_logrotate_moves_away() {
    rotated("create 0600");
}

#[test]
fn a_log_that_logrotate_copies_and_truncates() {
    rotated("copytruncate");
}

#[test]
fn what_comes_between_the_copy_and_the_truncation() {
    let Some(place) = Place::new() else { return };
    place.mount_memory();
    let mut logged = Logged::start(&place);
    logged.catch_durably();
    place.run("cp disk/slow.jsonl disk/slow.jsonl.1");
    logged.catch_durably();
    place.run("truncate -s 0 disk/slow.jsonl");
    logged.catch_durably();
    logged.all_is_there();
}
