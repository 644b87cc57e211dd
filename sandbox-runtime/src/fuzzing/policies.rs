//! Policy files, which may be a stranger's too, and what is planned from them.

use crate::plan::{Kernel, NEWEST_ABI, Placement, plan};
use crate::policy::Policy;

/// The first byte chooses the format, the rest is the text.
pub fn policy_files(input: &[u8]) {
    let Some((format, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let policy = if format % 2 == 0 { Policy::from_toml(text) } else { Policy::from_json(text) };
    let Ok(policy) = policy else { return };
    policy.to_string();
    if let Ok(text) = policy.to_toml() {
        let again = Policy::from_toml(&text);
        assert!(again.is_ok(), "{again:?} of what was written:\n{text}");
    }
    for abi in [0, 1, 4, 6, NEWEST_ABI, u32::MAX] {
        for placement in [Placement::Process, Placement::Thread, Placement::InPlace] {
            for (policy, seccomp) in [(policy.clone(), false), (policy.clone().best_effort(), true)] {
                match plan(&policy, placement, Kernel::with(abi, 0, seccomp)) {
                    Ok(plan) => assert!(!plan.held.is_empty() || !plan.lost.is_empty(), "nothing is said"),
                    Err(error) => assert!(!error.lost.is_empty(), "refused without a reason"),
                }
            }
        }
    }
}
