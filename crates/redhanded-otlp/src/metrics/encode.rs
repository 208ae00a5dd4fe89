//! A snapshot as an OTLP request.

use super::temporality::{Delivered, Preference};
use crate::names;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use prost::Message;
use redhanded_core::metrics as counted;
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes requests, and knows what of the numbers has been delivered.
pub(super) struct Encoder {
    resource: ResourceAttributesWithSchema,
    preference: Preference,
    delivered: Delivered,
    /// When what was delivered last was true.
    last: Option<SystemTime>,
}

/// A request, and what is delivered with it.
pub(super) struct Encoded {
    pub(super) body: Bytes,
    next: Delivered,
    at: SystemTime,
}

impl Encoder {
    pub(super) fn new(resource: &opentelemetry_sdk::Resource, preference: Preference) -> Self {
        Self {
            resource: resource.into(),
            preference,
            delivered: Delivered::default(),
            last: None,
        }
    }

    /// A request that tells `snapshot`.
    pub(super) fn encode(&self, snapshot: &counted::Snapshot) -> Encoded {
        let mut telling = Telling {
            encoder: self,
            since: snapshot.since,
            at: snapshot.at,
            next: Delivered::default(),
        };
        let metrics = snapshot
            .metrics
            .iter()
            .filter_map(|metric| telling.metric(metric));
        let metrics = metrics.collect();
        let scope = ScopeMetrics {
            scope: Some((&names::scope(), None).into()),
            metrics,
            schema_url: names::SCHEMA_URL.to_owned(),
        };
        let resource = ResourceMetrics {
            resource: Some(Resource {
                attributes: self.resource.attributes.0.clone(),
                ..Resource::default()
            }),
            scope_metrics: vec![scope],
            schema_url: self.resource.schema_url.clone().unwrap_or_default(),
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![resource],
        };
        Encoded {
            body: request.encode_to_vec().into(),
            next: telling.next,
            at: snapshot.at,
        }
    }

    /// It was taken.
    pub(super) fn delivered(&mut self, encoded: Encoded) {
        self.delivered = encoded.next;
        self.last = Some(encoded.at);
    }
}

/// One snapshot on its way into a request.
struct Telling<'a> {
    encoder: &'a Encoder,
    since: SystemTime,
    at: SystemTime,
    next: Delivered,
}

impl Telling<'_> {
    fn metric(&mut self, metric: &counted::Metric) -> Option<Metric> {
        let delta = self.encoder.preference.is_delta(metric.observed);
        let temporality = |delta| {
            if delta {
                AggregationTemporality::Delta as i32
            } else {
                AggregationTemporality::Cumulative as i32
            }
        };
        let data = match &metric.data {
            counted::Data::Counter(points) => metric::Data::Sum(Sum {
                data_points: self.numbers(metric.name, points, delta),
                aggregation_temporality: temporality(delta),
                is_monotonic: true,
            }),
            counted::Data::UpDown(points) => metric::Data::Sum(Sum {
                data_points: self.numbers(metric.name, points, false),
                aggregation_temporality: temporality(false),
                is_monotonic: false,
            }),
            counted::Data::Gauge(points) => metric::Data::Gauge(Gauge {
                data_points: self.numbers(metric.name, points, false),
            }),
            counted::Data::Histogram(points) => metric::Data::Histogram(Histogram {
                data_points: self.histograms(metric.name, points, delta),
                aggregation_temporality: temporality(delta),
            }),
            // Kinds that are not known here are not told.
            _ => return None,
        };
        Some(Metric {
            name: metric.name.to_owned(),
            description: metric.description.to_owned(),
            unit: metric.unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        })
    }

    fn numbers(
        &mut self,
        name: &'static str,
        points: &[counted::Point<counted::Number>],
        delta: bool,
    ) -> Vec<NumberDataPoint> {
        let point = |point: &counted::Point<counted::Number>| {
            let series = || (name, point.attributes.clone());
            let value = if delta {
                let delivered = &self.encoder.delivered;
                delivered.number(series(), point.value, &mut self.next)
            } else {
                point.value
            };
            NumberDataPoint {
                attributes: attributes(&point.attributes),
                start_time_unix_nano: self.start(delta),
                time_unix_nano: unix_ns(self.at),
                exemplars: self.exemplars(&point.exemplar),
                flags: 0,
                value: Some(match value {
                    counted::Number::Int(n) => {
                        number_data_point::Value::AsInt(i64::try_from(n).unwrap_or(i64::MAX))
                    }
                    other => number_data_point::Value::AsDouble(other.as_f64()),
                }),
            }
        };
        points.iter().map(point).collect()
    }

    fn histograms(
        &mut self,
        name: &'static str,
        points: &[counted::Point<counted::Buckets>],
        delta: bool,
    ) -> Vec<HistogramDataPoint> {
        let point = |point: &counted::Point<counted::Buckets>| {
            let series = || (name, point.attributes.clone());
            let value = if delta {
                let delivered = &self.encoder.delivered;
                delivered.buckets(series(), &point.value, &mut self.next)
            } else {
                point.value.clone()
            };
            HistogramDataPoint {
                attributes: attributes(&point.attributes),
                start_time_unix_nano: self.start(delta),
                time_unix_nano: unix_ns(self.at),
                count: value.count(),
                sum: Some(value.sum),
                explicit_bounds: value.bounds.to_vec(),
                exemplars: self.exemplars(&value.exemplars),
                bucket_counts: value.counts,
                ..HistogramDataPoint::default()
            }
        };
        points.iter().map(point).collect()
    }

    fn start(&self, delta: bool) -> u64 {
        unix_ns(self.encoder.last.filter(|_| delta).unwrap_or(self.since))
    }

    /// Those that were not told yet.
    fn exemplars<'e>(
        &self,
        exemplars: impl IntoIterator<Item = &'e counted::Exemplar>,
    ) -> Vec<Exemplar> {
        let is_new = |at| self.encoder.last.is_none_or(|last| at >= last);
        let new = exemplars.into_iter().filter(|exemplar| is_new(exemplar.at));
        new.filter_map(exemplar).collect()
    }
}

fn exemplar(exemplar: &counted::Exemplar) -> Option<Exemplar> {
    let trace = u128::from_str_radix(&exemplar.trace_id, 16).ok()?;
    let span = u64::from_str_radix(&exemplar.span_id, 16).ok()?;
    Some(Exemplar {
        time_unix_nano: unix_ns(exemplar.at),
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: span.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..Exemplar::default()
    })
}

fn attributes(attributes: &counted::Attributes) -> Vec<KeyValue> {
    let pair = |(name, value): &(&'static str, counted::Attribute)| KeyValue {
        key: (*name).to_owned(),
        value: Some(AnyValue {
            value: Some(match value {
                counted::Attribute::Int(number) => any_value::Value::IntValue(*number),
                counted::Attribute::Bool(yes) => any_value::Value::BoolValue(*yes),
                text => any_value::Value::StringValue(text.to_string()),
            }),
        }),
        ..KeyValue::default()
    };
    attributes.iter().map(pair).collect()
}

/// Zero for what is before 1970.
fn unix_ns(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
