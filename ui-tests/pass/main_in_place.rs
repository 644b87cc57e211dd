#![deny(warnings)]

#[sandboxed::sandboxed(best_effort, read = "/usr", allow(udp))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}
