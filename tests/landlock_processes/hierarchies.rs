//! Signals and tracing between a process and its child, by who of them is in which sandbox.

use crate::Entry;
use crate::acts::{Act, How, Way, Who};
use crate::rows::{Line, line, since};
use crate::signals::refused;
use Act::{Enter, Fork, Leave, Signal, Trace};
use Who::{Bystander, Child};
use libc::EPERM;
use sandboxed::{Allow, Policy};

fn new() -> Policy {
    Policy::new()
}

fn unscoped() -> Policy {
    Policy::new().allow(Allow::Signal)
}

/// Signals it and traces it.
fn reach(child: usize) -> [Line<Act>; 3] {
    [
        line(Signal(How::Kill, Child(child), libc::SIGURG), 0, 0),
        line(Trace(Way::Compare, Child(child)), 0, 0),
        line(Trace(Way::Seize, Child(child)), 0, 0),
    ]
}

fn miss(child: usize) -> [Line<Act>; 3] {
    [
        line(Signal(How::Kill, Child(child), libc::SIGURG), 0, refused()),
        line(Trace(Way::Compare, Child(child)), 0, EPERM),
        line(Trace(Way::Seize, Child(child)), 0, EPERM),
    ]
}

fn enter(policy: Policy) -> Vec<Line<Act>> {
    vec![line(Enter(policy), 0, 0)]
}

fn fork() -> Vec<Line<Act>> {
    vec![line(Fork, 0, 0)]
}

fn leave() -> Vec<Line<Act>> {
    vec![line(Leave, 0, 0)]
}

fn all(parts: &[&[Line<Act>]]) -> Vec<Line<Act>> {
    parts.concat()
}

pub fn table() -> Vec<Entry> {
    vec![
        // ptrace_test.c: hierarchy.trace, allow_sibling_domain; both in one domain
        Entry::new("one_domain", |_| (new(), all(&[&fork(), &reach(0), &fork(), &reach(1), &reach(0)])))
            .in_place(),
        // ptrace_test.c: hierarchy.trace, allow_with_one_domain; the child in a domain inside
        Entry::new("child_in_the_inner", |_| (new(), all(&[&enter(new()), &fork(), &leave(), &reach(0)]))),
        // ptrace_test.c: hierarchy.trace, deny_with_parent_domain; the child outside of it
        Entry::new("child_in_the_outer", |_| {
            (new(), all(&[&fork(), &enter(new()), &miss(0), &leave(), &reach(0)]))
        }),
        // ptrace_test.c: hierarchy.trace, deny_with_sibling_domain
        Entry::new("child_in_a_sibling", |_| {
            (
                new(),
                all(&[
                    &enter(new()),
                    &fork(),
                    &reach(0),
                    &leave(),
                    &enter(new()),
                    &miss(0),
                    &leave(),
                    &reach(0),
                ]),
            )
        }),
        // ptrace_test.c: hierarchy.trace, allow_with_nested_domain
        Entry::new("child_two_layers_down", |_| {
            (new(), all(&[&enter(new()), &enter(new()), &fork(), &leave(), &reach(0), &leave(), &reach(0)]))
        }),
        // ptrace_test.c: hierarchy.trace, deny_with_nested_domain
        Entry::new("child_two_layers_up", |_| {
            (new(), all(&[&fork(), &enter(new()), &enter(new()), &miss(0), &fork(), &reach(1)]))
        }),
        // ptrace_test.c: hierarchy.trace, deny_with_nested_and_parent_domain
        Entry::new("child_one_layer_up", |_| {
            (
                new(),
                all(&[
                    &enter(new()),
                    &fork(),
                    &enter(new()),
                    &miss(0),
                    &leave(),
                    &reach(0),
                    &leave(),
                    &reach(0),
                ]),
            )
        }),
        // ptrace_test.c: hierarchy.trace, deny_with_forked_domain
        Entry::new("children_of_each_layer", |_| {
            (
                new(),
                all(&[
                    &fork(),
                    &enter(new()),
                    &fork(),
                    &enter(new()),
                    &fork(),
                    &[miss(0), miss(1), reach(2)].concat(),
                    &leave(),
                    &[miss(0), reach(1), reach(2)].concat(),
                    &leave(),
                    &[reach(0), reach(1), reach(2)].concat(),
                ]),
            )
        }),
        // scoped_signal_test.c: scoped_domains.check_access_signal, only the outer scoped
        Entry::new("inner_unscoped", |_| {
            let to = |who, inside| line(Signal(How::Kill, who, libc::SIGURG), 0, inside);
            (new(), all(&[&fork(), &enter(unscoped()), &[to(Child(0), 0), to(Bystander, refused())]]))
        }),
        // scoped_signal_test.c: scoped_domains.check_access_signal, only the inner scoped
        Entry::new("outer_unscoped", |_| {
            let to = |who, inside| line(Signal(How::Kill, who, libc::SIGURG), 0, inside);
            (
                unscoped(),
                all(&[
                    &fork(),
                    &[to(Bystander, 0)],
                    &enter(new()),
                    &[to(Child(0), refused()), to(Bystander, refused())],
                    &leave(),
                    &[to(Bystander, 0)],
                ]),
            )
        }),
        // Tracing needs no scope: any domain refuses it.
        // no self-test; hook_ptrace_access_check
        Entry::new("tracing_is_no_signal", |_| {
            (
                unscoped(),
                vec![
                    line(Signal(How::Kill, Bystander, libc::SIGURG), 0, 0),
                    line(Trace(Way::Compare, Bystander), 0, EPERM),
                    line(Trace(Way::Seize, Bystander), 0, EPERM),
                ],
            )
        })
        .in_place(),
        // What no layer holds is lost, not an error.
        // no self-test; LANDLOCK_SCOPE_SIGNAL
        Entry {
            least: 0,
            ..Entry::new("best_effort", |_| {
                (
                    new().best_effort(),
                    vec![
                        line(Fork, 0, 0),
                        line(Signal(How::Kill, Child(0), libc::SIGURG), 0, 0),
                        line(Signal(How::Kill, Bystander, libc::SIGURG), 0, refused()),
                        line(Trace(Way::Seize, Child(0)), 0, 0),
                        line(Trace(Way::Seize, Bystander), 0, since(1, EPERM, 0)),
                    ],
                )
            })
        }
        .in_place(),
    ]
}
