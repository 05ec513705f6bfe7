//! The catalogue is compiled in; a file that comes or goes must rebuild the crate.

fn main() {
    println!("cargo::rerun-if-changed=catalogue");
}
