//! What the host tells the guest, in a file, and what the guest reports, a line of JSON for each.

use serde::{Deserialize, Serialize};

/// The file in the guest that holds a [`Job`].
pub const JOB: &str = "/job.json";
/// The program in the guest.
pub const RUNNER: &str = "/xtask";
/// Where modules are, one directory for each series.
pub const MODULES: &str = "/modules";

/// What to run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub tests: Vec<Test>,
    pub users: Vec<User>,
    /// For the test binaries.
    pub arguments: Vec<String>,
}

/// A test binary, as cargo would start it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub name: String,
    pub path: String,
    /// The directory of its package.
    pub directory: String,
    /// Parts of the names of tests that are not to run.
    pub skip: Vec<String>,
    /// Parts of the names of tests that do not run in the kernels between the oldest and the newest; empty for all.
    pub at_ends: Vec<String>,
}

/// How much of the job a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// What runs everywhere.
    Part,
}

impl Extent {
    pub const fn word(self) -> &'static str {
        match self {
            Extent::Whole => "whole",
            Extent::Part => "part",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum User {
    Root,
    Nobody,
}

impl User {
    pub const fn name(self) -> &'static str {
        match self {
            User::Root => "root",
            User::Nobody => "nobody",
        }
    }
}

/// What the guest says, in this order: the kernel, every run, the end.
#[derive(Debug, Serialize, Deserialize)]
pub enum Record {
    Kernel {
        /// 0 where there is none.
        abi: u32,
        errata: u32,
        /// What could not be set up; tests may miss it.
        missing: Vec<String>,
    },
    Run(Run),
    End,
}

/// One test binary, run as one user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    pub test: String,
    pub user: User,
    pub ended: Ended,
    pub milliseconds: u64,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
    /// Killed after so many seconds.
    Hung(u64),
    /// It did not start.
    NotStarted(String),
}
