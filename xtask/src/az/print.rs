//! What a command found, as asked for: `--query` in JMESPath, then JSON, tab-separated, or a table.

use std::fmt::Write as _;

use pull_scenarios::az::{AzError, Words};
use serde_json::Value;

pub(super) fn print(found: Value, words: &Words) -> Result<String, AzError> {
    let found = match words.get(&["--query"]) {
        None => found,
        Some(query) => search(query, &found)?,
    };
    // A command that answers nothing, and a query that finds nothing, print nothing.
    if found.is_null() {
        return Ok(String::new());
    }
    match words.get(&["--output", "-o"]).unwrap_or("json") {
        "json" | "jsonc" => {
            let text = serde_json::to_string_pretty(&found);
            text.map(|text| text + "\n")
                .map_err(|error| AzError::Query(error.to_string()))
        }
        "tsv" => Ok(tsv(&found)),
        "table" => Ok(table(&found)),
        "none" => Ok(String::new()),
        other => Err(AzError::Usage(format!(
            "argument --output/-o: '{other}' is not a valid value for '--output'. Allowed values: json, jsonc, none, table, tsv."
        ))),
    }
}

fn search(query: &str, found: &Value) -> Result<Value, AzError> {
    let wrong = |error: jmespath::JmespathError| {
        AzError::Query(format!(
            "argument --query: invalid jmespath_type value: {error}"
        ))
    };
    let expression = jmespath::compile(query).map_err(wrong)?;
    let result = expression.search(found).map_err(wrong)?;
    serde_json::to_value(&*result).map_err(|error| AzError::Query(error.to_string()))
}

fn rows(found: &Value) -> Vec<&Value> {
    match found {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.len().to_string(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

fn tsv(found: &Value) -> String {
    let mut text = String::new();
    for row in rows(found) {
        let cells: Vec<String> = match row {
            Value::Object(fields) => fields
                .values()
                .map(|value| cell(value).to_lowercase_bool(value))
                .collect(),
            Value::Array(items) => items.iter().map(cell).collect(),
            plain => vec![cell(plain).to_lowercase_bool(plain)],
        };
        let _ = writeln!(text, "{}", cells.join("\t"));
    }
    text
}

/// Tab-separated output spells truth in small letters, tables with a capital.
trait Spelling {
    fn to_lowercase_bool(self, of: &Value) -> String;
}

impl Spelling for String {
    fn to_lowercase_bool(self, of: &Value) -> String {
        if of.is_boolean() {
            self.to_lowercase()
        } else {
            self
        }
    }
}

fn table(found: &Value) -> String {
    let rows = rows(found);
    if rows.is_empty() {
        return String::new();
    }
    let mut names: Vec<&str> = Vec::new();
    for row in &rows {
        for (name, value) in row.as_object().into_iter().flatten() {
            if !value.is_object()
                && !value.is_array()
                && !value.is_null()
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        }
    }
    if names.is_empty() {
        let lines: Vec<String> = rows.iter().map(|row| cell(row) + "\n").collect();
        return format!("Result\n--------\n{}", lines.concat());
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let of = |name: &&str| row.get(*name).map(cell).unwrap_or_default();
            names.iter().map(of).collect()
        })
        .collect();
    let heads: Vec<String> = names.iter().map(|name| capital(name)).collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            let lengths = cells
                .iter()
                .filter_map(|row| row.get(at))
                .map(|cell| cell.chars().count());
            lengths.chain([head.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &[String]| {
        let padded: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let body: Vec<String> = cells.iter().map(|row| line(row)).collect();
    format!("{}{}{}", line(&heads), line(&rule), body.concat())
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed(found: Value, options: &str) -> String {
        let words: Vec<String> = shlex_like(options);
        print(found, &Words::read(&words).unwrap()).unwrap()
    }

    /// Words apart by spaces, but for what stands between `|`.
    fn shlex_like(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (at, part) in line.split('|').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    #[test]
    fn the_queries_of_the_remedies() {
        let cluster = json!({ "identityProfile": { "kubeletidentity": { "objectId": "1-2" } } });
        assert_eq!(
            printed(
                cluster,
                "aks show --query identityProfile.kubeletidentity.objectId --output tsv"
            ),
            "1-2\n"
        );
        let registries = json!([
            { "id": "/a", "loginServer": "a.azurecr.io" }, { "id": "/b", "loginServer": "b.azurecr.io" }
        ]);
        assert_eq!(
            printed(
                registries,
                "acr list --query |[?loginServer=='b.azurecr.io'].id| -o tsv"
            ),
            "/b\n"
        );
        let registry =
            json!({ "publicNetworkAccess": "Enabled", "networkRuleSet": null, "more": 1 });
        assert_eq!(
            printed(
                registry,
                "acr show --query |{public:publicNetworkAccess, rules:networkRuleSet}|"
            ),
            "{\n  \"public\": \"Enabled\",\n  \"rules\": null\n}\n"
        );
        let roles = json!([{ "roleDefinitionName": "AcrPull", "createdOn": "now", "x": {} }]);
        assert_eq!(
            printed(
                roles,
                "role assignment list --query |[].{role:roleDefinitionName, created:createdOn}| -o table"
            ),
            "Created  Role\n-------  -------\nnow      AcrPull\n"
        );
    }
}
