//! Sandboxes in each other: each may only take away, and every one is asked.

use crate::layout::tree;
use crate::words::*;
use libc::EXDEV;
use sandboxed::Access;

pub fn rows() -> Vec<Row> {
    vec![
        // layout1.layer_rule_unions: within one sandbox rules add up, among sandboxes they do not.
        Row::new("layers::unions_within_not_among", tree)
            .grants([("a", READ_FILE), ("a/b/c", WRITE_FILE)])
            .then([("a/b", READ_FILE | WRITE_FILE)])
            .ok([open("a/b/f", R), open("a/b/c/f", RW)])
            .denied([open("a/f", R), open("a/b/f", W), open("a/f", W)]),
        // layout1.interleaved_masked_accesses: what one refuses no later one gives back.
        Row::new("layers::interleaved", tree)
            .grants([("a/b", READ | WRITE_FILE)])
            .then([("a/b/c", READ)])
            .then([("a", READ | WRITE_FILE)])
            .ok([open("a/b/c/f", R), list("a/b/c")])
            .denied([open("a/b/c/f", W), open("a/b/f", R), open("a/f", R)]),
        // layout1.inherit_subset
        Row::new("layers::subset", tree)
            .grants([("a", READ | WRITE_FILE)])
            .then([("a/b", READ)])
            .ok([read("a/b/f"), list("a/b")])
            .denied([open("a/b/f", W), read("a/f"), list("a")])
            .also_in_place(),
        // layout1.inherit_superset: a wider grant inside is worth what is granted outside.
        Row::new("layers::superset", tree)
            .grants([("a/b", READ_FILE)])
            .then([("", READ | WRITE)])
            .ok([read("a/b/f"), read("a/b/c/f")])
            .denied([read("a/f"), list("a/b"), open("a/b/f", W)]),
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        Row::new("layers::disjoint", tree)
            .grants([("a", READ)])
            .then([("x", READ)])
            .denied([read("a/f"), read("x/f"), list("a"), list("x")])
            .ok([stat("a/f"), stat("x/f")]),
        // layout1.empty_or_same_ruleset
        Row::new("layers::the_same_again", tree)
            .grants([("a", READ)])
            .then([("a", READ)])
            .then([("a", READ)])
            .ok([read("a/f"), list("a")])
            .denied([open("a/f", W), read("x/f")]),
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        Row::new("layers::nothing_inside", tree)
            .grants([("a", READ)])
            .then([("/dev/null", READ)])
            .denied([read("a/f"), list("a")])
            .ok([open("/dev/null", O_PATH), stat("a/f")]),
        // layout1.rule_over_root_allow_then_deny
        Row::new("layers::root_then_less", tree)
            .grants([("/", READ)])
            .then([("a", READ)])
            .ok([read("a/f"), list("a")])
            .denied([list("/"), read("x/f"), open("/dev/zero", R)]),
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        Row::new("layers::less_then_root", tree)
            .grants([("a", READ)])
            .then([("/", READ | WRITE)])
            .ok([read("a/f")])
            .denied([list("/"), read("x/f"), open("a/f", W)]),
        // A file's rule in one, its directory's in the other.
        // layout1.interleaved_masked_accesses
        Row::new("layers::file_and_directory", tree)
            .grants([("a/f", READ)])
            .then([("a", READ)])
            .ok([read("a/f")])
            .denied([read("a/g"), list("a")]),
        // no self-test; LANDLOCK_ACCESS_FS_EXECUTE
        Row::new("layers::execute", tree)
            .grants([("a", RUN)])
            .then([("a/b", RUN)])
            .gives(libc::ENOEXEC, [run("a/b/run")])
            .denied([run("a/run"), run("x/run")]),
        // no self-test; LANDLOCK_ACCESS_FS_TRUNCATE
        Row::new("layers::truncate", tree)
            .grants([("a", WRITE)])
            .then([("a", WRITE_FILE)])
            .ok([open("a/f", W)])
            .denied([truncate("a/f")])
            .since(3, libc::EACCES, 0, [open("a/f", W | TRUNC)]),
        // A sandbox that does not name `refer` refuses it, wherever it stands.
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        refer_in_some("both", REFER, REFER, 0),
        // layout1.refer_denied_by_default1, layout1.refer_denied_by_default3
        refer_in_some("outer", REFER, Access::NONE, EXDEV),
        // layout1.refer_denied_by_default2, layout1.refer_denied_by_default4
        refer_in_some("inner", Access::NONE, REFER, EXDEV),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        refer_in_some("neither", Access::NONE, Access::NONE, EXDEV),
        // layout0.max_layers: the library's own tests nest sixteen; many that agree change nothing.
        (0..6)
            .fold(Row::new("layers::many", tree).grants([("a", READ)]), |row, _| row.then([("a", READ)]))
            .ok([read("a/b/f")])
            .denied([read("x/f")]),
    ]
}

fn refer_in_some(name: &str, outer: Access, inner: Access, across: i32) -> Row {
    let within = MAKE_REG | REMOVE_FILE;
    Row::new(format!("layers::refer_in_{name}"), tree)
        .grants([("", within | outer)])
        .then([("", within | inner)])
        .ok([rename("a/f", "a/h"), link("a/g", "a/l")])
        .gives(across, [rename("a/b/f", "x/moved"), link("a/b/g", "x/linked"), exchange("a/b/g", "x/y/g")])
        .denied([make("a/d", Kind::Dir)])
}
