//! The schemas of the kinds that the embedded cluster knows, as one compressed JSON object:
//! name of the type to its schema, references as OpenAPI v3 writes them.
//!
//! `cargo run --manifest-path xtask/schemas/Cargo.toml` writes `scenarios/cluster/src/api/schemas.json.gz`.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use k8s_openapi::Resource;
use k8s_openapi::api::{apps, batch, coordination, core, events, policy};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let settings = SchemaSettings::default().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut schemas = SchemaGenerator::new(settings);
    let mut kinds = Vec::new();
    add::<core::v1::ConfigMap>(&mut schemas, &mut kinds);
    add::<core::v1::Event>(&mut schemas, &mut kinds);
    add::<core::v1::Namespace>(&mut schemas, &mut kinds);
    add::<core::v1::Node>(&mut schemas, &mut kinds);
    add::<core::v1::Pod>(&mut schemas, &mut kinds);
    add::<core::v1::Secret>(&mut schemas, &mut kinds);
    add::<core::v1::ServiceAccount>(&mut schemas, &mut kinds);
    add::<core::v1::Service>(&mut schemas, &mut kinds);
    add::<apps::v1::DaemonSet>(&mut schemas, &mut kinds);
    add::<apps::v1::Deployment>(&mut schemas, &mut kinds);
    add::<apps::v1::ReplicaSet>(&mut schemas, &mut kinds);
    add::<apps::v1::StatefulSet>(&mut schemas, &mut kinds);
    add::<batch::v1::CronJob>(&mut schemas, &mut kinds);
    add::<batch::v1::Job>(&mut schemas, &mut kinds);
    add::<policy::v1::PodDisruptionBudget>(&mut schemas, &mut kinds);
    add::<coordination::v1::Lease>(&mut schemas, &mut kinds);
    add::<events::v1::Event>(&mut schemas, &mut kinds);

    let mut all = schemas.take_definitions(true);
    all.values_mut().for_each(as_served);
    for (name, of_kind) in kinds {
        let schema = all.get_mut(&name).and_then(Value::as_object_mut);
        let schema = schema.ok_or_else(|| format!("no schema of `{name}`"))?;
        // The types say that metadata is never absent; a server takes a body without.
        schema.remove("required");
        schema.insert(
            "x-kubernetes-group-version-kind".to_owned(),
            json!([of_kind]),
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scenarios/cluster/src/api/schemas.json.gz");
    // No name and no time in the head: the same schemas are the same bytes.
    let mut file = GzBuilder::new().write(File::create(path)?, Compression::best());
    serde_json::to_writer(&mut file, &all)?;
    file.finish()?;
    Ok(())
}

/// The words of custom resources, as a server says the same of its own kinds.
fn as_served(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.remove("x-kubernetes-int-or-string").is_some() {
                members.insert("type".to_owned(), json!("string"));
                // A quantity comes as a string, or as a number, without a format of its own.
                if members
                    .get("description")
                    .is_some_and(|text| !text.to_string().contains("Quantity"))
                {
                    members.insert("format".to_owned(), json!("int-or-string"));
                }
            }
            if members.contains_key("description")
                && let Some(to) = members.remove("$ref")
            {
                members.insert("allOf".to_owned(), json!([{ "$ref": to }]));
            }
            members.values_mut().for_each(as_served);
        }
        Value::Array(items) => items.iter_mut().for_each(as_served),
        _ => {}
    }
}

fn add<T: JsonSchema + Resource>(schemas: &mut SchemaGenerator, kinds: &mut Vec<(String, Value)>) {
    schemas.subschema_for::<T>();
    let of_kind = json!({ "group": T::GROUP, "version": T::VERSION, "kind": T::KIND });
    kinds.push((T::schema_name().into_owned(), of_kind));
}
