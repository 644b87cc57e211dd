//! What a body finds in its worker: the program as it was before `main`, and next to nothing else.

mod support;
#[path = "support/sys.rs"]
mod sys;

use sandboxed::{Error, sandboxed};
use std::sync::atomic::{AtomicU32, Ordering};
use support::in_child;

#[sandboxed]
fn open_descriptors() -> Result<Vec<i32>, Error> {
    Ok((0..1024).filter(|fd| sys::is_open(*fd)).collect())
}

#[sandboxed(read = "/usr")]
fn open_descriptors_with_files() -> Result<Vec<i32>, Error> {
    Ok((0..1024).filter(|fd| sys::is_open(*fd)).collect())
}

#[sandboxed]
fn open_descriptors_with_an_argument(file: std::fs::File) -> Result<(Vec<i32>, i32), Error> {
    let number = std::os::fd::AsRawFd::as_raw_fd(&file);
    Ok(((0..1024).filter(|fd| sys::is_open(*fd)).collect(), number))
}

#[test]
fn descriptors_are_stdio_and_the_channel() {
    in_child("descriptors_are_stdio_and_the_channel", || {
        // What careless code leaves open reaches nobody.
        let leaked = std::fs::File::open("/proc/self/status").unwrap();
        sys::leak_over_exec(std::os::fd::AsRawFd::as_raw_fd(&leaked));
        for _ in 0..2 {
            assert_eq!(open_descriptors().unwrap(), [0, 1, 2, 3]);
            assert_eq!(open_descriptors_with_files().unwrap(), [0, 1, 2, 3]);
        }
        assert!(channel().unwrap(), "a pipe carries no descriptors to the host");
        let (open, number) = open_descriptors_with_an_argument(leaked).unwrap();
        assert_eq!(open, [0, 1, 2, 3, number]);
    });
}

/// Whether the one descriptor that leads to the host is a pipe.
#[sandboxed(read = "/proc")]
fn channel() -> Result<bool, Error> {
    let path = std::fs::read_link("/proc/self/fd/3").unwrap();
    Ok(path.to_string_lossy().starts_with("pipe:"))
}

#[sandboxed]
fn variables() -> Result<Vec<(String, String)>, Error> {
    Ok(std::env::vars().collect())
}

#[sandboxed(env = ["SANDBOXED_PASSED", "SANDBOXED_MISSING"])]
fn passed_variables() -> Result<Vec<(String, String)>, Error> {
    Ok(std::env::vars().collect())
}

#[test]
fn variables_are_the_named_alone() {
    const NAME: &str = "variables_are_the_named_alone";
    if std::env::var_os("SANDBOXED_PASSED").is_some() {
        assert_eq!(variables().unwrap(), []);
        assert_eq!(passed_variables().unwrap(), [("SANDBOXED_PASSED".into(), "a = b".into())]);
        return;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME]).env("SANDBOXED_PASSED", "a = b").env("SANDBOXED_SECRET", "token");
    let output = command.env("LD_BIND_NOW", "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[sandboxed]
fn directory() -> Result<String, Error> {
    Ok(std::env::current_dir().unwrap().to_str().unwrap().to_owned())
}

#[sandboxed(read = "/usr")]
fn directory_with_files() -> Result<String, Error> {
    Ok(std::env::current_dir().unwrap().to_str().unwrap().to_owned())
}

#[test]
fn the_working_directory_is_the_callers_where_files_are_granted() {
    in_child("the_working_directory_is_the_callers_where_files_are_granted", || {
        directory().unwrap();
        for of_caller in ["/usr", "/", "/proc"] {
            // Also after the forkserver was started elsewhere.
            std::env::set_current_dir(of_caller).unwrap();
            assert_eq!(directory().unwrap(), "/");
            assert_eq!(directory_with_files().unwrap(), of_caller);
        }
    });
}

static STARTED: AtomicU32 = AtomicU32::new(7);

#[sandboxed]
fn count() -> Result<u32, Error> {
    Ok(STARTED.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn statics_are_as_before_main_in_every_call() {
    STARTED.store(100, Ordering::Relaxed);
    assert_eq!((count().unwrap(), count().unwrap()), (7, 7));
    assert_eq!(STARTED.load(Ordering::Relaxed), 100);
}

/// The dispositions of signals 1 to 31, and what is blocked.
#[sandboxed(read = "/proc")]
fn signals() -> Result<(Vec<usize>, String), Error> {
    let dispositions = (1..32).map(sys::disposition).collect();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    Ok((dispositions, blocked.trim().to_owned()))
}

#[test]
fn signals_are_as_at_the_start_of_a_program() {
    in_child("signals_are_as_at_the_start_of_a_program", || {
        [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGUSR1].into_iter().for_each(sys::catch);
        let (dispositions, blocked) = signals().unwrap();
        for (signal, disposition) in (1..).zip(dispositions) {
            let expected = if signal == libc::SIGPIPE { libc::SIG_IGN } else { libc::SIG_DFL };
            assert_eq!(disposition, expected, "signal {signal}");
        }
        assert_eq!(u64::from_str_radix(&blocked, 16).unwrap(), 0, "{blocked}");
    });
}

#[sandboxed(memory = "300MiB")]
fn limits() -> Result<[Option<u64>; 4], Error> {
    use rustix::process::{Resource, getrlimit};
    let (core, memory) = (getrlimit(Resource::Core), getrlimit(Resource::As));
    Ok([core.current, core.maximum, memory.current, memory.maximum])
}

#[sandboxed(memory = "unlimited")]
fn unlimited() -> Result<Option<u64>, Error> {
    Ok(rustix::process::getrlimit(rustix::process::Resource::As).maximum)
}

#[test]
fn limits_are_hard() {
    let [core, most_core, memory, most_memory] = limits().unwrap().map(Option::unwrap);
    // 1 stops core dumps that 0 would not: those that go to a program.
    assert_eq!([core, most_core], [1; 2]);
    // The program itself comes on top.
    assert!((300 << 20..500 << 20).contains(&memory) && most_memory == memory, "{memory} {most_memory}");
    let of_host = rustix::process::getrlimit(rustix::process::Resource::As).maximum;
    assert_eq!(unlimited().unwrap(), of_host);
}

#[sandboxed(read = "/proc")]
fn status() -> Result<String, Error> {
    Ok(std::fs::read_to_string("/proc/self/status").unwrap())
}

#[test]
fn it_is_one_thread_that_gains_nothing_by_exec() {
    let status = status().unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    assert_eq!((line("NoNewPrivs:"), line("Threads:"), line("Seccomp:")), ("1", "1", "2"));
    assert_eq!(line("Name:"), "status", "the function's name, for ps");
}

#[sandboxed]
fn threads_and_arguments() -> Result<(u32, Option<String>), Error> {
    let sum = (0..4).map(|n| std::thread::spawn(move || n)).map(|thread| thread.join().unwrap()).sum();
    Ok((sum, std::env::args().next()))
}

#[test]
fn threads_and_the_programs_name_work() {
    assert_eq!(threads_and_arguments().unwrap(), (6, std::env::args().next()));
}
