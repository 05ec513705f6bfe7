//! The same program under the name by which kubectl finds plug-ins: `kubectl pullcheck`.

fn main() -> std::process::ExitCode {
    pullcheck::cli::main()
}
