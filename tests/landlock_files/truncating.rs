//! Truncation, in every way there is. Before ABI 3 Landlock does not see it: there the filter refuses `truncate(2)` and
//! opens that truncate without writing, and the others need a file that may be written.

use crate::layout::{handed_over, tree};
use crate::words::*;
use libc::{EACCES, EBADF, EINVAL};
use sandboxed::Access;

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        // layout1.truncate
        by_path("write_and_truncate", WRITE_FILE | TRUNCATE, [0, 0, EACCES, 0, 0]),
        // layout1.truncate
        by_path("truncate", TRUNCATE, [0, EACCES, EACCES, EACCES, 0]),
        // layout1.truncate
        by_path("write", WRITE_FILE, [EACCES, EACCES, EACCES, EACCES, EACCES]),
        // no self-test; LANDLOCK_ACCESS_FS_TRUNCATE
        by_path("read", READ_FILE, [EACCES, EACCES, EACCES, EACCES, EACCES]),
        // layout1.truncate
        by_path("read_and_truncate", READ_FILE | TRUNCATE, [0, EACCES, 0, EACCES, 0]),
        // no self-test; LANDLOCK_ACCESS_FS_MAKE_REG
        by_path("make_and_write", MAKE_REG | WRITE_FILE, [EACCES, EACCES, EACCES, EACCES, EACCES]),
    ];
    // Granted, what opening for writing gives, what truncating then gives.
    rows.extend([
        // ftruncate.open_and_ftruncate
        ftruncates("write", WRITE_FILE, 0, EACCES),
        // ftruncate.open_and_ftruncate
        ftruncates("truncate", TRUNCATE, EACCES, EACCES),
        // ftruncate.open_and_ftruncate
        ftruncates("write_and_truncate", WRITE_FILE | TRUNCATE, 0, 0),
        // ftruncate.open_and_ftruncate
        ftruncates("key_write", WRITE, 0, 0),
        // no self-test; LANDLOCK_ACCESS_FS_WRITE_FILE
        ftruncates("key_read", READ, EACCES, EACCES),
    ]);
    rows.extend(descriptors());
    rows
}

/// On a file that is there: `truncate(2)`; opens that truncate for writing, for reading, for writing after creating,
/// and for neither.
fn by_path(name: &str, granted: Access, [truncates, write, read, create, neither]: [i32; 5]) -> Row {
    let mut row = Row::new(format!("truncating::with_{name}"), tree)
        .grants([("a", granted)])
        .since(3, truncates, EACCES, [truncate("a/f")])
        .since(3, read, EACCES, [open("a/f", R | TRUNC)])
        .since(3, neither, EACCES, [open("a/f", NEITHER | TRUNC)])
        .denied([
            truncate("x/f"),
            open("x/f", W | TRUNC),
            open("x/f", R | TRUNC),
            open("x/f", W | CREAT | TRUNC),
        ])
        .ok([stat("a/f")]);
    let writes = if granted.contains(WRITE_FILE) { 0 } else { EACCES };
    row = row.since(3, write, writes, [open("a/f", W | TRUNC)]);
    row.since(3, create, writes, [open("a/g", W | CREAT | TRUNC)])
}

fn ftruncates(name: &str, granted: Access, opens: i32, truncates: i32) -> Row {
    Row::new(format!("truncating::ftruncate_with_{name}"), tree)
        .grants([("a", granted), ("x", WRITE)])
        .gives(opens, [open("a/f", W)])
        .since(3, truncates, opens, [ftruncate("a/f", W)])
        .ok([ftruncate("x/f", W)])
        .denied([open("/dev/null", W)])
}

fn descriptors() -> Vec<Row> {
    vec![
        // ftruncate.open_and_ftruncate_in_different_processes: the right is that of whoever opened.
        Row::new("truncating::ftruncate_of_what_was_handed_over", handed_over)
            .ok([on(Source::Given(1), Use::Truncate), on(Source::Given(2), Use::Truncate)])
            .gives(EINVAL, [on(Source::Given(0), Use::Truncate)])
            .denied([truncate("a/g"), open("a/g", W)]),
        // no self-test; hook_file_truncate
        Row::new("truncating::ftruncate_of_what_is_opened_again", handed_over)
            .grants([("a", WRITE_FILE)])
            .ok([on(Source::Given(1), Use::Truncate), on(reopened(Source::Given(1), W), Use::Write)])
            .since(3, EACCES, 0, [on(reopened(Source::Given(1), W), Use::Truncate)])
            .denied([open("x/f", W)]),
        // layout1.o_path_ftruncate_and_ioctl
        Row::new("truncating::ftruncate_of_o_path", tree)
            .grants([("a", WRITE)])
            .gives(EBADF, [ftruncate("a/f", O_PATH), ftruncate("x/f", O_PATH)])
            .ok([ftruncate("a/f", W)])
            .denied([on(reopened(opened("x/f", O_PATH), W), Use::Truncate)]),
        // memfd_ftruncate_and_ioctl
        Row::new("truncating::ftruncate_of_memory", tree)
            .grants([("a", READ)])
            .ok([on(Source::Memory, Use::Truncate), on(Source::Memory, Use::Write), read("a/f")])
            .denied([open("a/f", W)]),
        // no self-test; hook_file_truncate
        Row::new("truncating::ftruncate_for_reading", tree)
            .grants([("a", READ | WRITE)])
            .gives(EINVAL, [ftruncate("a/f", R)])
            .ok([ftruncate("a/f", RW), ftruncate("a/g", W)])
            .denied([ftruncate("x/f", R)]),
        // An unlinked file keeps the rights with which it was opened.
        // no self-test; hook_file_truncate
        Row::new("truncating::ftruncate_of_an_unlinked_file", tree)
            .grants([("a", WRITE), ("x", WRITE_FILE | REMOVE_FILE)])
            .ok([on(Source::Unlinked("a/f".into(), W), Use::Truncate)])
            .since(3, EACCES, 0, [on(Source::Unlinked("x/f".into(), W), Use::Truncate)])
            .denied([on(Source::Unlinked("x/y/f".into(), R), Use::Truncate)]),
    ]
}
