mod power;

use super::{LONGEST_LINE, Limits, Progress, SlowLog, Target, Written};
use std::fs::{self, OpenOptions};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("slow-requests.jsonl");
    (directory, path)
}

fn open(path: &Path) -> Running {
    open_within(path, Limits::default())
}

fn open_within(path: &Path, limits: Limits) -> Running {
    running(Target::Path(path.to_owned()), limits)
}

fn running(target: Target, limits: Limits) -> Running {
    let (log, writer) = SlowLog::open(target, limits).unwrap();
    std::thread::spawn(|| writer.run());
    let progress = log.progress();
    Running { log, progress }
}

/// A log and its writer.
struct Running {
    log: SlowLog,
    progress: Progress,
}

impl Running {
    fn waiting(&self) -> usize {
        self.progress.waiting()
    }

    /// Whether nothing waits after another attempt.
    fn retry(&self) -> bool {
        self.progress
            .flush(Instant::now() + Duration::from_millis(300))
    }
}

impl Deref for Running {
    type Target = SlowLog;

    fn deref(&self) -> &SlowLog {
        &self.log
    }
}

/// Line `number` waits in memory.
const fn waiting(number: u64) -> Written {
    Written::Waiting(number)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    PathBuf::from(format!("{}.{number}", path.display()))
}

#[test]
fn a_record_is_a_line() {
    let (_directory, path) = directory();
    let log = open(&path);
    assert_eq!(log.append(b"{\"a\":1}"), Written::Durable);
    assert_eq!(log.append(b"{\"b\":\n2}\r\n"), Written::Durable);
    assert_eq!(read(&path), "{\"a\":1}\n{\"b\": 2}  \n");
    assert_eq!((log.lost(), log.waiting()), (0, 0));
}

#[test]
fn an_old_log_is_continued() {
    let (_directory, path) = directory();
    fs::write(&path, "old\n").unwrap();
    assert_eq!(open(&path).append(b"new"), Written::Durable);
    assert_eq!(read(&path), "old\nnew\n");
}

#[test]
fn a_torn_last_line_costs_that_line_only() {
    let (_directory, path) = directory();
    fs::write(&path, "old\n{\"torn\":").unwrap();
    assert_eq!(open(&path).append(b"new"), Written::Durable);
    assert_eq!(read(&path), "old\n{\"torn\":\nnew\n");
}

#[test]
fn a_line_that_is_too_long_is_refused_and_counted() {
    let (_directory, path) = directory();
    let log = open(&path);
    assert_eq!(log.append(&vec![b'x'; LONGEST_LINE + 1]), Written::Lost);
    assert_eq!(log.append(&vec![b'x'; LONGEST_LINE]), Written::Durable);
    assert_eq!((log.lost(), log.waiting()), (1, 0));
}

#[test]
fn standard_error_is_a_log_too() {
    let log = running(Target::Stderr, Limits::default());
    assert_eq!(
        log.append(b"{\"test\":\"standard error\"}"),
        Written::Durable
    );
}

#[cfg(unix)]
mod rights {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_its_owners_alone() {
        let (_directory, path) = directory();
        let log = open_within(
            &path,
            Limits {
                max_bytes: 4,
                ..Limits::default()
            },
        );
        for _ in 0..2 {
            assert_eq!(log.append(b"record"), Written::Durable);
        }
        assert_eq!((mode(&path), mode(&numbered(&path, 1))), (0o600, 0o600));
    }

    #[test]
    fn an_old_file_keeps_the_rights_it_was_given() {
        let (_directory, path) = directory();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(open(&path).append(b"x"), Written::Durable);
        assert_eq!(mode(&path), 0o640);
    }

    #[test]
    fn a_link_stays_and_the_file_behind_it_rotates() {
        let (directory, path) = directory();
        let real = directory.path().join("real.jsonl");
        fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &path).unwrap();
        let log = open_within(
            &path,
            Limits {
                max_bytes: 4,
                ..Limits::default()
            },
        );
        assert_eq!(log.append(b"one"), Written::Durable);
        assert_eq!(log.append(b"two"), Written::Durable);
        assert!(path.is_symlink());
        assert_eq!(
            (read(&real), read(&numbered(&real, 1))),
            ("two\n".into(), "one\n".into())
        );
    }

    #[test]
    fn only_regular_files_are_logs() {
        let (directory, path) = directory();
        let status = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        for (path, says) in [
            (path.as_path(), "is no regular file"),
            (directory.path(), "is a directory"),
            (Path::new("/dev/full"), "is no regular file"),
            (Path::new("/nowhere/x.jsonl"), "No such file"),
        ] {
            let error = SlowLog::open(Target::Path(path.to_owned()), Limits::default())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(says) && error.contains(&path.display().to_string()),
                "{error}"
            );
        }
    }
}

#[test]
fn a_full_file_becomes_the_first_of_a_few() {
    let (_directory, path) = directory();
    let log = open_within(
        &path,
        Limits {
            max_bytes: 12,
            keep: 3,
            ..Limits::default()
        },
    );
    for number in 0..12 {
        assert_eq!(
            log.append(format!("rec{number:02}").as_bytes()),
            Written::Durable
        );
    }
    let files = [
        read(&path),
        read(&numbered(&path, 1)),
        read(&numbered(&path, 2)),
        read(&numbered(&path, 3)),
    ];
    assert_eq!(
        files,
        [
            "rec10\nrec11\n",
            "rec08\nrec09\n",
            "rec06\nrec07\n",
            "rec04\nrec05\n"
        ]
    );
    assert!(!numbered(&path, 4).exists());
}

#[test]
fn a_record_longer_than_a_file_has_a_file_of_its_own() {
    let (_directory, path) = directory();
    let log = open_within(
        &path,
        Limits {
            max_bytes: 4,
            keep: 2,
            ..Limits::default()
        },
    );
    for record in ["first", "second"] {
        assert_eq!(log.append(record.as_bytes()), Written::Durable);
    }
    assert_eq!(
        (read(&path), read(&numbered(&path, 1))),
        ("second\n".into(), "first\n".into())
    );
}

#[test]
fn no_limit_no_rotation_and_nothing_kept_nothing_numbered() {
    let (_directory, path) = directory();
    let log = open_within(
        &path,
        Limits {
            max_bytes: 0,
            ..Limits::default()
        },
    );
    for _ in 0..3 {
        assert_eq!(log.append(b"x"), Written::Durable);
    }
    assert_eq!(read(&path), "x\nx\nx\n");
    let log = open_within(
        &path,
        Limits {
            max_bytes: 7,
            keep: 0,
            ..Limits::default()
        },
    );
    assert_eq!(log.append(b"y"), Written::Durable);
    assert_eq!(read(&path), "y\n");
    assert!(!numbered(&path, 1).exists());
}

#[test]
fn a_rotation_that_fails_again_and_again_pushes_no_file_over_the_edge() {
    let (_directory, path) = directory();
    for number in 1..=3 {
        fs::write(numbered(&path, number), format!("old{number}")).unwrap();
    }
    // Nothing can be renamed to `.1` while a directory with something in it has that name.
    let log = open_within(
        &path,
        Limits {
            max_bytes: 4,
            keep: 3,
            ..Limits::default()
        },
    );
    assert_eq!(log.append(b"one"), Written::Durable);
    fs::remove_file(numbered(&path, 1)).unwrap();
    fs::create_dir(numbered(&path, 2).with_extension("tmp")).unwrap();
    fs::remove_file(numbered(&path, 2)).unwrap();
    fs::create_dir_all(numbered(&path, 2).join("blocks")).unwrap();
    fs::create_dir_all(numbered(&path, 1).join("blocks")).unwrap();
    for _ in 0..5 {
        assert_eq!(
            log.append(b"two"),
            Written::Durable,
            "the bound is lost, not the record"
        );
    }
    assert_eq!(read(&path), "one\ntwo\ntwo\ntwo\ntwo\ntwo\n");
    assert_eq!(read(&numbered(&path, 3)), "old3");
}

#[test]
fn logrotate_that_creates_is_followed() {
    let (directory, path) = directory();
    let log = open(&path);
    assert_eq!(log.append(b"one"), Written::Durable);
    let away = directory.path().join("away");
    fs::rename(&path, &away).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(log.append(b"two"), Written::Durable);
    fs::remove_file(&path).unwrap();
    assert_eq!(log.append(b"three"), Written::Durable);
    assert_eq!(
        (read(&away), read(&path)),
        ("one\n".into(), "three\n".into())
    );
}

#[test]
fn logrotate_that_truncates_is_followed() {
    let (directory, path) = directory();
    let log = open(&path);
    assert_eq!(log.append(b"one"), Written::Durable);
    fs::copy(&path, directory.path().join("copy")).unwrap();
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    assert_eq!(log.append(b"two"), Written::Durable);
    // No hole at the start; and the first line was so young that it may not have been in the copy.
    assert_eq!(read(&path), "one\ntwo\n");
}

#[test]
fn a_line_that_was_truncated_before_it_was_copied_comes_back() {
    let (_directory, path) = directory();
    let log = open(&path);
    assert_eq!(log.append(b"one"), Written::Durable);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    // Nothing else is written.
    let until = Instant::now() + Duration::from_secs(20);
    while read(&path) != "one\n" {
        assert!(Instant::now() < until, "{:?}", read(&path));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_directory_that_vanishes_loses_nothing_when_it_comes_back() {
    let (directory, path) = directory();
    let gone = directory.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let path = gone.join(path.file_name().unwrap());
    let log = open(&path);
    assert_eq!(log.append(b"one"), Written::Durable);
    fs::rename(&gone, directory.path().join("elsewhere")).unwrap();
    assert_eq!(log.append(b"two"), waiting(2));
    assert_eq!(log.append(b"three"), waiting(3));
    assert!(!log.retry());
    assert_eq!((log.waiting(), log.lost()), (2, 0));
    fs::create_dir(&gone).unwrap();
    assert!(log.retry());
    assert_eq!((log.waiting(), log.lost()), (0, 0));
    assert_eq!(read(&path), "two\nthree\n");
}

#[test]
fn what_memory_cannot_hold_is_counted_and_the_first_records_stay() {
    let (directory, path) = directory();
    let gone = directory.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let path = gone.join(path.file_name().unwrap());
    let log = open_within(
        &path,
        Limits {
            memory_bytes: 20,
            ..Limits::default()
        },
    );
    fs::remove_dir_all(&gone).unwrap();
    let written: Vec<Written> = (0..5)
        .map(|number| log.append(format!("record {number}").as_bytes()))
        .collect();
    use Written::Lost;
    assert_eq!(written, [waiting(1), waiting(2), Lost, Lost, Lost]);
    assert_eq!((log.waiting(), log.lost()), (2, 3));
    fs::create_dir(&gone).unwrap();
    assert_eq!(log.append(b"record 5"), Written::Durable);
    assert_eq!(read(&path), "record 0\nrecord 1\nrecord 5\n");
    assert_eq!((log.waiting(), log.lost()), (0, 3));
}

#[test]
fn a_bound_of_nothing_still_lets_a_record_through() {
    let (_directory, path) = directory();
    let log = open_within(
        &path,
        Limits {
            memory_bytes: 0,
            ..Limits::default()
        },
    );
    assert_eq!(log.append(b"x"), Written::Durable);
    assert_eq!(log.lost(), 0);
}

#[test]
fn records_that_waited_are_rotated_like_others() {
    let (directory, path) = directory();
    let gone = directory.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let path = gone.join(path.file_name().unwrap());
    let log = open_within(
        &path,
        Limits {
            max_bytes: 4,
            keep: 9,
            ..Limits::default()
        },
    );
    fs::remove_dir_all(&gone).unwrap();
    for number in 0..6 {
        assert_eq!(
            log.append(number.to_string().as_bytes()),
            waiting(number + 1)
        );
    }
    fs::create_dir(&gone).unwrap();
    assert!(log.retry());
    assert_eq!(
        [
            read(&path),
            read(&numbered(&path, 1)),
            read(&numbered(&path, 2))
        ],
        ["4\n5\n", "2\n3\n", "0\n1\n"]
    );
}

#[test]
fn several_logs_share_a_file() {
    let (_directory, path) = directory();
    let logs: Vec<Running> = (0..4)
        .map(|_| {
            open_within(
                &path,
                Limits {
                    max_bytes: 2000,
                    keep: 99,
                    ..Limits::default()
                },
            )
        })
        .collect();
    std::thread::scope(|scope| {
        for (writer, log) in logs.iter().enumerate() {
            scope.spawn(move || {
                for number in 0..50 {
                    assert_eq!(
                        log.append(format!("{writer} {number:03} {}", "x".repeat(50)).as_bytes()),
                        Written::Durable
                    );
                }
            });
        }
    });
    let files = [path.clone()]
        .into_iter()
        .chain((1..99).map(|number| numbered(&path, number)))
        .filter(|path| path.exists());
    let mut lines: Vec<String> = files
        .flat_map(|path| read(&path).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 200);
    assert!(lines.iter().all(|line| line.len() == 56));
}
