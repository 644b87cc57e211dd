//! What there is to reach: processes, files, sockets.

use crate::bystander::Bystander;
use sandboxed::sandboxed;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use tempfile::TempDir;

pub const SECRET: &str = "the host's secret";

/// In every process of this program; the host's is what others look for.
pub static MEMORY: [u8; 8] = *b"in here.";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    pub host: i32,
    pub forkserver: i32,
    /// A worker in a sandbox of its own.
    pub sibling: i32,
    /// A child of the host, in no sandbox.
    pub bystander: i32,
    /// Where something lies in the host's memory.
    pub address: u64,
    /// `secret` is a file that nobody grants; `granted` is a directory, with `file`, and `out` and `up`, which are
    /// symlinks to the secret; `stream` and `datagram` are sockets.
    pub directory: PathBuf,
    pub tcp: u16,
    pub udp: u16,
    /// An abstract socket.
    pub name: String,
    /// Which of the host's streams block nobody, as it got them.
    pub nonblocking: [bool; 3],
}

impl World {
    pub fn secret(&self) -> PathBuf {
        self.directory.join("secret")
    }

    pub fn granted(&self) -> PathBuf {
        self.directory.join("granted")
    }
}

/// What makes it be there.
pub struct Held {
    _directory: TempDir,
    _bystander: Bystander,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _stream: UnixListener,
    _datagram: UnixDatagram,
    _abstract: UnixListener,
    _sibling: UnixStream,
}

pub fn make() -> (World, Held) {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().canonicalize().unwrap();
    fs::write(at.join("secret"), SECRET).unwrap();
    fs::create_dir(at.join("other")).unwrap();
    let granted = at.join("granted");
    fs::create_dir(&granted).unwrap();
    fs::write(granted.join("file"), "granted").unwrap();
    fs::copy("/bin/true", granted.join("program")).unwrap();
    fs::set_permissions(granted.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(granted.join("closed"), "to nobody").unwrap();
    fs::set_permissions(granted.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink(at.join("secret"), granted.join("out")).unwrap();
    symlink("../secret", granted.join("up")).unwrap();
    symlink("/proc/self/root", granted.join("root")).unwrap();
    let bystander = Bystander::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let name = format!("sandboxed-escape-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let (sibling, [worker, forkserver]) = sibling();
    let world = World {
        host: std::process::id().cast_signed(),
        forkserver,
        sibling: worker,
        bystander: bystander.pid().cast_signed(),
        address: MEMORY.as_ptr() as u64,
        tcp: tcp.local_addr().unwrap().port(),
        udp: udp.local_addr().unwrap().port(),
        name,
        directory: at.clone(),
        nonblocking: [0, 1, 2].map(crate::sys::is_nonblocking),
    };
    let held = Held {
        _directory: directory,
        _bystander: bystander,
        _tcp: tcp,
        _udp: udp,
        _stream: UnixListener::bind(at.join("stream")).unwrap(),
        _datagram: UnixDatagram::bind(at.join("datagram")).unwrap(),
        _abstract: UnixListener::bind_addr(&address).unwrap(),
        _sibling: sibling,
    };
    (world, held)
}

/// A worker that waits until its host ends, and its template's parent.
fn sibling() -> (UnixStream, [i32; 2]) {
    let (mut host, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(|| wait(theirs));
    let mut pids = [[0; 4]; 2];
    pids.iter_mut().for_each(|pid| host.read_exact(pid).unwrap());
    let [worker, template] = pids.map(i32::from_ne_bytes);
    let stat = fs::read_to_string(format!("/proc/{template}/stat")).unwrap();
    // Behind the name, which may have spaces, and the state.
    let parent = stat.rsplit(')').next().unwrap().split_ascii_whitespace().nth(1).unwrap();
    (host, [worker, parent.parse().unwrap()])
}

// Also where there is no Landlock.
#[sandboxed(timeout = "never", best_effort)]
fn wait(mut host: UnixStream) {
    let parent = std::os::unix::process::parent_id();
    host.write_all(&[std::process::id().to_ne_bytes(), parent.to_ne_bytes()].concat()).unwrap();
    // Ends with the host.
    assert_eq!(host.read(&mut [0]).unwrap(), 0);
}
