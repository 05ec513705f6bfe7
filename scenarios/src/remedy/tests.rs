use serde_json::json;

use super::*;

fn error(line: &str, make: impl FnOnce(String) -> CommandError) -> Result<Command, CommandError> {
    Err(make(line.to_owned()))
}

#[test]
fn the_lines_that_are_understood() {
    let table = [
        (
            "kubectl -n shop set image deployment/web web=r.example/team/web:v1",
            Ok(Command::SetImage {
                namespace: Some("shop".into()),
                target: "deployment/web".into(),
                images: vec![("web".into(), "r.example/team/web:v1".into())],
            }),
        ),
        (
            "kubectl -n shop rollout restart deployment/web",
            Ok(Command::Restart {
                namespace: Some("shop".into()),
                target: "deployment/web".into(),
            }),
        ),
        (
            "kubectl -n shop patch serviceaccount default --patch '{\"a\": 1}'",
            Ok(Command::Patch {
                namespace: Some("shop".into()),
                target: "serviceaccount/default".into(),
                patch: json!({"a": 1}),
            }),
        ),
        (
            "az role assignment create --assignee-object-id 1-2 --assignee-principal-type \
             ServicePrincipal --role AcrPull --scope '/subscriptions/s'",
            Ok(Command::AssignRole {
                assignee: "1-2".into(),
                principal_type: Some("ServicePrincipal".into()),
                role: "AcrPull".into(),
                scope: "/subscriptions/s".into(),
            }),
        ),
        (
            "az acr update --name shop --resource-group r --sku=Premium",
            Ok(Command::UpdateRegistry {
                name: "shop".into(),
                resource_group: Some("r".into()),
                change: RegistryChange {
                    sku: Some("Premium".into()),
                    ..RegistryChange::default()
                },
            }),
        ),
        (
            "az acr update --name shop --public-network-enabled true",
            Ok(Command::UpdateRegistry {
                name: "shop".into(),
                resource_group: None,
                change: RegistryChange {
                    public_network: Some(true),
                    ..RegistryChange::default()
                },
            }),
        ),
        (
            "az aks update --resource-group g --name c --attach-acr shop",
            Ok(Command::AttachRegistry {
                name: "c".into(),
                resource_group: "g".into(),
                registry: "shop".into(),
            }),
        ),
        (
            "az acr update --name shop",
            error("az acr update --name shop", |line| CommandError::Missing {
                line,
                option: "--sku",
            }),
        ),
        (
            "az acr update --name shop --sku Premium --colour blue",
            error(
                "az acr update --name shop --sku Premium --colour blue",
                |line| CommandError::Option {
                    line,
                    option: "--colour".into(),
                },
            ),
        ),
        (
            "az acr update --name shop --public-network-enabled perhaps",
            error(
                "az acr update --name shop --public-network-enabled perhaps",
                |line| CommandError::Value {
                    line,
                    option: "--public-network-enabled",
                    value: "perhaps".into(),
                },
            ),
        ),
        (
            "kubectl delete pod <pod>",
            error("kubectl delete pod <pod>", CommandError::Placeholder),
        ),
        ("rm -rf /", error("rm -rf /", CommandError::Unknown)),
        (
            "kubectl set image 'x",
            error("kubectl set image 'x", CommandError::Syntax),
        ),
    ];
    for (line, want) in table {
        assert_eq!(Command::parse(line), want, "for {line}");
    }
}

#[test]
fn what_the_reader_fills_in() {
    let line = "kubectl -n shop create secret docker-registry pull --docker-server=r.example \
                --docker-username=… --docker-password=…";
    assert_eq!(
        Command::parse(line),
        Err(CommandError::Placeholder(line.into()))
    );
    let with: IndexMap<String, String> = [("--docker-username", "ci"), ("--docker-password", "x")]
        .into_iter()
        .map(|(option, value)| (option.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(
        Command::parse_filled(line, Some(&with)),
        Ok(Command::CreateSecret {
            namespace: Some("shop".into()),
            name: "pull".into(),
            server: "r.example".into(),
            username: "ci".into(),
            password: "x".into(),
        })
    );
}

#[test]
fn every_name_is_that_of_a_command() {
    let lines = [
        "kubectl set image deployment/a a=b",
        "kubectl delete pod a",
        "kubectl rollout restart deployment/a",
        "kubectl patch deployment/a --patch {}",
        "kubectl create secret docker-registry a --docker-server=b --docker-username=c --docker-password=d",
        "kubectl delete secret a",
        "az role assignment create --assignee a --role b --scope /c",
        "az acr update --name a --sku Basic",
        "az acr config authentication-as-arm update --registry a --status enabled",
        "az acr network-rule add --name a --ip-address 1.2.3.4",
        "az aks update --name a --resource-group b",
    ];
    let names: Vec<_> = lines
        .iter()
        .map(|line| Command::parse(line).unwrap().name())
        .collect();
    assert_eq!(names, Command::NAMES);
}
