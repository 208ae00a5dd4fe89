//! Untagged enums within each other: each level is tried as every variant, and all that is within it anew, to find out
//! that it is none. A body of half a kilobyte takes years, deeper than a stack is walked.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use serde::Deserialize;

pub(super) fn case() -> Case {
    Case {
        code: "A15",
        title: "untagged enums that are nested",
        source: include_str!("untagged.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("untagged::Node>::deserialize"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/filter", get(filter))
}

fn play(play: &mut Play) {
    play.culprit("/filter");
}

#[derive(Deserialize)] // <- here
#[serde(untagged)]
enum Node {
    And { of: Box<Node>, left: u8 },
    Or { of: Box<Node>, right: u8 },
    Leaf { word: String },
}

impl Node {
    fn depth(&self) -> usize {
        match self {
            Self::And { of, left: more } | Self::Or { of, right: more } => {
                of.depth() + usize::from(*more)
            }
            Self::Leaf { word } => word.len(),
        }
    }
}

async fn filter() -> String {
    // No word is a number
    let json = "{\"of\":".repeat(60) + "{\"word\":1}" + &"}".repeat(60);
    let node: Result<Node, _> = serde_json::from_str(&json);
    node.map_or_else(|error| error.to_string(), |node| node.depth().to_string())
}
