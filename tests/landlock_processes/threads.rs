//! Threads that began before a sandbox and inside it.

use crate::Entry;
use crate::acts::{Act, How, Who};
use crate::rows::{Line, fixed, line};
use crate::signals::{refused, to_other_thread};
use crate::world::World;
use Act::{Enter, Leave, NewThread, NoNewPrivs, OldThread, Open, SetUser, Signal};
use Who::{Bystander, Me, MyThread};
use libc::EACCES;
use sandboxed::Policy;

fn outer() -> Policy {
    Policy::new().read(["/etc", "/usr"])
}

fn inner() -> Policy {
    Policy::new().read("/usr")
}

fn open(inside: i32) -> Line<Act> {
    line(Open("/etc/passwd".into()), 0, inside)
}

fn to(who: Who, inside: i32) -> Line<Act> {
    line(Signal(How::Tgkill, who, libc::SIGURG), 0, inside)
}

/// Where erratum 2 is not fixed, glibc cannot reach its threads, and ends the process.
fn cannot_set_user() -> Option<String> {
    (sandboxed::kernel().abi >= 6 && fixed(2, 0, 1) == 1).then(|| "needs the fix of erratum 2".into())
}

pub fn table() -> Vec<Entry> {
    vec![
        // scoped_signal_test.c: signal_scoping_thread_after; a thread that begins inside
        Entry::new("thread_begun_inside", |_| {
            (
                outer(),
                vec![
                    line(Enter(inner()), 0, 0),
                    line(NewThread, 0, 0),
                    open(EACCES),
                    line(NoNewPrivs, 0, 1),
                    to(Bystander, refused()),
                    to(MyThread, 0),
                    line(Leave, 0, 0),
                    line(Leave, 0, 0),
                    line(NewThread, 0, 0),
                    open(0),
                    to(Bystander, refused()),
                    line(Leave, 0, 0),
                ],
            )
        }),
        // scoped_signal_test.c: signal_scoping_thread_before; a thread that is as free as before
        Entry::new("thread_begun_before", |w: &World| {
            (
                outer(),
                vec![
                    line(Enter(inner()), 0, 0),
                    open(EACCES),
                    line(OldThread, 0, 0),
                    open(0),
                    to(Bystander, w.in_worker(refused(), 0)),
                    line(Leave, 0, 0),
                    open(EACCES),
                ],
            )
        }),
        // scoped_signal_test.c: signal_scoping_thread_before, signal_scoping_thread_after
        Entry::new("thread_signals", |_| {
            (
                outer(),
                vec![
                    line(Enter(inner()), 0, 0),
                    to(Me, to_other_thread()),
                    to(Who::OldThread, to_other_thread()),
                    to(MyThread, 0),
                    to(Bystander, refused()),
                    line(OldThread, 0, 0),
                    to(Me, 0),
                    to(MyThread, 0),
                    line(Leave, 0, 0),
                    line(NewThread, 0, 0),
                    to(Me, to_other_thread()),
                    to(Who::OldThread, to_other_thread()),
                ],
            )
        }),
        // scoped_signal_test.c: signal_scoping_thread_setuid
        Entry {
            gate: cannot_set_user,
            ..Entry::new("thread_set_user", |_| {
                (
                    outer(),
                    vec![
                        line(SetUser, 0, 0),
                        line(Enter(inner()), 0, 0),
                        line(SetUser, 0, 0),
                        to(Bystander, refused()),
                    ],
                )
            })
        },
    ]
}
