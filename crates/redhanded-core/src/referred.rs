//! Who has what a request waits for, as the memory of futures tells it.

use serde::{Deserialize, Serialize};

/// Who refers to the thing that a request waits with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referred {
    /// The id of the request that waits; empty where it has none of its own.
    #[serde(default)]
    pub me: String,
    /// Ids of other requests that refer to it and do not wait for it.
    pub by: Vec<String>,
    /// Other requests that wait for it as well.
    pub queue: u32,
    /// Who had it at an earlier look is over: it was given on since.
    #[serde(default)]
    pub given_on: bool,
    /// A part of the request itself refers to it that was not polled when the request was.
    pub unpolled: bool,
    /// Another part of it that was polled refers to it, and does not wait there.
    pub itself: bool,
    /// A leaf has a set of futures at hand that is empty: nothing in it can wake anybody.
    pub empty_set: bool,
    /// More requests were in flight than were looked into.
    pub cut: bool,
}
