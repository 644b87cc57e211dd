//! Programs, and code that is mapped from files.

use crate::attack;
use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::{Argument, owned};
use crate::world::World;
use libc::{EACCES, EPERM};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use sandboxed::{Memory, Policy};
use std::os::fd::{AsRawFd, OwnedFd};

const PRIVATE: i32 = libc::MAP_PRIVATE;
const READ: i32 = libc::PROT_READ;
const EXEC: i32 = libc::PROT_READ | libc::PROT_EXEC;
const READ_IMPLIES_EXEC: i32 = 0x0040_0000;

/// A null argument vector, which old kernels take: a program that runs has no use for one here.
fn execute(path: &str) -> Tried {
    call!(SYS_execve, path, 0, 0)
}

fn program(_: &World) -> OwnedFd {
    open("/bin/true", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// A program in anonymous memory.
fn program_in_memory(_: &World) -> OwnedFd {
    let memory = memfd_create("program", MemfdFlags::CLOEXEC).unwrap();
    for piece in std::fs::read("/bin/true").unwrap().chunks(1 << 16) {
        rustix::io::write(&memory, piece).unwrap();
    }
    memory
}

fn open_granted(s: &Stage) -> std::io::Result<OwnedFd> {
    call!(SYS_openat, libc::AT_FDCWD, Argument::from(&*s.world.granted().join("program")), libc::O_RDONLY)
        .map(owned)
}

fn map_granted(s: &Stage) -> Tried {
    attack::map(open_granted(s)?.as_raw_fd(), EXEC, PRIVATE)
}

fn reading(w: &World) -> Policy {
    Policy::new().read([w.granted(), "/usr".into()])
}

fn changing(w: &World) -> Policy {
    Policy::new().read(w.granted()).write(w.granted())
}

/// `execve` ends what tries it. A child says whether it works: it ends by it, with the program's 0, not with 1.
fn run(s: &Stage, act: fn(&Stage) -> Tried) -> Tried {
    let child = crate::sys::fork(|| {
        let error = act(s).expect_err("it returned");
        crate::sys::exit_now(error.raw_os_error().unwrap_or(255));
    });
    match crate::sys::wait_for(child).code() {
        Some(0) => Ok(0),
        Some(errno) => Err(std::io::Error::from_raw_os_error(errno)),
        None => panic!("the program was killed"),
    }
}

fn true_by_path(_: &Stage) -> Tried {
    execute("/bin/true")
}

fn empty_path(s: &Stage) -> Tried {
    call!(SYS_execveat, s.given, "", 0, 0, libc::AT_EMPTY_PATH)
}

fn by_link(s: &Stage) -> Tried {
    execute(&format!("/proc/self/fd/{}", s.given))
}

fn granted_program(s: &Stage) -> Tried {
    execute(s.world.granted().join("program").to_str().unwrap())
}

fn loader(s: &Stage) -> Tried {
    let program = [0u8; 8];
    let path = if cfg!(target_arch = "x86_64") {
        "/lib64/ld-linux-x86-64.so.2"
    } else {
        "/lib/ld-linux-aarch64.so.1"
    };
    // Without arguments it says how to use it, and fails.
    let _ = (s, program);
    execute(path)
}

pub fn attempts() -> Vec<Attempt> {
    vec![
        refused("execve", EACCES, true_by_path).outside(|s| run(s, true_by_path)),
        refused("execve_with_files", EACCES, true_by_path).under(reading).outside(|s| run(s, true_by_path)),
        refused("execve_of_a_granted_file", EACCES, granted_program)
            .under(reading)
            .outside(|s| run(s, granted_program)),
        refused("execve_of_what_may_be_written", EACCES, granted_program)
            .under(changing)
            .outside(|s| run(s, granted_program)),
        refused("execve_of_the_loader", EACCES, loader).under(reading).outside(|s| run(s, true_by_path)),
        refused("execve_of_another", EACCES, true_by_path)
            .under(|w| Policy::new().execute(w.granted()))
            .outside(|s| run(s, true_by_path)),
        refused("execve_of_self", EACCES, |_| execute("/proc/self/exe")).outside(|s| run(s, true_by_path)),
        refused("execve_of_a_missing_file", EACCES, |_| execute("/missing")).reaches(libc::ENOENT),
        refused("execveat", EACCES, empty_path).given(program).outside(|s| run(s, empty_path)),
        refused("execveat_of_memory", EACCES, empty_path)
            .given(program_in_memory)
            .outside(|s| run(s, empty_path)),
        refused("execve_by_a_link_to_memory", EACCES, by_link)
            .given(program_in_memory)
            .outside(|s| run(s, by_link)),
        refused("execveat_of_memory_with_execute", EACCES, empty_path)
            .given(program_in_memory)
            .under(|w| Policy::new().execute(w.granted()).read("/usr"))
            .outside(|s| run(s, empty_path)),
        refused("execve_in_place", EACCES, true_by_path).in_place().outside(|s| run(s, true_by_path)),
        refused("memfd_create", EPERM, |_| call!(SYS_memfd_create, "memory", 0)),
        refused("memfd_create_with_execute", EACCES, |_| call!(SYS_memfd_create, "memory", 0))
            .under(|w| Policy::new().execute(w.granted())),
        // MFD_NOEXEC_SEAL: it could not be executed, and is memory all the same.
        refused("memfd_create_never_executable", EPERM, |_| call!(SYS_memfd_create, "memory", 8))
            .under(|w| Policy::new().execute(w.granted()))
            .or_not_here(&[libc::EINVAL]),
        refused("memfd_create_without_a_limit", EACCES, |_| call!(SYS_memfd_create, "memory", 0))
            .under(|w| Policy::new().execute(w.granted()).memory(Memory::Unlimited)),
        refused("memfd_secret", EPERM, |_| crate::raw::syscall(447, [0.into()])),
        refused("map_executable", EACCES, |s| attack::map(s.given, EXEC, PRIVATE)).given(program),
        refused("map_executable_and_shared", EACCES, |s| attack::map(s.given, EXEC, libc::MAP_SHARED))
            .given(program),
        refused("map_executable_memory_file", EACCES, |s| attack::map(s.given, EXEC, PRIVATE))
            .given(program_in_memory),
        refused("map_a_granted_file", EACCES, map_granted).under(reading),
        refused("map_what_was_written", EACCES, map_granted).under(changing),
        refused("map_with_high_bits", EACCES, |s| {
            let protection = (1u64 << 32) | EXEC as u64;
            call!(SYS_mmap, 0, 4096, protection, PRIVATE, s.given, 0)
        })
        .given(program),
        refused("protect_a_file", EACCES, |s| attack::protect(attack::map(s.given, READ, PRIVATE)?, EXEC))
            .given(program),
        refused("protect_a_granted_file", EACCES, |s| {
            attack::protect(attack::map(open_granted(s)?.as_raw_fd(), READ, PRIVATE)?, EXEC)
        })
        .under(reading),
        refused("protect_a_file_that_was_written_privately", EACCES, |s| {
            let page = attack::map(s.given, READ | libc::PROT_WRITE, PRIVATE)?;
            attack::protect(page, EXEC)
        })
        .given(program),
        refused("protect_with_a_key", EACCES, |s| {
            let page = attack::map(s.given, READ, PRIVATE)?;
            call!(SYS_pkey_mprotect, page as u64, 4096, EXEC, -1)
        })
        .given(program),
        refused("read_implies_exec", EPERM, |_| call!(SYS_personality, READ_IMPLIES_EXEC)),
        refused("personality_of_another_system", EPERM, |_| call!(SYS_personality, 0x0008)),
        refused("memory_that_limits_do_not_count", EPERM, |_| call!(SYS_shmget, 0, 4096, 0o600))
            .under(|_| Policy::new().memory(Memory::Bytes(64 << 20))),
    ]
}
