//! Overlays: what is seen there has inodes of its own, so the layers below it and the overlay share no rule. What the
//! overlay does to its layers on behalf of a sandbox is not the sandbox's doing.

use crate::layout::{Laid, files};
use crate::mounts;
use crate::words::*;
use libc::EXDEV;
use std::path::Path;

/// `merged` of `lower` and `upper`: files of either and of both, and a directory of either and of both.
fn overlay(dir: &Path) -> Laid {
    files(dir, &["lower/l", "lower/both", "lower/dl/f", "lower/d/l", "lower/d/both"]);
    files(dir, &["upper/u", "upper/both", "upper/du/f", "upper/d/u", "upper/d/both"]);
    mounts::overlay(dir).expect("it was possible before");
    Laid::default()
}

pub fn rows() -> Vec<Row> {
    let row = |name: &str| Row::new(format!("overlay::{name}"), overlay).needs(Need::Overlay);
    vec![
        // layout2_overlay.no_restriction
        row("above_all")
            .grants([("", READ)])
            .ok([
                read("lower/l"),
                read("upper/u"),
                reads("merged/l", "lower/l"),
                reads("merged/both", "upper/both"),
            ])
            .ok([list("merged"), list("merged/d")])
            .denied([open("merged/l", W)]),
        // layout2_overlay.same_content_different_file: each by itself.
        row("lower").grants([("lower", READ)]).ok([read("lower/l"), read("lower/d/l")]).denied([
            open("merged/l", R),
            open("merged/d/l", R),
            read("upper/u"),
            list("merged"),
        ]),
        // layout2_overlay.same_content_different_file
        row("upper").grants([("upper", READ)]).ok([read("upper/u"), read("upper/d/u")]).denied([
            open("merged/u", R),
            open("merged/both", R),
            read("lower/l"),
            list("merged"),
        ]),
        // layout2_overlay.same_content_different_file
        row("merged")
            .grants([("merged", READ)])
            .ok([
                reads("merged/l", "lower/l"),
                reads("merged/u", "upper/u"),
                reads("merged/d/both", "upper/d/both"),
            ])
            .denied([read("lower/l"), read("upper/u"), read("upper/d/both"), list("lower")]),
        // layout2_overlay.same_content_different_file
        row("directory_in_merged")
            .grants([("merged/d", READ)])
            .ok([reads("merged/d/l", "lower/d/l"), reads("merged/d/u", "upper/d/u"), list("merged/d")])
            .denied([open("merged/l", R), open("merged/dl/f", R), read("lower/d/l"), read("upper/d/u")]),
        // layout2_overlay.same_content_different_file
        row("file_in_merged")
            .grants([("merged/l", READ), ("merged/both", READ)])
            .ok([reads("merged/l", "lower/l"), reads("merged/both", "upper/both")])
            .denied([open("merged/u", R), read("lower/l"), read("upper/both")]),
        // layout2_overlay.same_content_different_file
        row("files_below")
            .grants([("lower/l", READ), ("upper/u", READ)])
            .ok([read("lower/l"), read("upper/u")])
            .denied([open("merged/l", R), open("merged/u", R), read("lower/both")]),
        // no self-test; LANDLOCK_ACCESS_FS_READ_FILE
        row("one_in_each_sandbox")
            .grants([("merged", READ)])
            .then([("lower", READ), ("merged/d", READ)])
            .ok([reads("merged/d/l", "lower/d/l")])
            .denied([open("merged/l", R), read("lower/l")]),
        // A file is copied up, and its directory with it, into a layer that is not granted.
        // no self-test; LANDLOCK_ACCESS_FS_WRITE_FILE
        row("copies_up")
            .grants([("merged", WRITE), ("merged", READ)])
            .ok([open("merged/l", W), open("merged/dl/f", W), make("merged/dl/new", Kind::Reg)])
            .ok([on(opened("merged/l", W), Use::Write), stat("upper/l"), stat("upper/dl/new")])
            .denied([open("upper/l", R), open("lower/l", W), make("upper/new", Kind::Reg)]),
        // no self-test; LANDLOCK_ACCESS_FS_WRITE_FILE
        row("copies_up_not")
            .grants([("merged", READ)])
            .denied([
                open("merged/l", W),
                open("merged/dl/f", RW),
                unlink("merged/l"),
                make("merged/new", Kind::Reg),
            ])
            .ok([read_merged()])
            .gives(libc::ENOENT, [stat("upper/l")]),
        // no self-test; LANDLOCK_ACCESS_FS_TRUNCATE
        row("truncates")
            .grants([("merged/d", WRITE), ("merged", WRITE_FILE)])
            .since(3, 0, libc::EACCES, [truncate("merged/d/l")])
            .ok([ftruncate("merged/d/u", W), open("merged/dl/f", W)])
            .denied([truncate("merged/dl/f"), truncate("lower/l")]),
        // To remove what lies in the lower layer the overlay makes a device in the upper one: not by the sandbox's right.
        // no self-test; LANDLOCK_ACCESS_FS_REMOVE_FILE
        row("removes")
            .grants([("merged", REMOVE_FILE), ("merged/du", REMOVE_DIR)])
            .ok([unlink("merged/l"), unlink("merged/u"), unlink("merged/both"), unlink("merged/du/f")])
            .gives(libc::ENOENT, [stat("merged/l"), stat("merged/both")])
            .ok([stat("lower/l")])
            .denied([unlink("lower/l"), unlink("upper/d/u"), rmdir("merged/dl")]),
        // no self-test; hook_path_rename
        row("renames")
            .grants([("merged", MAKE_REG | REMOVE_FILE)])
            .ok([
                rename("merged/l", "merged/l2"),
                rename("merged/both", "merged/u"),
                link("merged/u", "merged/u2"),
            ])
            .gives(EXDEV, [rename("merged/d/l", "merged/moved")])
            .denied([rename("upper/d/u", "upper/d/no"), rename("lower/l", "lower/no")]),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        row("renames_across")
            .grants([("merged", REFER | MAKE_REG | REMOVE_FILE)])
            .ok([rename("merged/d/l", "merged/moved"), rename("merged/u", "merged/d/moved")])
            .gives(EXDEV, [rename("merged/l", "upper/no")])
            .denied([rename("upper/d/u", "upper/d/no")]),
        // no self-test; LANDLOCK_ACCESS_FS_REFER
        row("no_gain_in_the_overlay")
            .grants([("merged", REFER | MAKE_REG | REMOVE_FILE), ("merged/d", READ_FILE)])
            .gives(EXDEV, [rename("merged/l", "merged/d/moved")])
            .ok([rename("merged/d/l", "merged/moved")])
            .denied([open("merged/u", R)]),
    ]
}

fn read_merged() -> Act {
    reads("merged/l", "lower/l")
}
