//! Execution: a domain outlives it, and it gives no privileges.

use crate::Entry;
use crate::acts::{Act, How, Way, Who};
use crate::rows::{Line, line};
use crate::signals::refused;
use crate::world::program;
use crate::{support, sys};
use Act::{EffectiveGroup, EffectiveUser, Enter, Execute, Fork, Leave, NoNewPrivs, Open, Signal, Trace};
use Who::{Bystander, Child, Forkserver, Sibling};
use libc::{EACCES, EPERM};
use sandboxed::{Placement, Policy, optional};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::sync::OnceLock;

/// This program and what it is linked to.
fn runnable() -> Policy {
    Policy::new().execute(program()).execute("/usr").execute(optional("/lib")).execute(optional("/lib64"))
}

static COPIES: OnceLock<tempfile::TempDir> = OnceLock::new();

/// Removes the copies of this program.
pub fn tidy_up() {
    if let Some(copies) = COPIES.get() {
        std::fs::remove_dir_all(copies.path()).unwrap();
    }
}

/// A copy of this program that is nobody's and says so by its mode.
fn copy(mode: u32) -> PathBuf {
    let directory = COPIES.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        for mode in [0o755, 0o2755, 0o4755, 0o6755] {
            let copy = directory.path().join(format!("{mode:o}"));
            support::copy_program(program(), &copy);
            if sys::is_root() {
                chown(&copy, Some(sys::NOBODY), Some(sys::NOBODY)).unwrap();
            }
            std::fs::set_permissions(&copy, Permissions::from_mode(mode)).unwrap();
        }
        directory
    });
    directory.path().join(format!("{mode:o}"))
}

fn no_set_user_id() -> Option<String> {
    if !sys::is_root() {
        return Some("needs root, to make a set-user-ID program".into());
    }
    let gains = sys::gains_privileges(&copy(0o4755));
    (!gains).then(|| "set-user-ID has no effect where temporary files are".into())
}

/// Executes the copy: who it is then, outside.
fn becomes(mode: u32, user: u32, group: u32) -> (Policy, Vec<Line<Act>>) {
    let id = |id: u32| id.cast_signed();
    let lines = vec![
        line(Execute(copy(mode)), 0, 0),
        line(EffectiveUser, id(user), 0),
        line(EffectiveGroup, id(group), 0),
        line(NoNewPrivs, 0, 1),
        line(Leave, 0, 0),
        line(EffectiveUser, 0, 0),
    ];
    (runnable().execute(copy(mode)), lines)
}

fn set_user_id(name: &'static str, table: crate::Table) -> Entry {
    Entry { gate: no_set_user_id, ..Entry::new(name, table).in_worker() }
}

pub fn table() -> Vec<Entry> {
    vec![
        // no self-test; PR_SET_NO_NEW_PRIVS
        set_user_id("exec_set_user_id", |_| becomes(0o4755, sys::NOBODY, 0)).in_place(),
        // no self-test; PR_SET_NO_NEW_PRIVS
        set_user_id("exec_set_group_id", |_| becomes(0o2755, 0, sys::NOBODY)),
        // no self-test; PR_SET_NO_NEW_PRIVS
        set_user_id("exec_set_both_ids", |_| becomes(0o6755, sys::NOBODY, sys::NOBODY)),
        // no self-test; PR_SET_NO_NEW_PRIVS
        set_user_id("exec_plain", |_| becomes(0o755, 0, 0)),
        // base_test.c: cred_transfer; fs_test.c: layout1.execute
        Entry::new("exec_keeps_files", |_| {
            (
                runnable(),
                vec![
                    line(Open("/etc/passwd".into()), 0, EACCES),
                    line(Execute(program()), 0, 0),
                    line(Open("/etc/passwd".into()), 0, EACCES),
                    line(Open("/usr".into()), 0, 0),
                    line(NoNewPrivs, 0, 1),
                    line(Leave, 0, 0),
                ],
            )
        })
        .in_worker(),
        // ptrace_test.c and scoped_signal_test.c, after an execution
        Entry::new("exec_keeps_scopes", |_| {
            let to = |who, inside| line(Signal(How::Kill, who, libc::SIGURG), 0, inside);
            (
                runnable(),
                vec![
                    line(Fork, 0, 0),
                    line(Execute(program()), 0, 0),
                    to(Bystander, refused()),
                    to(Sibling, refused()),
                    to(Forkserver, refused()),
                    to(Child(0), 0),
                    line(Trace(Way::Compare, Bystander), 0, EPERM),
                    line(Trace(Way::Compare, Child(0)), 0, 0),
                    line(Leave, 0, 0),
                ],
            )
        })
        .in_place(),
        // no self-test; hook_cred_prepare
        Entry::new("exec_in_the_inner", |_| {
            (
                runnable().read("/etc"),
                vec![
                    line(Fork, 0, 0),
                    line(Enter(runnable()), 0, 0),
                    line(Execute(program()), 0, 0),
                    line(Open("/etc/passwd".into()), 0, EACCES),
                    line(Signal(How::Kill, Child(0), libc::SIGURG), 0, refused()),
                    line(Trace(Way::Compare, Child(0)), 0, EPERM),
                    line(Leave, 0, 0),
                    line(Leave, 0, 0),
                    line(Execute(program()), 0, 0),
                    line(Open("/etc/passwd".into()), 0, 0),
                    line(Trace(Way::Compare, Child(0)), 0, 0),
                    line(Leave, 0, 0),
                ],
            )
        }),
        // fs_test.c: layout1.execute
        Entry::new("exec_of_a_granted_program", |_| {
            (
                runnable().read(copy(0o755)),
                vec![
                    line(Open(copy(0o755)), 0, 0),
                    line(Execute(copy(0o755)), 0, EACCES),
                    line(Leave, 0, 0),
                    line(Execute(program()), 0, 0),
                    line(Leave, 0, 0),
                ],
            )
        })
        .in_worker(),
        // fs_test.c: layout1.execute
        Entry::new("exec_without_grants", |_| {
            (Policy::new().read("/"), vec![line(Execute(program()), 0, EACCES), line(Leave, 0, 0)])
        }),
        // An execution inside an execution.
        // no self-test; hook_cred_prepare
        Entry::new("exec_twice", |_| {
            (
                runnable(),
                vec![
                    line(Execute(program()), 0, 0),
                    line(Execute(program()), 0, 0),
                    line(Open("/etc/passwd".into()), 0, EACCES),
                    line(Open("/usr".into()), 0, 0),
                    line(Execute(copy(0o755)), 0, EACCES),
                    line(Leave, 0, 0),
                    line(Leave, 0, 0),
                    line(Leave, 0, 0),
                ],
            )
        })
        .in_worker(),
        // base_test.c: restrict_self_checks_ordering; no_new_privs comes with every sandbox
        Entry {
            places: &[Placement::Process, Placement::Thread, Placement::InPlace],
            ..Entry::new("no_new_privs", |_| (Policy::new(), vec![line(NoNewPrivs, 0, 1)]))
        },
    ]
}
