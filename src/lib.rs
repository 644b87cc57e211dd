//! An attribute that puts a function, or a whole program, into a sandbox that the Linux kernel enforces.

pub use sandboxed_macros::{assert_denied, sandboxed, test};
pub use sandboxed_runtime::{
    Access, Allow, Cause, Error, ErrorKind, Function, Hint, Kernel, Layer, Lost, Memory, NetAccess, Output,
    Placement, Plan, Policy, Preset, Promise, Ran, Stdio, ThreadSync, Timeout, Unenforceable, frame_limit,
    functions, kernel, optional, plan, set_frame_limit, start,
};

/// What the attribute's expansion refers to. Not for use by hand, and not stable.
#[doc(hidden)]
pub use sandboxed_runtime::__private;
