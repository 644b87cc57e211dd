//! The process in which a way is measured; `cargo bench` starts one for each.

use peers::ways::{birdcage, direct, extrasafe, fork, hakoniwa, ipc_channel, procspawn, sandboxed, thread};
use peers::{Entry, Result, host};

/// In the order of the table.
const WAYS: &[Entry] = &[
    Entry::of::<direct::Direct>(),
    Entry::of::<thread::Thread>(),
    Entry::of::<sandboxed::Thread>(),
    Entry::of::<sandboxed::Process>(),
    Entry::of::<sandboxed::Workers>(),
    Entry::of::<ipc_channel::Worker<serde_bytes::ByteBuf>>(),
    Entry::of::<ipc_channel::Worker<::ipc_channel::ipc::IpcSharedMemory>>(),
    Entry::of::<procspawn::Pooled>(),
    Entry::of::<procspawn::Spawned>(),
    Entry::of::<fork::Fork>(),
    Entry::of::<hakoniwa::Closure>(),
    Entry::of::<hakoniwa::Program>(),
    Entry::of::<birdcage::Program>(),
    Entry::of::<extrasafe::Isolated>(),
];

fn main() -> Result<()> {
    host::main(WAYS)
}
