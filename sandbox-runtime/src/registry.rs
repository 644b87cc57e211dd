//! The sandboxed functions of the binary, collected when it is linked.

use crate::plan::{self, Placement, Plan, Unenforceable};
use crate::policy::Policy;

/// A sandboxed function.
#[derive(Debug)]
pub struct Function {
    /// The name, with the module path.
    pub name: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the attribute.
    pub line: u32,
    /// The column of the attribute.
    pub column: u32,
    /// Where its body runs.
    pub placement: Placement,
    /// The attribute's arguments as they were written.
    pub attribute: &'static str,
    /// The policy; `None` where it depends on the arguments of a call.
    pub policy: Option<fn() -> Policy>,
}

/// Filled by the linker, one entry for each `#[sandboxed]`.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static FUNCTIONS: [Function];

/// Every annotated function of this binary, in no particular order.
///
/// ```
/// for function in sandboxed_runtime::functions() {
///     println!("{}:{}: {} in {}", function.file, function.line, function.name, function.placement);
/// }
/// ```
pub fn functions() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter()
}

impl Function {
    /// What would hold its promises on the running kernel; `None` where the policy depends on the arguments.
    ///
    /// # Errors
    ///
    /// The promises that cannot be held and must be.
    pub fn plan(&self) -> Option<Result<Plan, Unenforceable>> {
        self.policy.map(|policy| plan::plan(&policy(), self.placement, crate::kernel()))
    }
}
