//! What waits on disk: for a collector that comes back, and for the next process.

use crate::collector::{Collector, Say, small};
use redhanded_core::sink::Sink;
use redhanded_otlp::{Options, Otlp, Spool};
use redhanded_report::Service;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

/// An address where nobody listens yet.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn spooling(directory: &Path, address: &str) -> Otlp {
    with(Spool::open(directory).unwrap(), address)
}

fn with(spool: Spool, address: &str) -> Otlp {
    Options::default()
        .spool(spool)
        .longest_pause(Duration::from_millis(200))
        .to(&format!("http://{address}"), &Service::default())
        .unwrap()
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < until, "not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|is| is == "otlp"))
        .collect();
    files.sort();
    files
}

/// Accepts each report by itself, so that each has a file.
fn one_by_one(otlp: &Otlp, slot: &Path, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let before = files(slot).len();
        otlp.accept(&small(n), None);
        until("it is on disk", || files(slot).len() == before + 1);
    }
}

/// The reports that came, by their number.
fn came(collector: &Collector, count: usize) -> Vec<u64> {
    let spans = collector.spans(count);
    let number = |span| {
        let text = format!("{span:?}");
        let at = text.find("id-").unwrap() + 3;
        let digits = text[at..].split(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap().parse().unwrap()
    };
    spans.iter().map(number).collect()
}

#[test]
fn what_waited_is_delivered_in_order_when_the_collector_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let address = nowhere();
    let otlp = spooling(directory.path(), &address);
    one_by_one(&otlp, &directory.path().join("0"), 0..5);
    assert!(!otlp.flush(Duration::ZERO));
    let waiting = otlp.waiting();
    assert_eq!((waiting.requests, waiting.memory_bytes), (5, 0));
    assert_eq!(waiting.disk_bytes, 5 * 4096);

    let collector = Collector::at(&address);
    otlp.accept(&small(5), None);
    assert!(otlp.flush(SOON), "all arrive");
    assert_eq!(came(&collector, 6), [0, 1, 2, 3, 4, 5]);
    assert!(collector.requests().len() < 6, "small requests go together");
    assert_eq!(otlp.lost(), 0);
    assert!(files(&directory.path().join("0")).is_empty());
    until("nothing waits", || otlp.waiting() == Default::default());
}

#[test]
fn the_next_process_delivers_what_the_last_one_left() {
    let directory = tempfile::tempdir().unwrap();
    let address = nowhere();
    let otlp = spooling(directory.path(), &address);
    otlp.accept(&small(0), None);
    assert!(!otlp.shutdown(Duration::ZERO), "it has not arrived");
    assert_eq!(otlp.lost(), 0, "and is not lost");
    drop(otlp);

    let collector = Collector::at(&address);
    let otlp = spooling(directory.path(), &address);
    otlp.accept(&small(1), None);
    assert!(otlp.flush(SOON));
    assert_eq!(came(&collector, 2), [0, 1]);
    assert_eq!(otlp.lost(), 0);
}

#[test]
fn a_collector_that_answers_leaves_the_disk_alone() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::ok();
    let otlp = spooling(
        directory.path(),
        collector.url.strip_prefix("http://").unwrap(),
    );
    for n in 0..20 {
        otlp.accept(&small(n), None);
        assert!(otlp.flush(SOON));
        assert!(files(&directory.path().join("0")).is_empty());
    }
}

#[test]
fn a_silent_collector_is_not_waited_for_with_empty_hands() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::saying(vec![Say::Silence; 9]);
    let otlp = spooling(
        directory.path(),
        collector.url.strip_prefix("http://").unwrap(),
    );
    otlp.accept(&small(0), None);
    collector.spans(1);
    let slot = directory.path().join("0");
    // Long before the ten seconds of its timeout are over.
    let begun = Instant::now();
    until("it is on disk", || files(&slot).len() == 1);
    assert!(begun.elapsed() < Duration::from_secs(5));
    otlp.accept(&small(1), None);
    drop(otlp);
    assert_eq!(files(&slot).len(), 2, "and the other as well");
}

/// What an application does at its end: it flushes and exits, and drops nothing.
#[test]
fn a_flush_that_is_in_vain_brings_to_disk_what_it_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::saying(vec![Say::Silence; 9]);
    let otlp = spooling(
        directory.path(),
        collector.url.strip_prefix("http://").unwrap(),
    );
    otlp.accept(&small(0), None);
    let begun = Instant::now();
    assert!(!otlp.flush(Duration::from_millis(400)));
    assert!(
        begun.elapsed() < Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(files(&directory.path().join("0")).len(), 1);
}

#[test]
fn the_disk_is_bounded_and_the_oldest_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let address = nowhere();
    let spool = Spool::open(directory.path()).unwrap().max_bytes(3 * 4096);
    let otlp = with(spool, &address);
    let slot = directory.path().join("0");
    one_by_one(&otlp, &slot, 0..3);
    for n in 3..8 {
        otlp.accept(&small(n), None);
        until("one made room", || otlp.lost() == n - 2);
        assert!(files(&slot).len() <= 3);
        assert!(otlp.waiting().disk_bytes <= 3 * 4096);
    }
    let collector = Collector::at(&address);
    assert!(otlp.flush(SOON) || otlp.waiting().requests == 0);
    assert_eq!(came(&collector, 3), [5, 6, 7]);
    assert_eq!(otlp.lost(), 5);
}

#[test]
fn torn_files_are_skipped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let address = nowhere();
    let otlp = spooling(directory.path(), &address);
    let slot = directory.path().join("0");
    one_by_one(&otlp, &slot, 0..6);
    drop(otlp);
    let written = files(&slot);
    let bytes = fs::read(&written[0]).unwrap();
    // Cut in the body, cut in the header, empty, a bit flipped, more than was written.
    fs::write(&written[0], &bytes[..bytes.len() - 1]).unwrap();
    fs::write(&written[1], &bytes[..10]).unwrap();
    fs::write(&written[2], b"").unwrap();
    let mut flipped = fs::read(&written[3]).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&written[3], flipped).unwrap();
    let mut longer = fs::read(&written[4]).unwrap();
    longer.push(0);
    fs::write(&written[4], longer).unwrap();
    // One that was being written, and one that is not ours.
    fs::write(slot.join("00000000000000000099.part"), b"RHSP").unwrap();
    fs::write(slot.join("notes.txt"), b"keep me").unwrap();

    let collector = Collector::at(&address);
    let otlp = spooling(directory.path(), &address);
    assert_eq!(came(&collector, 1), [5], "the one that is whole");
    until("the others are counted", || otlp.lost() == 6);
    until("nothing is left", || files(&slot).is_empty());
    assert!(slot.join("notes.txt").exists());
}

#[test]
fn a_length_that_lies_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let slot = directory.path().join("0");
    fs::create_dir(&slot).unwrap();
    let mut bytes = b"RHSPOOL\x01".to_vec();
    bytes.extend([1, 0, 0, 0, 1, 0, 0, 0]);
    bytes.extend(u64::MAX.to_le_bytes());
    bytes.extend([0; 4]);
    fs::write(slot.join("00000000000000000001.otlp"), bytes).unwrap();
    let collector = Collector::ok();
    let otlp = spooling(
        directory.path(),
        collector.url.strip_prefix("http://").unwrap(),
    );
    until("it is counted", || otlp.lost() == 1);
    otlp.accept(&small(1), None);
    assert!(otlp.flush(SOON));
}

#[test]
fn processes_share_a_directory_and_take_over_what_the_dead_left() {
    let directory = tempfile::tempdir().unwrap();
    let address = nowhere();
    let [first, second] = [(); 2].map(|()| spooling(directory.path(), &address));
    let slots = ["0", "1"].map(|slot| directory.path().join(slot));
    one_by_one(&first, &slots[0], 0..2);
    one_by_one(&second, &slots[1], 2..4);
    // The second one ends while the first one lives.
    drop(second);
    let collector = Collector::at(&address);
    assert!(first.flush(SOON));
    assert_eq!(came(&collector, 4), [0, 1, 2, 3]);
    until("nothing is left", || {
        slots.iter().all(|slot| files(slot).is_empty())
    });
    assert_eq!(first.lost(), 0);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(collector.spans(4).len(), 4, "nothing twice");
}

#[test]
fn one_that_is_refused_takes_no_others_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let address = nowhere();
    let otlp = spooling(directory.path(), &address);
    one_by_one(&otlp, &directory.path().join("0"), 0..3);
    drop(otlp);
    let refuse = || Say::Status(400, "", vec![]);
    let take = || Say::Status(200, "", vec![]);
    // All together, then the second of three.
    let script = vec![refuse(), take(), refuse(), take()];
    let collector = Collector::saying(script);
    let otlp = spooling(
        directory.path(),
        collector.url.strip_prefix("http://").unwrap(),
    );
    until("all is said", || {
        collector.requests().len() == 4 && otlp.waiting().requests == 0
    });
    assert_eq!(came(&collector, 6), [0, 1, 2, 0, 1, 2]);
    assert_eq!(otlp.lost(), 1);
}

#[test]
fn only_their_owner_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("new/spool");
    let otlp = spooling(&root, &nowhere());
    let slot = root.join("0");
    one_by_one(&otlp, &slot, 0..1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&slot), 0o700);
    assert_eq!(mode(&files(&slot)[0]), 0o600);
    assert_eq!(mode(&slot.join("lock")), 0o600);
}

#[test]
fn what_cannot_be_a_spool_is_said_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    for bad in [
        file.as_path(),
        Path::new("/proc/none/spool"),
        &file.join("below"),
    ] {
        let error = Spool::open(bad).unwrap_err();
        assert!(error.is_spool() && !error.is_endpoint(), "{error}");
        let said = error.to_string();
        assert!(said.contains(&bad.display().to_string()), "{said}");
        assert!(said.contains("accepted is a directory"), "{said}");
    }
}

#[test]
fn a_disk_that_vanishes_leaves_reports_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let address = nowhere();
    let otlp = spooling(directory.path(), &address);
    one_by_one(&otlp, &directory.path().join("0"), 0..1);
    fs::remove_dir_all(directory.path()).unwrap();
    for n in 1..4 {
        otlp.accept(&small(n), None);
    }
    until("they are taken in", || otlp.waiting().memory_bytes > 0);
    let collector = Collector::at(&address);
    assert_eq!(came(&collector, 3), [1, 2, 3]);
    until("the first one is gone", || otlp.lost() == 1);
}

/// A neighbour that is known and not there, so that what is sent to it is not answered by anybody.
const SWALLOWED: &str = "
    ip link set lo up
    ip link add near type veth peer name far
    ip addr add 10.99.0.1/24 dev near
    ip link set near up
    ip link set far up
    ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev near nud permanent
";

#[test]
fn an_address_that_swallows_packets_is_an_absent_collector() {
    const INSIDE: &str = "REDHANDED_TEST_SWALLOWED";
    if std::env::var_os(INSIDE).is_some() {
        return swallowed();
    }
    let may = Command::new("unshare").args(["-n", "true"]).status();
    if !may.is_ok_and(|status| status.success()) {
        let skipped = "SKIPPED: needs a network namespace of its own, which is not allowed here\n";
        let _ = std::io::stderr().write_all(skipped.as_bytes());
        return;
    }
    let script = format!("{SWALLOWED}\nexec \"$@\"");
    let name = "spool::an_address_that_swallows_packets_is_an_absent_collector";
    let output = Command::new("unshare")
        .args(["-n", "sh", "-ec", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

fn swallowed() {
    let directory = tempfile::tempdir().unwrap();
    let otlp = spooling(directory.path(), "10.99.0.2:4318");
    let slot = directory.path().join("0");
    let begun = Instant::now();
    one_by_one(&otlp, &slot, 0..2);
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "before even the first attempt was given up: {:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    assert!(!otlp.shutdown(Duration::from_millis(300)));
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!((otlp.lost(), files(&slot).len()), (0, 2));
}
