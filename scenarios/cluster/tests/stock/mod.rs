//! Stock kubectl, in every version at hand, against an embedded cluster on a socket, in real time.
#![allow(dead_code, reason = "not every test program uses all of it")]

use std::net::SocketAddr;
use std::process::{Command, Output};

use hyper_util::rt::TokioIo;
use sim_cluster::api::{Access, Denial};
use sim_cluster::cluster::Cluster;
use tower::ServiceExt as _;

/// Serves the cluster from a thread of its own until the test process ends.
fn serve(begin: fn(&Cluster)) -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let cluster = Cluster::builder().seed(1).build();
            begin(&cluster);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let limited = Access::of_user("jane");
            limited.deny(Denial::of("list", "events"));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let everyone = cluster.service();
                let jane = cluster.service_for(limited.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request: http::Request<_>| {
                        let named = request.headers().get("impersonate-user").is_some();
                        let router = if named {
                            jane.clone()
                        } else {
                            everyone.clone()
                        };
                        router.oneshot(request)
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
    });
    receiver.recv().unwrap()
}

/// One kubectl and its cluster.
pub(crate) struct Kubectl {
    program: String,
    server: SocketAddr,
    cache: tempfile::TempDir,
}

/// The programs to test with; none where none can be run.
fn programs() -> Vec<String> {
    let runs = |program: &String| {
        let output = Command::new(program).args(["version", "--client"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if let Ok(program) = std::env::var("KUBECTL") {
        return [program].into_iter().filter(runs).collect();
    }
    let prepare = "../../fake-registry/tests/witness/prepare";
    let kept = ["kubectl-trixie", "kubectl-sid"]
        .into_iter()
        .filter_map(|name| {
            let output = Command::new(prepare).args(["find", name]).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| text.trim().to_owned())
        });
    std::iter::once("kubectl".to_owned())
        .chain(kept)
        .filter(runs)
        .collect()
}

/// Begins a cluster and does the work once with every kubectl, side by side, each with a cluster of its own.
pub(crate) fn each(begin: fn(&Cluster), work: fn(&Kubectl)) {
    let programs = programs();
    let enough = if std::env::var_os("CI").is_some() && std::env::var_os("KUBECTL").is_none() {
        3
    } else {
        usize::from(std::env::var_os("CI").is_some())
    };
    assert!(
        programs.len() >= enough,
        "kubectl is missing: {programs:?} are all"
    );
    if programs.is_empty() {
        eprintln!("skipped: no kubectl");
    }
    std::thread::scope(|scope| {
        for program in programs {
            scope.spawn(move || {
                let kubectl = Kubectl {
                    program,
                    server: serve(begin),
                    cache: tempfile::tempdir().unwrap(),
                };
                work(&kubectl);
            });
        }
    });
}

impl Kubectl {
    /// A run that is not begun.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(format!("--server=http://{}", self.server))
            .arg(format!("--cache-dir={}", self.cache.path().display()))
            .args(arguments)
            .env("KUBECONFIG", "/dev/null");
        command
    }

    /// Runs a command to its end with this on its standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = self
            .command(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("a kubectl");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// Since 1.35 an event's line of `describe` begins with the container that it is about.
    pub(crate) fn names_fields(&self) -> bool {
        let version = self.ok("version --client");
        version.contains("v1.35.") || version.contains("v1.36.")
    }

    /// Debian 12 brings 1.20, which lacks `kubectl events` and has older texts.
    pub(crate) fn is_old(&self) -> bool {
        self.ok("version --client").contains("v1.20.")
    }

    /// Runs a command that must succeed.
    pub(crate) fn ok(&self, line: &str) -> String {
        self.ok_with(line, "")
    }

    /// The same, with this on its standard input.
    pub(crate) fn ok_with(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.run(&arguments, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {line}\n{errors}", self.program);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command that must fail; gives what it says.
    pub(crate) fn fails(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.run(&arguments, input);
        assert!(!output.status.success(), "kubectl {line} should fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}
