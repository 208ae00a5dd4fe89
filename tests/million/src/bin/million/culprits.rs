//! The four that hang.

use crate::Error;
use crate::mix::{ACCOUNTS, HOST, request, transfer_of};
use crate::town::Town;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redhanded::report::Class;
use std::net::SocketAddr;

/// A request that hangs, and what must be said of it.
pub(crate) struct Culprit {
    pub(crate) class: Class,
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) target: String,
    pub(crate) request: Vec<u8>,
    /// The parameter that makes it hang, and its value.
    pub(crate) parameter: (&'static str, String),
    pub(crate) function: &'static str,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    /// The host that it waits for.
    pub(crate) peer: Option<SocketAddr>,
}

impl Culprit {
    pub(crate) fn url(&self) -> String {
        format!("http://{HOST}{}", self.target)
    }
}

/// All of them, with values that depend on `seed`.
pub(crate) fn all(town: &Town, seed: u64) -> Result<Vec<Culprit>, Error> {
    let mut random = SmallRng::seed_from_u64(seed);
    Ok(vec![
        search(&mut random)?,
        picture(town, &mut random)?,
        transfer(&mut random)?,
        stock(town, &mut random)?,
    ])
}

/// No space, and a sign at its end that is no part of a word: every way to divide it is tried.
fn search(random: &mut SmallRng) -> Result<Culprit, Error> {
    let word = letters(random, 60) + "!";
    let target = format!("/search?q={word}");
    Ok(Culprit {
        class: Class::CpuLoop,
        method: "GET",
        route: "/search",
        request: request("GET", &target, None),
        target,
        parameter: ("q", word),
        function: "shop::search::matches",
        file: "src/bin/shop/search.rs",
        line: line(include_str!("../shop/search.rs"), "the search")?,
        peer: None,
    })
}

fn picture(town: &Town, random: &mut SmallRng) -> Result<Culprit, Error> {
    let name = letters(random, 12);
    town.make_pipe(&name)?;
    let target = format!("/pictures/{name}");
    Ok(Culprit {
        class: Class::BlockedThread,
        method: "GET",
        route: "/pictures/{name}",
        request: request("GET", &target, None),
        target,
        parameter: ("name", name),
        function: "shop::pictures::load",
        file: "src/bin/shop/pictures.rs",
        line: line(include_str!("../shop/pictures.rs"), "the picture")?,
        peer: None,
    })
}

/// From an account to itself.
fn transfer(random: &mut SmallRng) -> Result<Culprit, Error> {
    let account = random.random_range(0..ACCOUNTS).to_string();
    let target = format!("/transfer?from={account}&to={account}");
    Ok(Culprit {
        class: Class::StuckAwait,
        method: "POST",
        route: "/transfer",
        request: request("POST", &target, Some(&transfer_of(5))),
        target,
        parameter: ("to", account),
        function: "shop::transfers::move_money",
        file: "src/bin/shop/transfers.rs",
        line: line(include_str!("../shop/transfers.rs"), "the answer")?,
        peer: None,
    })
}

fn stock(town: &Town, random: &mut SmallRng) -> Result<Culprit, Error> {
    let item: u64 = random.random_range(0..1_000_000);
    let target = format!("/stock/{item}?warehouse=south");
    Ok(Culprit {
        class: Class::SilentPeer,
        method: "GET",
        route: "/stock/{item}",
        request: request("GET", &target, None),
        target,
        parameter: ("warehouse", "south".to_owned()),
        function: "shop::stock::ask",
        file: "src/bin/shop/stock.rs",
        line: line(include_str!("../shop/stock.rs"), "the question")?,
        peer: Some(town.south()?),
    })
}

fn letters(random: &mut SmallRng, count: usize) -> String {
    (0..count)
        .map(|_| char::from(random.random_range(b'a'..=b'z')))
        .collect()
}

/// The line that says `here: {what}`.
fn line(source: &str, what: &str) -> Result<u32, Error> {
    let marked = |line: &str| line.trim_end().ends_with(&format!("// here: {what}"));
    let at = source.lines().position(marked);
    let at = at.ok_or_else(|| format!("no line is marked {what:?}"))?;
    Ok(u32::try_from(at)? + 1)
}
