//! What a worker has of its host's circumstances: nothing that would let it do more, or go on longer.

mod support;
#[path = "support/sys.rs"]
mod sys;

use sandboxed::{Error, sandboxed};
use serde::{Deserialize, Serialize};
use std::fs::read_to_string;
use support::in_child;

#[derive(Debug, Serialize, Deserialize)]
struct Look {
    status: String,
    stat: Vec<String>,
    personality: String,
    oom_score_adj: i32,
    alternate_stack: bool,
    dumpable: i32,
}

impl Look {
    /// Of the calling thread.
    fn around() -> Look {
        let own = |name: &str| read_to_string(format!("/proc/thread-self/{name}")).unwrap();
        let stat = own("stat");
        // The name before may hold spaces.
        let fields = stat.rsplit_once(") ").unwrap().1.split_ascii_whitespace();
        Look {
            status: own("status"),
            stat: fields.map(str::to_owned).collect(),
            personality: own("personality").trim().to_owned(),
            oom_score_adj: own("oom_score_adj").trim().parse().unwrap(),
            alternate_stack: sys::has_alternate_stack(),
            dumpable: sys::prctl(libc::PR_GET_DUMPABLE, 0).unwrap(),
        }
    }

    fn line(&self, name: &str) -> &str {
        let line = self.status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.status)).trim()
    }

    /// By its number in proc_pid_stat(5).
    fn field(&self, number: usize) -> i64 {
        self.stat[number - 3].parse().unwrap()
    }

    fn signals(&self, line: &str) -> u64 {
        u64::from_str_radix(self.line(line), 16).unwrap()
    }
}

const SESSION: usize = 6;
const TTY: usize = 7;
const NICE: usize = 19;
const RT_PRIORITY: usize = 40;
const POLICY: usize = 41;

#[sandboxed(read = "/proc")]
fn look() -> Result<Look, Error> {
    Ok(Look::around())
}

#[sandboxed]
fn is_dumpable() -> Result<i32, Error> {
    Ok(sys::prctl(libc::PR_GET_DUMPABLE, 0).unwrap())
}

#[test]
fn signals_are_as_a_program_begins_with_them() {
    in_child("signals_are_as_a_program_begins_with_them", || {
        let bit = |signal: i32| 1u64 << (signal - 1);
        sys::block(libc::SIGTERM);
        sys::ignore(libc::SIGUSR1);
        sys::catch(libc::SIGUSR2);
        let host = Look::around();
        assert_ne!(host.signals("SigBlk") & bit(libc::SIGTERM), 0);
        assert_ne!(host.signals("SigIgn") & bit(libc::SIGUSR1), 0);
        assert_ne!(host.signals("SigCgt") & bit(libc::SIGUSR2), 0);
        assert!(host.alternate_stack, "the standard library's, in a thread");

        let worker = look().unwrap();
        assert_eq!(worker.signals("SigBlk"), 0);
        assert_eq!(worker.signals("SigIgn"), bit(libc::SIGPIPE));
        assert_eq!(worker.signals("SigCgt"), 0);
        assert!(!worker.alternate_stack);
    });
}

#[test]
fn it_leads_a_session_without_a_terminal() {
    let worker = look().unwrap();
    assert_eq!(worker.field(SESSION).to_string(), worker.line("Pid"));
    assert_eq!(worker.field(TTY), 0);
}

/// The umask is the host's: a looser one would make files readable that the host's are not.
#[test]
fn its_umask_is_the_hosts() {
    in_child("its_umask_is_the_hosts", || {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        assert_eq!(look().unwrap().line("Umask"), "0077");
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        assert_eq!(look().unwrap().line("Umask"), "0022");
    });
}

#[test]
fn it_is_scheduled_as_any_other() {
    in_child("it_is_scheduled_as_any_other", || {
        let ordinary = |look: &Look| (look.field(NICE), look.field(RT_PRIORITY), look.field(POLICY));
        if let Err(errno) = sys::become_realtime() {
            eprintln!("not checked: a real-time host, errno {errno}");
            // A worker is as nice as its host, or nicer.
            let nice = Look::around().field(NICE).max(0);
            return assert_eq!(ordinary(&look().unwrap()), (nice, 0, libc::SCHED_OTHER.into()));
        }
        rustix::process::setpriority_process(None, -5).unwrap();
        let spared = std::fs::write("/proc/self/oom_score_adj", "-500");
        if let Err(error) = &spared {
            eprintln!("not checked: a host that is spared when memory is short: {error}");
        }
        assert_eq!(ordinary(&Look::around()), (-5, 1, libc::SCHED_FIFO.into()));

        let worker = look().unwrap();
        assert_eq!(ordinary(&worker), (0, 0, libc::SCHED_OTHER.into()));
        assert!(worker.oom_score_adj >= 0, "{}", worker.oom_score_adj);
    });
}

#[test]
fn what_is_readable_is_not_executable() {
    in_child("what_is_readable_is_not_executable", || {
        sys::make_readable_executable();
        assert_eq!(Look::around().personality, "00400000");
        assert_eq!(look().unwrap().personality, "00000000");
    });
}

/// Where it may look at itself in `/proc` it must be: the files there would be root's.
#[test]
fn it_is_not_dumpable() {
    assert_eq!(Look::around().dumpable, 1);
    assert_eq!(is_dumpable().unwrap(), 0);
    assert_eq!(look().unwrap().dumpable, 1);
}
