//! Making and removing, each kind of file by its own right.

use crate::layout::{kinds, tree};
use crate::words::*;
use libc::{EISDIR, ENOTDIR, ENOTEMPTY};
use sandboxed::{Access, Placement};

pub fn rows() -> Vec<Row> {
    let kinds = [
        // layout1.make_char
        ("char", MAKE_CHAR, Kind::Char),
        // layout1.make_block
        ("block", MAKE_BLOCK, Kind::Block),
        // layout1.make_reg_1
        ("reg", MAKE_REG, Kind::Reg),
        // layout1.make_sock
        ("sock", MAKE_SOCK, Kind::Sock),
        // layout1.make_fifo
        ("fifo", MAKE_FIFO, Kind::Fifo),
        // layout1.make_sym
        ("sym", MAKE_SYM, Kind::Sym),
        // layout1.make_dir
        ("dir", MAKE_DIR, Kind::Dir),
    ];
    let mut rows: Vec<Row> = kinds.map(|(name, right, kind)| makes(name, right, kind, &kinds)).into();
    rows.extend(creates());
    rows.extend(removes());
    rows
}

/// One kind, in the granted directory and below, and no other kind.
fn makes(name: &str, right: Access, kind: Kind, kinds: &[(&str, Access, Kind)]) -> Row {
    let others = kinds.iter().filter(|(_, _, other)| *other != kind);
    let others: Vec<Act> = others.map(|(name, _, other)| make(format!("a/b/{name}"), *other)).collect();
    Row::new(format!("making::{name}"), tree)
        .grants([("a/b", right)])
        // Devices take a privilege.
        .free([make("a/b/new", kind), make("a/b/c/new", kind)])
        .denied([make("a/new", kind), make("x/new", kind)])
        .denied(others)
}

fn creates() -> Vec<Row> {
    vec![
        // layout1.make_reg_2
        Row::new("making::open_creates", tree)
            .grants([("a/b", MAKE_REG | WRITE_FILE), ("x", WRITE_FILE)])
            .ok([open("a/b/new", W | CREAT), open("a/b/f", W | CREAT), open("x/f", W | CREAT)])
            .denied([open("x/new", W | CREAT), open("a/new", W | CREAT)]),
        // The file is made before the right to open it is asked for.
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_REG
        // In a worker, where nothing may be written, the filter refuses the open as such.
        Row::new("making::open_creates_and_may_not_open", tree)
            .only(Placement::Thread)
            .grants([("a/b", MAKE_REG)])
            .denied([open("a/b/new", W | CREAT), open("a/b/f", W | CREAT)])
            .ok([stat("a/b/new"), make("a/b/other", Kind::Reg)]),
        // A file without a name needs no right to be made, but to be opened and to be named.
        // no self-test; hook_file_open
        Row::new("making::unnamed", tree)
            .grants([("a/b", WRITE_FILE), ("x", WRITE_FILE | MAKE_REG)])
            .ok([open("a/b", W | TMPFILE), on(opened("x", W | TMPFILE), Use::Write)])
            .ok([on(opened("x", W | TMPFILE), Use::Link("x/named".into()))])
            .denied([on(opened("a/b", W | TMPFILE), Use::Link("a/b/named".into())), open("a", W | TMPFILE)]),
        // An overlay's whiteout is a device by its number alone. Before the fix of the erratum it is made by the right of
        // devices, and Landlock asks for nothing where a rename leaves one behind: the filter refuses that.
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_REG
        Row::new("making::whiteout", tree)
            .needs(Need::Fixed(4))
            .grants([("a/b", MAKE_REG), ("x", MAKE_CHAR)])
            .ok([make("a/b/new", Kind::Whiteout)])
            .denied([make("x/new", Kind::Whiteout), make("a/new", Kind::Whiteout)]),
        // no self-test; hook_path_rename
        Row::new("making::whiteout_left_behind", kinds)
            .needs(Need::Fixed(4))
            .grants([("a", MAKE_SYM | REMOVE_FILE | MAKE_REG), ("x", MAKE_SYM | REMOVE_FILE)])
            .ok([whiteout("a/sym", "a/new")])
            .denied([whiteout("x/sym", "x/new")]),
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_CHAR
        Row::new("making::whiteout_before_the_fix", tree)
            .needs(Need::Unfixed(4))
            .grants([("a/b", MAKE_CHAR), ("x", MAKE_REG)])
            .ok([make("a/b/new", Kind::Whiteout)])
            .denied([make("x/new", Kind::Whiteout), make("a/new", Kind::Whiteout)]),
        // no self-test; SECCOMP_RET_ERRNO
        Row::new("making::whiteout_left_behind_before_the_fix", kinds)
            .needs(Need::Unfixed(4))
            .grants([("a", MAKE_SYM | REMOVE_FILE)])
            .denied([whiteout("a/sym", "a/new")])
            .ok([rename("a/sym", "a/new")]),
        // The filter knows no paths.
        // no self-test; SECCOMP_RET_ERRNO
        Row::new("making::whiteout_where_files_may_be_made_before_the_fix", kinds)
            .needs(Need::Unfixed(4))
            .grants([("a", MAKE_SYM | REMOVE_FILE | MAKE_REG)])
            .denied([whiteout("a/sym", "a/new")])
            .ok([rename("a/sym", "a/new")]),
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_SOCK
        Row::new("making::socket_by_bind", tree)
            .allow(sandboxed::Allow::AbstractUnixSocket)
            .grants([("a", MAKE_SOCK), ("x", MAKE_REG)])
            .ok([Act::Serve("a/s".into())])
            .denied([Act::Serve("x/s".into()), make("a/new", Kind::Reg)]),
    ]
}

fn removes() -> Vec<Row> {
    vec![
        // layout1.remove_dir
        Row::new("making::remove_dir", tree)
            .grants([("a/b", REMOVE_DIR)])
            .ok([rmdir("a/b/void"), rmdir("a/b/c/void")])
            .gives(ENOTEMPTY, [rmdir("a/b/c")])
            .gives(ENOTDIR, [rmdir("a/b/f")])
            .denied([rmdir("a/void"), rmdir("x/void"), unlink("a/b/f"), rmdir("a/b")]),
        // layout1.remove_file
        Row::new("making::remove_file", tree)
            .grants([("a/b", REMOVE_FILE)])
            .ok([unlink("a/b/f"), unlink("a/b/c/f")])
            .gives(EISDIR, [unlink("a/b/void")])
            .denied([unlink("a/f"), unlink("x/f"), rmdir("a/b/void")]),
        // layout1.remove_file: the right is the directory's, whatever is in it.
        Row::new("making::remove_other_kinds", kinds)
            .grants([("a", REMOVE_FILE)])
            .ok([unlink("a/reg"), unlink("a/sym"), unlink("a/fifo"), unlink("a/sock")])
            .denied([unlink("x/reg"), unlink("x/sym"), unlink("x/fifo"), unlink("x/sock"), rmdir("a/dir")]),
        // no self-test; LANDLOCK_ACCESS_FS_REMOVE_FILE
        Row::new("making::remove_is_not_make", tree)
            .grants([("a", REMOVE_FILE | REMOVE_DIR)])
            .ok([unlink("a/f"), rmdir("a/void")])
            .denied([make("a/f", Kind::Reg), make("a/void", Kind::Dir)]),
    ]
}

fn whiteout(from: &str, to: &str) -> Act {
    Act::Rename(from.into(), to.into(), libc::RENAME_WHITEOUT)
}
