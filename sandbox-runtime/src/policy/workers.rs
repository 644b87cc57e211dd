//! How many workers a function has, and how many calls each serves.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How many workers a `process` function has, and how many calls each serves: the value of `workers(...)`.
///
/// ```
/// use sandboxed_runtime::{Policy, Workers};
/// let policy = Policy::new().workers(Workers::new().reuse(100).max(4));
/// assert_eq!(policy.to_string(), "workers(reuse = 100, max = 4)");
/// ```
///
/// The attribute refuses literals that are out of range. Of values that are known at run time alone, a `reuse` or `max`
/// of 0 counts as 1, and a `spare` above `max` as `max`; [`Plan::workers`](crate::Plan::workers) has what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Workers {
    /// How many calls a worker serves before it ends, at least 1; by default 1, a fresh process for every call. With
    /// [`cpu`](crate::Policy::cpu), which counts a worker's whole life, it is 1 whatever is said here.
    ///
    /// With more than one, what a call leaves behind is there for the next: statics, the heap, open descriptors, what
    /// is done about signals, environment variables. Hostile input of one call may so read what another was given, or
    /// falsify its result. The working directory is set anew. A worker whose call panicked, crashed, timed out or sent
    /// bad data is never used again.
    pub reuse: u32,
    /// How many workers wait for calls, forked and locked in advance; 0 for none, so that each call waits for a fork.
    /// By default the library decides.
    pub spare: Option<u32>,
    /// The most workers of one function that run at once, at least 1; by default twice the number of processors, and at
    /// least 4. A call beyond it waits for a worker, at most as long as its own `timeout`, and then fails.
    pub max: Option<u32>,
}

impl Workers {
    /// The defaults: a fresh process for every call.
    pub const fn new() -> Workers {
        Workers { reuse: 1, spare: None, max: None }
    }

    /// Sets how many calls a worker serves.
    pub const fn reuse(self, calls: u32) -> Workers {
        Workers { reuse: calls, ..self }
    }

    /// Sets how many workers wait for calls.
    pub const fn spare(self, workers: u32) -> Workers {
        Workers { spare: Some(workers), ..self }
    }

    /// Sets how many workers run at once.
    pub const fn max(self, workers: u32) -> Workers {
        Workers { max: Some(workers), ..self }
    }

    /// Within what each can be.
    pub(crate) fn in_range(self) -> Workers {
        let max = self.max.map(|max| max.max(1));
        let spare = self.spare.map(|spare| spare.min(max.unwrap_or(u32::MAX)));
        Workers { reuse: self.reuse.max(1), spare, max }
    }
}

impl Default for Workers {
    fn default() -> Workers {
        Workers::new()
    }
}

/// Prints the key of the attribute: `workers(reuse = 100, max = 4)`.
impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_default = *self == Workers::new();
        let words = [
            ("reuse", (self.reuse != 1 || is_default).then_some(self.reuse)),
            ("spare", self.spare),
            ("max", self.max),
        ];
        let said = words.iter().filter_map(|(word, count)| Some(format!("{word} = {}", (*count)?)));
        write!(f, "workers({})", said.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_meaning() {
        let new = Workers::new;
        for (said, counts) in [
            (new(), new()),
            (new().reuse(7).spare(3).max(3), new().reuse(7).spare(3).max(3)),
            (new().reuse(0).max(0), new().reuse(1).max(1)),
            (new().spare(0), new().spare(0)),
            (new().spare(5).max(2), new().spare(2).max(2)),
            (new().spare(5).max(0), new().spare(1).max(1)),
            (new().spare(u32::MAX), new().spare(u32::MAX)),
        ] {
            assert_eq!(said.in_range(), counts, "{said}");
        }
    }

    #[test]
    fn prints_what_differs_from_the_default_and_never_nothing() {
        let new = Workers::new;
        assert_eq!(new().to_string(), "workers(reuse = 1)");
        assert_eq!(new().spare(0).to_string(), "workers(spare = 0)");
        assert_eq!(new().reuse(2).spare(3).max(4).to_string(), "workers(reuse = 2, spare = 3, max = 4)");
    }
}
