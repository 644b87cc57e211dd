//! The ways, each in a file of its own.

pub mod birdcage;
pub mod direct;
pub mod extrasafe;
pub mod fork;
pub mod hakoniwa;
pub mod ipc_channel;
pub mod procspawn;
pub mod sandboxed;
pub mod thread;
pub mod wasmtime;
