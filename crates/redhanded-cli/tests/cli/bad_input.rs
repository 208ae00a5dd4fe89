//! Whatever a file may hold, and whatever may be no file at all.

use crate::run::{EXAMPLE, EXAMPLE_ID, Place, caught, line, log};
use std::io::Write;

#[test]
fn torn_and_foreign_lines_are_skipped_with_their_offsets() {
    let place = Place::new();
    let good = line(&caught(1, "app::a"));
    let torn = &good[..good.len() / 2];
    place.write(
        "log",
        format!("{good}{torn}\n\n127.0.0.1 - GET\n{{\"level\":\"INFO\"}}\n{good}\u{0}\u{0}{good}"),
    );
    let said = place.run(&["top", "--json", "log"]).ends(0);
    let json = said.json();
    assert_eq!((&json["records"], &json["skipped"]), (&2.into(), &4.into()));
    let at = [good.len(), good.len() + torn.len() + 2];
    assert!(
        said.err.contains(&format!(
            "log: line 2, byte {}: skipped: no record: EOF while parsing",
            at[0]
        )),
        "{}",
        said.err
    );
    assert!(
        said.err.contains(&format!(
            "log: line 4, byte {}: skipped: no record: ",
            at[1]
        )),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("line 5,") && said.err.contains("missing field `schema`"),
        "{}",
        said.err
    );
    assert!(said.err.contains("line 7,"), "{}", said.err);
    assert_eq!(said.err.lines().count(), 4, "{}", said.err);
}

#[test]
fn warnings_are_bounded() {
    let place = Place::new();
    place.write("access.log", "no json\n".repeat(1000));
    let said = place.run(&["top", "access.log"]).ends(1);
    assert_eq!(
        said.err.matches("skipped: no record").count(),
        10,
        "{}",
        said.err
    );
    assert!(
        said.err
            .contains("redhanded: access.log: 990 more lines were skipped\n"),
        "{}",
        said.err
    );
    assert!(
        said.err
            .ends_with("no record of a runaway in what was read\n"),
        "{}",
        said.err
    );
}

#[test]
fn a_last_line_without_its_end_is_no_error() {
    let place = Place::new();
    let good = line(&caught(1, "app::a"));
    place.write("log", format!("{good}{}", &good[..good.len() - 9]));
    let said = place.run(&["top", "--json", "log"]).ends(0);
    assert_eq!(said.json()["skipped"], 0);
    let expected = format!(
        "redhanded: log: line 2, byte {}: the last line has no end; it is still being written, or was cut off\n",
        good.len()
    );
    assert_eq!(said.err, expected);
    // Whole but for its newline: somebody's editor, and a record all the same.
    place.write("log", good.trim_end());
    let said = place.run(&["top", "--json", "log"]).ends(0);
    assert_eq!(
        (said.json()["records"].as_u64(), said.err.as_str()),
        (Some(1), "")
    );
}

#[test]
fn a_newer_log_is_read_as_far_as_it_is_known() {
    let place = Place::new();
    let newer = EXAMPLE
        .replace("redhanded/1", "redhanded/2")
        .replace("\"cpu_loop\"", "\"gpu_loop\"")
        .replace("\"verdict\":{", "\"mood\":[{}],\"verdict\":{\"stars\":5,")
        .replace("\"event\":\"ended\"", "\"event\":\"gone\"");
    place.write("log", newer.repeat(3));
    let said = place.run(&["top", "log"]).ends(0);
    assert!(
        said.out
            .contains("gpu_loop  GET /search/{index}  app::search::matches"),
        "{}",
        said.out
    );
    assert_eq!(
        said.err
            .matches("written by a newer redhanded (redhanded/2")
            .count(),
        1,
        "{}",
        said.err
    );
    assert_eq!(
        said.err.matches("has the class \"gpu_loop\"").count(),
        1,
        "{}",
        said.err
    );
    assert_eq!(
        said.err.matches("has the event \"gone\"").count(),
        1,
        "{}",
        said.err
    );
    assert_eq!(said.err.lines().count(), 3, "{}", said.err);
    let said = place.run(&["show", EXAMPLE_ID, "log"]).ends(0);
    assert!(
        said.out.starts_with("CULPRIT unknown, proved\n"),
        "{}",
        said.out
    );
    assert!(
        said.err
            .contains("words that this version does not know: verdict.class \"gpu_loop\""),
        "{}",
        said.err
    );
    // Of another shape altogether: the record itself is better than nothing.
    place.write(
        "log",
        newer.replace("\"samples\":14", "\"samples\":\"many\""),
    );
    let said = place.run(&["show", EXAMPLE_ID, "log"]).ends(0);
    assert!(said.out.contains("\"samples\": \"many\""), "{}", said.out);
    assert!(
        said.err.contains("shown as it is in the log"),
        "{}",
        said.err
    );
}

#[test]
fn nothing_in_it_is_said_clearly() {
    let place = Place::new();
    place.write("empty", "");
    place.write("blank", "\n\n  \n");
    for log in ["empty", "blank"] {
        let said = place.run(&["top", log]).ends(1);
        assert_eq!(
            (said.out.as_str(), said.err.as_str()),
            ("", "redhanded: no record of a runaway in what was read\n")
        );
        let said = place.run(&["show", "01KWE", log]).ends(1);
        assert_eq!(
            said.err,
            "redhanded: no runaway \"01KWE\": no record of a runaway in what was read\n"
        );
    }
    let json = place.run(&["top", "--json", "empty"]).ends(1).json();
    assert_eq!(json["culprits"], serde_json::json!([]));
}

#[test]
fn what_is_no_file_is_named_and_the_rest_is_read() {
    let place = Place::new();
    place.write("log", EXAMPLE);
    std::fs::create_dir(place.path("logs")).unwrap();
    let said = place.run(&["top", "logs", "log", "absent"]).ends(3);
    assert!(said.out.contains("app::search::matches"), "{}", said.out);
    assert!(said.err.contains("redhanded: logs: is a directory; name log files, such as DIRECTORY/slow-requests.jsonl*\n"), "{}", said.err);
    assert!(
        said.err.contains("redhanded: absent: No such file"),
        "{}",
        said.err
    );
    assert_eq!(
        place
            .run(&["show", EXAMPLE_ID, "absent"])
            .ends(3)
            .err
            .lines()
            .count(),
        2
    );
    assert!(
        place
            .run(&["tail", "logs"])
            .ends(3)
            .err
            .contains("logs: is a directory")
    );
    assert!(
        place
            .run(&["top"])
            .ends(3)
            .err
            .contains("slow-requests.jsonl: No such file")
    );
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let place = Place::new();
    let good = line(&caught(1, "app::a"));
    let long = format!(
        "{{\"schema\":\"redhanded/1\",\"event\":\"{}\"}}\n",
        "x".repeat(17 << 20)
    );
    place.write("log", format!("{good}{long}{good}"));
    let said = place.run(&["top", "--json", "log"]).ends(0);
    assert_eq!(
        (
            said.json()["records"].as_u64(),
            said.json()["skipped"].as_u64()
        ),
        (Some(2), Some(1))
    );
    let expected = format!(
        "redhanded: log: line 2, byte {}: skipped: longer than 16 MiB\n",
        good.len()
    );
    assert_eq!(said.err, expected);
}

#[test]
fn packed_files_and_standard_input_are_read() {
    let place = Place::new();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(EXAMPLE.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    // Two parts in one file, as `cat a.gz b.gz` makes them.
    place.write("log.1.gz", [packed.clone(), packed.clone()].concat());
    let from = |arguments: &[&str], stdin: &[u8]| {
        place.run_with(arguments, stdin).ends(0).json()["records"].as_u64()
    };
    assert_eq!(from(&["top", "--json", "log.1.gz"], b""), Some(4));
    assert_eq!(from(&["top", "--json", "-"], EXAMPLE.as_bytes()), Some(2));
    assert_eq!(from(&["top", "--json", "-"], &packed), Some(2));
    assert_eq!(
        from(&["top", "--json", "log.1.gz", "-"], EXAMPLE.as_bytes()),
        Some(6)
    );

    place.write("cut.gz", &packed[..packed.len() / 2]);
    let said = place.run(&["top", "cut.gz"]).ends(3);
    assert!(
        said.err.contains("cut.gz: cannot be read after byte "),
        "{}",
        said.err
    );
    place.write("log.zst", [0x28, 0xb5, 0x2f, 0xfd, 0, 0]);
    let said = place.run(&["top", "log.zst"]).ends(3);
    assert!(
        said.err.contains("log.zst: is packed by zstd") && said.err.contains("zstdcat"),
        "{}",
        said.err
    );
}

#[test]
fn bytes_that_are_no_text_are_skipped_and_harm_nobody() {
    let place = Place::new();
    let good = log(&[caught(1, "app::a")]);
    let mut bytes: Vec<u8> = (0..=255_u8).cycle().take(10_000).collect();
    bytes.push(b'\n');
    bytes.extend_from_slice(good.as_bytes());
    place.write("log", bytes);
    let said = place.run(&["top", "--json", "log"]).ends(0);
    assert_eq!(said.json()["records"], 1);
    assert!(
        said.err.chars().all(|c| c == '\n' || !c.is_control()),
        "{:?}",
        said.err
    );
}
