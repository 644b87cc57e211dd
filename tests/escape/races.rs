//! Paths that change between the kernel's look and its use: it has none, and these would show one.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::{Argument, syscall};
use crate::world::{SECRET, World};
use libc::{AT_FDCWD, EACCES};
use sandboxed::Policy;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const ROUNDS: usize = 2000;

fn changing(w: &World) -> Policy {
    Policy::new().read(w.granted()).write(w.granted())
}

/// Two names in the granted directory that one thread exchanges while the other reads one of them.
fn race(directory: &Path, make: impl FnOnce(&Path, &Path), read: impl Fn(&Path) -> Option<String>) -> Tried {
    let [one, two] = ["one", "two"].map(|name| directory.join(format!("{name}-{}", std::process::id())));
    make(&one, &two);
    let exchange = || {
        let paths = [&one, &two].map(|path| Argument::from(&**path));
        let [from, to] = paths;
        syscall(
            libc::SYS_renameat2,
            [AT_FDCWD.into(), from, AT_FDCWD.into(), to, u64::from(libc::RENAME_EXCHANGE).into()],
        )
    };
    exchange()?;
    // Once without haste: what the twin outside finds for sure.
    let at_rest = read(&one).is_some_and(|content| content == SECRET);
    let over = AtomicBool::new(false);
    let escaped = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                exchange().unwrap();
            }
        });
        let found = (0..ROUNDS).filter_map(|_| read(&one)).any(|content| content == SECRET);
        over.store(true, Ordering::Relaxed);
        found
    });
    if escaped || at_rest { Ok(1) } else { Err(std::io::Error::from_raw_os_error(EACCES)) }
}

/// The name is a file at one time, a symlink to the secret at another.
fn symlink_or_file(s: &Stage) -> Tried {
    let secret = s.world.secret();
    race(
        &s.world.granted(),
        |one, two| {
            fs::write(one, "x").unwrap();
            symlink(&secret, two).unwrap();
        },
        |path| fs::read_to_string(path).ok(),
    )
}

/// A directory on the way is the granted one, or a symlink to the one above.
fn symlink_on_the_way(s: &Stage) -> Tried {
    let above = s.world.directory.clone();
    race(
        &s.world.granted(),
        |one, two| {
            fs::create_dir(one).unwrap();
            fs::write(one.join("secret"), "x").unwrap();
            symlink(&above, two).unwrap();
        },
        |path| fs::read_to_string(path.join("secret")).ok(),
    )
}

/// Climbs out of a directory while that moves deeper and back.
fn moved_while_climbing(s: &Stage) -> Tried {
    race(
        &s.world.granted(),
        |one, two| {
            fs::create_dir_all(one.join("a/b")).unwrap();
            fs::create_dir(two).unwrap();
        },
        |path| fs::read_to_string(path.join("a/b/../../../../secret")).ok(),
    )
}

/// Two threads at once, one at what it may read, one at what it may not.
fn two_at_once(s: &Stage) -> Tried {
    let [inside, outside] = [s.world.granted().join("file"), s.world.secret()];
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let found = std::thread::scope(|scope| {
        let other = scope.spawn(|| (0..ROUNDS).any(|_| fs::read_to_string(text(&outside)).is_ok()));
        let own = (0..ROUNDS).filter(|_| fs::read_to_string(text(&inside)).is_ok()).count();
        assert!(own == ROUNDS, "the granted file can be read");
        other.join().unwrap()
    });
    if found { Ok(1) } else { Err(std::io::Error::from_raw_os_error(EACCES)) }
}

pub fn attempts() -> Vec<Attempt> {
    [
        ("symlink_or_file", symlink_or_file as fn(&Stage) -> Tried),
        ("symlink_on_the_way", symlink_on_the_way),
        ("moved_while_climbing", moved_while_climbing),
        ("two_threads_two_paths", two_at_once),
    ]
    .into_iter()
    .map(|(name, act)| refused(name, EACCES, act).under(changing))
    .collect()
}
