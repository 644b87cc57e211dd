//! Every key and value, and every form of a free function, without a prelude or a warning.
#![deny(warnings)]
#![forbid(unsafe_code)]
#![no_implicit_prelude]

use ::sandboxed::sandboxed;
use ::std::convert::From as _;
use ::std::format;
use ::std::io;
use ::std::option::Option::{self, Some};
use ::std::path::{Path, PathBuf};
use ::std::result::Result::{self, Ok};
use ::std::string::{String, ToString as _};
use ::std::vec::Vec;

const PORT: u16 = 7;
const LOW: u16 = 7000;
const HIGH: u16 = 7001;

#[sandboxed]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[sandboxed()]
fn nothing() {}

#[sandboxed(read = path, memory = "256MiB", timeout = "2s")]
fn load(path: &Path, mut n: u32, log: &mut Vec<String>) -> io::Result<String> {
    n += 1;
    log.push("x".to_string());
    Ok(format!("{} {n}", path.display()))
}

#[sandboxed(
    write = ["/tmp", ::sandboxed::optional("/lib64")],
    execute = optional("/lib64"),
    unix = Vec::<PathBuf>::new(),
    fs(
        execute = "/1", write_file = "/2", read_file = "/3", read_dir = "/4", remove_dir = "/5", remove_file = "/6",
        make_char = "/7", make_dir = ["/8", optional("/9")], make_reg = optional(["/10", "/11"]), make_sock = "/12",
        make_fifo = "/13", make_block = "/14", make_sym = "/15", refer = "/16", truncate = "/17",
        ioctl_dev = ["/dev/tty"], resolve_unix = "/18",
    ),
    tcp_bind = [80, 8000..=8010, 1..3, 60000.., ..=0],
    tcp_connect = PORT,
    udp_bind = 5353u16,
    udp_connect = [LOW..=HIGH, 9],
    allow(udp, signal, abstract_unix_socket, metadata),
    preset(dns, ca_certificates, time_zone, locale, tmp),
    timeout = "never",
    memory = "unlimited",
    threads = 8,
    namespaces,
    env = ["LANG", "HOME"],
    stdio = "capture",
    workers(reuse = 100, spare = 0, max = u32::MAX),
    warm = prepare,
    strict,
)]
fn every_key() {}

#[sandboxed(process, best_effort, policy = ::sandboxed::Policy::new().read("/opt"), memory = 4096, stdio = "relay")]
fn based() {}

fn prepare() {}

fn prepare_for<T>() {}

#[sandboxed(workers(reuse = calls / 2, max = 2 * 3), warm = prepare_for::<Vec<u8>>)]
fn with_workers(calls: u32) -> u32 {
    calls
}

#[sandboxed(threads = count, namespaces)]
fn counted(count: u64) -> u64 {
    count
}

#[sandboxed(timeout = ::core::time::Duration::from_secs(3), memory = 64 * 1024 * (1 << 10), env = "LANG", stdio = "null")]
fn computed() {}

#[sandboxed(timeout = "1.5h", memory = "1.5GiB", stdio = "inherit", crate = renamed::sandboxed)]
fn renamed_crate() {}

mod renamed {
    pub use ::sandboxed;
}

/// Documentation stays, and so do other attributes.
#[sandboxed(read = &[dir, "/usr"])]
#[must_use]
#[inline]
pub(crate) fn attributes(dir: &str) -> u8 {
    dir.len() as u8
}

#[sandboxed]
#[cfg(any())]
fn is_not_there(x: &NoSuchType) {}

#[sandboxed]
fn patterns(
    (a, _b): (u32, u32),
    _: String,
    [x, mut y]: [u8; 2],
    #[allow(unused)] unused: u8,
    #[cfg(any())] missing: NoSuchType,
    #[cfg(target_os = "linux")] present: u8,
    _ignored: &str,
) -> u32 {
    y += present;
    a + u32::from(x) + u32::from(y)
}

#[sandboxed(read = [&dir, "/usr"])]
fn pattern_in_policy((dir, mut n): (String, u32)) -> u32 {
    n += dir.len() as u32;
    n
}

#[sandboxed(read = directory()?)]
fn question_mark() -> io::Result<u8> {
    Ok(1)
}

fn directory() -> io::Result<PathBuf> {
    Ok(PathBuf::from("/usr"))
}

#[sandboxed]
fn generic<'a, T, const N: usize>(items: &'a [T; N], more: &mut [T], bytes: &mut [u8]) -> Vec<T>
where
    T: ::serde::Serialize + ::serde::de::DeserializeOwned + ::std::clone::Clone + ::std::cmp::Ord,
    [T; N]: ::serde::Serialize + ::serde::de::DeserializeOwned,
{
    more.sort();
    bytes.reverse();
    items.to_vec()
}

#[sandboxed(fallible = try_decode)]
fn decode<T: ::serde::Serialize + ::serde::de::DeserializeOwned, const N: usize>(
    x: T,
    (_a, mut b): (u8, u8),
) -> T {
    b += N as u8;
    let _ = b;
    x
}

#[sandboxed]
fn early(
    x: u8,
) -> Result<u8, ::std::boxed::Box<dyn ::std::error::Error + ::std::marker::Send + ::std::marker::Sync>> {
    if x == 0 {
        return Ok(1);
    }
    let parsed: u8 = "3".parse()?;
    Ok(parsed)
}

#[sandboxed]
extern "C" fn c_abi(x: i32) -> i32 {
    x
}

#[sandboxed]
fn only_panics(_: u8) -> u8 {
    ::std::panic!("always")
}

#[sandboxed]
fn r#raw(r#type: u8) -> Option<u8> {
    #![allow(unused_mut)]
    #[sandboxed]
    fn inner(x: u8) -> u8 {
        x
    }
    Some(inner(r#type))
}

#[sandboxed]
fn descriptors(file: &::std::fs::File, socket: ::std::net::TcpStream) -> u64 {
    ::std::mem::drop(socket);
    file.metadata().map_or(0, |metadata| metadata.len())
}

mod nested {
    pub mod deep {
        #[::sandboxed::sandboxed]
        pub(in super::super) fn f() -> u8 {
            1
        }
    }
}

/// Type-checks the calls and keeps dead code apart from what is tested; it never runs.
fn calls(file: &::std::fs::File, socket: ::std::net::TcpStream) -> io::Result<u64> {
    nothing();
    every_key();
    with_workers(1);
    based();
    computed();
    renamed_crate();
    let (mut log, mut more, mut bytes) = (Vec::new(), [3, 1, 2], [0u8; 4]);
    let text = load(Path::new("/etc"), add(1, 2), &mut log)?;
    let n = u32::from(attributes(&text)) + patterns((1, 2), String::new(), [1, 2], 0, 1, "");
    generic(&[1, 2], &mut more, &mut bytes);
    let _ = decode::<_, 3>(pattern_in_policy((text, n)), (1, 2)) == try_decode::<u32, 3>(4, (1, 2))?;
    let _ = (question_mark()?, early(0).is_ok(), c_abi(1), only_panics(1), r#raw(1), nested::deep::f());
    Ok(descriptors(file, socket))
}

pub fn main() {
    let _ = calls;
}
