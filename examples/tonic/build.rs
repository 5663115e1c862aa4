//! Compiles the protobuf with protox, which is written in Rust, so that nobody has to install
//! `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["proto/agents.proto"], ["proto"])?;
    // `Bytes` instead of `Vec<u8>`: the messages for several agents share one event until they are
    // encoded.
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
