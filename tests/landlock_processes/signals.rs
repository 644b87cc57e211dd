//! Signals, by every call that sends one, and by a descriptor's owner.

use crate::Entry;
use crate::acts::{Act, How, Who};
use crate::rows::{Line, fixed, line, since};
use crate::world::World;
use Act::{Enter, Fork, Heard, Leave, Pipe, Signal, Write};
use Who::{Bystander, Child, Forkserver, Host, Me, MyThread, OldThread, Sibling};
use libc::EPERM;
use sandboxed::{Allow, Placement, Policy};

/// Before ABI 6 nothing can hold signals back: a reported loss.
pub fn refused() -> i32 {
    since(6, EPERM, 0)
}

/// To a thread of one's own process that is in another sandbox, or in none. Erratum 2.
pub fn to_other_thread() -> i32 {
    fixed(2, 0, refused())
}

fn new() -> Policy {
    Policy::new()
}

fn allowed() -> Policy {
    Policy::new().allow(Allow::Signal)
}

/// None, one that is ignored, and one that goes further within a session.
const SIGNALS: [i32; 3] = [0, libc::SIGURG, libc::SIGCONT];

/// To everybody, where strangers answer with `stranger`, and the process of an outer thread with `outer`.
fn to_all(w: &World, how: How, stranger: i32, outer: i32) -> Vec<Line<Act>> {
    // In a thread the others of its process are in no sandbox.
    let of_process = w.in_worker(0, outer);
    let mut lines = vec![line(Fork, 0, 0)];
    for signal in SIGNALS {
        let to = |who, inside| line(Signal(how, who, signal), 0, inside);
        lines.extend([
            to(Host, w.in_worker(stranger, outer)),
            to(Forkserver, stranger),
            to(Sibling, stranger),
            to(Bystander, stranger),
            to(Me, of_process),
            to(OldThread, of_process),
            to(Child(0), 0),
        ]);
        // Calls that take a process would be refused by the number of a thread.
        if matches!(how, How::Tkill | How::Tgkill | How::QueueToThread) {
            lines.push(to(MyThread, 0));
        }
    }
    lines
}

/// The rows of one call: nothing granted, signals granted.
macro_rules! by {
    ($($how:ident: $refused:literal, $allowed:literal;)*) => {
        vec![$(
            Entry::new($refused, |w| (new(), to_all(w, How::$how, refused(), to_other_thread()))),
            Entry::new($allowed, |w| (allowed(), to_all(w, How::$how, 0, 0))),
        )*]
    };
}

pub fn table() -> Vec<Entry> {
    let mut table = by! {
        // scoped_signal_test.c: scoping_signals.send_sig_to_parent, scoped_domains.check_access_signal
        Kill: "signal_kill", "signal_kill_allowed";
        // no self-test; hook_task_kill
        Tkill: "signal_tkill", "signal_tkill_allowed";
        // no self-test; hook_task_kill
        Tgkill: "signal_tgkill", "signal_tgkill_allowed";
        // no self-test; hook_task_kill
        Queue: "signal_queue", "signal_queue_allowed";
        // no self-test; hook_task_kill
        QueueToThread: "signal_queue_to_thread", "signal_queue_to_thread_allowed";
        // no self-test; hook_task_kill
        Pidfd: "signal_pidfd", "signal_pidfd_allowed";
    };
    table.extend(in_place());
    table.extend(owners());
    table
}

fn in_place() -> Vec<Entry> {
    vec![
        // scoped_signal_test.c: scoping_signals.send_sig_to_parent, with the process itself restricted
        Entry::new("signal_of_a_process", |w| {
            let to = |who, inside| line(Signal(How::Kill, who, libc::SIGURG), 0, inside);
            (
                new(),
                vec![
                    to(Bystander, refused()),
                    to(Sibling, refused()),
                    to(Forkserver, refused()),
                    to(Me, if w.placement == Placement::Thread { to_other_thread() } else { 0 }),
                    line(Fork, 0, 0),
                    to(Child(0), 0),
                ],
            )
        })
        .in_place(),
    ]
}

fn listening() -> Policy {
    new().read("/proc")
}

/// A descriptor's owner is signalled by the kernel, on behalf of whoever made it the owner.
fn owners() -> Vec<Entry> {
    vec![
        // scoped_signal_test.c: fown.sigurg_socket, sandbox_after_setown
        Entry::new("owner_set_before", |_| {
            (
                listening().allow(Allow::Signal),
                vec![
                    line(Pipe(Bystander), 0, 0),
                    line(Enter(listening()), 0, 0),
                    line(Write, 0, 0),
                    line(Heard(Bystander), 1, 1),
                ],
            )
        }),
        // scoped_signal_test.c: fown.sigurg_socket, sandbox_before_setown
        Entry::new("owner_set_inside", |_| {
            (
                listening(),
                vec![
                    line(Pipe(Bystander), 0, 0),
                    line(Write, 0, 0),
                    line(Heard(Bystander), 1, since(6, 0, 1)),
                    line(Fork, 0, 0),
                    line(Pipe(Child(0)), 0, 0),
                    line(Write, 0, 0),
                    line(Heard(Child(0)), 1, 1),
                ],
            )
        })
        .in_place(),
        // scoped_signal_test.c: fown.sigurg_socket, written by somebody who may
        Entry::new("owner_set_inside_written_outside", |_| {
            (
                listening().allow(Allow::Signal),
                vec![
                    line(Enter(listening()), 0, 0),
                    line(Pipe(Bystander), 0, 0),
                    line(Leave, 0, 0),
                    line(Write, 0, 0),
                    line(Heard(Bystander), 1, since(6, 0, 1)),
                    line(Pipe(Bystander), 0, 0),
                    line(Write, 0, 0),
                    line(Heard(Bystander), 1, 1),
                ],
            )
        }),
        // scoped_signal_test.c: fown.sigurg_socket, no_sandbox
        Entry::new("owner_allowed", |_| {
            (
                listening().allow(Allow::Signal),
                vec![
                    line(Heard(Bystander), 0, 0),
                    line(Pipe(Bystander), 0, 0),
                    line(Write, 0, 0),
                    line(Heard(Bystander), 1, 1),
                ],
            )
        }),
    ]
}
