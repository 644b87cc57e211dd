//! What a call costs: jobs done directly, by `sandboxed`, and by other ways to run a function apart.
//!
//! The parts in the order in which they run:
//!
//! 1. `driver` starts one host for each way, and lets them take turns.
//! 2. `host` is the process in which one way is measured; its heap holds nothing else.
//! 3. `way` is what each peer in `ways` implements: get ready once, then call.
//! 4. `task` is what a call does, the same code everywhere; `frame` carries it through pipes.
//! 5. `table` and `plot` write down what was measured, `machine` where.

pub mod driver;
mod frame;
pub mod host;
mod machine;
mod plot;
mod table;
mod task;
mod way;
pub mod ways;

pub use task::{Job, Kind};
pub use way::{Entry, Way};

/// Any error; all that is done with it is to print it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
