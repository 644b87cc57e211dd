//! What the kernel's own tests of Landlock check about sockets, at the level of this library: ports of TCP and UDP over
//! IPv4, IPv6 and IPv4 within IPv6, abstract and pathname sockets, sockets that were handed over, layers.
//!
//! Each row is tried outside of a sandbox, then inside, in each placement. A comment names the kernel's test that it
//! goes back to.

mod acts;
#[path = "../support/cases.rs"]
mod cases;
mod layers;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/rows.rs"]
mod rows;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/sys.rs"]
mod sys;
mod tcp;
mod udp;
mod unix;
mod world;

use acts::{Act, Sockets};
use cases::{Case, Done};
use rows::{Line, Row};
use sandboxed::{Placement, Policy};
use std::os::fd::OwnedFd;
use world::{Over, World, worlds};

/// Makes a socket to hand over, or says why there is none here.
type Given = fn(&World) -> Result<OwnedFd, String>;
type Table = fn(&World) -> (Policy, Vec<Line<Act>>);

/// A row of a table, for each placement.
struct Entry {
    name: &'static str,
    /// Tried one after the other, under one policy.
    over: &'static [Over],
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    protocol: i32,
    /// The least ABI that can enforce it: in `process`, elsewhere.
    least: (u32, u32),
    places: &'static [Placement],
    given: Option<Given>,
    table: Table,
}

impl Entry {
    fn new(name: &'static str, protocol: i32, least: u32, over: &'static [Over], table: Table) -> Entry {
        let places = &[Placement::Process, Placement::Thread];
        Entry { name, over, protocol, least: (least, least), places, given: None, table }
    }

    /// Also in place.
    fn in_place(self) -> Entry {
        Entry { places: &[Placement::Process, Placement::Thread, Placement::InPlace], ..self }
    }

    /// Hands over a socket.
    fn given(self, given: Given) -> Entry {
        Entry { given: Some(given), ..self }
    }

    fn cases(self) -> impl Iterator<Item = Case> {
        self.places.iter().map(move |placement| {
            let Entry { name, over, protocol, least, given, table, .. } = self;
            let name = format!("{name}/{placement}");
            let least = if *placement == Placement::Process { least.0 } else { least.1 };
            let judge = move || {
                let (worlds, _held) = worlds(over, protocol).unwrap();
                let (policy, lines) = join(&worlds, table);
                judge(&worlds, &Row { policy, placement: *placement, least, lines }, given)
            };
            Case::new(name.clone(), move || match placement {
                Placement::InPlace => rows::in_child(&name, judge),
                _ => judge(),
            })
        })
    }
}

/// The lines of each world, one after the other.
fn join(worlds: &[World], table: Table) -> (Policy, Vec<Line<Act>>) {
    let (policy, _) = table(&worlds[0]);
    let each = worlds.iter().flat_map(|world| {
        let (of_world, lines) = table(world);
        assert_eq!(policy, of_world);
        let entered = lines.iter().filter(|line| matches!(line.act, Act::Enter(_))).count();
        let left = lines.iter().filter(|line| matches!(line.act, Act::Leave)).count();
        let leaves = vec![rows::line(Act::Leave, 0, 0); entered - left];
        std::iter::once(rows::line(Act::Switch(world.kind), 0, 0)).chain(lines).chain(leaves)
    });
    let lines = each.collect();
    (policy, lines)
}

fn judge(worlds: &[World], row: &Row<Act>, given: Option<Given>) -> Done {
    let hand_over = || -> Result<Vec<OwnedFd>, String> {
        given.map_or(Ok(Vec::new()), |given| worlds.iter().map(given).collect())
    };
    // For each time one.
    let (control, given) = match (hand_over(), hand_over()) {
        (Ok(control), Ok(given)) => (control, given),
        (Err(why), _) | (_, Err(why)) => return Done::NotRun(why),
    };
    row.judge(
        |acts| Sockets::free(control).run(acts),
        |policy, acts| match row.placement {
            Placement::Process => acts::in_process(policy, given, acts),
            Placement::Thread => acts::in_thread(policy, acts, &mut Sockets::new(given)),
            Placement::InPlace => acts::in_place(policy, acts, &mut Sockets::new(given)),
        },
    )
}

/// Without IPv6 the rows try IPv4 alone; this is where that is said.
fn v6() -> Case {
    Case::new("v6", || match world::has_v6() {
        Ok(()) => Done::Ran,
        Err(error) => Done::NotRun(format!("lines over IPv6, which is not here: {error}")),
    })
}

fn main() -> std::process::ExitCode {
    let tables = [tcp::table(), udp::table(), unix::table(), layers::table()];
    let rows = tables.into_iter().flatten().flat_map(Entry::cases);
    cases::main(std::iter::once(v6()).chain(rows).collect())
}
