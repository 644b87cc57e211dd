//! Who tries the same in no sandbox: this program, started once more, which forks a child for each attempt. Such a
//! child has one thread and may do what cannot be undone.

use crate::attempt::{self, Found};
use crate::sys;
use crate::world::World;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

const OUTSIDE: &str = "SANDBOXED_ESCAPE_OUTSIDE";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    Free,
    /// Restricted as the attempt says.
    InPlace,
}

struct Server {
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();

/// Starts the one.
pub fn start(world: &World) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(OUTSIDE, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    // It ends with the host, since its stdin does.
    #[allow(clippy::zombie_processes)]
    let child = command.spawn().expect("this program");
    let mut to = child.stdin.unwrap();
    writeln!(to, "{}", serde_json::to_string(world).unwrap()).unwrap();
    let from = BufReader::new(child.stdout.unwrap()).lines();
    assert!(SERVER.set(Mutex::new(Server { to, from })).is_ok());
}

/// Tries an attempt there.
pub fn attempt(index: usize, how: How) -> Found {
    let mut server = SERVER.get().expect("it was started").lock().unwrap();
    writeln!(server.to, "{}", serde_json::to_string(&(index, how)).unwrap()).unwrap();
    let line = server.from.next().expect("an answer").unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Serves until the host ends, where this program was started for that.
pub fn serve() -> bool {
    if std::env::var_os(OUTSIDE).is_none() {
        return false;
    }
    let mut lines = std::io::stdin().lines();
    let world: World = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    for line in lines {
        let (index, how) = serde_json::from_str(&line.unwrap()).unwrap();
        println!("{}", serde_json::to_string(&in_child(index, how, &world)).unwrap());
    }
    true
}

fn in_child(index: usize, how: How, world: &World) -> Found {
    let pipe = || -> (File, File) {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        (from.into(), to.into())
    };
    let [(mut answer, to), (mut said, stderr)] = [pipe(), pipe()];
    let child = sys::fork(|| {
        // What it does to its group, terminal or streams stays with it; what it prints is no answer.
        rustix::process::setsid().unwrap();
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        sys::replace(0, &null);
        sys::replace(1, &null);
        sys::replace(2, &stderr);
        let found = attempt::alone(&crate::attempts()[index], world, how);
        serde_json::to_writer(&to, &found).unwrap();
    });
    drop((to, stderr));
    let status = sys::wait_for(child);
    // What it left behind may keep the other end: then there is no end, but all that there is.
    let all = |from: &mut File| {
        let mut text = String::new();
        let read = from.read_to_string(&mut text);
        (text, read)
    };
    let ((answer, read), (said, _)) = (all(&mut answer), all(&mut said));
    match (status.signal(), serde_json::from_str(&answer)) {
        (Some(signal), _) => Found::Signal(signal),
        (None, Ok(found)) => found,
        (None, Err(_)) => Found::Broken(format!("{status}, {read:?}: {answer}{said}")),
    }
}
