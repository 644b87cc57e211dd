//! What lies in a row's directory. Every file's text is its own path.

use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

/// What a layout leaves open.
#[derive(Default)]
pub struct Laid {
    /// Opened outside, to be handed over.
    pub given: Vec<File>,
    /// Servers, there as long as this is.
    _servers: Vec<OwnedFd>,
}

pub type Layout = dyn Fn(&Path) -> Laid + Send + Sync;

impl Laid {
    pub fn given(given: impl IntoIterator<Item = File>) -> Laid {
        Laid { given: given.into_iter().collect(), _servers: Vec::new() }
    }
}

pub fn dirs(dir: &Path, names: &[&str]) {
    for name in names {
        fs::create_dir_all(dir.join(name)).expect(name);
    }
}

pub fn files(dir: &Path, names: &[&str]) {
    for name in names {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect(name);
        fs::write(path, name).expect(name);
    }
}

/// ```text
/// a ── b ── c        x ── y ── z
/// ```
///
/// Each of them has the files `f` and `g`; `a`, `a/b`, `a/b/c` and `x` have the empty directory `void`; `a`, `a/b` and
/// `x` have `run`, which may be executed and is no program (`ENOEXEC`).
pub fn tree(dir: &Path) -> Laid {
    // By single calls: it is laid for most rows, and emulated kernels are slow.
    for name in ["a", "a/b", "a/b/c", "x", "x/y", "x/y/z", "a/void", "a/b/void", "a/b/c/void", "x/void"] {
        fs::create_dir(dir.join(name)).expect(name);
    }
    for at in ["a", "a/b", "a/b/c", "x", "x/y", "x/y/z"] {
        for name in ["f", "g"] {
            write(dir, &format!("{at}/{name}"), 0o644);
        }
    }
    for name in ["a/run", "a/b/run", "x/run"] {
        write(dir, name, 0o755);
    }
    Laid::default()
}

fn write(dir: &Path, name: &str, mode: u32) {
    let file = File::options().write(true).create_new(true).mode(mode).open(dir.join(name));
    file.expect(name).write_all(name.as_bytes()).expect(name);
}

/// A file of each kind that takes no privilege, in `a` and in `x`.
pub fn kinds(dir: &Path) -> Laid {
    for at in ["a", "x"] {
        dirs(dir, &[&format!("{at}/dir")]);
        files(dir, &[&format!("{at}/reg")]);
        symlink("reg", dir.join(at).join("sym")).expect("it is ours");
        make_fifo(&dir.join(at).join("fifo"));
        UnixListener::bind(dir.join(at).join("sock")).expect("it is ours");
    }
    Laid::default()
}

/// [`tree`], with `a/f` and `a/g` handed over: for reading, for writing, both, and the directory `a`.
pub fn handed_over(dir: &Path) -> Laid {
    tree(dir);
    let open = |path: &str, options: &mut OpenOptions| options.open(dir.join(path)).expect(path);
    Laid::given([
        open("a/f", File::options().read(true)),
        open("a/g", File::options().write(true)),
        open("a/b/f", File::options().read(true).write(true)),
        open("a", File::options().read(true)),
        open("a", File::options().read(true).custom_flags(libc::O_PATH)),
    ])
}

/// [`tree`], with `host`, where `/proc` has the process that is not restricted.
pub fn host(dir: &Path) -> Laid {
    tree(dir);
    symlink(format!("/proc/{}", std::process::id()), dir.join("host")).expect("it is ours");
    Laid::default()
}

/// [`tree`], with a device handed over.
pub fn handed_device(dir: &Path) -> Laid {
    tree(dir);
    Laid::given([File::open("/dev/zero").expect("/dev")])
}

/// Servers at `a/stream`, `a/seqpacket`, `a/datagram`, and the same in `x`; `made` for more.
pub fn servers(dir: &Path) -> Laid {
    dirs(dir, &["a", "x", "made"]);
    let mut servers: Vec<OwnedFd> = Vec::new();
    for at in ["a", "x"] {
        servers.push(UnixListener::bind(dir.join(at).join("stream")).expect("it is ours").into());
        servers.push(UnixDatagram::bind(dir.join(at).join("datagram")).expect("it is ours").into());
        servers.push(sys::seqpacket_server(&dir.join(at).join("seqpacket")));
    }
    symlink("../x/stream", dir.join("a/link")).expect("it is ours");
    Laid { given: Vec::new(), _servers: servers }
}

pub fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("it is ours");
}
