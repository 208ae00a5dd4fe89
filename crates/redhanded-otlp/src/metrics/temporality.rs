//! Whether numbers are told from the beginning, or since the last time: OpenTelemetry's temporality.

use crate::config::warn;
use redhanded_core::metrics::{Attributes, Buckets, Number};
use std::collections::HashMap;

const NAME: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

/// What the environment prefers
/// (<https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/#additional-environment-variable-configuration>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Preference {
    #[default]
    Cumulative,
    Delta,
    /// Deltas of what is counted as it happens, else cumulative.
    LowMemory,
}

impl Preference {
    pub(super) fn read(env: &impl Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> Self {
        let Some(value) = env(NAME).filter(|value| !value.trim().is_empty()) else {
            return Self::default();
        };
        match value.trim().to_ascii_lowercase().as_str() {
            "cumulative" => Self::Cumulative,
            "delta" => Self::Delta,
            "lowmemory" => Self::LowMemory,
            _ => {
                let then = "accepted are cumulative, delta and lowmemory; cumulative is used";
                warn(warnings, NAME, &value, then);
                Self::default()
            }
        }
    }

    /// Of counters and histograms; what rises and falls is cumulative always.
    pub(super) fn is_delta(self, observed: bool) -> bool {
        match self {
            Self::Cumulative => false,
            Self::Delta => true,
            Self::LowMemory => !observed,
        }
    }
}

/// A series, by the name of its metric and its labels.
type Series = (&'static str, Attributes);

/// What has been delivered of each series.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivered {
    numbers: HashMap<Series, Number>,
    buckets: HashMap<Series, (Vec<u64>, f64)>,
}

impl Delivered {
    /// How much `now` is more than what was delivered of it, and notes it in `next`. What has begun anew is all news.
    pub(super) fn number(&self, series: Series, now: Number, next: &mut Self) -> Number {
        let more = match (now, self.numbers.get(&series)) {
            (Number::Int(now), Some(Number::Int(before))) if now >= *before => {
                Number::Int(now - before)
            }
            (Number::Float(now), Some(Number::Float(before))) if now >= *before => {
                Number::Float(now - before)
            }
            (now, _) => now,
        };
        next.numbers.insert(series, now);
        more
    }

    /// The same of a histogram.
    pub(super) fn buckets(&self, series: Series, now: &Buckets, next: &mut Self) -> Buckets {
        let mut more = now.clone();
        if let Some((counts, sum)) = self.buckets.get(&series) {
            let is_more = counts.iter().zip(&now.counts).all(|(was, is)| is >= was);
            if is_more {
                let each = more.counts.iter_mut().zip(counts);
                each.for_each(|(count, before)| *count -= before);
                more.sum = (now.sum - sum).max(0.0);
            }
        }
        next.buckets.insert(series, (now.counts.clone(), now.sum));
        more
    }
}
