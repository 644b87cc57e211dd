//! Each right by itself: what it opens, that nothing else opens it, and on which files it can be granted.

use crate::layout::{kinds, tree};
use crate::words::*;
use libc::{ENOEXEC, ENOTDIR, EXDEV};
use sandboxed::{Access, kernel};

/// Every right that this kernel knows.
fn all() -> Access {
    let there = Access::ALL.iter().filter(|(_, _, least)| *least <= kernel().abi.max(1));
    there.fold(Access::NONE, |all, (right, _, _)| all | *right)
}

fn without(rights: Access, without: Access) -> Access {
    rights.each().filter(|right| *right != without).fold(Access::NONE, |all, right| all | right)
}

/// An act in `dir` that needs the right, what else it needs, and what it gives.
fn use_of(right: Access, dir: &str) -> Option<(Act, Access, Want)> {
    let at = |name: &str| format!("{dir}/{name}");
    let alone = |act| Some((act, Access::NONE, Want::Is(0)));
    match right {
        // The kernel reads what it runs.
        EXECUTE => Some((run(at("run")), READ_FILE, ENOEXEC.into())),
        WRITE_FILE => alone(open(at("f"), W)),
        READ_FILE => alone(open(at("f"), R)),
        READ_DIR => alone(list(dir)),
        REMOVE_DIR => alone(rmdir(at("void"))),
        REMOVE_FILE => alone(unlink(at("g"))),
        // Devices take a privilege.
        MAKE_CHAR => Some((make(at("new"), Kind::Char), Access::NONE, Want::Free)),
        MAKE_BLOCK => Some((make(at("new"), Kind::Block), Access::NONE, Want::Free)),
        MAKE_DIR => alone(make(at("new"), Kind::Dir)),
        MAKE_REG => alone(make(at("new"), Kind::Reg)),
        MAKE_SOCK => alone(make(at("new"), Kind::Sock)),
        MAKE_FIFO => alone(make(at("new"), Kind::Fifo)),
        MAKE_SYM => alone(make(at("new"), Kind::Sym)),
        REFER => Some((link(at("f"), at("void/new")), MAKE_REG, Want::Is(0))),
        // Landlock does not see it before ABI 3, and the filter knows no paths.
        TRUNCATE => Some((
            truncate(at("f")),
            Access::NONE,
            Want::Since(3, Box::new(Want::Is(0)), Box::new(libc::EACCES.into())),
        )),
        // In tables of their own.
        _ => None,
    }
}

fn denial(right: Access) -> i32 {
    if right == REFER { EXDEV } else { libc::EACCES }
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (right, name, _) in Access::ALL.iter().copied() {
        // layout1.file_and_dir_access_rights (directories), layout1.unhandled_access
        rows.extend(of_a_directory(right, name));
        // layout1.file_and_dir_access_rights (files)
        rows.push(of_a_file(right, name));
    }
    rows.extend(on_other_kinds());
    rows.extend(keys());
    rows
}

fn of_a_directory(right: Access, name: &str) -> Option<Row> {
    let (act, beside, want) = use_of(right, "a/b")?;
    let (elsewhere, _, _) = use_of(right, "x")?;
    // Everything but this right: what is refused there is refused for want of it.
    let row = Row::new(format!("rights::{name}_of_a_directory"), tree)
        .grants([("a", right | beside), ("x", without(all(), right))])
        .gives(want, [act])
        .gives(denial(right), [elsewhere]);
    Some(row)
}

fn of_a_file(right: Access, name: &str) -> Row {
    let row = Row::new(format!("rights::{name}_of_a_file"), tree);
    if !Access::OF_FILES.contains(right) {
        // Nothing of it could be used there, so the call is an error that says so.
        return row.grants([("a/f", right)]).bad_grant(ENOTDIR);
    }
    match use_of(right, "a") {
        Some((_, _, _)) if right == EXECUTE => {
            row.grants([("a/run", right | READ_FILE)]).gives(ENOEXEC, [run("a/run")]).denied([run("x/run")])
        }
        Some((act, beside, want)) => {
            let (elsewhere, _, _) = use_of(right, "x").expect("as before");
            row.grants([("a/f", right | beside)]).gives(want, [act]).denied([elsewhere])
        }
        // A rule on a plain file may carry them; they grant nothing there, and nothing else is lost.
        None => row
            .grants([("a/f", right), ("a/f", READ_FILE)])
            .ok([read("a/f")])
            .denied([open("a/f", W), read("x/f")]),
    }
}

/// Rules on files that are neither plain files nor directories.
fn on_other_kinds() -> Vec<Row> {
    vec![
        // layout1.file_and_dir_access_rights
        Row::new("rights::read_of_a_fifo", kinds)
            .grants([("a/fifo", READ)])
            .ok([open("a/fifo", R | NONBLOCK)])
            .denied([open("a/fifo", RW | NONBLOCK), open("x/fifo", R | NONBLOCK)]),
        // no self-test; LANDLOCK_ACCESS_FS_WRITE_FILE
        Row::new("rights::write_of_a_fifo", kinds)
            .grants([("a/fifo", WRITE), ("a/fifo", READ)])
            .ok([open("a/fifo", RW | NONBLOCK)])
            .denied([open("x/fifo", RW | NONBLOCK)]),
        // A symbolic link is not a file of its own: its target is granted.
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        Row::new("rights::read_of_a_symlink", kinds)
            .grants([("a/sym", READ)])
            .ok([open("a/sym", R), open("a/reg", R)])
            .denied([open("x/sym", R), list("a")]),
        // A socket cannot be opened, whatever is granted; the rights are asked for first.
        // no self-test; hook_file_open
        Row::new("rights::read_of_a_socket", kinds)
            .grants([("a/sock", READ)])
            .gives(libc::ENXIO, [open("a/sock", R)])
            .denied([open("x/sock", R), open("a/reg", R)]),
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        Row::new("rights::read_of_a_device", tree)
            .grants([("/dev/zero", READ)])
            .ok([open("/dev/zero", R)])
            .denied([open("/dev/zero", W), open("/dev/full", R)]),
        // no self-test; LANDLOCK_ACCESS_FS_WRITE_FILE
        Row::new("rights::write_of_a_device", tree)
            .grants([("/dev/null", WRITE)])
            .ok([open("/dev/null", W)])
            .denied([open("/dev/null", R), open("/dev/full", W)]),
    ]
}

/// The keys that stand for several rights.
fn keys() -> Vec<Row> {
    vec![
        // layout1.effective_access
        Row::new("rights::key_read", tree)
            .grants([("a/b", READ)])
            .ok([read("a/b/f"), list("a/b"), read("a/b/c/f"), list("a/b/c")])
            .denied([open("a/b/f", W), run("a/b/run"), read("a/f"), list("a"), make("a/b/new", Kind::Reg)])
            .also_in_place(),
        // layout1.effective_access
        Row::new("rights::key_write", tree)
            .grants([("a/b", WRITE)])
            .ok([
                open("a/b/f", W),
                open("a/b/new", W | CREAT),
                make("a/b/d", Kind::Dir),
                make("a/b/s", Kind::Sym),
                make("a/b/p", Kind::Fifo),
                make("a/b/n", Kind::Sock),
                rename("a/b/g", "a/b/c/moved"),
                unlink("a/b/new"),
                rmdir("a/b/void"),
            ])
            .denied([
                read("a/b/f"),
                list("a/b"),
                make("a/b/dev", Kind::Char),
                make("a/b/dev", Kind::Block),
                open("a/f", W),
            ])
            .also_in_place(),
        // layout1.execute
        Row::new("rights::key_execute", tree)
            .grants([("a/b", RUN)])
            .gives(ENOEXEC, [run("a/b/run")])
            .ok([read("a/b/run"), list("a/b")])
            .denied([run("a/run"), run("x/run"), open("a/b/run", W)])
            // File permissions refuse it: there is no x bit.
            .denied([run("a/b/f")]),
        // layout1.execute: neither right is enough alone.
        Row::new("rights::execute_without_read", tree)
            .grants([("a", EXECUTE), ("a/b", READ_FILE)])
            .gives(ENOEXEC, [run("a/b/run")])
            .denied([run("a/run"), read("a/run")]),
    ]
}
