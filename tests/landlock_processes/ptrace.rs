//! Every call that the kernel takes for tracing, into strangers and into a child of one's own.

use crate::Entry;
use crate::acts::{Act, Way, Who};
use crate::rows::{ANY, Line, line, since};
use crate::world::World;
use Act::{Enter, Fork, Leave, Trace, TraceMe};
use Who::{Bystander, Child, Forkserver, Host, Me, Sibling};
use libc::{EACCES, EBADF, EFAULT, EPERM};
use sandboxed::Policy;

/// Into everybody: `reached` where it is allowed, `refused` where not.
fn into_all(w: &World, way: Way, reached: i32, refused: i32) -> (Policy, Vec<Line<Act>>) {
    let into = |who, outside, inside| line(Trace(way, who), outside, inside);
    let mut lines = vec![
        line(Fork, 0, 0),
        into(Bystander, reached, refused),
        // Outside, a system's own rules may have a say.
        into(Forkserver, ANY, refused),
        into(Sibling, ANY, refused),
        into(Child(0), reached, reached),
    ];
    // In a thread it is the process itself.
    if w.in_worker(true, false) {
        lines.push(into(Host, ANY, refused));
    }
    // By one more sandbox, the child is a stranger too.
    lines.extend([
        line(Enter(policy()), 0, 0),
        into(Child(0), reached, refused),
        into(Bystander, reached, refused),
        line(Leave, 0, 0),
    ]);
    (policy(), lines)
}

/// The kernel lets CAP_PERFMON look at memory maps, whatever Landlock says (measured on
/// 6.18 and later, not on 6.12).
fn looked_at() -> i32 {
    if crate::sys::is_root() { since(7, 0, EACCES) } else { EACCES }
}

/// The files themselves are granted.
fn policy() -> Policy {
    Policy::new().read("/proc")
}

pub fn table() -> Vec<Entry> {
    vec![
        // ptrace_test.c: hierarchy.trace, PTRACE_SEIZE and PTRACE_ATTACH
        Entry::new("trace_seize", |w| into_all(w, Way::Seize, 0, EPERM)).in_place(),
        // ptrace_test.c: hierarchy.trace, test_ptrace_read
        Entry::new("trace_environ", |w| into_all(w, Way::Environ, 0, looked_at())).in_place(),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_read_memory", |w| into_all(w, Way::ReadMemory, EFAULT, EPERM)),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_write_memory", |w| into_all(w, Way::WriteMemory, EFAULT, EPERM)),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_descriptor", |w| into_all(w, Way::Descriptor, EBADF, EPERM)),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_compare", |w| into_all(w, Way::Compare, 0, EPERM)),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_robust_list", |w| into_all(w, Way::RobustList, 0, EPERM)),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_maps", |w| into_all(w, Way::Maps, 0, looked_at())),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_mem", |w| into_all(w, Way::Memory, 0, EACCES)),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_auxv", |w| into_all(w, Way::Auxv, 0, looked_at())),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_exe", |w| into_all(w, Way::Exe, 0, EACCES)),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_namespace", |w| into_all(w, Way::Namespace, 0, EACCES)),
        // no self-test; hook_ptrace_access_check
        Entry::new("trace_directory", |w| into_all(w, Way::Directory, 0, EACCES)),
        // ptrace_test.c: hierarchy.trace, PTRACE_TRACEME; a child inherits the domain of its parent
        Entry::new("trace_me", |_| {
            (
                policy(),
                vec![
                    line(TraceMe, 0, 0),
                    line(Enter(policy()), 0, 0),
                    line(TraceMe, 0, 0),
                    line(Leave, 0, 0),
                    line(TraceMe, 0, 0),
                ],
            )
        })
        .in_place(),
        // ptrace_test.c: hierarchy.trace, the own process
        Entry::new("trace_self", |_| {
            (
                policy(),
                vec![
                    line(Trace(Way::Seize, Me), EPERM, EPERM),
                    line(Trace(Way::ReadMemory, Me), EFAULT, EFAULT),
                    line(Trace(Way::Environ, Me), 0, 0),
                    line(Trace(Way::Exe, Me), 0, 0),
                    line(Trace(Way::Compare, Me), 0, 0),
                ],
            )
        }),
    ]
}
