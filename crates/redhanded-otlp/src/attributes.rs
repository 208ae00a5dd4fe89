//! Attributes of a span, bounded in number and size.

use crate::text;
use opentelemetry::{Array, KeyValue, StringValue, Value};

/// Attributes under construction. What is over the limit is dropped and counted.
pub(crate) struct Attributes {
    list: Vec<KeyValue>,
    limit: usize,
    dropped: u32,
}

impl Attributes {
    /// The limit is the default of the OpenTelemetry SDK specification.
    pub(crate) fn new() -> Self {
        Self::with_limit(128)
    }

    pub(crate) fn with_limit(limit: usize) -> Self {
        Self {
            list: Vec::new(),
            limit,
            dropped: 0,
        }
    }

    pub(crate) fn text(&mut self, key: &str, value: impl AsRef<str>) {
        self.long_text(key, value, text::VALUE);
    }

    pub(crate) fn long_text(&mut self, key: &str, value: impl AsRef<str>, limit: usize) {
        self.push(key, text::bounded(value.as_ref(), limit));
    }

    pub(crate) fn maybe_text(&mut self, key: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    pub(crate) fn texts(&mut self, key: &str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        let one = |value: &String| StringValue::from(text::bounded(value, text::VALUE));
        self.push(
            key,
            Value::Array(Array::String(values.iter().take(64).map(one).collect())),
        );
    }

    pub(crate) fn int(&mut self, key: &str, value: u64) {
        self.push(key, i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub(crate) fn maybe_int(&mut self, key: &str, value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.int(key, value.into());
        }
    }

    pub(crate) fn maybe_float(&mut self, key: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.push(key, value);
        }
    }

    pub(crate) fn yes(&mut self, key: &str) {
        self.push(key, true);
    }

    pub(crate) fn value(&mut self, key: &str, value: impl Into<Value>) {
        self.push(key, value);
    }

    fn push(&mut self, key: &str, value: impl Into<Value>) {
        let key = text::bounded(key, text::KEY);
        // Keys must be unique, and two long ones may look alike once they are cut.
        if self.list.len() >= self.limit || self.list.iter().any(|there| there.key.as_str() == key)
        {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.list.push(KeyValue::new(key, value));
    }

    /// The list, and how many did not fit into it.
    pub(crate) fn finish(self) -> (Vec<KeyValue>, u32) {
        (self.list, self.dropped)
    }
}
