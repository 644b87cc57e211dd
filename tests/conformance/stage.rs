//! What the probes reach for: the same things twice, inside the grants and outside.

use crate::bystander::Bystander;
use crate::probe::Side;
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{self as unix, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use tempfile::TempDir;

/// What is there for as long as this lives.
pub struct Stage {
    pub view: View,
    _dir: TempDir,
    _unix: [UnixListener; 2],
}

/// What all stages share.
struct Shared {
    tcp: [TcpListener; 2],
    udp: [UdpSocket; 2],
    _abstract: UnixListener,
    /// Never dropped: it ends with this process, at the end of its input.
    bystander: Bystander,
}

/// What a probe is told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    pub inside: Place,
    pub outside: Place,
    /// The name of an abstract socket of the host.
    pub abstract_name: String,
    /// A process that is no relative of a worker.
    pub bystander: u32,
    /// Device and inode of the host's stdout.
    pub stdout: (u64, u64),
    /// An address of the loopback interface that no other stage has.
    pub address: [u8; 4],
    /// Looked at from the host, outside of any sandbox.
    pub is_host: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    pub dir: PathBuf,
    pub device: PathBuf,
    /// A port to bind to.
    pub bind: u16,
    /// Ports that somebody listens on.
    pub tcp: u16,
    pub udp: u16,
    /// A variable of the host's environment.
    pub variable: String,
}

const FILES: [&str; 4] = ["file", "victim", "program", "long"];

impl Stage {
    pub fn new() -> Stage {
        let dir = TempDir::new().unwrap();
        let [inside, outside] = ["inside", "outside"].map(|name| dir.path().join(name));
        for place in [&inside, &outside] {
            fill(place);
        }
        let unix = [&inside, &outside].map(|place| UnixListener::bind(place.join("socket")).unwrap());
        let stdout = fs::metadata("/proc/self/fd/1").unwrap();
        static COUNT: AtomicU16 = AtomicU16::new(1);
        let [high, low] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let view = View {
            // Both are in everybody's environment.
            inside: place(0, inside, "/dev/zero", "PATH"),
            outside: place(1, outside, "/dev/full", "HOME"),
            abstract_name: abstract_name(),
            bystander: shared().bystander.pid(),
            stdout: (stdout.dev(), stdout.ino()),
            address: [127, 77, high, low],
            is_host: false,
        };
        Stage { view, _dir: dir, _unix: unix }
    }
}

fn place(index: usize, dir: PathBuf, device: &str, variable: &str) -> Place {
    let port = |address: std::io::Result<SocketAddr>| address.unwrap().port();
    Place {
        dir,
        device: device.into(),
        bind: [4801, 4802][index],
        tcp: port(shared().tcp[index].local_addr()),
        udp: port(shared().udp[index].local_addr()),
        variable: variable.into(),
    }
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let abstract_address = unix::SocketAddr::from_abstract_name(abstract_name()).unwrap();
        Shared {
            tcp: [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()),
            udp: [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap()),
            _abstract: UnixListener::bind_addr(&abstract_address).unwrap(),
            bystander: Bystander::new(),
        }
    })
}

/// Of the process that made what is shared, in its copies too.
fn abstract_name() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("sandboxed-conformance-{}", std::process::id())).clone()
}

impl View {
    pub fn place(&self, side: Side) -> &Place {
        match side {
            Side::Inside => &self.inside,
            Side::Outside => &self.outside,
        }
    }

    pub fn as_host(&self) -> View {
        View { is_host: true, ..self.clone() }
    }
}

fn fill(place: &Path) {
    for dir in ["empty", "from", "to"] {
        fs::create_dir_all(place.join(dir)).unwrap();
    }
    for file in FILES.into_iter().chain(["from/file"]) {
        // No program: what may be executed fails with ENOEXEC, and nothing is replaced.
        fs::write(place.join(file), "plain text").unwrap();
    }
    fs::set_permissions(place.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
}
