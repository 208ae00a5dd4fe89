//! What innocents ask, and what they must be answered.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::io::Write;

/// The host that every request names.
pub(crate) const HOST: &str = "shop.example:8080";
pub(crate) const PICTURES: u64 = 64;
pub(crate) const ACCOUNTS: u64 = 1000;

const WORDS: [&str; 8] = [
    "lamp", "teapot", "kettle", "chair", "OR", "AND", "blue", "x3000",
];

/// A visitor, who asks one thing after the other.
pub(crate) struct Visitor {
    random: SmallRng,
    pub(crate) target: String,
    pub(crate) request: Vec<u8>,
    pub(crate) expected: Vec<u8>,
}

impl Visitor {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            target: String::new(),
            request: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// Makes up the next request, with what it must be answered.
    pub(crate) fn next(&mut self) {
        let dice = self.random.random_range(0..100);
        let number: u64 = self.random.random_range(0..1_000_000);
        let mut body = None;
        let (target, expected) = match dice {
            0..30 => ("/hello".to_owned(), "hello".into()),
            30..50 => (format!("/users/{number}"), format!("user {number}").into()),
            50..65 => self.search(),
            65..75 => {
                let (target, json, expected) = self.transfer();
                body = Some(json);
                (target, expected)
            }
            75..85 => (format!("/orders/{number}/lines"), lines(number).into()),
            85..90 => (format!("/nap?ms={}", 1 + number % 5), "rested".into()),
            90..97 => {
                let number = number % PICTURES;
                (format!("/pictures/p{number}"), picture(number))
            }
            _ => {
                let target = format!("/stock/{number}?warehouse=north");
                (target, left(number).into())
            }
        };
        let method = if body.is_some() { "POST" } else { "GET" };
        self.request = request(method, &target, body.as_deref());
        (self.target, self.expected) = (target, expected);
    }

    fn search(&mut self) -> (String, Vec<u8>) {
        let count = self.random.random_range(0..3);
        let mut words: Vec<&str> = (0..count)
            .map(|_| WORDS[self.random.random_range(0..WORDS.len())])
            .collect();
        // An operator at the end makes no search, and a long one to find that out.
        words.push(WORDS[self.random.random_range(0..4)]);
        let target = format!("/search?q={}", words.join("+"));
        let expected = format!("results for {}", words.join(" "));
        (target, expected.into())
    }

    /// Target, body and answer. Never within one account.
    fn transfer(&mut self) -> (String, String, Vec<u8>) {
        let from = self.random.random_range(0..ACCOUNTS);
        let to = (from + self.random.random_range(1..ACCOUNTS)) % ACCOUNTS;
        let amount = self.random.random_range(1..1000);
        let target = format!("/transfer?from={from}&to={to}");
        let expected = format!(r#"{{"from":{from},"to":{to},"amount":{amount}}}"#);
        (target, transfer_of(amount), expected.into())
    }
}

/// The body that says how much is transferred.
pub(crate) fn transfer_of(amount: u64) -> String {
    format!(r#"{{"amount":{amount}}}"#)
}

/// A request as it is sent.
pub(crate) fn request(method: &str, target: &str, json: Option<&str>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    // Writing to memory does not fail.
    let _ = write!(
        bytes,
        "{method} {target} HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: million/1\r\naccept: */*\r\n"
    );
    if let Some(json) = json {
        let length = json.len();
        let _ = write!(
            bytes,
            "content-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}"
        );
    } else {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A picture's content: a kilobyte.
pub(crate) fn picture(number: u64) -> Vec<u8> {
    format!("picture {number:2} ......").repeat(64).into_bytes()
}

/// What a warehouse says of an item.
pub(crate) fn left(item: u64) -> String {
    format!("{} of {item} left", item % 100)
}

fn lines(number: u64) -> String {
    (0..1 + number % 4)
        .map(|line| format!("{line} of {number}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_what_is_asked_and_no_innocent_is_a_culprit() {
        let (mut one, mut other) = (Visitor::new(7), Visitor::new(7));
        for _ in 0..10_000 {
            one.next();
            other.next();
            assert_eq!(one.request, other.request);
            let target = &one.target;
            let accounts = target.strip_prefix("/transfer?from=");
            let same = accounts.and_then(|a| a.split_once("&to="));
            assert!(same.is_none_or(|(from, to)| from != to), "{target}");
            assert!(!target.ends_with("OR"), "{target}");
            assert!(!target.contains("south"), "{target}");
        }
    }
}
