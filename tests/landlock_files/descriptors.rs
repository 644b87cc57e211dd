//! Descriptors: those that name a file without opening it, that lead back to it through `/proc`, that have no name,
//! and that were handed over.

use crate::layout::{handed_over, host, tree};
use crate::words::*;
use libc::{EBADF, ENXIO};
use sandboxed::Placement;

pub fn rows() -> Vec<Row> {
    let mut rows = through_proc();
    rows.extend(proc_itself());
    rows.extend(given());
    rows
}

fn unlinked(path: &str, flags: u32) -> Source {
    Source::Unlinked(path.into(), flags)
}

fn through_proc() -> Vec<Row> {
    vec![
        // layout1.proc_unlinked_file: the file's own rule stays with it.
        Row::new("descriptors::unlinked_file_by_its_own_rule", tree)
            .grants([("a/f", READ_FILE), ("a/g", READ_FILE), ("a", REMOVE_FILE)])
            .ok([on(reopened(unlinked("a/f", R), R), Use::Read("a/f".into()))])
            .denied([on(reopened(unlinked("a/g", R), W), Use::Nothing)]),
        // Its directory's too.
        // layout1.proc_unlinked_file
        Row::new("descriptors::unlinked_file_by_its_directory", tree)
            .grants([("a", READ_FILE | REMOVE_FILE), ("a/b", WRITE_FILE)])
            .ok([on(reopened(unlinked("a/f", R), R), Use::Read("a/f".into()))])
            .ok([on(reopened(unlinked("a/b/f", R), W), Use::Write)])
            .denied([on(reopened(unlinked("a/g", R), W), Use::Nothing)]),
        // layout1.proc_pipe
        Row::new("descriptors::pipe", tree)
            .ok([
                on(reopened(Source::PipeReader, R | NONBLOCK), Use::Nothing),
                on(reopened(Source::PipeWriter, W | NONBLOCK), Use::Write),
                on(reopened(Source::PipeReader, RW | NONBLOCK), Use::Write),
            ])
            .denied([open("a/f", R)]),
        // no self-test; hook_file_open
        Row::new("descriptors::socket", tree)
            .gives(ENXIO, [on(reopened(Source::Socket, RW), Use::Nothing)])
            .ok([on(Source::Socket, Use::Write)])
            .denied([open("a/f", RW)]),
        // Memory files lie below no path, so nothing can be granted or refused there.
        // no self-test; hook_file_open
        Row::new("descriptors::memory", tree)
            .grants([("a", READ)])
            .ok([on(reopened(Source::Memory, RW), Use::Write)])
            .ok([on(reopened(Source::Memory, R), Use::Read("plain text".into()))])
            .ok([on(reopened(Source::Memory, NEITHER), Use::Stat)])
            .denied([open("a/f", W)]),
        // no self-test; SECCOMP_RET_ERRNO
        Row::new("descriptors::memory_is_not_executed", tree)
            .denied([on(Source::Memory, Use::Execute)])
            .ok([on(Source::Memory, Use::Write)]),
        // no self-test; SECCOMP_RET_ERRNO
        Row::new("descriptors::memory_beside_programs", tree)
            .grants([("a", RUN)])
            .denied([on(Source::Memory, Use::Nothing)])
            .gives(libc::ENOEXEC, [run("a/run")]),
        // O_PATH names and opens nothing.
        // no self-test; hook_file_open
        Row::new("descriptors::o_path", tree)
            .grants([("a", READ)])
            .ok([on(opened("x/f", O_PATH), Use::Stat), on(reopened(opened("a/f", O_PATH), R), Use::Nothing)])
            .gives(
                EBADF,
                [on(opened("a/f", O_PATH), Use::Read(String::new())), on(opened("a/f", O_PATH), Use::Write)],
            )
            .gives(EBADF, [on(opened("x", O_PATH | DIR), Use::List)])
            .denied([on(reopened(opened("x/f", O_PATH), R), Use::Nothing)])
            .denied([on(reopened(opened("x", O_PATH), R | DIR), Use::List)])
            .denied([on(reopened(opened("a/f", O_PATH), W), Use::Nothing)]),
        // no self-test; hook_path_link
        Row::new("descriptors::link_of_an_open_file", tree)
            .grants([("a", READ | MAKE_REG), ("a/b", REFER), ("x", MAKE_REG)])
            .ok([
                on(opened("a/f", R), Use::Link("a/l".into())),
                on(opened("a/b/f", R), Use::Link("a/b/l".into())),
            ])
            .gives(libc::EXDEV, [on(opened("a/f", R), Use::Link("a/b/m".into()))])
            .gives(libc::EXDEV, [on(opened("x/f", O_PATH), Use::Link("a/m".into()))])
            .denied([on(opened("a/f", R), Use::Link("x/y/../../m".into()))]),
    ]
}

fn proc_itself() -> Vec<Row> {
    vec![
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        Row::new("descriptors::proc_refused", tree)
            .grants([("a", READ)])
            .denied([
                open("/proc/self/status", R),
                list("/proc"),
                list("/proc/self/fd"),
                open("/proc/self/mem", RW),
            ])
            .denied([open("/proc/self/root/etc/passwd", R), open("/proc/self/exe", R)])
            .ok([open("/proc/self/status", O_PATH), read("a/f")]),
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        Row::new("descriptors::proc_granted", tree)
            .grants([("/proc", READ)])
            .ok([open("/proc/self/status", R), list("/proc/self/fd"), open("/proc/uptime", R)])
            // Through it, other files need their own grants.
            .denied([
                open("/proc/self/root/etc/passwd", R),
                open("/proc/self/exe", R),
                list("/proc/self/cwd/"),
            ])
            .denied([open("/proc/self/comm", W)]),
        // It names whoever opens it: the host, when the grant is made.
        // no self-test; hook_file_open
        Row::new("descriptors::proc_self_of_a_thread", tree)
            .only(Placement::Thread)
            .grants([("/proc/self", READ)])
            .ok([open("/proc/self/status", R)])
            .denied([open("/proc/uptime", R)]),
        // no self-test; hook_file_open
        Row::new("descriptors::proc_self_of_a_worker", tree)
            .only(Placement::Process)
            .grants([("/proc/self", READ), ("/proc/uptime", READ)])
            .ok([open("/proc/uptime", R)])
            .denied([open("/proc/self/status", R)]),
        // A sandbox does not look into a process outside of it, whatever files are granted.
        // no self-test; hook_ptrace_access_check
        Row::new("descriptors::memory_of_the_host", host)
            .only(Placement::Process)
            .grants([("/proc", READ | WRITE_FILE)])
            .ok([open("host/status", R), open("/proc/self/environ", R), open("/proc/self/mem", RW)])
            .denied([
                open("host/mem", RW),
                open("host/mem", R),
                Act::Readlink("host/exe".into()),
                open("host/root/etc/passwd", R),
            ]),
        // ptrace_test.c: hierarchy.trace
        Row::new("descriptors::environment_of_the_host", host)
            .only(Placement::Process)
            .needs(Need::NoPerfmon)
            .grants([("/proc", READ)])
            .ok([open("host/status", R), open("/proc/self/environ", R)])
            .denied([open("host/environ", R), open("host/auxv", R), open("host/maps", R)]),
        // layout0.proc_nsfs: what lies below no path cannot be told apart, so it is not refused...
        Row::new("descriptors::namespace", tree)
            .grants([("/dev/null", READ)])
            .ok([open("/proc/self/ns/mnt", R), open("/dev/null", R)])
            .denied([list("/proc/self/ns"), open("/dev/zero", R)]),
        // ...nor can it be granted.
        // layout0.proc_nsfs
        Row::new("descriptors::namespace_is_no_grant", tree)
            .grants([("/proc/self/ns/mnt", READ)])
            .bad_grant(libc::EBADFD),
        // no self-test; hook_file_open
        Row::new("descriptors::stdin_of_a_worker", tree)
            .only(Placement::Process)
            .grants([("/dev/null", READ)])
            .ok([open("/proc/self/fd/0", R)])
            .denied([open("/proc/self/fd/0", W)]),
    ]
}

/// What was opened outside works as it was opened. Nothing is granted by it.
fn given() -> Vec<Row> {
    let text = |text: &str| Use::Read(text.into());
    vec![
        // no self-test; hook_file_open
        Row::new("descriptors::handed_over_file", handed_over)
            .ok([
                on(Source::Given(0), text("a/f")),
                on(Source::Given(1), Use::Write),
                on(Source::Given(2), Use::Write),
            ])
            .gives(EBADF, [on(Source::Given(0), Use::Write), on(Source::Given(1), text(""))])
            .denied([
                on(reopened(Source::Given(0), R), Use::Nothing),
                on(reopened(Source::Given(2), RW), Use::Nothing),
            ])
            .denied([read("a/f"), open("a/g", W)])
            .also_in_place(),
        // no self-test; hook_file_open
        Row::new("descriptors::handed_over_file_opened_again", handed_over)
            .grants([("a", READ_FILE)])
            .ok([
                on(reopened(Source::Given(0), R), text("a/f")),
                on(reopened(Source::Given(1), R), text("a/g")),
            ])
            .denied([
                on(reopened(Source::Given(0), W), Use::Nothing),
                on(reopened(Source::Given(1), W), Use::Nothing),
            ]),
        // no self-test; hook_file_open
        Row::new("descriptors::handed_over_directory", handed_over)
            .ok([on(Source::Given(3), Use::List), stat(below(3, "f"))])
            .gives(EBADF, [on(Source::Given(4), Use::List)])
            .denied([
                open(below(3, "f"), R),
                list(below(3, "b")),
                list(below(3, ".")),
                open(below(4, "f"), R),
            ])
            .denied([
                make(below(3, "new"), Kind::Reg),
                unlink(below(3, "f")),
                rename(below(3, "f"), below(3, "h")),
            ]),
        // no self-test; hook_file_open
        Row::new("descriptors::handed_over_directory_and_grants", handed_over)
            .grants([("a/b", READ), ("a/b", WRITE)])
            .ok([open(below(3, "b/f"), RW), rename(below(3, "b/f"), below(4, "b/c/h")), list(below(4, "b"))])
            .denied([open(below(3, "f"), R), list(below(4, "."))])
            .gives(libc::EACCES, [rename(below(3, "f"), below(3, "b/no"))]),
        // no self-test; hook_path_unlink
        Row::new("descriptors::handed_over_file_loses_its_name", handed_over)
            .grants([("a", REMOVE_FILE)])
            .ok([unlink("a/f"), on(Source::Given(0), text("a/f"))])
            .gives(libc::ENOENT, [stat("a/f")])
            .denied([on(reopened(Source::Given(0), R), Use::Nothing)]),
    ]
}
