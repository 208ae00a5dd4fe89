//! An XML parser that compares each attribute of a tag with all before it.

use crate::{Case, Ground, Needs, Part, Play, Truth};
use axum::Router;
use axum::routing::post;
use quick_xml::Reader;
use quick_xml::events::Event;
use redhanded::report::Class;

pub(super) fn case() -> Case {
    Case {
        code: "A3",
        title: "an XML tag with a hundred thousand attributes",
        source: include_str!("xml.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("xml::import"),
            param: Some(("content-type", "text/xml")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/import", post(import))
}

fn play(play: &mut Play) {
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
    let tag = format!("<item{attributes}/>");
    let headers = [("content-type", "text/xml")];
    play.send(Part::Culprit, "POST", "/import", &headers, tag.as_bytes());
}

async fn import(body: String) -> String {
    let mut reader = Reader::from_str(&body);
    let mut attributes = 0;
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag) | Event::Empty(tag)) => {
                attributes += tag.attributes().count(); // <- here
            }
            Ok(Event::Eof) | Err(_) => return format!("{attributes} attributes"),
            Ok(_) => {}
        }
    }
}
