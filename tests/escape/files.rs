//! Files where none are granted: to open, to change, to learn that they exist.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::{Argument, owned, syscall};
use crate::world::World;
use libc::{AT_FDCWD, EACCES, EBADF, EPERM};
use rustix::fs::{Mode, OFlags, open};
use std::os::fd::OwnedFd;

const SYS_FCHMODAT2: i64 = 452;
const SYS_SETXATTRAT: i64 = 463;
const SYS_FILE_GETATTR: i64 = 468;
const SYS_FILE_SETATTR: i64 = 469;
const OUT: usize = 4096;

fn at(s: &Stage) -> Argument {
    Argument::from(&*s.path())
}

fn out() -> Argument {
    Argument::Bytes(vec![0; OUT])
}

fn open_with(s: &Stage) -> Tried {
    syscall(libc::SYS_openat, [AT_FDCWD.into(), at(s), s.flag().into(), 0o600.into()])
        .map(|fd| drop(owned(fd)))
        .map(|()| 0)
}

fn open2(s: &Stage) -> Tried {
    let how = [(s.number).to_ne_bytes(), [0; 8], [0; 8]].concat();
    syscall(libc::SYS_openat2, [AT_FDCWD.into(), at(s), how[..].into(), 24.into()])
        .map(|fd| drop(owned(fd)))
        .map(|()| 0)
}

fn handed_over(w: &World) -> OwnedFd {
    open(w.secret(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Reads: opened, or only looked at.
fn looked_at() -> Vec<Attempt> {
    let secret = |name: &str, act| refused(name, EACCES, act).at("secret");
    vec![
        secret("open", open_with),
        secret("open_for_writing", open_with).with(libc::O_RDWR),
        secret("open_path", open_with).with(libc::O_PATH),
        secret("open_truncating", open_with).with(libc::O_RDONLY | libc::O_TRUNC).outside(|s| {
            std::fs::write(s.world.directory.join("other/cut"), "x")?;
            open_with(&Stage { text: "other/cut".into(), ..s.clone() })
        }),
        secret("open_with_no_access", open_with).with(libc::O_ACCMODE),
        // Its flags lie in memory: libcs take the older call.
        refused("open_at_2", libc::ENOSYS, open2).at("secret"),
        refused("open_at_2_path", libc::ENOSYS, open2).at("secret").with(libc::O_PATH),
        refused("open_a_missing_file", EACCES, open_with).at("missing").reaches(libc::ENOENT),
        refused("open_a_directory", EACCES, open_with).at("").with(libc::O_DIRECTORY),
        refused("open_the_root", EACCES, |_| call!(SYS_openat, AT_FDCWD, "/", libc::O_PATH)),
        refused("open_the_working_directory", EACCES, |_| call!(SYS_openat, AT_FDCWD, ".", libc::O_PATH)),
        refused("open_passwd", EACCES, |_| call!(SYS_openat, AT_FDCWD, "/etc/passwd", libc::O_RDONLY)),
        refused("open_unnamed", EACCES, open_with).at("").with(libc::O_TMPFILE | libc::O_RDWR),
        secret("stat", |s| syscall(libc::SYS_newfstatat, [AT_FDCWD.into(), at(s), out(), 0.into()])),
        refused("stat_of_a_missing_file", EACCES, |s| {
            syscall(libc::SYS_newfstatat, [AT_FDCWD.into(), at(s), out(), 0.into()])
        })
        .at("missing")
        .reaches(libc::ENOENT),
        refused("statx", libc::ENOSYS, |s| {
            syscall(libc::SYS_statx, [AT_FDCWD.into(), at(s), 0.into(), 0x7ff.into(), out()])
        })
        .at("secret"),
        secret("statfs", |s| syscall(libc::SYS_statfs, [at(s), out()])),
        secret("faccessat", |s| syscall(libc::SYS_faccessat, [AT_FDCWD.into(), at(s), 0.into()])),
        refused("faccessat2", libc::ENOSYS, |s| {
            syscall(libc::SYS_faccessat2, [AT_FDCWD.into(), at(s), 0.into(), 0.into()])
        })
        .at("secret"),
        refused("readlink", EACCES, |s| {
            syscall(libc::SYS_readlinkat, [AT_FDCWD.into(), at(s), out(), (OUT as u64).into()])
        })
        .at("granted/out"),
        refused("readlink_of_exe", EACCES, |_| {
            syscall(
                libc::SYS_readlinkat,
                [AT_FDCWD.into(), "/proc/self/exe".into(), out(), (OUT as u64).into()],
            )
        }),
        refused("chdir", EACCES, |s| syscall(libc::SYS_chdir, [at(s)])).at("other"),
        refused("getxattr", EACCES, |s| {
            syscall(libc::SYS_getxattr, [at(s), "user.x".into(), 0.into(), 0.into()])
        })
        .at("secret")
        .reaches(libc::ENODATA),
        refused("listxattr", EACCES, |s| syscall(libc::SYS_listxattr, [at(s), 0.into(), 0.into()]))
            .at("secret"),
        refused("name_to_handle", EPERM, |s| {
            let mut handle = [0; 136];
            handle[..4].copy_from_slice(&128u32.to_ne_bytes());
            syscall(
                libc::SYS_name_to_handle_at,
                [AT_FDCWD.into(), at(s), handle[..].into(), [0u8; 8][..].into(), 0.into()],
            )
        })
        .at("secret"),
        refused("open_by_handle", EPERM, |_| {
            let handle = [0u8; 136];
            syscall(libc::SYS_open_by_handle_at, [(-1).into(), handle[..].into(), 0.into()])
        })
        .reaches(EBADF)
        .or_not_here(&[libc::EINVAL]),
        refused("open_tree", EPERM, |s| syscall(libc::SYS_open_tree, [AT_FDCWD.into(), at(s), 0.into()]))
            .at(""),
        refused("file_getattr", EACCES, |s| {
            syscall(SYS_FILE_GETATTR, [AT_FDCWD.into(), at(s), out(), 24.into(), 0.into()])
        })
        .at("secret")
        .or_not_here(&[libc::ENOTTY]),
    ]
}

/// Changes; outside each has a file of its own in `other`.
fn changed() -> Vec<Attempt> {
    let other = |name: &str, act| refused(name, EACCES, act).at("secret");
    vec![
        refused("create", EACCES, open_with).at("other/created").with(libc::O_CREAT | libc::O_WRONLY),
        refused("truncate", EACCES, |s| syscall(libc::SYS_truncate, [at(s), 0.into()])).at("secret").outside(
            |s| {
                std::fs::write(s.world.directory.join("other/truncated"), "x")?;
                syscall(
                    libc::SYS_truncate,
                    [at(&Stage { text: "other/truncated".into(), ..s.clone() }), 0.into()],
                )
            },
        ),
        refused("mkdir", EACCES, |s| syscall(libc::SYS_mkdirat, [AT_FDCWD.into(), at(s), 0o700.into()]))
            .at("other/directory"),
        refused("mkfifo", EACCES, |s| {
            syscall(
                libc::SYS_mknodat,
                [AT_FDCWD.into(), at(s), (libc::S_IFIFO as u64 | 0o600).into(), 0.into()],
            )
        })
        .at("other/fifo"),
        refused("mknod", EACCES, |s| {
            syscall(
                libc::SYS_mknodat,
                [AT_FDCWD.into(), at(s), (libc::S_IFCHR as u64 | 0o600).into(), 0x103.into()],
            )
        })
        .at("other/null"),
        refused("symlink", EACCES, |s| syscall(libc::SYS_symlinkat, ["x".into(), AT_FDCWD.into(), at(s)]))
            .at("other/symlink"),
        refused("link", EACCES, |s| {
            syscall(
                libc::SYS_linkat,
                [AT_FDCWD.into(), Argument::from(&*s.world.secret()), AT_FDCWD.into(), at(s), 0.into()],
            )
        })
        .at("other/link"),
        refused("rename", EACCES, |s| {
            syscall(libc::SYS_renameat2, [AT_FDCWD.into(), at(s), AT_FDCWD.into(), at(s), 0.into()])
        })
        .at("secret"),
        refused("unlink", EACCES, |s| syscall(libc::SYS_unlinkat, [AT_FDCWD.into(), at(s), 0.into()]))
            .at("missing")
            .reaches(libc::ENOENT),
        refused("rmdir", EACCES, |s| {
            syscall(libc::SYS_unlinkat, [AT_FDCWD.into(), at(s), libc::AT_REMOVEDIR.into()])
        })
        .at("missing")
        .reaches(libc::ENOENT),
        other("chmod", |s| syscall(libc::SYS_fchmodat, [AT_FDCWD.into(), at(s), 0o644.into()])),
        other("fchmodat2", |s| syscall(SYS_FCHMODAT2, [AT_FDCWD.into(), at(s), 0o644.into(), 0.into()])),
        other("chown", |s| {
            syscall(libc::SYS_fchownat, [AT_FDCWD.into(), at(s), (-1).into(), (-1).into(), 0.into()])
        }),
        other("utimensat", |s| syscall(libc::SYS_utimensat, [AT_FDCWD.into(), at(s), 0.into(), 0.into()])),
        other("setxattr", |s| {
            syscall(libc::SYS_setxattr, [at(s), "user.x".into(), b"x"[..].into(), 1.into(), 0.into()])
        }),
        other("lsetxattr", |s| {
            syscall(libc::SYS_lsetxattr, [at(s), "user.x".into(), b"x"[..].into(), 1.into(), 0.into()])
        }),
        other("setxattrat", |s| {
            syscall(
                SYS_SETXATTRAT,
                [AT_FDCWD.into(), at(s), 0.into(), "user.x".into(), [0u8; 16][..].into(), 16.into()],
            )
        }),
        refused("removexattr", EACCES, |s| syscall(libc::SYS_removexattr, [at(s), "user.missing".into()]))
            .at("secret")
            .reaches(libc::ENODATA),
        other("file_setattr", |s| {
            syscall(SYS_FILE_SETATTR, [AT_FDCWD.into(), at(s), out(), 24.into(), 0.into()])
        })
        .or_not_here(&[libc::ENOTTY, libc::E2BIG, libc::EINVAL]),
        refused("chroot", EPERM, |s| syscall(libc::SYS_chroot, [at(s)])).at("other"),
        refused("sync", EPERM, |_| call!(SYS_sync)),
        refused("syncfs", EPERM, |_| call!(SYS_syncfs, -1)).reaches(EBADF),
    ]
}

/// A file that was handed over for reading has a descriptor, and more can be tried with that.
fn by_descriptor() -> Vec<Attempt> {
    let given = |name: &str, act| refused(name, EACCES, act).given(handed_over);
    let size = |s: &Stage| syscall(libc::SYS_fstat, [s.given.into(), out()]);
    vec![
        given("fchmod", |s| call!(SYS_fchmod, s.given, 0o644)),
        given("fchown", |s| call!(SYS_fchown, s.given, -1, -1)),
        given("futimens", |s| call!(SYS_utimensat, s.given, 0, 0, 0)),
        given("fsetxattr", |s| call!(SYS_fsetxattr, s.given, "user.x", &b"x"[..], 1, 0)),
        given("fremovexattr", |s| call!(SYS_fremovexattr, s.given, "user.missing")).reaches(libc::ENODATA),
        given("chmod_with_an_empty_path", |s| call!(SYS_fchownat, s.given, "", -1, -1, libc::AT_EMPTY_PATH)),
        refused("write_to_what_may_be_read", EBADF, |s| call!(SYS_write, s.given, &b"x"[..], 1))
            .given(handed_over)
            .beside(size),
        refused("allocate_in_what_may_be_read", EBADF, |s| call!(SYS_fallocate, s.given, 0, 0u64, 1u64))
            .given(handed_over)
            .beside(size),
        given("link_of_a_descriptor", |s| {
            syscall(
                libc::SYS_linkat,
                [s.given.into(), "".into(), AT_FDCWD.into(), at(s), libc::AT_EMPTY_PATH.into()],
            )
        })
        .at("other/linked"),
        refused("lease", EPERM, |s| call!(SYS_fcntl, s.given, 1024, libc::F_RDLCK)).given(handed_over),
        refused("fchdir_then_open", EACCES, |s| {
            call!(SYS_fchdir, s.given)?;
            call!(SYS_openat, AT_FDCWD, "secret", libc::O_RDONLY)
        })
        .given(|w| open(&w.directory, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()),
    ]
}

/// Older calls, which not every architecture has.
#[cfg(target_arch = "x86_64")]
fn older() -> Vec<Attempt> {
    let secret = |name: &str, act| refused(name, EACCES, act).at("secret");
    vec![
        secret("old_open", |s| syscall(libc::SYS_open, [at(s), 0.into()])),
        refused("old_creat", EACCES, |s| syscall(libc::SYS_creat, [at(s), 0o600.into()]))
            .at("other/created-by-creat"),
        secret("old_stat", |s| syscall(libc::SYS_stat, [at(s), out()])),
        secret("old_lstat", |s| syscall(libc::SYS_lstat, [at(s), out()])),
        secret("old_access", |s| syscall(libc::SYS_access, [at(s), 0.into()])),
        secret("old_chmod", |s| syscall(libc::SYS_chmod, [at(s), 0o644.into()])),
        secret("old_chown", |s| syscall(libc::SYS_chown, [at(s), (-1).into(), (-1).into()])),
        secret("old_lchown", |s| syscall(libc::SYS_lchown, [at(s), (-1).into(), (-1).into()])),
        secret("old_utime", |s| syscall(libc::SYS_utime, [at(s), 0.into()])),
        secret("old_utimes", |s| syscall(libc::SYS_utimes, [at(s), 0.into()])),
        secret("old_futimesat", |s| syscall(libc::SYS_futimesat, [AT_FDCWD.into(), at(s), 0.into()])),
        refused("old_mkdir", EACCES, |s| syscall(libc::SYS_mkdir, [at(s), 0o700.into()])).at("other/old"),
        refused("old_unlink", EACCES, |s| syscall(libc::SYS_unlink, [at(s)]))
            .at("missing")
            .reaches(libc::ENOENT),
        refused("old_readlink", EACCES, |s| syscall(libc::SYS_readlink, [at(s), out(), (OUT as u64).into()]))
            .at("granted/out"),
        refused("old_link", EACCES, |s| syscall(libc::SYS_link, [Argument::from(&*s.world.secret()), at(s)]))
            .at("other/old-link"),
        secret("old_rename", |s| syscall(libc::SYS_rename, [at(s), at(s)])),
        refused("uselib", libc::ENOSYS, |s| syscall(libc::SYS_uselib, [at(s)]))
            .at("secret")
            .beside(|_| call!(SYS_getpid)),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn older() -> Vec<Attempt> {
    Vec::new()
}

pub fn attempts() -> Vec<Attempt> {
    [looked_at(), changed(), by_descriptor(), older()].into_iter().flatten().collect()
}
