//! How much a worker may use.

use crate::policy::{Memory, Policy, Timeout};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The wall time of a `process` function that names none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The memory of a `process` function that names none, in bytes.
pub const DEFAULT_MEMORY: u64 = 1 << 30;
/// The descriptors of a `process` function that names no number. What is in the buffers behind them `memory` does not
/// count: half a megabyte each, see `docs/limits.md`.
pub const DEFAULT_OPEN_FILES: u64 = 256;

/// How much a worker may use; `None` for as much as its host may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The wall time of a call.
    pub timeout: Option<Duration>,
    /// The processor time of all threads together.
    pub cpu: Option<Duration>,
    /// `RLIMIT_AS`, in bytes, beside what the program had mapped before any body.
    pub memory: Option<u64>,
    /// The descriptors beside those that a body begins with.
    pub open_files: Option<u64>,
    /// `RLIMIT_FSIZE`, in bytes.
    pub file_size: Option<u64>,
}

impl Limits {
    pub(crate) fn of(policy: &Policy) -> Limits {
        Limits {
            timeout: match policy.timeout {
                None => Some(DEFAULT_TIMEOUT),
                Some(Timeout::After(limit)) => Some(limit),
                Some(Timeout::Never) => None,
            },
            cpu: policy.cpu,
            memory: match policy.memory {
                None => Some(DEFAULT_MEMORY),
                Some(Memory::Bytes(bytes)) => Some(bytes),
                Some(Memory::Unlimited) => None,
            },
            open_files: policy.open_files.or((!policy.is_program).then_some(DEFAULT_OPEN_FILES)),
            file_size: policy.file_size,
        }
    }
}
