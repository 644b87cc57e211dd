//! Compiles the C++ object.

fn main() {
    println!("cargo::rerun-if-changed=src/statics.cc");
    cc::Build::new().cpp(true).file("src/statics.cc").compile("statics");
}
