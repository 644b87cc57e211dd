//! What a host does with bytes of a stranger, without a worker: the targets of `fuzz/`, whose corpus the tests replay.
//!
//! Each takes any bytes, and panics where a promise is broken.

mod audit;
mod frames;
mod outcome;
#[cfg(feature = "policy-files")]
mod policies;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod structured;
#[cfg(test)]
mod tests;
pub(crate) mod values;

pub use audit::audit;
pub use frames::frames;
pub use outcome::outcome;
#[cfg(feature = "policy-files")]
pub use policies::policy_files;
