//! The types themselves say which fields they have, and the tables must say the same.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::acts::{dns_values, firewall_values, steps};
use super::world::doing_values;
use super::*;
use crate::spec;

/// A deserializer that reads nothing: it asks what a type is and gives up.
struct Asks<'a>(&'a mut Vec<&'static str>);

macro_rules! gives_up {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("no fields"))
        })*
    };
}

impl<'de> Deserializer<'de> for Asks<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(de::Error::custom("that is all"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(variants);
        Err(de::Error::custom("that is all"))
    }

    gives_up! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq
        deserialize_map deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("no fields"))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("no fields"))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("no fields"))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("no fields"))
    }
}

/// What a type calls its fields or variants, in order of name.
fn of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut names = Vec::new();
    let _ = T::deserialize(Asks(&mut names));
    names.sort_unstable();
    names.dedup();
    assert!(
        !names.is_empty(),
        "{} has no fields",
        std::any::type_name::<T>()
    );
    names
}

fn names(fields: &[Field]) -> Vec<&'static str> {
    let mut names: Vec<&str> = fields.iter().map(|(name, _, _)| *name).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_tables_have_the_fields_of_the_types() {
    let table = [
        (scenario(), of::<spec::Scenario>()),
        (twin(), of::<spec::Twin>()),
        (registry(), of::<spec::Registry>()),
        (account(), of::<spec::Account>()),
        (pull_limit(), of::<spec::PullLimit>()),
        (machine(), of::<spec::Machine>()),
        (proxy_rules(), of::<spec::ProxyRules>()),
        (azure(), of::<spec::Azure>()),
        (azure_cluster(), of::<spec::AzureCluster>()),
        (azure_registry(), of::<spec::AzureRegistry>()),
        (scoped_token(), of::<spec::ScopedToken>()),
        (private_endpoint(), of::<spec::PrivateEndpoint>()),
        (role_grant(), of::<spec::RoleGrant>()),
        (cluster(), of::<spec::Cluster>()),
        (node(), of::<spec::NodeSettings>()),
        (mirrors(), of::<spec::Mirrors>()),
        (proxy(), of::<spec::ProxySettings>()),
        (checker(), of::<spec::CheckerAccess>()),
        (acts(), of::<spec::Acts>()),
        (rollout(), of::<spec::Rollout>()),
        (observe(), of::<spec::Observe>()),
        (observed(), of::<spec::Observed>()),
        (diagnose(), of::<spec::Diagnose>()),
        (diagnosis(), of::<spec::Diagnosis>()),
        (kind(), of::<spec::OnKind>()),
        (watch(), of::<spec::Watch>()),
        (steps(), of::<spec::Step>()),
        (add_nodes(), of::<spec::AddNodes>()),
        (set_node(), of::<spec::SetNode>()),
        (remove_image(), of::<spec::RemoveImage>()),
        (firewall(), of::<spec::Firewall>()),
        (set_dns(), of::<spec::SetDns>()),
        (set_tls(), of::<spec::SetTls>()),
        (service(), of::<spec::Service>()),
        (node_identities(), of::<spec::NodeIdentities>()),
        (registry_load(), of::<spec::RegistryLoad>()),
        (set_sku(), of::<spec::SetSku>()),
        (registry_network(), of::<spec::RegistryNetwork>()),
        (registry_settings(), of::<spec::RegistrySettings>()),
        (tag_change(), of::<spec::TagChange>()),
        (diagnose_again(), of::<spec::DiagnoseAgain>()),
        (fault(), of::<fake_registry::Rule>()),
        (fault_match(), of::<fake_registry::Match>()),
        (fault_action(), of::<fake_registry::Action>()),
    ];
    for (fields, real) in table {
        assert_eq!(names(&fields), real);
    }
}

/// Words of an enum: those that stand alone, and those that have a value.
#[test]
fn the_words_are_those_of_the_types() {
    let whole = schema();
    let alone = |name: &str| -> Vec<String> {
        let part = &whole["$defs"][name];
        let words = part.get("enum").or_else(|| part["anyOf"][0].get("enum"));
        let words = words
            .and_then(Value::as_array)
            .unwrap_or_else(|| panic!("{name}"));
        words
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    };
    let table = [
        ("tls", Vec::new(), of::<fake_registry::TlsMode>()),
        ("sku", Vec::new(), of::<spec::Sku>()),
        (
            "firewall-action",
            firewall_values(),
            of::<spec::FirewallAction>(),
        ),
        ("dns-answer", dns_values(), of::<spec::DnsAnswer>()),
        ("doing", doing_values(), of::<spec::Doing>()),
    ];
    for (name, values, real) in table {
        let mut all = alone(name);
        all.extend(values.iter().map(|(name, _, _)| (*name).to_owned()));
        all.sort();
        assert_eq!(all, real, "{name}");
    }
    let words = |path: &str| {
        whole
            .pointer(path)
            .and_then(|part| part.get("enum"))
            .unwrap()
            .clone()
    };
    let sorted = |words: Value| {
        let mut words: Vec<String> = serde_json::from_value(words).unwrap();
        words.sort();
        words
    };
    assert_eq!(
        sorted(words("/$defs/registry/properties/access")),
        of::<spec::Access>()
    );
    assert_eq!(
        sorted(words("/$defs/registry/properties/habits")),
        of::<spec::Habits>()
    );
    assert_eq!(
        sorted(words("/$defs/service/properties/state")),
        of::<spec::ServiceState>()
    );
    assert_eq!(
        sorted(words("/$defs/diagnosis/properties/verdict")),
        of::<spec::ExpectedVerdict>()
    );
    assert_eq!(
        sorted(words("/$defs/rollout-states/additionalProperties")),
        of::<spec::WorkloadState>()
    );
}
