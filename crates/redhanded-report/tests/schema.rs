//! The schema that is checked in is the one the types give, and it tells right from wrong.

#![cfg(feature = "schema")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use serde_json::{Value, json};
use std::path::Path;

const EXAMPLE: &str = include_str!("../fixtures/caught.jsonl");

fn schema() -> Value {
    serde_json::to_value(redhanded_report::json_schema()).unwrap()
}

#[test]
fn the_file_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/report.schema.json");
    let generated = schema();
    if std::env::var_os("REDHANDED_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(
            &path,
            serde_json::to_string_pretty(&generated).unwrap() + "\n",
        )
        .unwrap();
    }
    let checked_in: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(
        checked_in == generated,
        "{} is out of date: run this test with REDHANDED_BLESS=1",
        path.display()
    );
}

#[test]
fn the_example_is_valid() {
    for line in EXAMPLE.lines() {
        validate(&serde_json::from_str(line).unwrap()).unwrap();
    }
}

#[test]
fn what_is_wrong_is_refused() {
    let example: Value = serde_json::from_str(EXAMPLE.lines().next().unwrap()).unwrap();
    let wrong = [
        ("/event", json!("cought"), "/event"),
        ("/id", json!(7), "/id"),
        ("/elapsed_ms", json!("long"), "/elapsed_ms"),
        ("/occurrences", json!(-1), "/occurrences"),
        ("/occurrences", json!(1.5), "/occurrences"),
        ("/verdict/class", json!("cpu loop"), "/verdict"),
        ("/verdict/victim_ids", json!([1]), "/verdict"),
        ("/evidence/stacks/0/frames/0/line", json!("41"), "/evidence"),
        ("/request/params/query", json!({"q": 1}), "/request"),
        ("/lost", json!(null), "/lost"),
    ];
    for (place, value, found_at) in wrong {
        let mut report = example.clone();
        *report.pointer_mut(place).unwrap() = value;
        let error = validate(&report).expect_err(place);
        assert!(error.starts_with(found_at), "{place}: {error}");
    }
    for missing in ["schema", "event", "id", "time"] {
        let mut report = example.clone();
        report.as_object_mut().unwrap().remove(missing);
        assert!(validate(&report).unwrap_err().contains(missing));
    }
}

/// Validates against the generated schema. A validator for all of JSON Schema would bring fifty
/// crates into the build; this one knows the words that our types need and refuses others.
fn validate(report: &Value) -> Result<(), String> {
    let root = schema();
    check(&root, &root, report, "")
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(words) = schema.as_object() else {
        return schema
            .as_bool()
            .filter(|all| *all)
            .map(|_| ())
            .ok_or(format!("{at}: nothing is allowed here"));
    };
    words.iter().try_for_each(|(word, argument)| {
        keyword(root, words.get("properties"), word, argument, value, at)
    })
}

fn keyword(
    root: &Value,
    properties: Option<&Value>,
    word: &str,
    argument: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let branches = || {
        argument
            .as_array()
            .into_iter()
            .flatten()
            .filter(|branch| check(root, branch, value, at).is_ok())
            .count()
    };
    let holds = match word {
        "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
        "$ref" => {
            let target = argument
                .as_str()
                .and_then(|pointer| root.pointer(pointer.trim_start_matches('#')));
            return check(root, target.unwrap_or(&Value::Bool(false)), value, at);
        }
        "type" => match argument {
            Value::Array(types) => types.iter().any(|name| is_type(name, value)),
            name => is_type(name, value),
        },
        "const" => value == argument,
        "enum" => argument.as_array().is_some_and(|all| all.contains(value)),
        "minimum" => value.as_f64() >= argument.as_f64() || !value.is_number(),
        "maximum" => value.as_f64() <= argument.as_f64() || !value.is_number(),
        "oneOf" => branches() == 1,
        "anyOf" => branches() > 0,
        "required" => {
            let missing = argument
                .as_array()
                .into_iter()
                .flatten()
                .find(|name| value.get(name.as_str().unwrap_or("")).is_none());
            return missing.map_or(Ok(()), |name| Err(format!("{at}: {name} is missing")));
        }
        "items" => {
            return each(
                value.as_array().into_iter().flatten().enumerate(),
                at,
                |item, at| check(root, argument, item, at),
            );
        }
        "properties" => {
            let known = value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| argument.get(name.as_str()).is_some());
            return known.into_iter().try_for_each(|(name, item)| {
                check(
                    root,
                    &argument[name.as_str()],
                    item,
                    &format!("{at}/{name}"),
                )
            });
        }
        "additionalProperties" => {
            let others = value.as_object().into_iter().flatten();
            let others = others.filter(|(name, _)| {
                properties.is_none_or(|known| known.get(name.as_str()).is_none())
            });
            return each(others, at, |item, at| check(root, argument, item, at));
        }
        other => return Err(format!("{at}: the test does not know `{other}` yet")),
    };
    if holds {
        Ok(())
    } else {
        Err(format!("{at}: {value} is not `{word}` {argument}"))
    }
}

fn each<'v, K: std::fmt::Display>(
    mut items: impl Iterator<Item = (K, &'v Value)>,
    at: &str,
    check: impl Fn(&Value, &str) -> Result<(), String>,
) -> Result<(), String> {
    items.try_for_each(|(key, item)| check(item, &format!("{at}/{key}")))
}

fn is_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap_or("") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
