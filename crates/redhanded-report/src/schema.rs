//! The JSON Schema of a log line.

/// The JSON Schema (draft 2020-12) of [`Report`](crate::Report), generated from the types.
pub fn json_schema() -> schemars::Schema {
    schemars::schema_for!(crate::Report)
}
