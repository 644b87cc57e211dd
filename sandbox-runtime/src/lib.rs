//! The runtime of the crate `sandboxed`, which re-exports what is for users; see there.
//!
//! For people: [`report`](mod@report) shows every function with its plan, [`lock`] holds them to what was accepted.
//!
//! The modules in the order of a call: [`map()`] makes many at once, [`call`] finds the placement, [`registry`] lists
//! the functions of the binary, [`policy`] and [`plan`](mod@plan) are data and pure functions, `placement` runs the call
//! (over `forkserver` and `pool` in a process), `enforce` locks, `worker` runs the body, [`codec`] and [`wire`] carry
//! values, `outcome` reads the end, [`error`] names it. `sys` is the only place with `unsafe`. Dependencies point down
//! this list.

// First for its macro; last in the order of a call.
#[macro_use]
mod sys;

pub mod lock;
mod map;
pub mod report;

pub mod call;
pub mod registry;

pub mod policy;

pub mod plan;

mod kernel;

mod placement;

mod forkserver;
mod pool;

mod observe;

#[cfg(feature = "learn")]
mod learn;

// No step of a call: what the kernel says of those that were refused something.
mod audit;

mod enforce;

mod limit;

mod worker;

mod backtrace;
mod record;

mod bytes;
pub mod codec;
pub mod wire;

mod outcome;

pub mod error;

pub mod denial;

#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;

pub use bytes::{Bytes, BytesMut};
pub use denial::{By, Denial, Object};
pub use error::{Cause, Error, ErrorKind, Hint, Output, Ran};
pub use kernel::{kernel, kernel_for};
pub use map::{Map, Progress, Results, map};
pub use observe::observe;
pub use plan::{
    Capability, Erratum, Kernel, Layer, Limits, Lost, Placement, Plan, Promise, Unenforceable, plan,
};
pub use policy::{
    Access, Allow, Memory, NetAccess, Policy, Preset, Stdio, ThreadSync, Timeout, Workers, optional,
};
pub use registry::{Function, functions};
pub use report::{Report, report};
#[cfg(feature = "policy-files")]
pub use sandboxed_config::PolicyFileError;
pub use sandboxed_config::Unwritable;
pub use wire::{frame_limit, set_frame_limit};

/// Starts the forkserver of this process now, if it does not run yet, so that the first call does not wait for
/// it. Until then a program that has `process` functions and calls none of them has no other process.
///
/// # Errors
///
/// What the first call would fail with: an executable that cannot be run again, above all.
pub fn start() -> Result<(), Error> {
    // From inside a sandbox no worker is asked for; and one started there would take the place of the program's.
    let started = match forkserver::is_out_of_reach() {
        Ok(true) => Ok(()),
        Ok(false) => forkserver::current().map(drop),
        Err(ambiguous) => Err(ambiguous.into()),
    };
    started.map_err(|error| Error::launch("sandboxed::start", error.to_string(), error.cause()))
}

/// What the attribute's expansion refers to.
#[doc(hidden)]
pub mod __private {
    pub mod audit {
        pub use crate::audit::{Enable, Event, Gaps, Listener, Refused, SandboxName, Unavailable};
        pub use crate::denial::{By, Object};
    }
    pub use crate::call::{
        Allows, AsErr, AsPanic, Call, Entry, Settle, SkippedTest, Strategy, Verdict, VerdictErr,
        VerdictPanic, in_place, process, program, refuse_to_start, settle, skip_unenforceable, thread,
    };
    pub use crate::codec::*;
    pub use crate::denial::{Denied, assert_denied, errno, pick_path};
    pub use crate::lock::assert_locked;
    pub use crate::observe::{Watching, is_on as is_observation_on, observed_test, sees_what_is_denied};
    pub use crate::registry::FUNCTIONS;
    pub use crate::worker::{forge_reply, reply_memory};
    pub use crate::{
        Access, Allow, Error, Function, Memory, Placement, Policy, Preset, Stdio, ThreadSync, Timeout,
        Workers, optional,
    };
    pub use linkme;
}
