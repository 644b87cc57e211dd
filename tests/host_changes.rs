//! A worker is never freer than its host: one that forked, or changed who it is, gets a forkserver that is like it,
//! or an error.

#[path = "support/processes.rs"]
mod processes;
mod support;
#[path = "support/sys.rs"]
mod sys;

use processes::{Process, own_descriptors, status_line};
use sandboxed::{Error, Ran, sandboxed};
use support::in_child;

/// `/proc/self/status` of a worker, and its template.
#[sandboxed(read = "/proc")]
fn status() -> Result<(String, i32), Error> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    Ok((status, std::os::unix::process::parent_id().cast_signed()))
}

/// `/proc/self/status` of a worker, and its forkserver.
fn look() -> Result<(String, i32), Error> {
    status().map(|(status, template)| (status, processes::forkserver_of(template)))
}

#[sandboxed]
fn template() -> i32 {
    std::os::unix::process::parent_id().cast_signed()
}

fn forkserver() -> i32 {
    processes::forkserver_of(template())
}

/// Runs `body` in a process with one thread: the harness's has two.
fn alone(name: &str, body: impl FnOnce()) {
    in_child(name, || {
        let child = sys::fork(body);
        let status = sys::wait_for(child);
        assert!(status.success(), "{status}");
    });
}

fn needs_root(what: &str) -> bool {
    if !sys::is_root() {
        eprintln!("not checked: {what} needs root");
    }
    sys::is_root()
}

/// That the host, before and after `change`, has workers of its own kind: in the given lines of `status` they are
/// what the host is. The old forkserver goes.
fn assert_workers_follow(lines: &[&str], change: impl FnOnce()) {
    let (_, before) = look().unwrap();
    let before = Process::of(before);
    change();
    let (worker, after) = look().unwrap();
    let after = Process::of(after);
    assert_ne!(before, after, "the same forkserver serves");
    let host = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    for line in lines {
        assert_eq!(status_line(&worker, line), status_line(&host, line), "{line}");
    }
    assert_eq!(look().unwrap().1, after.pid, "the new one stays");
    before.until_gone();
}

const IDS: [&str; 3] = ["Uid", "Gid", "Groups"];

#[test]
fn ids_that_were_given_up() {
    if !needs_root("giving up root") {
        return;
    }
    alone("ids_that_were_given_up", || {
        assert_workers_follow(&IDS, || sys::become_user(sys::NOBODY));
        assert_eq!(status_line(&look().unwrap().0, "Uid"), "65534 65534 65534 65534");
    });
}

#[test]
fn ids_that_were_given_up_but_for_the_saved_one() {
    if !needs_root("giving up root") {
        return;
    }
    alone("ids_that_were_given_up_but_for_the_saved_one", || {
        look().unwrap();
        sys::set_user(Some(sys::NOBODY), Some(sys::NOBODY), Some(0));
        let (worker, _) = look().unwrap();
        assert_eq!(status_line(&worker, "Uid"), "65534 65534 65534 65534", "a worker has no way back");
    });
}

#[test]
fn an_effective_id_alone_is_an_error_and_not_a_root_worker() {
    if !needs_root("giving up root for a while") {
        return;
    }
    alone("an_effective_id_alone_is_an_error_and_not_a_root_worker", || {
        look().unwrap();
        sys::set_user(None, Some(sys::NOBODY), None);
        let error = look().unwrap_err();
        assert!(error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::No);
        sys::set_user(None, Some(0), None);
        look().unwrap();
    });
}

#[test]
fn groups_that_were_given_up() {
    if !needs_root("giving up groups") {
        return;
    }
    alone("groups_that_were_given_up", || {
        let groups = rustix::thread::set_thread_groups;
        groups(&[rustix::process::Gid::from_raw(12_345)]).unwrap();
        assert_eq!(status_line(&look().unwrap().0, "Groups"), "12345");
        assert_workers_follow(&IDS, sys::drop_groups);
        assert_eq!(status_line(&look().unwrap().0, "Groups"), "");
    });
}

const CAP_NET_BIND_SERVICE: u64 = 10;

/// A port that only root may bind to, so its worker keeps the capability for it.
#[sandboxed(best_effort, read = "/proc", tcp_bind = 80)]
fn look_beside_port_80() -> Result<String, Error> {
    Ok(std::fs::read_to_string("/proc/self/status").unwrap())
}

/// The capabilities of such a worker, in a line of its status.
fn kept(line: &str) -> u64 {
    u64::from_str_radix(&status_line(&look_beside_port_80().unwrap(), line), 16).unwrap()
}

#[test]
fn a_worker_of_root_has_no_capabilities() {
    if !needs_root("a worker of root") {
        return;
    }
    alone("a_worker_of_root_has_no_capabilities", || {
        let worker = look().unwrap().0;
        for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status_line(&worker, line), "0000000000000000", "{line}");
        }
        assert_eq!(status_line(&worker, "Uid"), "0 0 0 0");
        for line in ["CapPrm", "CapEff"] {
            assert_eq!(kept(line), 1 << CAP_NET_BIND_SERVICE, "{line}");
        }
        assert_eq!((kept("CapInh"), kept("CapBnd"), kept("CapAmb")), (0, 0, 0));
    });
}

#[test]
fn a_capability_that_was_given_up() {
    if !needs_root("giving up a capability") {
        return;
    }
    alone("a_capability_that_was_given_up", || {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        assert_ne!(kept("CapEff"), 0);
        // Root has all of them again after an exec, were it not for no_new_privs.
        assert_workers_follow(&["Uid"], || {
            let mut sets = capabilities(None).unwrap();
            sets.effective -= CapabilitySet::NET_BIND_SERVICE;
            sets.permitted -= CapabilitySet::NET_BIND_SERVICE;
            set_capabilities(None, sets).unwrap();
        });
        assert_eq!((kept("CapEff"), kept("CapPrm")), (0, 0));
    });
}

#[test]
fn a_capability_that_cannot_be_had_again() {
    if !needs_root("giving up a capability") {
        return;
    }
    alone("a_capability_that_cannot_be_had_again", || {
        assert_ne!(kept("CapEff"), 0);
        assert_workers_follow(&["Uid"], || {
            sys::prctl(libc::PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE).unwrap();
        });
        assert_eq!((kept("CapEff"), kept("CapPrm")), (0, 0));
    });
}

#[test]
fn no_new_privs() {
    alone("no_new_privs", || {
        assert_workers_follow(&["NoNewPrivs"], || {
            sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).unwrap();
        });
    });
}

#[test]
fn a_namespace_that_was_left() {
    alone("a_namespace_that_was_left", || {
        let own = || if sys::is_root() { 0 } else { libc::CLONE_NEWUSER };
        look().unwrap();
        if let Err(errno) = sys::unshare(own() | libc::CLONE_NEWUTS) {
            return eprintln!("not checked: namespaces cannot be left here (errno {errno})");
        }
        let host = std::fs::read_link("/proc/self/ns/uts").unwrap();
        assert_eq!(namespace().unwrap(), host.to_str().unwrap());
    });
}

#[sandboxed(read = "/proc")]
fn namespace() -> Result<String, Error> {
    Ok(std::fs::read_link("/proc/self/ns/uts").unwrap().to_str().unwrap().to_owned())
}

#[test]
fn a_pid_namespace_for_children_is_an_error_or_followed() {
    alone("a_pid_namespace_for_children_is_an_error_or_followed", || {
        let own = if sys::is_root() { 0 } else { libc::CLONE_NEWUSER };
        if let Err(errno) = sys::unshare(own | libc::CLONE_NEWPID) {
            return eprintln!("not checked: namespaces cannot be left here (errno {errno})");
        }
        // The intermediate process is the first of the new namespace, and ends it with itself.
        let error = look().unwrap_err();
        assert!(error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::No);
    });
}

#[test]
fn another_root_without_proc_is_an_error() {
    if !needs_root("chroot") {
        return;
    }
    alone("another_root_without_proc_is_an_error", || {
        look().unwrap();
        let root = tempfile::tempdir().unwrap();
        rustix::process::chroot(root.path()).unwrap();
        let error = look_without_files().unwrap_err();
        assert!(error.is_launch(), "{error}");
        assert_eq!(error.ran(), Ran::No);
        std::mem::forget(root);
    });
}

#[sandboxed]
fn look_without_files() -> Result<(), Error> {
    Ok(())
}

#[test]
fn another_filter() {
    alone("another_filter", || {
        assert_eq!(uname(), 0);
        assert_workers_follow(&["Seccomp"], || {
            sys::refuse_call(libc::SYS_uname, libc::ENOTTY);
        });
        assert_eq!(uname(), libc::ENOTTY, "the worker is under the host's filter");
        // One more filter is one more change.
        assert_workers_follow(&["Seccomp"], || sys::refuse_call(libc::SYS_getpgid, libc::ENOTTY));
    });
}

/// The errno of `uname(2)`.
#[sandboxed]
fn uname() -> i32 {
    sys::uname().err().unwrap_or(0)
}

#[test]
fn the_filter_of_one_thread_is_for_its_workers_alone() {
    in_child("the_filter_of_one_thread_is_for_its_workers_alone", || {
        let free = forkserver();
        let filtered = std::thread::spawn(|| {
            sys::refuse_call(libc::SYS_uname, libc::ENOTTY);
            (forkserver(), uname())
        });
        let (of_filtered, errno) = filtered.join().unwrap();
        assert_ne!(free, of_filtered);
        assert_eq!(errno, libc::ENOTTY);
        assert_eq!(uname(), 0);
    });
}

#[test]
fn a_forked_child_starts_its_own() {
    in_child("a_forked_child_starts_its_own", || {
        sandboxed::start().unwrap();
        let control: Vec<_> =
            own_descriptors().into_values().filter(|target| target.starts_with("socket:")).collect();
        assert_eq!(control.len(), 1);
        let ours = Process::of(forkserver());
        let child = sys::fork(|| {
            let theirs = forkserver();
            assert_ne!(theirs, ours.pid);
            assert_eq!(forkserver(), theirs);
            // The parent's socket is not the child's to hold.
            assert!(!own_descriptors().values().any(|target| *target == control[0]));
            // Nor is it the child's to end.
            assert!(!ours.is_gone());
        });
        // Both at work at once.
        for _ in 0..20 {
            assert_eq!(forkserver(), ours.pid);
        }
        let status = sys::wait_for(child);
        assert!(status.success(), "{status}");
        assert_eq!(forkserver(), ours.pid);
    });
}

#[test]
fn a_forked_child_keeps_what_it_opened_in_place_of_the_parents_socket() {
    in_child("a_forked_child_keeps_what_it_opened_in_place_of_the_parents_socket", || {
        sandboxed::start().unwrap();
        let sockets = own_descriptors().into_iter().filter(|(_, target)| target.starts_with("socket:"));
        let [(number, _)] = sockets.collect::<Vec<_>>()[..] else { panic!("one socket expected") };
        forkserver();
        let child = sys::fork(|| {
            let file = std::fs::File::open("/dev/zero").unwrap();
            sys::replace(number, &file);
            forkserver();
            assert_eq!(own_descriptors().get(&number).map(String::as_str), Some("/dev/zero"));
        });
        let status = sys::wait_for(child);
        assert!(status.success(), "{status}");
    });
}

#[test]
fn a_forked_childs_forkserver_ends_with_it() {
    in_child("a_forked_childs_forkserver_ends_with_it", || {
        let (read, write) = std::io::pipe().unwrap();
        let child = sys::fork(|| {
            let pid = forkserver();
            std::io::Write::write_all(&mut &write, &pid.to_ne_bytes()).unwrap();
            // Until the parent has looked.
            std::thread::sleep(std::time::Duration::from_millis(500));
        });
        drop(write);
        let mut pid = [0; 4];
        std::io::Read::read_exact(&mut &read, &mut pid).unwrap();
        let server = Process::of(i32::from_ne_bytes(pid));
        sys::wait_for(child);
        server.until_gone();
    });
}

/// Runs a test of this executable as pid 1 of a namespace.
#[test]
fn pid_1_of_a_namespace() {
    const NAME: &str = "pid_1_of_a_namespace";
    if processes::is_rerun(NAME) {
        assert_eq!(std::process::id(), 1);
        let server = Process::of(forkserver());
        assert_eq!(forkserver(), server.pid);
        server.kill();
        // Documented: here it is a child of ours, whom nobody else asks for its status.
        processes::wait_until("it is gone", || server.is_gone());
        assert_ne!(forkserver(), server.pid);
        return;
    }
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["--fork", "--pid", "--mount-proc"]);
    if !sys::is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let possible =
        std::process::Command::new(unshare.get_program()).args(unshare.get_args()).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return eprintln!("not checked: pid namespaces cannot be made here");
    }
    let inner = processes::rerun(&std::env::current_exe().unwrap(), NAME);
    unshare.arg(inner.get_program()).args(inner.get_args());
    unshare.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    processes::assert_passes(unshare);
}

#[test]
fn a_umask_that_was_changed() {
    alone("a_umask_that_was_changed", || {
        assert_workers_follow(&["Umask"], || {
            rustix::process::umask(rustix::fs::Mode::from(0o077));
        });
    });
}

#[sandboxed(in_place, read = "/usr")]
fn restrict() -> Result<(), Error> {
    Ok(())
}

#[sandboxed(read = "/etc")]
fn peek() -> std::io::Result<usize> {
    std::fs::read("/etc/passwd").map(|bytes| bytes.len())
}

/// The effective user of a worker, by a call that needs no file.
#[sandboxed]
fn user() -> Result<u32, Error> {
    Ok(rustix::process::geteuid().as_raw())
}

/// After `in_place` the thread may not read who it is, and the last forkserver must neither serve it as somebody else
/// nor go.
#[test]
fn a_thread_that_changes_after_in_place_is_an_error() {
    if !needs_root("a thread with another user") {
        return;
    }
    alone("a_thread_that_changes_after_in_place_is_an_error", || {
        restrict().unwrap();
        assert_eq!(user().unwrap(), 0);
        let changed = std::thread::spawn(|| {
            sys::set_effective_user_of_thread(65534);
            user().unwrap_err()
        });
        let error = changed.join().unwrap();
        assert!(error.is_launch() && error.to_string().contains("might be freer"), "{error}");
        assert_eq!(user().unwrap(), 0, "the forkserver is still there for the others");
    });
}

/// A forkserver whose table of descriptors is full loses the rulesets that it is to take on.
#[test]
fn a_restriction_that_is_lost_on_the_way_is_an_error() {
    alone("a_restriction_that_is_lost_on_the_way_is_an_error", || {
        assert!(peek().unwrap() > 0);
        // It polls three, and has these numbers in use.
        sys::limit_process(forkserver(), libc::RLIMIT_NOFILE, 5);
        let error = restrict().unwrap_err();
        assert!(error.is_launch(), "{error}");
        // Nothing was restricted, and the next forkserver has room.
        assert!(std::fs::read("/etc/passwd").is_ok());
        assert!(peek().unwrap() > 0);
        restrict().unwrap();
        assert_eq!(peek().unwrap_err().raw_os_error(), Some(libc::EACCES), "a worker is as restricted");
    });
}

/// Someone else's filter that refuses every unknown option of `prctl` looks like a sandbox of ours.
#[test]
fn a_foreign_filter_that_answers_like_ours_is_an_error_and_no_thread_of_the_host() {
    const NAME: &str = "a_foreign_filter_that_answers_like_ours_is_an_error_and_no_thread_of_the_host";
    alone(NAME, || {
        sys::refuse_call(libc::SYS_prctl, libc::EACCES);
        let error = user().unwrap_err();
        assert!(error.to_string().contains("somebody else's"), "{error}");
        assert_eq!(error.ran(), Ran::No);
    });
}
