//! `redhanded show`.

use crate::run::{EXAMPLE, EXAMPLE_ID, Place, caught, ended, id, line, log};
use redhanded_report::{Event, Evidence, Frame, Report, Stack, Style, page};

fn with_frame(report: &Report, event: Event, function: Option<&str>) -> Report {
    let mut frame = Frame::default();
    frame.function = function.map(str::to_owned);
    frame.offset = Some(4096);
    frame.user = true;
    let mut stack = Stack::default();
    stack.frames = vec![frame];
    let mut evidence = Evidence::default();
    evidence.stacks = vec![stack];
    let mut report = report.clone();
    report.event = event;
    report.evidence = Some(evidence);
    report
}

#[test]
fn the_page_is_the_report_and_how_it_ended() {
    let place = Place::new();
    place.write("slow-requests.jsonl", EXAMPLE);
    let said = place.run(&["show", EXAMPLE_ID]).ends(0);
    let mut report: Report = serde_json::from_str(EXAMPLE.lines().next().unwrap()).unwrap();
    let end: Report = serde_json::from_str(EXAMPLE.lines().nth(1).unwrap()).unwrap();
    report.outcome = end.outcome;
    let page = page(&report, Style::Plain);
    assert!(page.contains("completed with status 200 after 7.81 s"));
    let rest = said.out.strip_prefix(&page).unwrap();
    assert_eq!(
        rest,
        "\nlines\n  caught      2026-07-01T02:03:06.012345Z slow-requests.jsonl, line 1, byte 0\n  \
         ended       2026-07-01T02:03:11.812345Z slow-requests.jsonl, line 2, byte 5948\n"
    );
    assert_eq!(said.err, "");
}

#[test]
fn the_fullest_line_is_shown_in_whatever_order_they_come() {
    let place = Place::new();
    let raw = caught(1, "app::a");
    let mut later = with_frame(&raw, Event::Updated, None);
    later.time = "2026-07-01T03:00:00.000000Z".to_owned();
    let mut lines = [
        with_frame(&raw, Event::Caught, None),
        with_frame(&raw, Event::Symbolized, Some("app::the_name")),
        later,
        ended(&raw, 5000.0),
    ];
    for _ in 0..2 {
        place.write("log", log(&lines));
        let said = place.run(&["show", &id(1), "log"]).ends(0);
        assert!(said.out.contains("> app::the_name"), "{}", said.out);
        assert!(
            said.out.contains("completed with status 200 after 5 s"),
            "{}",
            said.out
        );
        lines.reverse();
    }
}

#[test]
fn lines_are_joined_over_files() {
    let place = Place::new();
    let one = caught(1, "app::a");
    place.write("new", line(&ended(&one, 5000.0)));
    place.write("old", line(&one));
    let said = place.run(&["show", "--json", &id(1), "new", "old"]).ends(0);
    let json = said.json();
    assert_eq!(json["format"], "redhanded-show/1");
    assert_eq!(json["id"], id(1));
    assert_eq!(json["report"], serde_json::to_value(&one).unwrap());
    assert_eq!(json["ended"]["outcome"]["total_ms"], 5000.0);
    let mut files: Vec<_> = json["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["file"].as_str().unwrap())
        .collect();
    files.sort_unstable();
    assert_eq!(files, ["new", "old"]);
    // Only its end is left: better than nothing.
    let said = place.run(&["show", &id(1), "new"]).ends(0);
    assert!(
        said.out.starts_with("completed with status 200 after 5 s"),
        "{}",
        said.out
    );
    let said = place.run(&["show", &id(1), "old"]).ends(0);
    assert!(
        said.out.ends_with("  no end in what was read\n"),
        "{}",
        said.out
    );
}

#[test]
fn a_beginning_is_enough_if_it_fits_one() {
    let place = Place::new();
    let reports: Vec<Report> = (1..=13).map(|number| caught(number, "app::a")).collect();
    place.write("log", log(&reports));
    let wanted = &id(13)[..26];
    assert!(
        place
            .run(&["show", &wanted.to_lowercase(), "log"])
            .ends(0)
            .out
            .contains(wanted)
    );
    let said = place
        .run(&["show", "01KWE5H2Z8000000000000001", "log"])
        .ends(2);
    assert!(
        said.err
            .starts_with("redhanded: \"01KWE5H2Z8000000000000001\" fits 4 runaways:\n"),
        "{}",
        said.err
    );
    assert_eq!(said.err.matches("cpu_loop").count(), 4);
    assert!(said.err.contains(&id(12)), "{}", said.err);
    let said = place.run(&["show", "01KWE", "log"]).ends(2);
    assert!(
        said.err.contains("fits more than 10 runaways"),
        "{}",
        said.err
    );
    assert_eq!(said.out, "");
}

/// An id that is the beginning of another one is found, however late it comes.
#[test]
fn the_exact_id_wins() {
    let place = Place::new();
    let mut short = caught(99, "app::short");
    short.id = id(1)[..25].to_owned();
    let mut reports: Vec<Report> = (1..=13).map(|number| caught(number, "app::a")).collect();
    reports.push(short.clone());
    place.write("log", log(&reports));
    assert!(
        place
            .run(&["show", &short.id, "log"])
            .ends(0)
            .out
            .contains("app::short")
    );
}

#[test]
fn nothing_found_is_said() {
    let place = Place::new();
    place.write("log", EXAMPLE);
    let said = place.run(&["show", "01ZZ", "log"]).ends(1);
    assert_eq!(
        (said.out.as_str(), said.err.as_str()),
        ("", "redhanded: no runaway \"01ZZ\": 2 records were read\n")
    );
    let said = place.run(&["show", "", "log"]).ends(2);
    assert!(said.err.contains("the id is empty"), "{}", said.err);
}
