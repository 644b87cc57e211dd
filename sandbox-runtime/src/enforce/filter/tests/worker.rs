//! A worker is denied what no grant needs: calls by name, and those that are looked at by their arguments.

use super::*;
use crate::enforce::filter::calls::Purpose;
use crate::enforce::filter::verdict::{FCNTLS, IOCTLS, PRCTLS, REFUSED_IOCTLS, THREAD};
use crate::enforce::mark;

const INET: u64 = libc::AF_INET as u64;
const UNIX: u64 = libc::AF_UNIX as u64;
const STREAM: u64 = libc::SOCK_STREAM as u64;
const DGRAM: u64 = libc::SOCK_DGRAM as u64;
const TRAP: u32 = Action::Trap.value();
const EXEC: u64 = libc::PROT_EXEC as u64;
const READ: u64 = libc::PROT_READ as u64;

fn grants_nothing() -> FilterPlan {
    nothing(Placement::Process)
}

fn grants_everything() -> FilterPlan {
    most(Placement::Process)
}

/// The same answer whatever the grants are.
#[track_caller]
fn always(table: &[(&str, &[u64], u32)]) {
    check_pinned(&grants_nothing(), table);
    check_pinned(&grants_everything(), table);
}

/// What computing takes, by allocators, threads, locks, clocks and what is open.
#[test]
fn computing_needs_no_grant() {
    let names = "read write readv writev pread64 pwrite64 close close_range lseek fstat dup dup2 dup3 poll ppoll select \
        pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 pipe2 munmap mremap madvise brk msync mincore \
        mlock munlock futex futex_waitv set_robust_list rseq membarrier set_tid_address sched_yield exit exit_group \
        rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack getrandom clock_gettime clock_getres clock_nanosleep \
        nanosleep gettimeofday timer_create timer_settime timerfd_create getpid gettid getppid getuid geteuid getgid \
        getegid uname sysinfo getrusage times getcpu sched_getaffinity umask restart_syscall ftruncate fsync fdatasync \
        recvfrom recvmsg accept4 shutdown getsockname getsockopt copy_file_range sendfile splice wait4 flock getdents64 \
        landlock_create_ruleset landlock_add_rule landlock_restrict_self getcwd fchdir arch_prctl setrlimit";
    for name in names.split_ascii_whitespace() {
        always(&[(name, &[], ALLOW)]);
    }
}

/// What musl calls for threads, memory, stdio and an abort, by its sources (`src/thread`, `src/malloc`, `src/stdio`,
/// `src/exit`).
#[test]
fn a_program_with_musl_computes_too() {
    let names = "mmap munmap mremap madvise brk futex set_tid_address set_robust_list rt_sigprocmask rt_sigaction \
        sigaltstack membarrier sched_yield exit exit_group readv writev lseek close fstat gettid getpid clock_gettime \
        clock_nanosleep getrandom dup3 pipe2 poll ppoll sched_getaffinity rt_sigreturn prlimit64";
    for name in names.split_ascii_whitespace() {
        always(&[(name, &[], ALLOW)]);
    }
    // pthread_create; isatty; raise, which names the thread alone.
    let unlimited = FilterPlan { threads: false, ..grants_nothing() };
    check_pinned(&unlimited, &[("clone", &[0x007d_0f00], ALLOW), ("tkill", &[100, 6], ALLOW)]);
    always(&[
        ("ioctl", &[1, 0x5413], ALLOW),
        ("mprotect", &[0, 4096, READ | libc::PROT_WRITE as u64], ALLOW),
    ]);
    // What it tries first and can do without: the answer lets it.
    check(&grants_nothing(), &[("statx", &[], ENOSYS), ("faccessat2", &[], ENOSYS)]);
}

/// With every grant that there is, none of them.
#[test]
fn what_no_grant_needs_is_never_allowed() {
    let names = "io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key bpf perf_event_open userfaultfd \
        ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_open pidfd_getfd \
        pidfd_send_signal kcmp open_by_handle_at name_to_handle_at mount umount2 pivot_root chroot fsopen fsconfig fsmount \
        fspick open_tree open_tree_attr move_mount mount_setattr statmount listmount unshare setns listns init_module \
        finit_module delete_module kexec_load kexec_file_load swapon swapoff reboot acct quotactl quotactl_fd syslog \
        sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex setuid setgid setreuid setregid \
        setresuid setresgid setfsuid setfsgid setgroups capset capget personality inotify_init1 inotify_add_watch \
        fanotify_init fanotify_mark shmget shmat shmctl semget semop msgget msgsnd mq_open mq_notify memfd_secret \
        sched_setscheduler sched_setparam sched_setattr ioprio_set ioprio_get migrate_pages move_pages mbind vmsplice \
        sync syncfs vhangup remap_file_pages lsm_set_self_attr io_setup io_submit";
    for name in names.split_ascii_whitespace() {
        always(&[(name, &[], REFUSED)]);
    }
    always(&[("clone3", &[], ENOSYS), ("iopl", &[3], REFUSED), ("modify_ldt", &[], REFUSED)]);
}

#[test]
fn unknown_numbers_do_not_exist() {
    for (arch, unused) in
        [(&X86_64, [336, 400, 472, 511, 1 << 29]), (&AARCH64, [244, 300, 472, 511, 1 << 31])]
    {
        for number in unused {
            let call = Seen { number, arch: arch.audit, arguments: [0; 6] };
            assert_eq!(machine::run(&program(&grants_everything(), arch), &call), ENOSYS, "{number}");
        }
    }
}

#[test]
fn files_are_named_where_files_are_granted() {
    for call in CALLS.iter().filter(|call| call.purpose == Purpose::Paths) {
        let gone = ["statx", "openat2", "faccessat2"].contains(&call.name);
        let refused = if gone { ENOSYS } else { EACCES };
        check(&grants_nothing(), &[(call.name, &[], refused)]);
        check(&grants_everything(), &[(call.name, &[], ALLOW)]);
    }
    let empty = libc::AT_EMPTY_PATH as u64;
    check(
        &grants_nothing(),
        &[
            ("newfstatat", &[0, 0, 0, empty], TRAP),
            ("newfstatat", &[0, 0, 0, empty | 0x100], TRAP),
            ("newfstatat", &[0, 0, 0, 0x100], EACCES),
            ("fstat", &[], ALLOW),
        ],
    );
}

/// A sandbox inside opens what it grants.
#[test]
fn paths_are_opened_for_nothing_where_sockets_are_granted() {
    let path = libc::O_PATH as u64;
    let sockets = FilterPlan { sockets: Sockets { unix: true, ..Sockets::default() }, ..grants_nothing() };
    check(&sockets, &[("open", &[0, path], ALLOW), ("openat", &[0, 0, path | HIGH], ALLOW)]);
    check(&sockets, &[("open", &[0, 0], EACCES), ("openat", &[0, 0, 0], EACCES), ("stat", &[], EACCES)]);
    check(&grants_nothing(), &[("open", &[0, path], EACCES), ("openat", &[0, 0, path], EACCES)]);
}

#[test]
fn files_are_opened_for_writing_where_that_is_granted() {
    let reads = FilterPlan { paths: false, truncate: false, ..grants_nothing() };
    let [write, both, neither, truncate] =
        [libc::O_WRONLY, libc::O_RDWR, libc::O_ACCMODE, libc::O_TRUNC].map(|flags| flags as u64);
    let other = (libc::O_CREAT | libc::O_CLOEXEC) as u64;
    for flags in [write, both, truncate, neither | truncate, write | other, both | HIGH] {
        check(&reads, &[("open", &[0, flags], EACCES), ("openat", &[0, 0, flags], EACCES)]);
        check(&grants_everything(), &[("open", &[0, flags], ALLOW), ("openat", &[0, 0, flags], ALLOW)]);
    }
    for flags in [0, neither, other, other | HIGH] {
        check(&reads, &[("open", &[0, flags], ALLOW), ("openat", &[0, 0, flags], ALLOW)]);
    }
    check(
        &reads,
        &[
            ("creat", &[], EACCES),
            ("truncate", &[], EACCES),
            ("openat2", &[], ENOSYS),
            ("mkdir", &[], ALLOW),
            ("stat", &[], ALLOW),
        ],
    );
}

/// The clock of a process is a negative number: the process's negated, above three bits.
#[test]
fn time_is_the_clocks_and_its_own() {
    let of = |pid: i32| u64::from(((!pid << 3) | 2).cast_unsigned());
    for name in ["clock_gettime", "clock_getres", "clock_nanosleep", "timer_create"] {
        always(&[
            (name, &[0], ALLOW),
            (name, &[3 | HIGH], ALLOW),
            (name, &[11], ALLOW),
            (name, &[of(0)], REFUSED),
            (name, &[of(1)], REFUSED),
            (name, &[of(100) | HIGH], REFUSED),
            (name, &[of(1 << 21)], REFUSED),
        ]);
    }
}

#[test]
fn metadata_is_changed_where_that_is_allowed() {
    let by_descriptor = FilterPlan { metadata: false, ..grants_nothing() };
    for call in CALLS.iter().filter(|call| call.purpose == Purpose::Metadata) {
        check(&grants_nothing(), &[(call.name, &[], EACCES)]);
        check(&grants_everything(), &[(call.name, &[], ALLOW)]);
        let open = ["fchmod", "fchown", "fsetxattr", "fremovexattr"].contains(&call.name);
        // A null path is that of the descriptor.
        let expected = if open || call.name == "utimensat" { ALLOW } else { EACCES };
        check(&by_descriptor, &[(call.name, &[], expected)]);
    }
    check(&by_descriptor, &[("utimensat", &[3, HIGH], EACCES), ("utimensat", &[3, 1], EACCES)]);
}

#[test]
fn memory_is_made_executable_where_programs_may_be_run() {
    let anonymous = (libc::MAP_ANONYMOUS | libc::MAP_PRIVATE) as u64;
    let private = libc::MAP_PRIVATE as u64;
    check(
        &grants_nothing(),
        &[
            ("mmap", &[0, 4096, READ | EXEC, private], EACCES),
            ("mmap", &[0, 4096, EXEC | HIGH, private | HIGH], EACCES),
            ("mmap", &[0, 4096, READ, private], ALLOW),
            ("mmap", &[0, 4096, READ | EXEC, anonymous], ALLOW),
            ("mprotect", &[0, 4096, READ | EXEC], EACCES),
            ("pkey_mprotect", &[0, 4096, EXEC], EACCES),
            ("mprotect", &[0, 4096, READ], ALLOW),
            ("mprotect", &[0, 4096, 0], ALLOW),
            ("execve", &[], EACCES),
            ("execveat", &[], EACCES),
            ("memfd_create", &[0, 8], REFUSED),
        ],
    );
    check(
        &grants_everything(),
        &[
            ("mmap", &[0, 4096, READ | EXEC, private], ALLOW),
            ("mprotect", &[0, 4096, READ | EXEC], ALLOW),
            ("execve", &[], ALLOW),
            ("memfd_create", &[0, 8], ALLOW),
            // It could be executed past Landlock.
            ("memfd_create", &[0, 0], EACCES),
        ],
    );
}

/// The filter, then what the worker pins: its own number 100 under the forkserver's 99.
#[track_caller]
fn check_pinned(plan: &FilterPlan, table: &[(&str, &[u64], u32)]) {
    let pid = |pid| Pid::from_raw(pid).unwrap();
    for (name, arguments, expected) in table {
        let found = answers(name, arguments, |arch| {
            let pins =
                pins::Template::new(Pins::of(plan).unwrap(), arch, [pid(99), pid(98)]).program(pid(100));
            assert!(machine::is_well_formed(&pins));
            vec![program(plan, arch), pins]
        });
        assert!(found.iter().all(|found| found == expected), "{name}{arguments:x?}: {found:x?}");
    }
}

#[test]
fn threads_are_made_and_processes_where_programs_may_be_run() {
    let thread = u64::from(THREAD);
    let of_glibc = 0x003d_0f00;
    let of_musl = 0x007d_0f00;
    let fork = 0x0120_0011;
    let vfork = (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as u64;
    let both: &[(&str, &[u64], u32)] = &[
        ("clone", &[thread], ALLOW),
        ("clone", &[of_glibc], ALLOW),
        ("clone", &[of_musl | HIGH], ALLOW),
        ("clone", &[thread & !libc::CLONE_VM as u64], REFUSED),
        ("clone", &[thread | libc::CLONE_NEWUSER as u64], REFUSED),
        ("clone", &[thread | libc::CLONE_UNTRACED as u64], REFUSED),
        ("clone", &[fork | libc::CLONE_NEWPID as u64], REFUSED),
        ("clone", &[fork | libc::CLONE_PARENT as u64], REFUSED),
        ("clone", &[fork | libc::CLONE_PTRACE as u64], REFUSED),
        ("clone", &[fork | libc::CLONE_PIDFD as u64], REFUSED),
    ];
    for flag in [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        check_pinned(&grants_everything(), &[("clone", &[fork | u64::from(flag.cast_unsigned())], REFUSED)]);
    }
    let threads = FilterPlan { threads: false, ..grants_nothing() };
    check_pinned(&threads, both);
    check_pinned(&grants_everything(), both);
    // One thread is one, also where programs may be run.
    let one_thread = FilterPlan { threads: true, ..grants_everything() };
    for (name, arguments) in
        [("clone", thread), ("clone", of_musl), ("clone", fork), ("fork", 0), ("vfork", 0)]
    {
        check_pinned(&one_thread, &[(name, &[arguments], REFUSED)]);
    }
    for (name, arguments) in [("clone", fork), ("clone", vfork), ("fork", 0), ("vfork", 0)] {
        check_pinned(&threads, &[(name, &[arguments], REFUSED)]);
        check_pinned(&grants_everything(), &[(name, &[arguments], ALLOW)]);
        // What is to fork workers is not pinned.
        check(&grants_nothing(), &[(name, &[arguments], ALLOW)]);
    }
    check_pinned(&grants_nothing(), &[("setsid", &[], REFUSED), ("setpgid", &[], REFUSED)]);
    check_pinned(&grants_everything(), &[("setsid", &[], ALLOW), ("setpgid", &[], ALLOW)]);
}

#[test]
fn signals_stay_inside() {
    let minus = |pid: i64| pid.cast_unsigned();
    for name in ["kill", "tgkill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"] {
        check_pinned(
            &grants_nothing(),
            &[
                (name, &[100], ALLOW),
                (name, &[100 | HIGH], ALLOW),
                (name, &[99], REFUSED),
                (name, &[1], REFUSED),
                (name, &[0], REFUSED),
                (name, &[minus(-1)], REFUSED),
            ],
        );
        check_pinned(
            &grants_everything(),
            &[
                (name, &[100], ALLOW),
                (name, &[1], ALLOW),
                (name, &[0], ALLOW),
                (name, &[99], REFUSED),
                (name, &[99 | HIGH], REFUSED),
                (name, &[minus(-99)], REFUSED),
                (name, &[minus(-1)], REFUSED),
            ],
        );
    }
}

#[test]
fn others_are_not_asked_about() {
    let of_itself = "getpgid getsid sched_getparam sched_getscheduler sched_getattr sched_rr_get_interval sched_setaffinity \
        get_robust_list prlimit64";
    for name in of_itself.split_ascii_whitespace() {
        always(&[
            (name, &[0], ALLOW),
            (name, &[1], REFUSED),
            (name, &[100], REFUSED),
            (name, &[HIGH], ALLOW),
        ]);
    }
    for name in ["getpriority", "setpriority"] {
        always(&[(name, &[0, 0], ALLOW), (name, &[0, 1], REFUSED), (name, &[1, 0], REFUSED)]);
    }
}

#[test]
fn requests_are_listed() {
    for request in IOCTLS.map(u64::from) {
        always(&[("ioctl", &[0, request], ALLOW), ("ioctl", &[0, request | HIGH], ALLOW)]);
    }
    for request in REFUSED_IOCTLS.map(u64::from) {
        always(&[("ioctl", &[0, request], EACCES), ("ioctl", &[0, request | HIGH], EACCES)]);
    }
    let get_serial = 0x541e;
    check(&grants_nothing(), &[("ioctl", &[0, get_serial], EACCES)]);
    check(&grants_everything(), &[("ioctl", &[0, get_serial], ALLOW)]);
    // BTRFS_IOC_SNAP_DESTROY, SIOCGIFNAME, FS_IOC_ADD_ENCRYPTION_KEY, FIFREEZE.
    for request in [0x5000_940f, 0x8910, 0xc050_6617, 0xc004_5877] {
        always(&[("ioctl", &[0, request], EACCES)]);
    }

    for command in FCNTLS.map(u64::from) {
        always(&[("fcntl", &[0, command], ALLOW)]);
    }
    // F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ
    for command in [8, 10, 15, 1024, 1026, 1031, 8 | HIGH] {
        always(&[("fcntl", &[0, command], REFUSED)]);
    }

    let mark = u64::from(mark::option(Placement::Process));
    always(&[("prctl", &[mark], EACCES), ("prctl", &[mark | HIGH], EACCES), ("prctl", &[mark + 1], REFUSED)]);
    for option in PRCTLS.map(u64::from) {
        always(&[("prctl", &[option], ALLOW)]);
    }
    // PDEATHSIG, DUMPABLE, KEEPCAPS, SECCOMP, TSC, SECUREBITS, MM, CHILD_SUBREAPER, CAP_AMBIENT, PTRACER
    for option in [1, 4, 8, 22, 26, 28, 35, 36, 47, 0x5961_6d61] {
        always(&[("prctl", &[option], REFUSED)]);
    }

    always(&[
        ("seccomp", &[1, 0], ALLOW),
        ("seccomp", &[1, 1], ALLOW),
        ("seccomp", &[2, 0], ALLOW),
        // With a listener, and without the mitigations of speculation.
        ("seccomp", &[1, 8], REFUSED),
        ("seccomp", &[1, 4], REFUSED),
        ("seccomp", &[0, 0], REFUSED),
        ("seccomp", &[3, 0], REFUSED),
    ]);
}

#[test]
fn sockets_are_made_as_granted() {
    let nonblock = libc::SOCK_NONBLOCK as u64;
    check(
        &grants_nothing(),
        &[
            ("socket", &[INET, STREAM, 0], EACCES),
            ("socket", &[UNIX, STREAM, 0], EACCES),
            ("socketpair", &[UNIX, STREAM | nonblock, 0], ALLOW),
            ("socketpair", &[UNIX, DGRAM, 0], EACCES),
            ("socketpair", &[UNIX | HIGH, libc::SOCK_RAW as u64, 0], EACCES),
            ("socketpair", &[INET, STREAM, 0], EACCES),
            ("bind", &[], EACCES),
            ("connect", &[], EACCES),
            ("listen", &[], EACCES),
            ("sendto", &[0, 0, 0, 0, 0], ALLOW),
            ("sendto", &[0, 0, 0, 0, 1], EACCES),
            ("sendto", &[0, 0, 0, 0, HIGH], EACCES),
            ("sendmsg", &[], EACCES),
            ("sendmmsg", &[], EACCES),
            ("setsockopt", &[0, 1, 2], ALLOW),
            ("setsockopt", &[0, 6, 1], ALLOW),
            ("setsockopt", &[0, 0, 1], REFUSED),
        ],
    );
    check(
        &grants_everything(),
        &[
            ("socket", &[INET, STREAM, 6], ALLOW),
            ("socket", &[INET, STREAM | nonblock, 0], ALLOW),
            // MPTCP, SCTP, raw, ping.
            ("socket", &[INET, STREAM, 262], EACCES),
            ("socket", &[INET, STREAM, 132], EACCES),
            ("socket", &[INET, 3, 0], EACCES),
            ("socket", &[INET, DGRAM, 1], EACCES),
            ("socket", &[INET, DGRAM, 17], ALLOW),
            ("socket", &[INET, 5, 0], EACCES),
            ("socket", &[UNIX, DGRAM, 0], ALLOW),
            // Netlink, packet, AF_ALG, vsock.
            ("socket", &[16, 3, 0], EACCES),
            ("socket", &[17, 3, 0], EACCES),
            ("socket", &[38, 5, 0], EACCES),
            ("socket", &[40, 1, 0], EACCES),
            ("socketpair", &[UNIX, DGRAM, 0], ALLOW),
            ("sendmsg", &[], ALLOW),
            ("setsockopt", &[0, 0, 1], ALLOW),
            // Programs for each packet.
            ("setsockopt", &[0, 1, 26], REFUSED),
            ("setsockopt", &[0, 1, 50], REFUSED),
            ("setsockopt", &[0, 6, 31], REFUSED),
            // Netlink's.
            ("setsockopt", &[0, 270, 1], REFUSED),
        ],
    );
}
