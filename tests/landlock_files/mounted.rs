//! Mounts: a rule is tied to a directory's inode, and holds below it as one comes there by mounts. What is bound in two
//! places has two ways up.

use crate::layout::{Laid, dirs, files, tree};
use crate::mounts::Mounting;
use crate::words::*;
use libc::{EBUSY, EXDEV};
use sandboxed::Access;
use std::fs::File;
use std::path::Path;

pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = bound();
    rows.extend(covered());
    rows.extend(renames());
    rows.extend(file_systems());
    rows.extend(disconnected());
    rows.into_iter().map(|row| row.needs(Need::Mounts)).collect()
}

fn do_mount(dir: &Path, mounting: Mounting) {
    mounting.run(dir).unwrap_or_else(|error| panic!("{mounting:?}: {error}"));
}

/// [`tree`], with `a/b` bound at `x/m`.
fn bind(dir: &Path) -> Laid {
    tree(dir);
    dirs(dir, &["x/m"]);
    do_mount(dir, Mounting::Bind("a/b".into(), "x/m".into()));
    Laid::default()
}

fn bound_file(dir: &Path) -> Laid {
    tree(dir);
    do_mount(dir, Mounting::Bind("a/f".into(), "x/f".into()));
    Laid::default()
}

/// The tree is seen again at `m`, with what is mounted in it.
fn bound_twice(dir: &Path) -> Laid {
    bind(dir);
    dirs(dir, &["m"]);
    do_mount(dir, Mounting::Bind("x/m/c".into(), "m".into()));
    Laid::default()
}

fn bound() -> Vec<Row> {
    vec![
        // layout1_bind.no_restriction
        Row::new("mounted::bound_above_all", bind)
            .grants([("", READ)])
            .ok([read("a/b/f"), reads("x/m/f", "a/b/f"), reads("x/m/c/f", "a/b/c/f"), list("x/m")])
            .denied([open("x/m/f", W), open("a/b/f", W)]),
        // layout1_bind.same_content_same_file
        Row::new("mounted::bound_above_the_source", bind)
            .grants([("a", READ)])
            .ok([read("a/b/f"), read("a/b/c/f")])
            .denied([open("x/m/f", R), open("x/m/c/f", R), list("x/m")]),
        // layout1_bind.same_content_same_file
        Row::new("mounted::bound_above_the_mount", bind)
            .grants([("x", READ)])
            .ok([reads("x/m/f", "a/b/f"), reads("x/m/c/f", "a/b/c/f"), list("x/m")])
            .denied([read("a/b/f"), read("a/b/c/f"), list("a/b")]),
        // layout1_bind.same_content_same_file
        Row::new("mounted::bound_source", bind)
            .grants([("a/b", READ)])
            .ok([read("a/b/f"), reads("x/m/f", "a/b/f"), list("x/m")])
            .denied([read("a/f"), read("x/f")]),
        // layout1_bind.same_content_same_file
        Row::new("mounted::bound_mount", bind)
            .grants([("x/m", READ)])
            .ok([read("a/b/f"), reads("x/m/f", "a/b/f"), list("a/b")])
            .denied([read("a/f"), read("x/f")]),
        // layout1_bind.same_content_same_file
        Row::new("mounted::bound_below", bind)
            .grants([("x/m/c", READ)])
            .ok([read("a/b/c/f"), reads("x/m/c/f", "a/b/c/f")])
            .denied([read("a/b/f"), open("x/m/f", R)]),
        // no self-test; hook_file_open
        Row::new("mounted::bound_file_below", bind)
            .grants([("a/b/f", READ)])
            .ok([read("a/b/f"), reads("x/m/f", "a/b/f")])
            .denied([read("a/b/g"), open("x/m/g", R)]),
        // layout1_bind.same_content_same_file
        Row::new("mounted::bound_one_way_in_each_sandbox", bind)
            .grants([("a", READ)])
            .then([("x", READ)])
            .denied([read("a/b/f"), open("x/m/f", R)])
            .ok([stat("x/m/f")]),
        // no self-test; LANDLOCK_ACCESS_FS_WRITE_FILE
        Row::new("mounted::bound_rights_of_both_ways", bind)
            .grants([("a", READ_FILE), ("x", WRITE_FILE)])
            .ok([open("a/b/f", R), open("x/m/f", W)])
            .denied([open("a/b/f", W), open("x/m/f", R)]),
        // no self-test; hook_file_open
        Row::new("mounted::bound_file", bound_file)
            .grants([("x", READ)])
            .ok([reads("x/f", "a/f"), read("x/g")])
            .denied([read("a/f")]),
        // no self-test; hook_file_open
        Row::new("mounted::bound_file_by_its_own_rule", bound_file)
            .grants([("a/f", READ)])
            .ok([read("a/f"), reads("x/f", "a/f")])
            .denied([read("a/g"), read("x/g")]),
        // A bound directory, bound again.
        // no self-test; hook_file_open
        Row::new("mounted::bound_twice", bound_twice)
            .grants([("x", READ)])
            .ok([reads("x/m/c/f", "a/b/c/f")])
            .denied([open("m/f", R), read("a/b/c/f")]),
        // no self-test; hook_file_open
        Row::new("mounted::bound_twice_source", bound_twice)
            .grants([("a/b/c", READ)])
            .ok([read("a/b/c/f"), reads("x/m/c/f", "a/b/c/f"), reads("m/f", "a/b/c/f")])
            .denied([read("a/b/f"), open("x/m/f", R)]),
    ]
}

/// [`tree`], where a tmpfs with `f` and `d/f` covers `a/b`; what it covers was opened before.
fn cover(dir: &Path) -> Laid {
    tree(dir);
    let before = File::open(dir.join("a/b")).expect("it is there");
    do_mount(dir, Mounting::New("tmpfs".into(), "size=1m".into(), "a/b".into()));
    files(dir, &["a/b/f", "a/b/d/f"]);
    Laid::given([before])
}

fn covered() -> Vec<Row> {
    vec![
        // layout1.rule_on_mountpoint
        Row::new("mounted::mount_point", cover)
            .grants([("a/b", READ)])
            .ok([read("a/b/f"), read("a/b/d/f"), list("a/b")])
            .denied([read("a/f"), list("a")]),
        // layout1.rule_over_mountpoint
        Row::new("mounted::above_the_mount_point", cover)
            .grants([("a", READ)])
            .ok([read("a/f"), read("a/b/f"), read("a/b/d/f")])
            .denied([read("x/f"), open("a/b/f", W)]),
        // no self-test; hook_file_open
        Row::new("mounted::below_the_mount_point", cover)
            .grants([("a/b/d", READ)])
            .ok([read("a/b/d/f")])
            .denied([read("a/b/f"), read("a/f")]),
        // layout1.covered_rule: the directory that is covered is another.
        Row::new("mounted::covered", cover)
            .grants([("a/b", READ)])
            .denied([open(below(0, "f"), R), open(below(0, "c/f"), R)])
            .ok([read("a/b/f"), on(Source::Given(0), Use::List)]),
        // no self-test; hook_file_open
        Row::new("mounted::covered_from_above", cover)
            .grants([("a", READ)])
            .ok([reads(below(0, "f"), "a/b/f"), reads(below(0, "c/f"), "a/b/c/f")])
            .denied([open(below(0, "f"), W)]),
        // layout1.umount_sandboxer, layout1.rule_inside_mount_ns: the mount point itself is busy, not refused.
        Row::new("mounted::mount_point_is_busy", cover)
            .grants([("", READ | WRITE)])
            .gives(EBUSY, [rmdir("a/b"), rename("a/b", "a/moved")])
            .ok([rmdir("a/void")])
            .denied([make("a/dev", Kind::Char)]),
    ]
}

fn moves() -> Access {
    REFER | MAKE_REG | REMOVE_FILE | MAKE_DIR | REMOVE_DIR
}

fn renames() -> Vec<Row> {
    vec![
        // layout1_bind.reparent_cross_mount: the kernel refuses it before anybody is asked.
        Row::new("mounted::across_mounts", bind)
            .grants([("", moves())])
            .gives(
                EXDEV,
                [rename("a/b/f", "x/m/moved"), rename("x/m/f", "x/moved"), link("x/m/g", "a/b/linked")],
            )
            .gives(EXDEV, [exchange("a/f", "x/m/f")])
            .ok([rename("x/m/f", "x/m/c/moved"), rename("a/f", "x/moved")])
            .denied([make("a/fifo", Kind::Fifo)]),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        Row::new("mounted::within_a_bound_mount", bind)
            .grants([("x", moves())])
            .ok([
                rename("x/m/f", "x/m/c/moved"),
                link("x/m/g", "x/m/c/linked"),
                rename("x/m/void", "x/m/c/new"),
            ])
            .denied([rename("a/b/g", "a/b/no"), rename("a/b/g", "a/b/c/no"), make("a/b/new", Kind::Reg)]),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        Row::new("mounted::within_the_source", bind)
            .grants([("a", moves())])
            .ok([rename("a/b/f", "a/b/c/moved"), rename("a/b/g", "a/moved")])
            .denied([rename("x/m/c/f", "x/m/no"), make("x/m/new", Kind::Reg)]),
        // layout1.refer_part_mount_tree_is_allowed
        Row::new("mounted::part_of_a_mount", cover)
            .grants([("a/b", moves())])
            .ok([rename("a/b/f", "a/b/d/moved"), rename("a/b/d", "a/b/e")])
            .gives(EXDEV, [rename("a/b/e/moved", "a/no")])
            .denied([rename("a/f", "a/no")]),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        Row::new("mounted::refer_on_part_of_a_mount", cover)
            .grants([("a/b", MAKE_REG | REMOVE_FILE), ("a/b/d", REFER)])
            .gives(EXDEV, [rename("a/b/f", "a/b/d/moved"), rename("a/b/d/f", "a/b/moved")])
            .ok([rename("a/b/f", "a/b/h")]),
        // layout1.refer_mount_root_deny: nothing is granted, so the root of a mount is not looked at.
        Row::new("mounted::root_of_a_mount", cover)
            .denied([rename("a/b/f", "a/b/no"), rename("a/b/f", "a/b/d/no"), rename("a/b", "a/no")])
            .ok([stat("a/b/f")]),
    ]
}

/// A file system, what it is mounted with, a file in it, that file's directory, and whether mounting it takes root.
type FileSystem = (&'static str, &'static str, &'static str, &'static str, bool);

const FILE_SYSTEMS: [FileSystem; 5] = [
    ("tmpfs", "size=1m", "p/m/d/f", "p/m/d", false),
    ("ramfs", "", "p/m/d/f", "p/m/d", false),
    ("proc", "", "p/m/sys/kernel/ostype", "p/m/sys/kernel", true),
    ("sysfs", "", "p/m/kernel/mm/transparent_hugepage/enabled", "p/m/kernel/mm", true),
    ("cgroup2", "", "p/m/cgroup.procs", "p/m/child", true),
];

fn new_mount(dir: &Path, (kind, options, file, child, _): FileSystem) -> Laid {
    dirs(dir, &["p/m"]);
    files(dir, &["q/f"]);
    do_mount(dir, Mounting::New(kind.into(), options.into(), "p/m".into()));
    if matches!(kind, "tmpfs" | "ramfs") {
        dirs(dir, &[child]);
        files(dir, &[file]);
    }
    Laid::default()
}

fn file_systems() -> Vec<Row> {
    FILE_SYSTEMS.into_iter().flat_map(on_file_system).collect()
}

// layout3_fs, each variant
fn on_file_system(system: FileSystem) -> Vec<Row> {
    let (kind, _, file, child, takes_root) = system;
    let row = |at: &str, granted: &str| {
        let row = Row::new(format!("mounted::{kind}_{at}"), move |dir: &Path| new_mount(dir, system))
            .needs(Need::FileSystem(kind))
            .grants([(granted, READ)])
            .ok([open(file, R)])
            .denied([open("q/f", R), open(file, W)]);
        if takes_root { row.needs(Need::Root) } else { row }
    };
    let mut rows = vec![
        // layout3_fs.tag_inode_dir_parent
        row("above", "p").ok([list("p"), list("p/m")]),
        // layout3_fs.tag_inode_dir_mnt
        row("root", "p/m").ok([list("p/m")]).denied([list("p")]),
        // layout3_fs.tag_inode_file
        row("file", file).denied([list("p/m"), list("p")]),
    ];
    if kind != "cgroup2" {
        // layout3_fs.tag_inode_dir_child
        rows.push(row("directory", child).ok([list(child)]).denied([list("p/m"), list("p")]));
    }
    rows
}

/// [`bind`], with `x/m/c` opened (0) and then moved out of what is bound, to `out/c`: there is no way up from it to
/// where it is mounted.
fn disconnect(dir: &Path) -> Laid {
    bind(dir);
    dirs(dir, &["out"]);
    let opened = File::open(dir.join("x/m/c")).expect("it is there");
    std::fs::rename(dir.join("a/b/c"), dir.join("out/c")).expect("it is ours");
    Laid::given([opened])
}

fn disconnected() -> Vec<Row> {
    let text = "a/b/c/f";
    let seen = || reads(below(0, "f"), text);
    let unseen = || open(below(0, "f"), R);
    let row = |name: &str| Row::new(format!("mounted::disconnected_{name}"), disconnect);
    let fixed = |name: &str| row(name).needs(Need::Fixed(3));
    vec![
        // layout1_bind.path_disconnected
        row("from_nowhere").denied([unseen(), open("out/c/f", R)]).ok([stat(below(0, "f"))]),
        // layout4_disconnected_leafs.read_rename_exchange
        row("by_itself")
            .grants([("out/c", READ)])
            .ok([seen(), reads("out/c/f", text)])
            .denied([read("a/b/f")]),
        // layout4_disconnected_leafs.read_rename_exchange
        row("by_its_file").grants([("out/c/f", READ)]).ok([seen()]).denied([open(below(0, "g"), R)]),
        // Where it lies now is a way up.
        // layout1_bind.path_disconnected
        row("by_where_it_lies")
            .grants([("out", READ)])
            .ok([seen()])
            .denied([read("a/b/f"), open("x/m/f", R)]),
        // layout1_bind.path_disconnected
        row("by_where_it_lay").grants([("a", READ)]).ok([read("a/b/f")]).denied([unseen(), open("x/m/f", R)]),
        // Where it was opened is the other, since the fix.
        // layout1_bind.path_disconnected
        fixed("by_its_mount")
            .grants([("x", READ)])
            .ok([seen(), reads("x/m/f", "a/b/f")])
            .denied([open("out/c/f", R)]),
        // layout4_disconnected_leafs.read_rename_exchange
        fixed("by_the_root_of_its_mount").grants([("a/b", READ)]).ok([seen()]).denied([open("out/c/f", R)]),
        // layout1_bind.path_disconnected
        fixed("by_both_ways")
            .grants([("x", READ)])
            .then([("out", READ)])
            .ok([seen()])
            .denied([read("a/b/f")]),
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        row("by_its_mount_before_the_fix")
            .needs(Need::Unfixed(3))
            .grants([("x", READ)])
            .ok([reads("x/m/f", "a/b/f")])
            .denied([unseen(), open("out/c/f", R)]),
        // layout1_bind.path_disconnected_rename, layout5_disconnected_branch.read_rename_exchange
        row("renames_within_by_where_it_lies")
            .grants([("out", moves())])
            .ok([rename(below(0, "f"), below(0, "h")), rename(below(0, "h"), below(0, "void/h"))])
            .denied([open(below(0, "g"), R)]),
        // layout1_bind.path_disconnected_rename, layout5_disconnected_branch.read_rename_exchange
        fixed("renames_within_by_its_mount")
            .grants([("x", moves())])
            .ok([rename(below(0, "f"), below(0, "h")), rename(below(0, "h"), below(0, "void/h"))])
            .denied([rename("out/c/g", "out/c/no")]),
        // Back into what is bound: no right may be gained on the way.
        // layout1_bind.path_disconnected_rename
        fixed("renames_back")
            .grants([("", moves())])
            .ok([rename(below(0, "f"), "x/m/back")])
            .denied([open(below(0, "g"), R)]),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        fixed("renames_back_without_gain")
            .grants([("", moves()), ("x", EXECUTE)])
            .ok([rename(below(0, "f"), "x/m/back")])
            .denied([open(below(0, "g"), R)]),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        fixed("renames_back_with_gain")
            .grants([("", moves()), ("out", EXECUTE)])
            .gives(EXDEV, [rename("x/m/f", below(0, "gained"))])
            .ok([rename(below(0, "f"), "x/m/back")])
            .denied([open(below(0, "g"), R)]),
    ]
}
