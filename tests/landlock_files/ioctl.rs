//! `ioctl(2)`: on a device that was opened inside it needs `ioctl_dev`, except for the requests that the kernel answers
//! by itself for every file; on other files it needs nothing. Before ABI 5 Landlock does not see it.

use crate::layout::{handed_device, handed_over, kinds, tree};
use crate::words::*;
use libc::{EACCES, EBADF, ENOTTY};

/// What a device's driver would be asked.
// ioctl.handle_dir_access_file, ioctl.handle_file_access_file
const OF_DEVICES: &[u64] = &[
    0x541b,      // FIONREAD
    0x5401,      // TCGETS
    0x8008_6601, // FS_IOC_GETFLAGS
    0x801c_581f, // FS_IOC_FSGETXATTR
    0x1,         // FIBMAP
    0x8008_1272, // BLKGETSIZE64
    0x8004_5200, // RNDGETENTCNT
    0xabcd,      // none
];

/// What the kernel answers by itself. Without FIFREEZE and FITHAW, which would freeze a file system.
// layout1.blanket_permitted_ioctls
const OF_ALL: &[u64] = &[
    0x5451,      // FIOCLEX
    0x5450,      // FIONCLEX
    0x5421,      // FIONBIO
    0x5452,      // FIOASYNC
    0x5460,      // FIOQSIZE
    0x2,         // FIGETBSZ
    0xc020_660b, // FS_IOC_FIEMAP
    0x4004_9409, // FICLONE
    0x4020_940d, // FICLONERANGE
    0xc018_9436, // FIDEDUPERANGE
    0x8011_1500, // FS_IOC_GETFSUUID
    0x8081_1501, // FS_IOC_GETFSSYSFSPATH
];

/// The filter refuses these, whatever the file is: they change attributes.
const CHANGES: &[u64] = &[0x4008_6602, 0x401c_5820];

const FIONREAD: u64 = 0x541b;
const TCGETS: u64 = 0x5401;

fn ioctl(place: impl Into<Place>, flags: u32, request: u64) -> Act {
    on(opened(place, flags), Use::Ioctl(request))
}

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        // ioctl.handle_file_access_file
        Row::new("ioctl::requests_of_devices", tree)
            .grants([("/dev/zero", READ), ("/dev/full", READ_FILE | IOCTL_DEV)])
            .denied(OF_DEVICES.iter().map(|request| ioctl("/dev/zero", R, *request)))
            .free(OF_DEVICES.iter().map(|request| ioctl("/dev/full", R, *request))),
        // layout1.blanket_permitted_ioctls
        Row::new("ioctl::requests_of_all", tree)
            .grants([("/dev/zero", READ)])
            .free(OF_ALL.iter().map(|request| ioctl("/dev/zero", R, *request)))
            .since(5, EACCES, ENOTTY, [ioctl("/dev/zero", R, TCGETS)]),
    ];
    rows.extend(devices());
    rows.extend(others());
    rows
}

fn devices() -> Vec<Row> {
    vec![
        // Named in no grant, it is refused where the kernel can.
        // ioctl.handle_dir_access_file
        Row::new("ioctl::devices_without_the_right", tree)
            .grants([("/dev", READ), ("/dev", WRITE)])
            .since(5, EACCES, Want::Free, OF_DEVICES.iter().map(|request| ioctl("/dev/zero", RW, *request)))
            .ok([open("/dev/zero", RW)]),
        // ioctl.handle_dir_access_file
        Row::new("ioctl::right_of_a_directory", tree)
            .grants([("/dev", READ | IOCTL_DEV)])
            .gives(ENOTTY, [ioctl("/dev/zero", R, TCGETS), ioctl("/dev/full", R, FIONREAD)])
            .denied([ioctl("/dev/zero", W, TCGETS)]),
        // ioctl.handle_dir_access_dir
        Row::new("ioctl::right_of_another_directory", tree)
            .grants([("/dev", READ), ("a", READ | IOCTL_DEV)])
            .denied([ioctl("/dev/zero", R, TCGETS), ioctl("/dev/zero", R, FIONREAD)])
            .ok([ioctl("a/f", R, FIONREAD)]),
        // no self-test; LANDLOCK_ACCESS_FS_IOCTL_DEV
        Row::new("ioctl::right_without_opening", tree)
            .grants([("/dev/zero", IOCTL_DEV), ("/dev/full", IOCTL_DEV | WRITE_FILE)])
            .denied([ioctl("/dev/zero", R, TCGETS), ioctl("/dev/full", R, TCGETS)])
            .gives(ENOTTY, [ioctl("/dev/full", W, TCGETS)]),
        // no self-test; LANDLOCK_ACCESS_FS_IOCTL_DEV
        Row::new("ioctl::right_in_both_sandboxes", tree)
            .grants([("/dev", READ | IOCTL_DEV)])
            .then([("/dev/zero", READ_FILE | IOCTL_DEV), ("/dev/full", READ)])
            .gives(ENOTTY, [ioctl("/dev/zero", R, TCGETS)])
            .denied([ioctl("/dev/full", R, TCGETS)]),
        // The right is that of whoever opened it.
        // no self-test; hook_file_ioctl
        Row::new("ioctl::device_that_was_handed_over", handed_device)
            .grants([("/dev/zero", READ)])
            .gives(ENOTTY, [on(Source::Given(0), Use::Ioctl(TCGETS))])
            .since(5, EACCES, ENOTTY, [on(reopened(Source::Given(0), R), Use::Ioctl(TCGETS))])
            .since(5, EACCES, ENOTTY, [ioctl("/dev/zero", R, TCGETS)]),
        // no self-test; SECCOMP_RET_ERRNO
        Row::new("ioctl::attributes_are_not_changed", tree)
            .grants([("/dev/zero", READ), ("a", READ)])
            .denied(CHANGES.iter().map(|request| ioctl("/dev/zero", R, *request)))
            .denied(CHANGES.iter().map(|request| ioctl("a/f", R, *request)))
            .free([ioctl("a/f", R, 0x8008_6601)]),
    ]
}

/// Files that are no devices.
fn others() -> Vec<Row> {
    let all = || OF_DEVICES.iter().chain(OF_ALL).copied();
    vec![
        // ioctl.handle_dir_access_dir, on plain files
        Row::new("ioctl::plain_file", tree)
            .grants([("a", READ)])
            .free(all().map(|request| ioctl("a/f", R, request)))
            .denied([ioctl("x/f", R, FIONREAD)]),
        // ioctl.handle_dir_access_dir
        Row::new("ioctl::directory", tree)
            .grants([("a", READ)])
            .free(all().map(|request| ioctl("a", R | DIR, request)))
            .denied([ioctl("x", R | DIR, FIONREAD)]),
        // layout1.named_pipe_ioctl
        Row::new("ioctl::named_pipe", kinds)
            .grants([("a", READ)])
            .ok([ioctl("a/fifo", R | NONBLOCK, FIONREAD)])
            .denied([ioctl("x/fifo", R | NONBLOCK, FIONREAD)]),
        // layout1.named_unix_domain_socket_ioctl
        Row::new("ioctl::socket", tree)
            .grants([("a", READ)])
            .ok([on(Source::Socket, Use::Ioctl(FIONREAD)), on(Source::PipeReader, Use::Ioctl(FIONREAD))])
            .gives(ENOTTY, [on(Source::Socket, Use::Ioctl(TCGETS))])
            .denied([ioctl("x/f", R, FIONREAD)]),
        // memfd_ftruncate_and_ioctl
        Row::new("ioctl::memory", tree)
            .grants([("a", READ)])
            .free(all().map(|request| on(Source::Memory, Use::Ioctl(request))))
            .denied([ioctl("x/f", R, FIONREAD)]),
        // layout1.o_path_ftruncate_and_ioctl
        Row::new("ioctl::o_path", tree)
            .grants([("a", READ)])
            .gives(EBADF, [ioctl("a/f", O_PATH, FIONREAD), ioctl("/dev/zero", O_PATH, TCGETS)])
            .ok([ioctl("a/f", R, FIONREAD)])
            .denied([on(reopened(opened("/dev/zero", O_PATH), R), Use::Ioctl(TCGETS))]),
        // no self-test; hook_file_ioctl
        Row::new("ioctl::plain_file_that_was_handed_over", handed_over)
            .ok([on(Source::Given(0), Use::Ioctl(FIONREAD)), on(Source::Given(2), Use::Ioctl(FIONREAD))])
            .denied([ioctl("a/f", R, FIONREAD)]),
    ]
}
