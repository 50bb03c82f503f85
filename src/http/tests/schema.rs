//! The part of JSON Schema that `openapi.yaml` uses. A keyword that this does not know ends the test: nothing is passed by
//! because it was not understood.

use serde_json::Value;

/// Keywords that demand nothing.
const NOTES: [&str; 1] = ["description"];

/// What of a value does not fit its schema. Stricter than the standard: an answer has no properties but those described.
pub(super) fn faults(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{place}: {what}: {value}"));
        }
    };
    let rules = schema.as_object().expect("a schema is an object");
    let mut inner = Vec::new();
    for (keyword, rule) in rules {
        match keyword.as_str() {
            "$ref" => inner.extend(faults(root, resolve(root, rule), value, place)),
            "type" => {
                let one = std::slice::from_ref(rule);
                let allowed = rule.as_array().map_or(one, Vec::as_slice);
                demand(
                    allowed.iter().any(|kind| is(kind, value)),
                    "has another type",
                );
            }
            "enum" => demand(
                rule.as_array().is_some_and(|all| all.contains(value)),
                "is none of those",
            ),
            "minimum" => demand(
                value.is_null() || value.as_f64() >= rule.as_f64(),
                "is too small",
            ),
            "maxLength" => demand(
                value.as_str().is_none_or(|text| {
                    text.chars().count() as u64 <= rule.as_u64().expect("a length")
                }),
                "is too long",
            ),
            "format" => {
                assert_eq!(rule, "date-time");
                let is_time = |text| chrono::DateTime::parse_from_rfc3339(text).is_ok();
                demand(value.as_str().is_none_or(is_time), "is no time");
            }
            "anyOf" => {
                let options = rule.as_array().expect("a list");
                let fits = |option| faults(root, option, value, place).is_empty();
                demand(options.iter().any(fits), "fits none");
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    inner.extend(faults(root, rule, item, &format!("{place}[{n}]")));
                }
            }
            "required" => {
                for name in rule.as_array().expect("a list") {
                    demand(
                        value.get(name.as_str().expect("a name")).is_some(),
                        &format!("lacks {name}"),
                    );
                }
            }
            "properties" => {
                for (name, own) in value.as_object().into_iter().flatten() {
                    match rule.get(name) {
                        Some(rule) => {
                            inner.extend(faults(root, rule, own, &format!("{place}.{name}")));
                        }
                        None => demand(false, &format!("has {name}, which nobody described")),
                    }
                }
            }
            "additionalProperties" => assert_eq!(rule, &Value::Bool(false)),
            note => assert!(NOTES.contains(&note), "unknown keyword {note}"),
        }
    }
    found.extend(inner);
    found
}

/// What a reference is to.
pub(super) fn resolve<'a>(root: &'a Value, reference: &Value) -> &'a Value {
    let path = reference.as_str().and_then(|text| text.strip_prefix('#'));
    let found = path.and_then(|path| root.pointer(path));
    found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let schema: Value = serde_json::json!({
        "type": "object", "required": ["a", "b"],
        "properties": {
            "a": { "type": ["string", "null"], "format": "date-time" },
            "b": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
            "c": { "type": "string", "enum": ["x"] },
        },
    });
    let count = |value: Value| faults(&schema, &schema, &value, "").len();
    assert_eq!(
        count(serde_json::json!({"a": null, "b": [1, 2], "c": "x"})),
        0
    );
    assert_eq!(
        count(serde_json::json!({"a": "2026-06-01T00:00:00Z", "b": []})),
        0
    );
    for wrong in [
        serde_json::json!({"a": "today", "b": []}),
        serde_json::json!({"a": 1, "b": []}),
        serde_json::json!({"b": []}),
        serde_json::json!({"a": null, "b": [-1]}),
        serde_json::json!({"a": null, "b": [1.5]}),
        serde_json::json!({"a": null, "b": [], "c": "y"}),
        serde_json::json!({"a": null, "b": [], "d": 1}),
        serde_json::json!([]),
    ] {
        assert!(count(wrong.clone()) > 0, "{wrong}");
    }
}
