//! The JSON Schemas of what pullcheck writes, with its closed lists out of the code.
//!
//! A report only grows within its version, so members that are not named here are allowed everywhere.

use serde_json::{Value, json};

use crate::cause::Cause;
use crate::clue::Clue;
use crate::stage::Stage;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of `pullcheck.report/1`.
pub fn report_schema() -> Value {
    json!({
        "$schema": DRAFT,
        "title": "pullcheck.report/1",
        "description": "What `pullcheck --output json` writes. Members are added within the version, never changed or removed.",
        "type": "object",
        "required": ["schema", "subject", "at", "verdict", "cause", "stage", "answers", "problems", "summary", "gaps"],
        "properties": {
            "schema": { "const": "pullcheck.report/1" },
            "subject": { "type": "string", "description": "What was asked for, in words." },
            "at": { "type": "string", "format": "date-time" },
            "verdict": { "$ref": "#/$defs/verdict" },
            "cause": { "$ref": "#/$defs/maybeCause" },
            "stage": { "$ref": "#/$defs/maybeStage" },
            "answers": { "type": "array", "items": { "$ref": "#/$defs/answer" } },
            "problems": { "type": "array", "items": { "$ref": "#/$defs/problem" } },
            "summary": { "$ref": "#/$defs/text", "description": "How much was looked at, where that is much." },
            "gaps": { "type": "array", "items": {
                "type": "object",
                "required": ["what", "ask"],
                "properties": { "what": { "type": "string" }, "ask": { "type": ["string", "null"] } }
            } }
        },
        "$defs": {
            "verdict": { "enum": ["pullable", "blocked", "undetermined"] },
            "cause": { "enum": causes() },
            "stage": { "enum": stages() },
            "clue": { "enum": clues() },
            "maybeCause": { "anyOf": [{ "$ref": "#/$defs/cause" }, { "type": "null" }] },
            "maybeStage": { "anyOf": [{ "$ref": "#/$defs/stage" }, { "type": "null" }] },
            "vantage": { "type": "string", "pattern": "^(workstation|node/.+)$" },
            "text": { "type": ["string", "null"] },
            "answer": answer(),
            "problem": problem(),
            "outlook": outlook(),
            "credential": credential(),
            "sideBySide": side_by_side(),
            "fact": {
                "type": "object",
                "required": ["stage", "vantage", "at", "took_ms", "seen"],
                "properties": {
                    "stage": { "$ref": "#/$defs/stage" },
                    "vantage": { "$ref": "#/$defs/vantage" },
                    "endpoint": { "type": "object", "required": ["role", "authority"] },
                    "identity": { "type": "object", "required": ["as"] },
                    "at": { "type": "string", "format": "date-time" },
                    "took_ms": { "type": "number", "minimum": 0 },
                    "seen": { "type": "string" }
                }
            }
        }
    })
}

fn answer() -> Value {
    json!({
        "type": "object",
        "required": ["image", "verdict", "cause", "stage", "candidates", "would_settle", "because", "vantage", "notes",
            "ruled_out", "remedies", "waiting", "running", "outlook", "credentials",
            "told", "side_by_side", "evidence", "azure", "proved", "not_proved"],
        "properties": {
            "image": { "type": "string" },
            "verdict": { "$ref": "#/$defs/verdict" },
            "cause": { "$ref": "#/$defs/maybeCause" },
            "stage": { "$ref": "#/$defs/maybeStage" },
            "candidates": { "type": "array", "items": { "$ref": "#/$defs/cause" } },
            "would_settle": { "type": "array", "items": {
                "type": "object", "required": ["what", "command"],
                "properties": { "what": { "type": "string" }, "command": { "$ref": "#/$defs/text" } }
            } },
            "because": { "type": "string" },
            "vantage": { "anyOf": [{ "$ref": "#/$defs/vantage" }, { "type": "null" }] },
            "notes": { "type": "array", "items": { "type": "string" } },
            "ruled_out": { "type": "array", "items": {
                "type": "object", "required": ["cause", "because"],
                "properties": { "cause": { "$ref": "#/$defs/cause" }, "because": { "type": "string" } }
            } },
            "remedies": { "type": "array", "items": {
                "type": "object", "required": ["title", "commands", "note"],
                "properties": {
                    "title": { "type": "string" },
                    "commands": { "type": "array", "items": { "type": "string" } },
                    "note": { "$ref": "#/$defs/text" }
                }
            } },
            "waiting": { "type": "array", "items": {
                "type": "object", "required": ["namespace", "pod", "container", "node", "reason"],
                "properties": {
                    "attempts_at_least": { "type": ["integer", "null"] },
                    "next_attempt_within_s": { "type": ["integer", "null"] }
                }
            } },
            "running": { "type": "integer", "minimum": 0 },
            "outlook": { "anyOf": [{ "$ref": "#/$defs/outlook" }, { "type": "null" }] },
            "credentials": { "type": "array", "items": { "$ref": "#/$defs/credential" } },
            "told": { "type": "array", "items": {
                "type": "object", "required": ["node", "clue", "certain", "stage", "causes", "text", "count"],
                "properties": {
                    "clue": { "$ref": "#/$defs/clue" },
                    "certain": { "type": "boolean" },
                    "stage": { "$ref": "#/$defs/stage" },
                    "causes": { "type": "array", "items": { "$ref": "#/$defs/cause" } },
                    "text": { "type": "string" }
                }
            } },
            "side_by_side": { "anyOf": [{ "$ref": "#/$defs/sideBySide" }, { "type": "null" }] },
            "evidence": { "type": "array", "items": { "$ref": "#/$defs/fact" } },
            "azure": { "type": ["object", "null"] },
            "proved": { "type": "array", "items": { "type": "string" } },
            "not_proved": { "type": "array", "items": { "type": "string" } }
        }
    })
}

fn problem() -> Value {
    json!({
        "description": "Answers with the same verdict that go back to one node, one image or one registry.",
        "type": "object",
        "required": ["verdict", "cause", "candidates", "stage", "extent", "images", "nodes", "namespaces", "waiting"],
        "properties": {
            "verdict": { "enum": ["blocked", "undetermined"] },
            "cause": { "$ref": "#/$defs/maybeCause" },
            "candidates": { "type": "array", "maxItems": 3, "items": { "$ref": "#/$defs/cause" } },
            "stage": { "$ref": "#/$defs/maybeStage" },
            "extent": { "oneOf": [
                { "required": ["of", "node"], "properties": { "of": { "const": "node" }, "node": { "type": "string" } } },
                { "required": ["of", "image"], "properties": { "of": { "const": "image" }, "image": { "type": "string" } } },
                { "required": ["of", "host"], "properties": { "of": { "const": "registry" }, "host": { "type": "string" } } }
            ] },
            "images": { "type": "array", "items": { "type": "string" } },
            "nodes": { "type": "array", "items": { "type": "string" } },
            "namespaces": { "type": "array", "items": { "type": "string" } },
            "waiting": { "type": "integer", "minimum": 0 }
        }
    })
}

fn outlook() -> Value {
    json!({
        "description": "Whether to wait or to act, where pods wait.",
        "type": "object",
        "required": ["act", "next", "words", "command"],
        "properties": {
            "act": { "enum": ["wait", "mend", "restart", "unclear"] },
            "next": { "anyOf": [{ "type": "null" }, {
                "type": "object",
                "required": ["number_at_least", "number_at_most", "earliest_s", "latest_s", "exact"],
                "properties": {
                    "number_at_least": { "type": "integer" },
                    "number_at_most": { "type": "integer" },
                    "earliest_s": { "type": "integer" },
                    "latest_s": { "type": "integer" },
                    "exact": { "type": "boolean" }
                }
            }] },
            "words": { "type": "string" },
            "command": { "$ref": "#/$defs/text" }
        }
    })
}

fn credential() -> Value {
    json!({
        "description": "A credential that the kubelet would try, or why not; never its value.",
        "type": "object",
        "required": ["turn", "source", "key", "state", "issuer", "audience", "tenant", "expires", "expired"],
        "properties": {
            "turn": { "type": ["integer", "null"], "minimum": 1 },
            "source": { "type": "string" },
            "key": { "$ref": "#/$defs/text" },
            "state": { "type": "string" },
            "issuer": { "$ref": "#/$defs/text" },
            "audience": { "$ref": "#/$defs/text" },
            "tenant": { "$ref": "#/$defs/text" },
            "expires": { "$ref": "#/$defs/text" },
            "expired": { "type": "boolean" }
        }
    })
}

fn side_by_side() -> Value {
    json!({
        "description": "The workstation and every node that was looked from through the cluster (--from nodes).",
        "type": "object",
        "required": ["words", "differs_at", "stands_out", "places"],
        "properties": {
            "words": { "type": "string" },
            "differs_at": { "$ref": "#/$defs/maybeStage" },
            "stands_out": { "type": "array", "items": { "type": "string" } },
            "places": { "type": "array", "items": {
                "type": "object",
                "required": ["place", "outcome", "stage", "shallow", "took_ms", "addresses", "words"],
                "properties": {
                    "place": { "$ref": "#/$defs/vantage" },
                    "outcome": { "enum": ["passed", "stopped", "no-probe"] },
                    "stage": { "$ref": "#/$defs/maybeStage" },
                    "shallow": { "type": "boolean", "description": "Asked no further than to /v2/." },
                    "took_ms": { "type": "number", "minimum": 0 },
                    "addresses": { "type": "array", "items": { "type": "string" } },
                    "words": { "type": "string" }
                }
            } }
        }
    })
}

/// The schema of one line that `pullcheck explain --jsonl` writes.
pub fn explain_schema() -> Value {
    json!({
        "$schema": DRAFT,
        "title": "pullcheck explain --jsonl",
        "description": "One line out: the object that came in, with these members added.",
        "type": "object",
        "required": ["message", "clue", "also", "certain", "stage", "layers", "causes"],
        "properties": {
            "message": { "type": "string" },
            "clue": { "$ref": "#/$defs/clue" },
            "also": { "type": "array", "items": { "$ref": "#/$defs/clue" } },
            "certain": { "type": "boolean" },
            "stage": { "enum": stages() },
            "layers": { "type": "array", "items": { "type": "object" } },
            "causes": { "type": "array", "items": { "enum": causes() } }
        },
        "$defs": { "clue": { "enum": clues() } }
    })
}

fn causes() -> Vec<&'static str> {
    Cause::ALL.iter().map(|cause| cause.id()).collect()
}

fn clues() -> Vec<&'static str> {
    Clue::ALL.iter().map(|clue| clue.id()).collect()
}

fn stages() -> Vec<&'static str> {
    Stage::ALL.iter().map(|stage| stage.id()).collect()
}
