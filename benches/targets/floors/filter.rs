//! System call filters as long as ours, and a search tree like ours: the kernel asks a new filter about every call
//! once, so a chain of comparisons would cost more.

use libc::sock_filter;

/// Of a worker that is granted nothing, on x86_64, as `strace -f -e trace=seccomp` shows them.
pub const LENGTHS: [usize; 2] = [333, 33];

/// Above all numbers of calls.
const NUMBERS: usize = 480;

/// What a child still does.
const ALLOWED: [i64; 2] = [libc::SYS_seccomp, libc::SYS_exit_group];

pub fn of_length(length: usize) -> Vec<sock_filter> {
    // A load, and for each leaf but the last one a jump.
    let leaves = length / 2;
    let load = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0);
    [vec![load], tree(0, leaves, NUMBERS.div_ceil(leaves))].concat()
}

/// Each leaf answers so many numbers.
fn tree(first: usize, end: usize, numbers: usize) -> Vec<sock_filter> {
    if end - first == 1 {
        let is_here = |number: &i64| *number as usize / numbers == first;
        let answer = match ALLOWED.iter().any(is_here) {
            true => libc::SECCOMP_RET_ALLOW,
            false => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        };
        return vec![statement(libc::BPF_RET | libc::BPF_K, answer)];
    }
    let middle = first.midpoint(end);
    let (below, above) = (tree(first, middle, numbers), tree(middle, end, numbers));
    let over = u8::try_from(below.len()).expect("half of a filter is in reach of a jump");
    let jump = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let jump = sock_filter { jt: over, ..statement(jump, (middle * numbers) as u32) };
    [vec![jump], below, above].concat()
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Allocates nothing.
pub fn install(filter: &[sock_filter]) -> bool {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the pointer is to a live program of the length that it says, which the kernel copies.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) == 0 }
}
