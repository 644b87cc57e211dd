//! Grants of directories in each other, and names that lead in and out of them.

use crate::layout::{Laid, files, handed_over, tree};
use crate::mounts::Mounting;
use crate::words::*;
use libc::{EEXIST, ELOOP, ENOENT, ENOTDIR, EPERM};
use sandboxed::{Access, Allow, Placement};
use std::os::unix::fs::symlink;
use std::path::Path;

fn symlinks(dir: &Path) -> Laid {
    tree(dir);
    for (to, at) in
        [("../x/f", "a/out"), ("b/f", "a/in"), ("b", "a/dir"), ("../a/b", "x/in"), ("loop", "a/loop")]
    {
        symlink(to, dir.join(at)).expect(at);
    }
    Laid::default()
}

fn hard_links(dir: &Path) -> Laid {
    tree(dir);
    std::fs::hard_link(dir.join("a/f"), dir.join("x/same")).expect("it is ours");
    Laid::default()
}

fn deep(dir: &Path) -> Laid {
    files(dir, &["d/1/2/3/4/5/6/7/8/9/f", "d/f", "d/1/2/3/4/f"]);
    Laid::default()
}

fn names_alike(dir: &Path) -> Laid {
    files(dir, &["in/f", "inner/f", "i/f", "in.f"]);
    Laid::default()
}

pub fn rows() -> Vec<Row> {
    let mut rows = nested();
    rows.extend(names());
    rows.extend(relative());
    rows.extend(what_stays_visible());
    rows
}

fn nested() -> Vec<Row> {
    vec![
        // layout1.no_restriction: what is granted on top is granted everywhere below.
        Row::new("hierarchy::everything", tree)
            .grants([("", READ), ("", WRITE)])
            .ok([list(""), read("a/f"), read("a/b/c/f"), open("x/y/z/f", RW), make("new", Kind::Dir)])
            .denied([list("/"), open("/etc/passwd", R)]),
        // layout1.inherit_subset
        Row::new("hierarchy::nothing", tree)
            .denied([
                list(""),
                list("/"),
                read("a/f"),
                open("a/f", W),
                make("a/new", Kind::Reg),
                run("a/run"),
            ])
            .denied([rename("a/f", "a/h"), rename("a/f", "x/h"), link("a/f", "x/h")])
            .ok([stat("a/f"), open("a/f", O_PATH)])
            .also_in_place(),
        // layout1.ruleset_overlap: rules on one directory add up.
        Row::new("hierarchy::overlap", tree)
            .grants([("a/b", READ_FILE), ("a/b", WRITE_FILE)])
            .ok([open("a/b/f", R), open("a/b/f", W), open("a/b/f", RW), open("a/b/c/f", RW)])
            .denied([list("a/b"), open("a/f", R), open("a/f", RW)]),
        // layout1.non_overlapping_accesses
        Row::new("hierarchy::add_up_on_the_way_down", tree)
            .grants([("a", READ_FILE), ("a/b", WRITE_FILE), ("a/b/c", READ_DIR)])
            .ok([open("a/f", R), open("a/b/f", RW), open("a/b/c/f", RW), list("a/b/c")])
            .denied([open("a/f", W), list("a/b"), list("a")]),
        // layout1.inherit_subset: a rule below does not take away what one above gives.
        Row::new("hierarchy::less_below_takes_nothing", tree)
            .grants([("a", READ), ("a", WRITE), ("a/b", READ_FILE)])
            .ok([open("a/b/f", RW), list("a/b"), make("a/b/new", Kind::Reg)])
            .denied([open("x/f", R)]),
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        Row::new("hierarchy::siblings", tree)
            .grants([("a/b", READ), ("x/y", READ)])
            .ok([read("a/b/f"), read("x/y/f"), read("x/y/z/f")])
            .denied([read("a/f"), read("x/f"), list("a"), list("x")]),
        // A file among others in a directory that is not granted.
        // layout1.effective_access
        Row::new("hierarchy::file_and_directory", tree)
            .grants([("a/f", READ), ("a/b", READ)])
            .ok([read("a/f"), read("a/b/f")])
            .denied([read("a/g"), list("a"), open("a/f", W)]),
        // layout1.rule_over_root_allow_then_deny (first half)
        Row::new("hierarchy::root_granted", tree)
            .grants([("/", READ)])
            .ok([list("/"), read("a/f"), open("/proc/self/status", R), open("/dev/zero", R)])
            .denied([open("a/f", W), make("a/new", Kind::Reg), run("a/run")]),
        // layout1.rule_over_root_deny: the root with a right that says nothing of these.
        Row::new("hierarchy::root_with_another_right", tree)
            .grants([("/", READ_DIR)])
            .ok([list("/"), list("a")])
            .denied([read("a/f"), open("/dev/zero", R)]),
        // no self-test; hook_file_open
        Row::new("hierarchy::deep", deep)
            .grants([("d/1/2/3/4", READ)])
            .ok([read("d/1/2/3/4/f"), read("d/1/2/3/4/5/6/7/8/9/f")])
            .denied([read("d/f"), list("d/1/2/3")]),
        // A directory that is made, moved and filled inside carries no rights away, and gets none.
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_DIR
        Row::new("hierarchy::made_inside", tree)
            .grants([("a", READ), ("a", WRITE)])
            .ok([make("a/new", Kind::Dir), make("a/new/f", Kind::Reg), open("a/new/f", RW)])
            .ok([rename("a/new", "a/b/new"), open("a/b/new/f", RW)])
            .denied([rename("a/b/new", "x/new"), make("x/new", Kind::Dir)]),
    ]
}

fn names() -> Vec<Row> {
    vec![
        // no self-test; hook_file_open
        Row::new("hierarchy::names_alike", names_alike).grants([("in", READ)]).ok([read("in/f")]).denied([
            read("inner/f"),
            read("i/f"),
            read("in.f"),
        ]),
        // no self-test; hook_file_open
        Row::new("hierarchy::dots", tree)
            .grants([("a/b", READ)])
            .ok([reads("a/b/c/../f", "a/b/f"), reads("x/../a/b/./f", "a/b/f")])
            .denied([open("a/b/../f", R), open("a/b/../../x/f", R)]),
        // no self-test; hook_file_open
        Row::new("hierarchy::symlink_out", symlinks)
            .grants([("a", READ)])
            .ok([reads("a/in", "a/b/f"), reads("a/dir/f", "a/b/f"), reads("x/in/f", "a/b/f")])
            .denied([open("a/out", R), open("x/f", R)])
            .gives(ELOOP, [open("a/loop", R)]),
        // no self-test; hook_file_open
        Row::new("hierarchy::symlink_granted", symlinks)
            .grants([("a/dir", READ), ("a/out", READ)])
            .ok([read("a/b/f"), reads("a/dir/f", "a/b/f"), read("x/f"), reads("a/out", "x/f")])
            .denied([read("a/f"), open("a/in", W), read("x/g")]),
        // A rule on a file is one on its inode, by whatever name; a rule on a directory is one on names below it.
        // no self-test; hook_file_open
        Row::new("hierarchy::hard_link_of_a_granted_file", hard_links)
            .grants([("a/f", READ)])
            .ok([read("a/f"), reads("x/same", "a/f")])
            .denied([read("a/g"), read("x/f")]),
        // no self-test; hook_file_open
        Row::new("hierarchy::hard_link_in_a_granted_directory", hard_links)
            .grants([("x", READ)])
            .ok([reads("x/same", "a/f")])
            .denied([read("a/f")]),
        // Where nothing lies the same answer comes as outside.
        // no self-test; hook_file_open
        Row::new("hierarchy::missing", tree)
            .grants([("a", READ)])
            .gives(ENOENT, [open("a/missing", R), open("x/missing", R), unlink("x/missing")])
            .gives(ENOTDIR, [open("a/f/below", R)])
            .denied([
                open("a/missing", W | CREAT),
                make("a/missing", Kind::Reg),
                make("x/missing", Kind::Dir),
            ])
            .gives(EEXIST, [make("a/f", Kind::Reg)]),
    ]
}

/// Names that begin elsewhere than at the root.
fn relative() -> Vec<Row> {
    vec![
        // layout1.relative_open: a directory that was opened before gives nothing but the way.
        Row::new("hierarchy::relative_open", handed_over)
            .grants([("a/b", READ)])
            .ok([reads(below(3, "b/f"), "a/b/f"), reads(below(4, "b/c/f"), "a/b/c/f"), list(below(3, "b"))])
            .denied([open(below(3, "f"), R), open(below(4, "f"), R), open(below(3, "../x/f"), R)]),
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_REG
        Row::new("hierarchy::relative_changes", handed_over)
            .grants([("a/b", MAKE_REG | REMOVE_FILE)])
            .ok([make(below(3, "b/new"), Kind::Reg), unlink(below(4, "b/new"))])
            .ok([rename(below(3, "b/f"), below(4, "b/h"))])
            .denied([make(below(3, "new"), Kind::Reg), unlink(below(3, "f"))]),
        // layout1.relative_chdir
        Row::new("hierarchy::relative_chdir", tree)
            .only(Placement::Process)
            .grants([("a/b", READ)])
            .ok([Act::Chdir("a".into()), reads(here("b/f"), "a/b/f")])
            .denied([open(here("f"), R), list(here("."))])
            .ok([Act::Chdir("a/b".into()), reads(here("f"), "a/b/f"), list(here("."))])
            .denied([open(here("../f"), R), list(here(".."))]),
        // layout1.relative_chroot_only
        Row::new("hierarchy::relative_chroot", tree)
            .needs(Need::Root)
            .only(Placement::InPlace)
            .grants([("a/b", READ)])
            .ok([Act::Chdir("a".into()), Act::Chroot("a".into())])
            .ok([reads(here("b/f"), "a/b/f"), reads("/b/f", "a/b/f"), reads("/../b/f", "a/b/f")])
            .denied([open(here("f"), R), open("/f", R), list("/")]),
        // layout1.relative_chroot_chdir
        Row::new("hierarchy::relative_chroot_then_chdir", tree)
            .needs(Need::Root)
            .only(Placement::InPlace)
            .grants([("a/b", READ)])
            .ok([
                Act::Chroot("a".into()),
                Act::Chdir("/b".into()),
                reads(here("f"), "a/b/f"),
                list(here(".")),
            ])
            .denied([open(here("../f"), R), list("/")]),
    ]
}

/// What the library says it does not hide, and what it refuses beside Landlock.
fn what_stays_visible() -> Vec<Row> {
    vec![
        // no self-test; hook_file_open
        Row::new("hierarchy::existence_can_be_seen", tree)
            .grants([("a/b", READ)])
            .ok([stat("x/f"), stat("a"), open("x/f", O_PATH), open("x", O_PATH | DIR)])
            .ok([on(opened("x/f", O_PATH), Use::Stat), Act::Readlink("/proc/self/exe".into())])
            .denied([read("x/f"), list("x")]),
        // no self-test; SECCOMP_RET_ERRNO
        Row::new("hierarchy::metadata_is_not_changed", handed_over)
            .grants([("a", READ), ("a", WRITE)])
            .denied([Change::Mode, Change::Owner, Change::Times].map(|what| Act::Change("a/f".into(), what)))
            .denied([on(Source::Given(0), Use::Chmod), on(opened("a/f", W), Use::Chmod)])
            .ok([open("a/f", RW)]),
        // no self-test; SECCOMP_RET_ALLOW
        Row::new("hierarchy::metadata_with_its_own_word", handed_over)
            .allow(Allow::Metadata)
            .grants([("a", READ)])
            // Landlock never looks at it: also outside the grants.
            .ok([Change::Mode, Change::Owner, Change::Times].map(|what| Act::Change("a/f".into(), what)))
            .ok([Act::Change("x/f".into(), Change::Mode), on(Source::Given(0), Use::Chmod)])
            .denied([read("x/f")]),
        // layout1.mount_and_pivot, layout1.move_mount, layout1.topology_changes_with_net_only: whatever is granted.
        topology("nothing", []),
        // layout1.mount_and_pivot, layout1.move_mount
        topology("everything", [("/", READ), ("/", WRITE)]),
    ]
}

fn mount_points(dir: &Path) -> Laid {
    tree(dir);
    let mounted = Mounting::New("tmpfs".into(), "size=1m".into(), "x/y".into()).run(dir);
    mounted.expect("a tmpfs");
    Laid::default()
}

fn topology<const N: usize>(name: &str, grants: [(&str, Access); N]) -> Row {
    let text = |text: &str| text.to_owned();
    let mountings = [
        Mounting::New(text("tmpfs"), text(""), text("a/void")),
        Mounting::Bind(text("a"), text("x/void")),
        Mounting::Remount(text("x/y")),
        Mounting::Move(text("x/y"), text("a/void")),
        Mounting::Detached(text("a"), text("x/void")),
        Mounting::Umount(text("x/y")),
        Mounting::PivotRoot(text("x/y"), text("x/y")),
    ];
    Row::new(format!("hierarchy::mounts_do_not_change_with_{name}_granted"), mount_points)
        .needs(Need::Mounts)
        .grants(grants)
        .gives(EPERM, mountings.map(mount))
        .ok([stat("x/y"), stat("a/f")])
}
