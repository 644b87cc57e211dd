//! The sandboxed functions of the binary, collected when it is linked.

use crate::plan::{self, Placement, Plan, Unenforceable};
use crate::policy::Policy;
use std::fmt;

/// A sandboxed function.
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
    /// What `warm` names: runs once, before any call, in the locked template from which the function's workers are
    /// forked, so that what it makes is in every worker. `None` where the attribute names none.
    pub warm: Option<fn()>,
    /// Whether it is a test: `#[sandboxed::test]`.
    pub test: bool,
}

/// Filled by the linker, one entry for each `#[sandboxed]`.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static FUNCTIONS: [Function];

/// Every annotated function of this binary, in no particular order.
///
/// ```
/// for function in sandboxed_runtime::functions() {
///     println!("{function}");
/// }
/// ```
pub fn functions() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter()
}

/// `src/config.rs:12: config::load in process: #[sandboxed(read = path)]`.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Function { name, file, line, placement, attribute, .. } = self;
        write!(f, "{file}:{line}: {name} in {placement}: #[sandboxed({attribute})]")
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.policy.map(|policy| policy().to_string());
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("file", &self.file)
            .field("line", &self.line)
            .field("placement", &self.placement)
            .field("attribute", &self.attribute)
            .field("policy", &policy)
            .finish_non_exhaustive()
    }
}

impl Function {
    /// The policy; `None` where it depends on the arguments of a call.
    pub fn policy(&self) -> Option<Policy> {
        self.policy.map(|policy| policy())
    }

    /// What would hold its promises on the running kernel; `None` where the policy depends on the arguments.
    ///
    /// # Errors
    ///
    /// The promises that cannot be held and must be.
    pub fn plan(&self) -> Option<Result<Plan, Unenforceable>> {
        self.policy.map(|policy| {
            let policy = policy();
            let kernel = crate::kernel_for(&policy).unwrap_or_else(|_| crate::kernel());
            plan::plan(&policy, self.placement, kernel)
        })
    }
}
