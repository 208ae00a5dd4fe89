//! Who sends: the OpenTelemetry resource.

use crate::headers::pair;
use crate::{detect, names, text};
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use redhanded_report::Service;
use std::collections::BTreeMap;

/// Attributes that override what the service says of itself; `Err` says what is wrong.
///
/// One bad entry discards them all, as the specification asks.
pub(crate) fn parse(list: &str) -> Result<BTreeMap<String, String>, String> {
    let entries = list
        .split(',')
        .enumerate()
        .filter(|(_, entry)| !entry.trim().is_empty());
    entries
        .map(|(at, entry)| pair(entry).ok_or_else(|| format!("entry {} is not key=value", at + 1)))
        .collect()
}

/// The resource of `service`; `overrides` win over it.
pub(crate) fn resource(service: &Service, overrides: BTreeMap<String, String>) -> Resource {
    let mut all = BTreeMap::new();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            all.insert(key.to_owned(), value);
        }
    };
    // The name that the conventions give to a service without one.
    set(names::SERVICE_NAME, Some("unknown_service".to_owned()));
    // What is found out is the weakest.
    for (key, value) in detect::all() {
        set(key, Some(value));
    }
    set(names::SERVICE_NAME, Some(service.name.clone()));
    set(names::SERVICE_VERSION, service.version.clone());
    set(names::SERVICE_INSTANCE_ID, service.instance.clone());
    set(names::HOST_NAME, service.host.clone());
    for (key, value) in overrides {
        set(&key, Some(value));
    }
    // Not "opentelemetry": that name is reserved for its own SDKs.
    set(names::TELEMETRY_SDK_NAME, Some("redhanded".to_owned()));
    set(names::TELEMETRY_SDK_LANGUAGE, Some("rust".to_owned()));
    set(
        names::TELEMETRY_SDK_VERSION,
        Some(env!("CARGO_PKG_VERSION").to_owned()),
    );
    all.remove(names::PROCESS_PID);
    let pid = service.pid.unwrap_or_else(std::process::id);
    let texts = all
        .into_iter()
        .map(|(key, value)| KeyValue::new(key, text::bounded(&value, text::VALUE)));
    let pid = KeyValue::new(names::PROCESS_PID, i64::from(pid));
    // Empty: the SDK's own detectors read the process environment.
    Resource::builder_empty()
        .with_schema_url(texts.chain([pid]), names::SCHEMA_URL)
        .build()
}
