//! Renaming and linking, within a directory and across directories.
//!
//! Across, the kernel asks for `refer` on both sides, and that the file has no right at its new place that it lacked at
//! the old one; what fails for these reasons alone gives `EXDEV`, so that programs copy instead.

use crate::layout::{Laid, dirs, files, kinds, tree};
use crate::words::*;
use libc::{EACCES, EXDEV};
use sandboxed::Access;
use std::path::Path;

pub fn rows() -> Vec<Row> {
    let mut rows = within();
    rows.extend(across());
    rows.extend(precedence());
    rows.extend(widening());
    rows.extend(in_layers());
    rows
}

fn within() -> Vec<Row> {
    vec![
        // layout1.link
        Row::new("refer::link_within", tree)
            .grants([("a/b", MAKE_REG)])
            .ok([link("a/b/f", "a/b/l"), link("a/b/c/f", "a/b/c/l")])
            .denied([link("a/f", "a/l"), link("x/f", "x/l"), link("a/b/f", "a/l")])
            .gives(EXDEV, [link("a/f", "a/b/m"), link("x/f", "a/b/m"), link("a/b/f", "a/b/c/m")]),
        // layout1.rename_file
        Row::new("refer::rename_within", tree)
            .grants([("a/b", MAKE_REG | REMOVE_FILE)])
            .ok([rename("a/b/f", "a/b/h"), rename("a/b/h", "a/b/g"), rename("a/b/c/f", "a/b/c/h")])
            .denied([
                rename("a/f", "a/h"),
                rename("a/f", "a/g"),
                rename("a/b/g", "a/h"),
                rename("a/f", "a/b/h"),
            ])
            .gives(EXDEV, [rename("a/b/g", "a/b/c/m"), rename("a/b/c/h", "a/b/m")]),
        // no self-test; LANDLOCK_ACCESS_FS_REMOVE_FILE
        Row::new("refer::rename_needs_remove_file", tree)
            .grants([("a/b", MAKE_REG)])
            .denied([rename("a/b/f", "a/b/h"), rename("a/b/f", "a/b/g"), exchange("a/b/f", "a/b/g")])
            .ok([link("a/b/f", "a/b/h")]),
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_REG
        Row::new("refer::rename_needs_make_reg", tree)
            .grants([("a/b", REMOVE_FILE)])
            .denied([rename("a/b/f", "a/b/h"), rename("a/b/f", "a/b/g"), exchange("a/b/f", "a/b/g")])
            .ok([unlink("a/b/f")]),
        // layout1.rename_file
        Row::new("refer::exchange_within", tree)
            .grants([("a/b", MAKE_REG | REMOVE_FILE)])
            .ok([exchange("a/b/f", "a/b/g")])
            .denied([exchange("a/f", "a/g"), exchange("a/b/f", "a/b/void"), exchange("a/b/c", "a/b/void")]),
        // layout1.rename_dir
        Row::new("refer::rename_directory_within", tree)
            .grants([("a/b", MAKE_DIR | REMOVE_DIR)])
            .ok([rename("a/b/void", "a/b/new"), exchange("a/b/new", "a/b/c")])
            .denied([rename("a/b/f", "a/b/h"), rename("a/void", "a/new"), exchange("a/b/f", "a/b/new")]),
        // no self-test; LANDLOCK_ACCESS_FS_REMOVE_DIR
        Row::new("refer::rename_directory_needs_remove_dir", tree)
            .grants([("a/b", MAKE_DIR | REMOVE_FILE | MAKE_REG)])
            .denied([rename("a/b/void", "a/b/new"), exchange("a/b/f", "a/b/void")])
            .ok([rename("a/b/f", "a/b/h"), make("a/b/new", Kind::Dir)]),
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_DIR
        Row::new("refer::rename_directory_needs_make_dir", tree)
            .grants([("a/b", REMOVE_DIR | REMOVE_FILE | MAKE_REG)])
            .denied([rename("a/b/void", "a/b/new"), exchange("a/b/f", "a/b/void")])
            .ok([rename("a/b/f", "a/b/h"), rmdir("a/b/void")]),
        // layout1.rename_file
        Row::new("refer::exchange_of_a_file_and_a_directory", tree)
            .grants([("a/b", MAKE_DIR | REMOVE_DIR | MAKE_REG | REMOVE_FILE)])
            .ok([exchange("a/b/f", "a/b/void"), exchange("a/b/g", "a/b/c")])
            .denied([exchange("a/f", "a/void")])
            .gives(EXDEV, [exchange("a/b/void", "a/b/g/f")]),
        // layout1.make_fifo (its links and renames)
        moved_kind("fifo", MAKE_FIFO),
        // layout1.make_sock (its links and renames)
        moved_kind("sock", MAKE_SOCK),
        // layout1.make_sym (its links and renames)
        moved_kind("sym", MAKE_SYM),
        // A rename onto itself, or onto another name of the same file, changes nothing; the rights are asked for.
        // no self-test; hook_path_rename
        Row::new("refer::rename_onto_itself", tree)
            .grants([("a/b", MAKE_REG | REMOVE_FILE)])
            .ok([rename("a/b/f", "a/b/f")])
            .denied([rename("a/f", "a/f")]),
        // no self-test; hook_path_rename
        Row::new("refer::rename_without_replacing", tree)
            .grants([("a/b", MAKE_REG | REMOVE_FILE)])
            .gives(libc::EEXIST, [no_replace("a/b/f", "a/b/g"), no_replace("a/f", "a/g")])
            .ok([no_replace("a/b/f", "a/b/h")])
            .denied([no_replace("a/f", "a/h")]),
    ]
}

fn no_replace(from: &str, to: &str) -> Act {
    Act::Rename(from.into(), to.into(), libc::RENAME_NOREPLACE)
}

fn moved_kind(name: &str, right: Access) -> Row {
    let at = |dir: &str, tail: &str| format!("{dir}/{name}{tail}");
    Row::new(format!("refer::link_and_rename_of_a_{name}"), kinds)
        .grants([("a", right | REMOVE_FILE), ("x", MAKE_REG | REMOVE_FILE)])
        .ok([link(at("a", ""), at("a", "2")), rename(at("a", ""), at("a", "3"))])
        .denied([link(at("x", ""), at("x", "2")), rename(at("x", ""), at("x", "3")), link("a/reg", "a/reg2")])
}

fn moves_files() -> Access {
    REFER | MAKE_REG | REMOVE_FILE
}

fn moves_dirs() -> Access {
    REFER | MAKE_DIR | REMOVE_DIR
}

fn across() -> Vec<Row> {
    vec![
        // layout1.reparent_refer
        Row::new("refer::both_sides", tree)
            .grants([("a/b", moves_files()), ("x/y", moves_files())])
            .ok([rename("a/b/f", "x/y/moved"), link("x/y/f", "a/b/linked"), exchange("a/b/g", "x/y/g")])
            .ok([rename("a/b/c/f", "x/y/z/moved")])
            .denied([rename("a/f", "x/y/no"), rename("a/b/g", "x/no"), link("a/b/g", "a/no")])
            .also_in_place(),
        // layout1.reparent_refer
        Row::new("refer::source_alone", tree)
            .grants([("a/b", moves_files()), ("x/y", MAKE_REG | REMOVE_FILE)])
            .gives(EXDEV, [rename("a/b/f", "x/y/moved"), link("a/b/f", "x/y/linked")])
            .gives(EXDEV, [exchange("a/b/f", "x/y/f"), rename("x/y/f", "a/b/moved")])
            .ok([rename("a/b/f", "a/b/c/moved")]),
        // layout1.reparent_refer
        Row::new("refer::destination_alone", tree)
            .grants([("a/b", MAKE_REG | REMOVE_FILE), ("x/y", moves_files())])
            .gives(EXDEV, [rename("a/b/f", "x/y/moved"), link("a/b/f", "x/y/linked")])
            .gives(EXDEV, [exchange("a/b/f", "x/y/f"), rename("x/y/f", "a/b/moved")])
            .ok([rename("x/y/f", "x/y/z/moved")]),
        // layout1.reparent_refer
        Row::new("refer::neither_side", tree)
            .grants([("a/b", MAKE_REG | REMOVE_FILE), ("x/y", MAKE_REG | REMOVE_FILE)])
            .gives(
                EXDEV,
                [rename("a/b/f", "x/y/moved"), link("a/b/f", "x/y/linked"), exchange("a/b/f", "x/y/f")],
            )
            .ok([rename("a/b/f", "a/b/h"), link("x/y/f", "x/y/l")]),
        // Up, down, and to a directory beside, below one grant.
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        Row::new("refer::up_and_down", tree)
            .grants([("a", moves_files())])
            .ok([rename("a/b/c/f", "a/up"), rename("a/f", "a/b/c/down"), link("a/b/f", "a/void/beside")])
            .denied([rename("x/y/f", "x/no"), rename("a/g", "x/no")]),
        // layout1.reparent_refer
        Row::new("refer::directory", tree)
            .grants([("a", moves_dirs()), ("x/y", moves_dirs())])
            .ok([rename("a/b/void", "a/moved"), rename("a/b/c", "x/y/moved"), exchange("a/void", "x/y/z")])
            .denied([rename("a/b", "x/no"), rename("a/f", "a/b/no")]),
        // layout1.rename_dir: a directory cannot go below itself: the kernel says so before it asks for rights.
        Row::new("refer::directory_into_itself", tree)
            .grants([("a", moves_dirs())])
            .gives(libc::EINVAL, [rename("a/b", "a/b/c/no"), exchange("a/b", "a/b/c")])
            .ok([rename("a/b/c", "a/c")])
            .gives(libc::EINVAL, [rename("x/y", "x/y/z/no")])
            .denied([rename("x/y", "x/no")]),
        // layout1.reparent_remove
        Row::new("refer::replaces_what_may_be_removed", tree)
            .grants([("a/b", moves_files()), ("x", REFER | MAKE_REG), ("x/y", REMOVE_FILE)])
            .denied([rename("a/b/f", "x/f"), exchange("a/b/f", "x/f")])
            .ok([rename("a/b/f", "x/new"), rename("a/b/g", "x/y/f")]),
        // layout1.reparent_link
        Row::new("refer::link_keeps_the_old_name", tree)
            .grants([("a", REFER), ("x", REFER | MAKE_REG)])
            .ok([link("a/f", "x/linked"), link("a/b/f", "x/y/linked")])
            .denied([rename("a/f", "x/moved"), rename("a/b/f", "x/y/f")]),
    ]
}

/// Which errno it is where several things are missing.
fn precedence() -> Vec<Row> {
    vec![
        // layout1.reparent_link: EACCES where the link could not be made in place either.
        Row::new("refer::link_that_may_not_be_made", tree)
            .grants([("a", REFER), ("x", REFER)])
            .denied([link("a/f", "x/l"), link("a/f", "a/b/l"), link("a/f", "a/l")])
            .ok([stat("a/f")]),
        // layout1.reparent_link
        Row::new("refer::link_without_refer", tree)
            .grants([("x", MAKE_REG)])
            .gives(EXDEV, [link("a/f", "x/l"), link("x/f", "x/y/l")])
            .ok([link("x/f", "x/l")])
            .denied([link("x/f", "a/l")]),
        // layout1.reparent_rename
        Row::new("refer::rename_that_may_not_be_removed", tree)
            .grants([("a", REFER), ("x", moves_files())])
            .denied([rename("a/f", "x/m"), rename("a/f", "a/b/m"), exchange("x/f", "a/f")])
            .ok([rename("x/f", "x/y/m")]),
        // layout1.reparent_rename
        Row::new("refer::rename_that_may_not_be_made", tree)
            .grants([("a", moves_files()), ("x", REFER | REMOVE_FILE)])
            .denied([rename("a/f", "x/m"), exchange("a/f", "x/f"), rename("a/f", "x/f")])
            .ok([rename("a/f", "a/b/m")]),
        // layout1.reparent_rename
        Row::new("refer::rename_without_refer_or_make", tree)
            .grants([("a", REMOVE_FILE), ("x", MAKE_REG)])
            .gives(EXDEV, [rename("a/f", "x/m")])
            .denied([rename("x/f", "a/m"), exchange("a/f", "x/f")])
            .ok([make("x/new", Kind::Reg), unlink("a/g")]),
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_DIR
        Row::new("refer::directory_that_may_not_be_made", tree)
            .grants([("a", REFER | REMOVE_DIR), ("x", REFER | REMOVE_DIR | MAKE_REG)])
            .denied([rename("a/void", "x/m"), rename("a/b/c", "a/m")])
            .ok([rmdir("a/void")]),
        // layout1.reparent_remove
        Row::new("refer::replaced_without_a_right", tree)
            .grants([("a", moves_files()), ("x", REFER | MAKE_REG)])
            .denied([rename("a/f", "x/f")])
            .ok([rename("a/f", "x/m")]),
    ]
}

/// No right may be gained by moving: for each right, `x` has it and `a` has not. A plain file can gain those that
/// files have, a directory all of them.
fn widening() -> Vec<Row> {
    let others = Access::ALL.iter().copied().filter(|(right, _, _)| *right != REFER);
    // layout1.reparent_refer, layout1.reparent_exdev_layers_rename1 (in one layer),
    // layout1.refer_part_mount_tree_is_allowed
    others.map(|(right, name, _)| gains(right, name)).collect()
}

fn gains(right: Access, name: &str) -> Row {
    let base = moves_files() | moves_dirs();
    let lacking = base.each().filter(|one| *one != right).fold(Access::NONE, |all, one| all | one);
    let row =
        Row::new(format!("refer::no_gain_of_{name}"), tree).grants([("a", lacking), ("x", base | right)]);
    let file = || [link("a/f", "x/new"), link("a/b/f", "x/y/new")];
    let directory = || [rename("a/void", "x/moved")];
    let row = match right {
        // Before ABI 3 there is no such right to be gained.
        TRUNCATE => row.since(3, EXDEV, 0, file()),
        _ if Access::OF_FILES.contains(right) => row.gives(EXDEV, file()),
        _ => row.ok(file()),
    };
    let row = match right {
        // Without it nothing moves from there.
        REMOVE_DIR => row.denied(directory()),
        TRUNCATE => row.since(3, EXDEV, 0, directory()),
        _ => row.gives(EXDEV, directory()),
    };
    // Losing it is no matter.
    match right {
        MAKE_REG => row.ok([rename("x/y", "a/lost")]).denied([link("x/f", "a/lost_too")]),
        MAKE_DIR => row.ok([link("x/f", "a/lost")]).denied([rename("x/y", "a/lost_too")]),
        _ => row.ok([link("x/f", "a/lost"), rename("x/y", "a/lost_too")]),
    }
}

fn two_files(dir: &Path) -> Laid {
    files(dir, &["a/f", "a/g", "a/h", "x/f", "x/g", "y/f"]);
    dirs(dir, &["a/void", "x/void"]);
    Laid::default()
}

/// What one sandbox lets pass, another must too.
fn in_layers() -> Vec<Row> {
    vec![
        // layout1.reparent_exdev_layers_rename1: gains in the inner one alone.
        Row::new("refer::inner_gains", two_files)
            .grants([("", moves_files() | EXECUTE)])
            .then([("", moves_files()), ("x", EXECUTE)])
            .gives(EXDEV, [rename("a/f", "x/m"), link("a/f", "x/m")])
            .ok([rename("x/f", "a/m"), rename("a/g", "y/m")]),
        // layout1.reparent_exdev_layers_rename2: in the outer one alone.
        Row::new("refer::outer_gains", two_files)
            .grants([("", moves_files()), ("x", EXECUTE)])
            .then([("", moves_files() | EXECUTE)])
            .gives(EXDEV, [rename("a/f", "x/m"), link("a/f", "x/m")])
            .ok([rename("x/f", "a/m"), rename("a/g", "y/m")]),
        // layout1.reparent_exdev_layers_exchange1: either way gains something.
        Row::new("refer::exchange_gains_both_ways", two_files)
            .grants([("", moves_files()), ("x", EXECUTE)])
            .then([("", moves_files()), ("a", READ_FILE)])
            .gives(EXDEV, [exchange("a/f", "x/f"), rename("a/f", "x/m"), rename("x/f", "a/m")])
            .ok([rename("a/f", "y/m"), rename("x/f", "y/n")]),
        // layout1.reparent_exdev_layers_exchange2: one way does, and an exchange goes both.
        Row::new("refer::exchange_gains_one_way", two_files)
            .grants([("", moves_files()), ("x", EXECUTE)])
            .gives(EXDEV, [exchange("a/f", "x/f"), exchange("x/f", "a/f"), rename("a/f", "x/m")])
            .ok([rename("x/f", "a/m"), exchange("a/f", "y/f")]),
        // layout1.reparent_exdev_layers_exchange3: a file and a directory.
        Row::new("refer::exchange_of_unlike_gains", two_files)
            .grants([("", moves_files() | moves_dirs()), ("x", MAKE_FIFO)])
            .gives(EXDEV, [exchange("a/void", "x/f"), exchange("x/f", "a/void")])
            .ok([exchange("a/f", "x/void"), exchange("a/g", "x/g")]),
        // layout1.reparent_dom_superset: a domain whose rights at the new place are the same or fewer.
        Row::new("refer::the_same_rights", two_files)
            .grants([("a", moves_files() | EXECUTE), ("x", moves_files() | EXECUTE)])
            .then([("a", moves_files() | READ_FILE), ("x", moves_files() | READ_FILE)])
            .ok([rename("a/f", "x/m"), exchange("a/g", "x/g")])
            .denied([open("a/h", R)]),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        Row::new("refer::gains_in_neither_together", two_files)
            .grants([("a", moves_files() | EXECUTE), ("x", moves_files() | READ_FILE)])
            .gives(EXDEV, [rename("a/f", "x/m"), rename("x/f", "a/m"), exchange("a/f", "x/f")])
            .ok([rename("a/f", "a/m")]),
        // The removal is refused by one, the reparenting by the other: EACCES comes first.
        // no self-test; hook_path_rename
        Row::new("refer::removal_refused_elsewhere", two_files)
            .grants([("", MAKE_REG | REMOVE_FILE)])
            .then([("", REFER | MAKE_REG), ("x", REMOVE_FILE)])
            .gives(EACCES, [rename("a/f", "x/m"), rename("a/f", "a/m")])
            .gives(EXDEV, [rename("x/f", "a/m"), link("a/f", "x/m")])
            .ok([rename("x/f", "x/m")]),
        // A rule on the file itself counts at every place.
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        Row::new("refer::rule_on_the_file", two_files)
            .grants([("", moves_files()), ("x", EXECUTE | READ_FILE), ("a/f", EXECUTE | READ_FILE)])
            .ok([rename("a/f", "x/m"), open("x/m", R)])
            .gives(EXDEV, [rename("a/g", "x/n")]),
    ]
}
