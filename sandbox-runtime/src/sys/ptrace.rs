//! Seeing what other processes call: `ptrace(2)`, and the memory of those that are traced.
//!
//! <https://man7.org/linux/man-pages/man2/ptrace.2.html>
#![allow(unsafe_code)]

pub(crate) use super::seccomp::Call;

use libc::{c_long, c_void};
use rustix::io::Errno;
use rustix::process::Pid;
use std::mem::MaybeUninit;

/// What a traced thread stopped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A call that a filter hands to us is about to be made.
    Call,
    /// It is over.
    Returned,
    /// A signal is about to be delivered.
    Signal(i32),
    /// It stopped as the shell would have it, and is to stay stopped.
    Group,
    /// It has not run yet, or goes on after it was stopped as the shell would have it: the kernel says the same of both.
    Begins,
    /// It runs another program.
    Exec,
    /// It is about to end.
    Exit,
    /// It has a new thread or child, which is traced too: see [`born`].
    Born,
    /// What nobody asked to be told of.
    Other,
}

/// What `wait` says of a traced thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Stopped(Stop),
    /// The status, as of `wait(2)`.
    Ended(i32),
}

/// Traces a thread without stopping it, and whatever it starts. With `kill` all of them end with the tracer; with `ends`
/// they stop before they end.
pub(crate) fn seize(thread: Pid, kill: bool, ends: bool) -> Result<(), Errno> {
    let children = libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK;
    let rest = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACESECCOMP;
    let rest = if ends { rest | libc::PTRACE_O_TRACEEXIT } else { rest };
    let rest = rest | libc::PTRACE_O_TRACESYSGOOD;
    let kill = if kill { libc::PTRACE_O_EXITKILL } else { 0 };
    request(libc::PTRACE_SEIZE, thread, 0, (children | rest | kill) as usize)
}

/// Lets a thread go on, with a signal or without (0).
pub(crate) fn go_on(thread: Pid, signal: i32) -> Result<(), Errno> {
    request(libc::PTRACE_CONT, thread, 0, signal.unsigned_abs() as usize)
}

/// Lets a thread make the call that it stopped at, and stop again when that is over.
pub(crate) fn go_on_until_return(thread: Pid) -> Result<(), Errno> {
    request(libc::PTRACE_SYSCALL, thread, 0, 0)
}

/// Leaves a thread stopped as the shell would have it, until it is continued.
pub(crate) fn stay_stopped(thread: Pid) -> Result<(), Errno> {
    request(libc::PTRACE_LISTEN, thread, 0, 0)
}

/// Waits for a change of any traced thread or child; `None` if there is none left.
pub(crate) fn wait() -> Option<(Pid, Change)> {
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a live number.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        match (
            if pid > 0 { Pid::from_raw(pid) } else { None },
            Errno::from_io_error(&std::io::Error::last_os_error()),
        ) {
            (Some(pid), _) => return Some((pid, change(status))),
            (None, Some(Errno::INTR)) => {}
            (None, _) => return None,
        }
    }
}

fn change(status: i32) -> Change {
    if !libc::WIFSTOPPED(status) {
        return Change::Ended(status);
    }
    let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
    Change::Stopped(match event {
        libc::PTRACE_EVENT_SECCOMP => Stop::Call,
        libc::PTRACE_EVENT_EXEC => Stop::Exec,
        libc::PTRACE_EVENT_EXIT => Stop::Exit,
        // Also the first stop of one that is born while its process is stopped.
        libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Stop::Group,
        libc::PTRACE_EVENT_STOP => Stop::Begins,
        libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => Stop::Born,
        0 if signal == libc::SIGTRAP | 0x80 => Stop::Returned,
        0 => Stop::Signal(signal),
        _ => Stop::Other,
    })
}

/// As the kernel has it (`struct ptrace_syscall_info`, Linux 5.3).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SyscallInfo {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    /// By `op`: number and arguments; or the value, and a byte that says whether it is an error.
    rest: [u64; 8],
}

const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
const INFO_EXIT: u8 = 2;
const INFO_SECCOMP: u8 = 3;

fn syscall_info(thread: Pid) -> Result<SyscallInfo, Errno> {
    let mut info = SyscallInfo::default();
    // SAFETY: the pointer is to live memory of the size that is said.
    let asked = unsafe {
        libc::ptrace(
            GET_SYSCALL_INFO,
            thread.as_raw_pid(),
            size_of_val(&info),
            (&raw mut info).cast::<c_void>(),
        )
    };
    checked(asked).map(|()| info)
}

/// The call that a thread stopped at.
pub(crate) fn call(thread: Pid) -> Result<Call, Errno> {
    let info = syscall_info(thread)?;
    match (info.op, &info.rest) {
        (INFO_SECCOMP, [number, arguments @ .., _]) => Ok(Call { number: *number, arguments: *arguments }),
        _ => Err(Errno::INVAL),
    }
}

/// The thread or child that a thread has just got, at [`Stop::Born`].
#[cfg(feature = "learn")]
pub(crate) fn born(parent: Pid) -> Result<Option<Pid>, Errno> {
    let mut child: libc::c_ulong = 0;
    let (pid, child_of) = (parent.as_raw_pid(), (&raw mut child).cast::<c_void>());
    // SAFETY: the pointer is to a live number, which the kernel writes.
    checked(unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, child_of) })?;
    Ok(i32::try_from(child).ok().and_then(Pid::from_raw))
}

/// The errno of the call that a thread has made; `None` if it did not fail.
pub(crate) fn errno(thread: Pid) -> Result<Option<i32>, Errno> {
    let info = syscall_info(thread)?;
    match info.op {
        INFO_EXIT if info.rest[1] & 0xff != 0 => {
            Ok(i32::try_from(info.rest[0].cast_signed().unsigned_abs()).ok())
        }
        INFO_EXIT => Ok(None),
        _ => Err(Errno::INVAL),
    }
}

/// What a filter of ours says with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trap {
    pub(crate) call: Call,
    /// What the filter says with it.
    pub(crate) data: u32,
}

/// `SYS_SECCOMP` of `siginfo.h`: a filter sent it, not somebody by `kill`.
const SYS_SECCOMP: i32 = 1;

/// What the signal that a thread is about to get says, if a filter sent it.
pub(crate) fn trap(thread: Pid) -> Result<Option<Trap>, Errno> {
    // The kernel's `siginfo_t` has 128 bytes: signal, errno, code; for this signal then address, number and architecture.
    let mut info = [0_u32; 32];
    let (pid, info_of) = (thread.as_raw_pid(), (&raw mut info).cast::<c_void>());
    // SAFETY: the pointer is to live memory of the size that the kernel writes.
    checked(unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, pid, 0, info_of) })?;
    let [signal, errno, code, _, _, _, number, ..] = info;
    if (signal.cast_signed(), code.cast_signed()) != (libc::SIGSYS, SYS_SECCOMP) {
        return Ok(None);
    }
    let arguments = arguments(&registers(thread)?);
    Ok(Some(Trap { call: Call { number: number.into(), arguments }, data: errno }))
}

fn registers(thread: Pid) -> Result<libc::user_regs_struct, Errno> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    let mut part = libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: size_of_val(&registers) };
    let (pid, part) = (thread.as_raw_pid(), (&raw mut part).cast::<c_void>());
    // SAFETY: the vector is to live memory of the size that it says.
    checked(unsafe { libc::ptrace(libc::PTRACE_GETREGSET, pid, libc::NT_PRSTATUS as usize, part) })?;
    // SAFETY: all-zero is a valid value, and the kernel wrote numbers.
    Ok(unsafe { registers.assume_init() })
}

#[cfg(target_arch = "x86_64")]
fn arguments(registers: &libc::user_regs_struct) -> [u64; 6] {
    [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9]
}

#[cfg(target_arch = "aarch64")]
fn arguments(registers: &libc::user_regs_struct) -> [u64; 6] {
    let [first, second, third, fourth, fifth, sixth, ..] = registers.regs;
    [first, second, third, fourth, fifth, sixth]
}

/// Makes a trapped call fail with this errno.
pub(crate) fn fail(thread: Pid, errno: i32) -> Result<(), Errno> {
    let mut registers = registers(thread)?;
    let result = (-i64::from(errno)).cast_unsigned();
    #[cfg(target_arch = "x86_64")]
    {
        registers.rax = result;
    }
    #[cfg(target_arch = "aarch64")]
    {
        registers.regs[0] = result;
    }
    set_registers(thread, &mut registers)
}

/// Has a thread, which stopped behind a call that was trapped, make another in its place.
pub(crate) fn make_instead(thread: Pid, call: &Call) -> Result<(), Errno> {
    let mut registers = registers(thread)?;
    let [first, second, third, ..] = call.arguments;
    #[cfg(target_arch = "x86_64")]
    {
        // Back to the instruction, which has two bytes. No call is under way that could be begun anew.
        registers.rip = registers.rip.wrapping_sub(2);
        (registers.rax, registers.orig_rax) = (call.number, u64::MAX);
        (registers.rdi, registers.rsi, registers.rdx) = (first, second, third);
    }
    #[cfg(target_arch = "aarch64")]
    {
        registers.pc = registers.pc.wrapping_sub(4);
        registers.regs[8] = call.number;
        registers.regs[..3].copy_from_slice(&[first, second, third]);
    }
    set_registers(thread, &mut registers)
}

fn set_registers(thread: Pid, registers: &mut libc::user_regs_struct) -> Result<(), Errno> {
    let mut part =
        libc::iovec { iov_base: (&raw mut *registers).cast(), iov_len: size_of::<libc::user_regs_struct>() };
    let (pid, part) = (thread.as_raw_pid(), (&raw mut part).cast::<c_void>());
    // SAFETY: the vector is to live memory of the size that it says, which the kernel reads; the thread is stopped, and
    // what it goes on with it could do by itself.
    checked(unsafe { libc::ptrace(libc::PTRACE_SETREGSET, pid, libc::NT_PRSTATUS as usize, part) })
}

/// Reads memory of a process into a buffer; how much there was.
pub(crate) fn read(process: Pid, address: u64, buffer: &mut [u8]) -> usize {
    let here = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let there = libc::iovec { iov_base: address as *mut c_void, iov_len: buffer.len() };
    // SAFETY: the first vector is to live memory of ours; the second is only an address elsewhere, which the kernel checks.
    let read =
        unsafe { libc::process_vm_readv(process.as_raw_pid(), &raw const here, 1, &raw const there, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// Says that a process may trace this one, where only ancestors may (Yama). 0 takes it back. Kernels without Yama know no
/// such thing.
pub(crate) fn let_trace(tracer: u32) {
    // SAFETY: takes integers.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, tracer as libc::c_ulong, 0, 0, 0) };
}

fn request(what: libc::c_uint, thread: Pid, address: usize, data: usize) -> Result<(), Errno> {
    // SAFETY: these requests take numbers alone.
    checked(unsafe { libc::ptrace(what, thread.as_raw_pid(), address, data) })
}

fn checked(result: c_long) -> Result<(), Errno> {
    match result {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stop_is_what_the_kernel_says() {
        let status = |event: i32, signal: i32| event << 16 | signal << 8 | 0x7f;
        for (event, signal, stop) in [
            (libc::PTRACE_EVENT_SECCOMP, libc::SIGTRAP, Stop::Call),
            (libc::PTRACE_EVENT_EXEC, libc::SIGTRAP, Stop::Exec),
            (libc::PTRACE_EVENT_EXIT, libc::SIGTRAP, Stop::Exit),
            (libc::PTRACE_EVENT_STOP, libc::SIGTRAP, Stop::Begins),
            (libc::PTRACE_EVENT_STOP, libc::SIGSTOP, Stop::Group),
            (libc::PTRACE_EVENT_STOP, libc::SIGTSTP, Stop::Group),
            (libc::PTRACE_EVENT_CLONE, libc::SIGTRAP, Stop::Born),
            (libc::PTRACE_EVENT_FORK, libc::SIGTRAP, Stop::Born),
            (libc::PTRACE_EVENT_VFORK, libc::SIGTRAP, Stop::Born),
            (libc::PTRACE_EVENT_VFORK_DONE, libc::SIGTRAP, Stop::Other),
            (0, libc::SIGTRAP | 0x80, Stop::Returned),
            (0, libc::SIGTRAP, Stop::Signal(libc::SIGTRAP)),
            (0, libc::SIGSYS, Stop::Signal(libc::SIGSYS)),
        ] {
            assert_eq!(
                change(status(event, signal)),
                Change::Stopped(stop),
                "event {event}, signal {signal}"
            );
        }
        for ended in [0, 3 << 8, libc::SIGKILL, libc::SIGABRT | 0x80] {
            assert_eq!(change(ended), Change::Ended(ended));
        }
    }
}
