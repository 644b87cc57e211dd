//! What the kernel's own tests of Landlock check about processes, at the level of this library: signals, tracing,
//! execution, threads; to and from a parent, a sibling, a child, oneself, and sandboxes inside sandboxes.
//!
//! Each row is tried outside of a sandbox, then inside, in each placement. A comment names the kernel's test that it
//! goes back to.

mod acts;
#[path = "../support/cases.rs"]
mod cases;
mod exec;
mod hierarchies;
mod ptrace;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/rows.rs"]
mod rows;
mod signals;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/sys.rs"]
mod sys;
mod threads;
mod world;

use acts::{Act, Actor};
use cases::{Case, Done};
use rows::{Line, Row};
use sandboxed::{Placement, Policy};
use std::process::ExitCode;
use world::World;

type Table = fn(&World) -> (Policy, Vec<Line<Act>>);

/// A row of a table, for each placement.
struct Entry {
    name: &'static str,
    /// The least ABI that can enforce it.
    least: u32,
    places: &'static [Placement],
    /// Why it cannot be tried here, if it cannot.
    gate: fn() -> Option<String>,
    table: Table,
}

impl Entry {
    fn new(name: &'static str, table: Table) -> Entry {
        Entry { name, least: 1, places: &[Placement::Thread], gate: || None, table }
    }

    /// Also in place.
    fn in_place(self) -> Entry {
        Entry { places: &[Placement::Thread, Placement::InPlace], ..self }
    }

    /// Also in a worker, where the filter leaves it to Landlock: it refuses processes without a grant of execution, all
    /// signals to others, and all tracing. (The escape suite is about that.)
    fn in_worker(self) -> Entry {
        Entry { places: &[Placement::Process, Placement::Thread], ..self }
    }

    fn cases(self) -> impl Iterator<Item = Case> {
        self.places.iter().map(move |placement| {
            let Entry { name, least, gate, table, .. } = self;
            let name = format!("{name}/{placement}");
            let judge = move || gate().map_or_else(|| judge(*placement, least, table), Done::NotRun);
            Case::new(name.clone(), move || match placement {
                Placement::InPlace => rows::in_child(&name, judge),
                _ => judge(),
            })
        })
    }
}

fn judge(placement: Placement, least: u32, table: Table) -> Done {
    let outside = World::new(placement);
    let (policy, lines) = table(&outside);
    let row = Row { policy, placement, least, lines };
    // What was signalled outside stays so: each has a bystander of its own.
    let inside = World::new(placement);
    // In place there must be one thread.
    let actor = match placement {
        Placement::InPlace => Actor::alone,
        Placement::Process | Placement::Thread => Actor::new,
    };
    row.judge(
        |acts| actor(outside.pids.clone()).free().run(acts),
        |policy, acts| match placement {
            Placement::Process => acts::in_process(policy, inside.pids.clone(), acts),
            Placement::Thread => acts::in_thread(policy, acts, &mut actor(inside.pids.clone())),
            Placement::InPlace => acts::in_place(policy, acts, &mut actor(inside.pids.clone())),
        },
    )
}

fn main() -> ExitCode {
    if acts::was_executed() {
        return ExitCode::SUCCESS;
    }
    let tables = [signals::table(), hierarchies::table(), ptrace::table(), exec::table(), threads::table()];
    let code = cases::main(tables.into_iter().flatten().flat_map(Entry::cases).collect());
    exec::tidy_up();
    code
}
