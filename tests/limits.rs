//! `cpu`, `open_files` and `file_size`: what each refuses, with which error, and what it lets pass just below.

#[path = "support/processes.rs"]
mod processes;
#[path = "support/mod.rs"]
mod support;
#[path = "support/sys.rs"]
mod sys;

use processes::Process;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandboxed::{Error, ErrorKind, Hint, Policy, Ran, sandboxed};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;
use support::{errno, has_abi, in_child};

// Processor time.

fn spin_until(enough: Duration) {
    while sys::cpu_time() < enough {
        std::hint::black_box(());
    }
}

#[sandboxed(cpu = "1s")]
fn use_a_second_at_most(milliseconds: u64) -> Result<(), Error> {
    spin_until(Duration::from_millis(milliseconds));
    Ok(())
}

#[sandboxed(cpu = "100ms")]
fn use_too_much() -> Result<(), Error> {
    spin_until(Duration::MAX);
    Ok(())
}

#[sandboxed(cpu = "200ms")]
fn use_too_much_in_threads() -> Result<(), Error> {
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| spin_until(Duration::MAX))));
    });
    Ok(())
}

#[test]
fn processor_time_has_its_own_error() {
    use_a_second_at_most(800).unwrap();
    let limit = |milliseconds| ErrorKind::CpuTimeExceeded { limit: Duration::from_millis(milliseconds) };
    assert_eq!(use_a_second_at_most(u64::MAX).unwrap_err().kind(), &limit(1000));
    assert_eq!(use_too_much_in_threads().unwrap_err().kind(), &limit(200));
    let error = use_too_much().unwrap_err();
    assert_eq!((error.kind(), error.ran()), (&limit(100), Ran::Yes));
    assert!(error.is_cpu_time_exceeded() && !error.is_timeout());
    let text = "sandboxed `limits::use_too_much` used more processor time than its `cpu` of 100ms";
    assert_eq!(error.to_string(), text);
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::QuotaExceeded);
}

#[sandboxed(cpu = "200ms")]
fn sleep() -> Result<(), Error> {
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

#[test]
fn time_asleep_does_not_count() {
    sleep().unwrap();
}

#[sandboxed(cpu = "200ms", timeout = "300ms")]
fn sleep_too_long() -> Result<(), Error> {
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}

#[sandboxed(cpu = "100ms", timeout = "60s")]
fn die_late(signal: i32) -> Result<(), Error> {
    spin_until(Duration::from_millis(20));
    sys::raise(signal);
    Ok(())
}

#[test]
fn other_ends_are_not_taken_for_it() {
    assert!(sleep_too_long().unwrap_err().is_timeout());
    let error = die_late(libc::SIGKILL).unwrap_err();
    assert_eq!((error.signal(), error.hint()), (Some(libc::SIGKILL), Some(Hint::KilledFromOutside)));
    assert_eq!(die_late(libc::SIGXCPU).unwrap_err().signal(), Some(libc::SIGXCPU));
}

/// Says who it is, and spins when it is told to.
#[sandboxed(cpu = "100ms", timeout = "60s")]
fn spin_when_told(mut channel: std::os::unix::net::UnixStream) -> Result<(), Error> {
    let ids = [std::process::id(), std::os::unix::process::parent_id()].map(u32::to_ne_bytes).concat();
    channel.write_all(&ids).expect("the host reads");
    channel.read_exact(&mut [0]).expect("the host writes");
    spin_until(Duration::MAX);
    Ok(())
}

/// With the soft limit at the hard one the kernel sends `SIGKILL`, and no `SIGXCPU` before: that would be another error.
#[test]
fn the_kernel_ends_it_where_the_forkserver_does_not() {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let call = std::thread::spawn(move || spin_when_told(theirs));
    let mut ids = [0; 8];
    ours.read_exact(&mut ids).unwrap();
    let (worker, forkserver) = ids.split_at(4);
    let [worker, forkserver] = [worker, forkserver].map(|id| i32::from_ne_bytes(id.try_into().unwrap()));
    let worker = Process::of(worker);
    sys::kill(forkserver, libc::SIGSTOP).unwrap();
    ours.write_all(b"!").unwrap();
    worker.until_gone();
    sys::kill(forkserver, libc::SIGCONT).unwrap();
    let error = call.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CpuTimeExceeded { limit: Duration::from_millis(100) });
}

const PROGRAMS: [&str; 4] = ["/usr", "/bin", "/lib", "/lib64"];

#[sandboxed(execute = sandboxed::optional(PROGRAMS), cpu = "200ms", timeout = "60s")]
fn start_a_spinning_child() -> Result<Option<i32>, Error> {
    let status = Command::new("/bin/sh").args(["-c", "while :; do :; done"]).status();
    Ok(status.expect("a shell starts").signal())
}

#[test]
fn a_child_has_a_limit_of_its_own() {
    assert_eq!(start_a_spinning_child().unwrap(), Some(libc::SIGKILL));
}

#[sandboxed]
fn scheduling_of_a_worker() -> Result<Vec<u8>, Error> {
    Ok(sys::scheduling())
}

/// The forkserver's slices are shorter than theirs.
#[test]
fn workers_are_scheduled_as_their_host_is() {
    assert_eq!(scheduling_of_a_worker().unwrap(), sys::scheduling());
}

// Descriptors.

/// How many can be made before the error, and which error that is. They stay open.
fn open_until_refused() -> (usize, i32) {
    let mut open = Vec::new();
    loop {
        match eventfd(0, EventfdFlags::CLOEXEC) {
            Ok(fd) => open.push(fd),
            Err(errno) => {
                let count = open.len();
                // The error's own way back must not need one.
                std::mem::forget(open);
                return (count, errno.raw_os_error());
            }
        }
    }
}

#[sandboxed(open_files = most)]
fn open_all(most: u64, _handed_over: Vec<OwnedFd>) -> Result<(usize, i32), Error> {
    Ok(open_until_refused())
}

#[sandboxed(open_files = 8, workers(reuse = 100, max = 1))]
fn count(handed_over: Vec<OwnedFd>) -> Result<(u32, usize), Error> {
    Ok((std::process::id(), handed_over.len()))
}

#[test]
fn a_worker_that_is_used_again_gets_all_descriptors() {
    in_child("a_worker_that_is_used_again_gets_all_descriptors", || {
        let counts = [0, 100, 3, 250, 1];
        let found = counts.map(|number| {
            count((0..number).map(|_| eventfd(0, EventfdFlags::CLOEXEC).unwrap()).collect()).unwrap()
        });
        assert_eq!(found.map(|(_, count)| count), counts);
        assert!(found.iter().all(|(pid, _)| *pid == found[0].0), "one worker serves them all");
    });
}

#[sandboxed]
fn open_all_by_default() -> Result<(usize, i32), Error> {
    Ok(open_until_refused())
}

#[sandboxed(policy = Policy::for_program())]
fn open_all_as_main() -> Result<Option<u64>, Error> {
    Ok(getrlimit(Resource::Nofile).maximum)
}

#[test]
fn descriptors_are_counted_beside_those_that_are_there() {
    let handed_over = |count| (0..count).map(|_| eventfd(0, EventfdFlags::CLOEXEC).unwrap()).collect();
    for most in [1, 2, 16, 300] {
        for count in [0, 1, 100] {
            let expected = (usize::try_from(most).unwrap(), libc::EMFILE);
            assert_eq!(open_all(most, handed_over(count)).unwrap(), expected, "beside {count}");
            // By a worker that is ready, and has its limit.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(open_all_by_default().unwrap(), (256, libc::EMFILE));
    assert_eq!(open_all_as_main().unwrap(), getrlimit(Resource::Nofile).maximum);
}

#[sandboxed(open_files = u64::MAX)]
fn as_many_as_the_host() -> Result<Option<u64>, Error> {
    Ok(getrlimit(Resource::Nofile).maximum)
}

#[test]
fn no_limit_is_raised() {
    in_child("no_limit_is_raised", || {
        setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum: Some(200) }).unwrap();
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 30), maximum: Some(1 << 30) }).unwrap();
        assert_eq!(as_many_as_the_host().unwrap(), Some(200));
        assert_eq!(limits_of(1 << 40).unwrap()[3], [Some(1 << 30); 2]);
    });
}

#[sandboxed(open_files = 1)]
fn panic_without_descriptors() -> Result<(), Error> {
    open_until_refused();
    panic!("no descriptor is left");
}

#[test]
fn a_panic_needs_no_descriptor() {
    assert_eq!(panic_without_descriptors().unwrap_err().panic_message(), Some("no descriptor is left"));
}

// Files.

const LIMIT: u64 = 64 * 1024;

fn kinds() -> [fn(&File, u64) -> io::Result<()>; 4] {
    [
        // Up to this length, the last byte alone.
        |file, length| file.write_all_at(b"x", length - 1),
        |file, length| file.set_len(length),
        |file, length| Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length)?),
        |file, length| {
            let mut source = File::open("/proc/self/exe")?;
            source.seek(SeekFrom::Start(0))?;
            let mut file = file;
            file.seek(SeekFrom::Start(length - 1))?;
            rustix::fs::sendfile(file, source, None, 1)?;
            Ok(())
        },
    ]
}

/// Makes it as long as it may be and one byte longer, in each way; the errnos, 0 for success.
#[sandboxed(read = "/", file_size = LIMIT)]
fn lengthen(file: File) -> Result<Vec<[i32; 2]>, Error> {
    let tried = |kind: &fn(&File, u64) -> io::Result<()>, length| {
        file.set_len(0).expect("an empty file");
        kind(&file, length).map_or_else(|error| error.raw_os_error().expect("an errno"), |()| 0)
    };
    Ok(kinds().iter().map(|kind| [LIMIT, LIMIT + 1].map(|length| tried(kind, length))).collect())
}

#[test]
fn files_end_at_the_limit() {
    let file = tempfile::tempfile().unwrap();
    assert_eq!(lengthen(file.try_clone().unwrap()).unwrap(), [[0, libc::EFBIG]; 4]);
    // It is a limit of the worker, not of the file.
    file.set_len(LIMIT + 1).unwrap();
}

#[sandboxed(file_size = "64KiB")]
fn write_all(mut file: File, length: usize) -> io::Result<()> {
    file.write_all(&vec![1; length])
}

#[test]
fn what_fits_is_written() {
    let mut file = tempfile::tempfile().unwrap();
    write_all(file.try_clone().unwrap(), 64 * 1024).unwrap();
    file.rewind().unwrap();
    assert_eq!(errno(write_all(file.try_clone().unwrap(), 64 * 1024 + 1)), libc::EFBIG);
    assert_eq!(file.metadata().unwrap().len(), 64 * 1024);
}

/// Overwrites the middle of a file that was longer before, and fails to add to it.
#[sandboxed(file_size = "64KiB")]
fn change_a_long_file(file: File) -> Result<[Option<i32>; 2], Error> {
    let at = |offset| file.write_all_at(b"x", offset).err().and_then(|error| error.raw_os_error());
    Ok([at(100), at(LIMIT)])
}

#[test]
fn a_longer_file_can_be_changed_below_the_limit() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(10 * LIMIT).unwrap();
    assert_eq!(change_a_long_file(file).unwrap(), [None, Some(libc::EFBIG)]);
}

#[sandboxed(file_size = 1)]
fn flood(mut pipe: io::PipeWriter) -> io::Result<()> {
    print!("more than a byte on stdout");
    pipe.write_all(&[1; 100_000])
}

#[test]
fn pipes_are_not_limited() {
    let (mut reader, writer) = io::pipe().unwrap();
    let call = std::thread::spawn(move || flood(writer));
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    call.join().unwrap().unwrap();
    assert_eq!(all.len(), 100_000);
}

#[sandboxed(file_size = 1)]
fn be_killed_for_a_file(file: File) -> Result<(), Error> {
    sys::reset(libc::SIGXFSZ);
    file.set_len(2).expect("it does not come back");
    Ok(())
}

#[test]
fn a_worker_that_resets_the_signal_dies_of_it() {
    let error = be_killed_for_a_file(tempfile::tempfile().unwrap()).unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGXFSZ));
    assert_eq!(error.hint(), Some(Hint::FileTooLong { limit: 1 }));
    assert!(error.to_string().ends_with("(likely for a file longer than its limit of 1B)"), "{error}");
}

#[sandboxed(execute = sandboxed::optional(PROGRAMS), file_size = "1KiB")]
fn write_in_a_child(file: File) -> Result<Option<i32>, Error> {
    let status = Command::new("/bin/sh").args(["-c", "/usr/bin/printf %2000s x"]).stdout(file).status();
    Ok(status.expect("a shell starts").code())
}

#[test]
fn children_are_limited_too() {
    let file = tempfile::tempfile().unwrap();
    assert_eq!(write_in_a_child(file.try_clone().unwrap()).unwrap(), Some(1));
    assert_eq!(file.metadata().unwrap().len(), 1024);
}

// All of them.

/// Soft and hard: memory, processor time, descriptors, length of files.
#[sandboxed(memory = "300MiB", cpu = "1500ms", open_files = 20, file_size = file_size)]
fn limits_of(file_size: u64) -> Result<[[Option<u64>; 2]; 4], Error> {
    Ok([Resource::As, Resource::Cpu, Resource::Nofile, Resource::Fsize].map(|resource| {
        let limit = getrlimit(resource);
        [limit.current, limit.maximum]
    }))
}

#[test]
fn limits_are_hard() {
    let [memory, rest @ ..] = limits_of(5).unwrap();
    // What the program had mapped comes on top.
    assert!(memory[0] == memory[1] && (300 << 20..500 << 20).contains(&memory[0].unwrap()), "{memory:?}");
    assert_eq!(rest, [2, 24, 5].map(|limit| [Some(limit); 2]));
}

/// Lowers each of its limits and raises it again, soft and hard; the errnos of raising.
#[sandboxed(memory = "1GiB", cpu = "1h", open_files = 100, file_size = "1GiB")]
fn raise_limits() -> Result<Vec<i32>, Error> {
    let all = [
        Resource::As,
        Resource::Cpu,
        Resource::Nofile,
        Resource::Fsize,
        Resource::Sigpending,
        Resource::Core,
    ];
    let set = |resource, most| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_or_else(Errno::raw_os_error, |()| 0)
    };
    let try_one = |resource| {
        let most = getrlimit(resource).maximum.expect("a limit");
        assert_eq!(set(resource, most - most / 10), 0, "a limit can be lowered");
        set(resource, most + 1)
    };
    Ok(all.into_iter().map(try_one).collect())
}

/// Also by a worker of root, which has lost the capability for it.
#[test]
fn no_worker_raises_its_limits() {
    assert_eq!(raise_limits().unwrap(), [libc::EPERM; 6]);
}

/// A core file of a program that crashes there, if the kernel writes such.
fn crash_in(directory: &std::path::Path) -> bool {
    let status = Command::new("/bin/sh").args(["-c", "kill -SEGV $$"]).current_dir(directory).status();
    assert_eq!(status.unwrap().signal(), Some(libc::SIGSEGV));
    std::fs::read_dir(directory).unwrap().count() > 0
}

#[sandboxed(write = "/")]
fn crash() -> Result<(), Error> {
    sys::raise(libc::SIGSEGV);
    Ok(())
}

#[test]
fn a_crash_leaves_no_core_file() {
    if !has_abi(1, "grants of files") {
        return;
    }
    in_child("a_crash_leaves_no_core_file", || {
        let limit = getrlimit(Resource::Core).maximum;
        let raised = setrlimit(Resource::Core, Rlimit { current: None, maximum: None });
        if raised.is_err() {
            setrlimit(Resource::Core, Rlimit { current: limit, maximum: limit }).unwrap();
        }
        let [with, without] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        if !crash_in(with.path()) {
            eprintln!(
                "not checked: the kernel writes no core files here, by its core_pattern or this user's limit"
            );
        }
        std::env::set_current_dir(without.path()).unwrap();
        assert_eq!(crash().unwrap_err().signal(), Some(libc::SIGSEGV));
        assert_eq!(std::fs::read_dir(without.path()).unwrap().count(), 0);
    });
}

/// The hint of an errno in an error of a body says nothing about the sandbox: it is the body's own.
#[sandboxed(open_files = 1)]
fn open_two() -> io::Result<()> {
    let first = eventfd(0, EventfdFlags::CLOEXEC)?;
    let second = rustix::io::dup(first.as_fd())?;
    drop((first, second));
    Ok(())
}

#[test]
fn the_body_sees_the_errno() {
    assert_eq!(errno(open_two()), Errno::MFILE.raw_os_error());
}
