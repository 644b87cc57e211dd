//! Files beside those that are granted: by links, by names that climb, by moving what is outside in.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::{Argument, owned, syscall};
use crate::world::World;
use libc::{AT_FDCWD, EACCES, EPERM, EXDEV};
use sandboxed::Policy;
use std::path::PathBuf;

fn reading(w: &World) -> Policy {
    Policy::new().read(w.granted())
}

fn changing(w: &World) -> Policy {
    Policy::new().read(w.granted()).write(w.granted())
}

fn granted(s: &Stage, name: &str) -> Argument {
    Argument::from(&*s.world.granted().join(name))
}

fn secret(s: &Stage) -> Argument {
    Argument::from(&*s.world.secret())
}

/// Opens what the row names, below the granted directory, with the row's flags.
fn open(s: &Stage) -> Tried {
    syscall(libc::SYS_openat, [AT_FDCWD.into(), granted(s, &s.text), s.flag().into(), 0o600.into()])
        .map(|fd| drop(owned(fd)))
        .map(|()| 0)
}

fn new_name(s: &Stage, what: &str) -> PathBuf {
    s.world.granted().join(format!("{what}-{}", std::process::id()))
}

fn link_in(s: &Stage) -> Tried {
    let to = Argument::from(&*new_name(s, "link"));
    syscall(libc::SYS_linkat, [AT_FDCWD.into(), secret(s), AT_FDCWD.into(), to, 0.into()])
}

fn rename_in(s: &Stage) -> Tried {
    let to = new_name(s, "moved");
    syscall(
        libc::SYS_renameat2,
        [AT_FDCWD.into(), secret(s), AT_FDCWD.into(), Argument::from(&*to), 0.into()],
    )
}

fn climb_by_a_new_symlink(s: &Stage) -> Tried {
    let link = new_name(s, "symlink");
    syscall(libc::SYS_symlinkat, [secret(s), AT_FDCWD.into(), Argument::from(&*link)])?;
    syscall(libc::SYS_openat, [AT_FDCWD.into(), Argument::from(&*link), libc::O_RDONLY.into()])
}

fn openat2_in_root(s: &Stage) -> Tried {
    let how = [0u64.to_ne_bytes(), 0u64.to_ne_bytes(), 0x10u64.to_ne_bytes()].concat();
    let root = owned(call!(SYS_openat, AT_FDCWD, "/", libc::O_PATH)?);
    let fd = std::os::fd::AsRawFd::as_raw_fd(&root);
    syscall(libc::SYS_openat2, [fd.into(), secret(s), how[..].into(), 24.into()])
}

pub fn attempts() -> Vec<Attempt> {
    // Before ABI 3 the filter looks after truncating, and cannot see whether this call does.
    let by_landlock = if sandboxed::kernel().abi < 3 { libc::ENOSYS } else { EACCES };
    let outside = |name: &str, path: &'static str| refused(name, EACCES, open).at(path).under(reading);
    let own_file = |s: &Stage| syscall(libc::SYS_openat, [AT_FDCWD.into(), granted(s, "file"), 0.into()]);
    vec![
        outside("beside", "../secret"),
        outside("climbing", "../granted/../secret"),
        outside("climbing_further", "./././../other/../secret"),
        outside("absolute_symlink", "out"),
        outside("relative_symlink", "up"),
        outside("symlink_to_the_root", "root/etc/passwd"),
        outside("the_directory_above", "..").with(libc::O_DIRECTORY),
        outside("a_file_for_writing", "file").with(libc::O_WRONLY),
        outside("a_file_for_appending", "file").with(libc::O_WRONLY | libc::O_APPEND),
        outside("a_file_for_both", "file").with(libc::O_RDWR),
        outside("a_new_file", "new").with(libc::O_CREAT | libc::O_WRONLY),
        outside("an_unnamed_file", ".").with(libc::O_TMPFILE | libc::O_RDWR),
        outside("truncating", "file").with(libc::O_RDONLY | libc::O_TRUNC).beside(own_file),
        outside("no_access_mode_truncating", "file").with(libc::O_ACCMODE | libc::O_TRUNC).beside(own_file),
        // Its flags lie in memory, so it is not there for who may read alone.
        refused("openat2_in_root", libc::ENOSYS, openat2_in_root).under(reading),
        refused("openat2_in_root_where_files_are_written", by_landlock, openat2_in_root).under(changing),
        refused("path_descriptor_then_open", EACCES, |s| {
            let above =
                owned(syscall(libc::SYS_openat, [AT_FDCWD.into(), granted(s, ".."), libc::O_PATH.into()])?);
            call!(SYS_openat, std::os::fd::AsRawFd::as_raw_fd(&above), "secret", libc::O_RDONLY)
        })
        .under(reading),
        refused("path_descriptor_by_proc", EACCES, |s| {
            let it = owned(syscall(libc::SYS_openat, [AT_FDCWD.into(), secret(s), libc::O_PATH.into()])?);
            let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&it));
            call!(SYS_openat, AT_FDCWD, &*link, libc::O_RDONLY)
        })
        .under(|w| Policy::new().read([w.granted(), "/proc".into()])),
        refused("root_of_self", EACCES, |s| {
            call!(
                SYS_openat,
                AT_FDCWD,
                &*format!("/proc/self/root{}", s.world.secret().display()),
                libc::O_RDONLY
            )
        })
        .under(|_| Policy::new().read("/proc")),
        refused("working_directory_of_self", EACCES, |_| {
            call!(SYS_openat, AT_FDCWD, "/proc/self/cwd", libc::O_RDONLY | libc::O_DIRECTORY)
        })
        .under(|_| Policy::new().read("/proc")),
        refused("truncate", EACCES, |s| syscall(libc::SYS_truncate, [granted(s, "file"), 7.into()]))
            .under(reading),
        refused("hard_link_in", EXDEV, link_in).under(changing),
        refused("hard_link_in_without_writing", EACCES, link_in).under(reading),
        refused("rename_in", EACCES, rename_in).under(changing).outside(|s| {
            let other = s.world.directory.join("other/movable");
            std::fs::write(&other, "x")?;
            let to = Argument::from(&*new_name(s, "moved"));
            syscall(
                libc::SYS_renameat2,
                [AT_FDCWD.into(), Argument::from(&*other), AT_FDCWD.into(), to, 0.into()],
            )
        }),
        refused("rename_out", EACCES, |s| {
            let to = s.world.directory.join("other/moved-out");
            std::fs::write(new_name(s, "own"), "x")?;
            let from = Argument::from(&*new_name(s, "own"));
            syscall(
                libc::SYS_renameat2,
                [AT_FDCWD.into(), from, AT_FDCWD.into(), Argument::from(&*to), 0.into()],
            )
        })
        .under(changing),
        refused("new_symlink", EACCES, climb_by_a_new_symlink).under(changing),
        refused("chmod_of_a_granted_file", EACCES, |s| {
            syscall(libc::SYS_fchmodat, [AT_FDCWD.into(), granted(s, "file"), 0o644.into()])
        })
        .under(changing),
        refused("times_of_a_granted_file", EACCES, |s| {
            syscall(libc::SYS_utimensat, [AT_FDCWD.into(), granted(s, "file"), 0.into(), 0.into()])
        })
        .under(changing),
        refused("owner_of_a_granted_file", EACCES, |s| {
            syscall(
                libc::SYS_fchownat,
                [AT_FDCWD.into(), granted(s, "file"), (-1).into(), (-1).into(), 0.into()],
            )
        })
        .under(changing),
        refused("attribute_of_a_granted_file", EACCES, |s| {
            syscall(
                libc::SYS_setxattr,
                [granted(s, "file"), "user.x".into(), b"x"[..].into(), 1.into(), 0.into()],
            )
        })
        .under(changing),
        refused("fchmod_of_a_granted_file", EACCES, |s| {
            let file = owned(syscall(libc::SYS_openat, [AT_FDCWD.into(), granted(s, "file"), 0.into()])?);
            call!(SYS_fchmod, std::os::fd::AsRawFd::as_raw_fd(&file), 0o644)
        })
        .under(reading),
        refused("device_where_files_may_be_made", EACCES, |s| {
            let device = (libc::S_IFCHR as u64 | 0o600).into();
            syscall(
                libc::SYS_mknodat,
                [AT_FDCWD.into(), Argument::from(&*new_name(s, "null")), device, 0x103.into()],
            )
        })
        .under(changing),
        // Where files may be made, so may whiteouts, since the fix of Landlock's erratum 4.
        refused("whiteout_where_files_may_be_read", EACCES, |s| {
            let device = (libc::S_IFCHR as u64).into();
            syscall(
                libc::SYS_mknodat,
                [AT_FDCWD.into(), Argument::from(&*new_name(s, "white")), device, 0.into()],
            )
        })
        .under(reading),
        refused("block_device_where_files_may_be_made", EACCES, |s| {
            let device = (libc::S_IFBLK as u64 | 0o600).into();
            syscall(
                libc::SYS_mknodat,
                [AT_FDCWD.into(), Argument::from(&*new_name(s, "disk")), device, 0x700.into()],
            )
        })
        .under(changing),
        refused("handle_of_a_granted_file", EPERM, |s| {
            let mut handle = [0; 136];
            handle[..4].copy_from_slice(&128u32.to_ne_bytes());
            let id = [0u8; 8];
            syscall(
                libc::SYS_name_to_handle_at,
                [AT_FDCWD.into(), granted(s, "file"), handle[..].into(), id[..].into(), 0.into()],
            )
        })
        .under(reading),
        refused("beside_in_place", EACCES, open).at("../secret").under(reading).in_place(),
        refused("writing_in_place", EACCES, open).at("file").with(libc::O_WRONLY).under(reading).in_place(),
        refused("metadata_in_place", EACCES, |s| {
            syscall(libc::SYS_fchmodat, [AT_FDCWD.into(), granted(s, "file"), 0o644.into()])
        })
        .under(reading)
        .in_place(),
        refused("device_of_the_machine", EACCES, |_| {
            call!(SYS_openat, AT_FDCWD, "/dev/kmsg", libc::O_RDONLY)
        })
        .under(|_| Policy::new().read("/usr")),
    ]
}
