//! Shows what the sandboxed functions of a program may do: as text, or as a page where a path is named.
//!
//! ```text
//! cargo run --example report
//! cargo run --example report -- page.html
//! ```
//!
//! A program of yours can do the same behind an argument of its own. Functions of libraries are there too.

use sandboxed::sandboxed;
use std::io::{self, IsTerminal};
use std::net::{TcpListener, TcpStream};

/// Nothing but computing.
#[sandboxed]
fn lines(text: &[u8]) -> Result<usize, sandboxed::Error> {
    Ok(text.iter().filter(|byte| **byte == b'\n').count())
}

/// What it is asked to read, known when it is called.
#[sandboxed(read = path, memory = "256MiB", timeout = "2s")]
fn load(path: &str) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// A list of ports: an error where Landlock is older than ABI 4.
#[sandboxed(preset(dns, ca_certificates), tcp_connect = 443, timeout = "10s", workers(max = 2))]
fn reach(host: &str) -> io::Result<()> {
    TcpStream::connect((host, 443)).map(drop)
}

/// Shares the program's memory: contains mistakes, not an attacker.
#[sandboxed(thread, tcp_bind = 8080, best_effort)]
fn listen() -> io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:8080")
}

fn main() -> io::Result<()> {
    let report = sandboxed::report();
    match std::env::args().nth(1).as_deref() {
        Some("--call") => {
            println!("{} lines in /etc/hostname", lines(load("/etc/hostname")?.as_bytes())?);
            println!("listens: {:?}; connects: {:?}", listen().is_ok(), reach("localhost").is_ok());
        }
        Some(path) => std::fs::write(path, report.html())?,
        None if io::stdout().is_terminal() => print!("{report:#}"),
        None => print!("{report}"),
    }
    Ok(())
}
