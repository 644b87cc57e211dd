//! A thread of the kernel's in the process, which works for an io_uring that was made before. It takes requests from
//! memory, past any filter, and acts as the process could when the ring was made: no way of restricting threads changes
//! that, so it is an error.

use crate::cases::{Case, Done};
use crate::crew::{FREE, RESTRICTED, Tried};
use crate::places::{Places, alone};
use crate::processes::{is_rerun, wait_until};
use crate::ring_support::Ring;
use crate::{TSYNC, abi, restrict, restrict_by_signal};
use sandboxed::{Error, Ran};
use std::path::Path;

pub fn cases() -> Vec<Case> {
    let by_kernel = if abi() < TSYNC { "threads, and restricting them all needs" } else { "iou-sqp-" };
    vec![
        refused("ring::by_kernel", restrict, by_kernel),
        refused("ring::by_signal", restrict_by_signal, "`iou-"),
    ]
}

/// What the ring's thread can open.
fn tried(ring: &Ring, places: &Places) -> Tried {
    Tried { kept: ring.open(&places.kept_file), lost: ring.open(&places.lost_file), ..FREE }
}

fn no_ring(name: &str) -> Option<Done> {
    if abi() == 0 {
        return Some(Done::NotRun("needs Landlock ABI 1, this kernel has 0".into()));
    }
    let error = if is_rerun(name) { None } else { Ring::new().err() };
    error.map(|error| Done::NotRun(format!("needs io_uring with a thread of its own: {error}")))
}

fn refused(name: &'static str, restrict: fn(&Path) -> Result<(), Error>, why: &'static str) -> Case {
    Case::new(name, move || {
        if let Some(not_run) = no_ring(name) {
            return not_run;
        }
        alone(name, |places| {
            let ring = Ring::new().unwrap();
            assert_eq!(tried(&ring, places), FREE);
            let error = restrict(&places.kept).unwrap_err();
            assert!(error.is_launch() && error.to_string().contains(why), "{error}");
            assert_eq!(error.ran(), Ran::No);
            assert_eq!([Tried::now(places), tried(&ring, places)], [FREE; 2]);
            // Without it there is no reason any more, once its threads are gone.
            drop(ring);
            wait_until("this is the only thread", || {
                std::fs::read_dir("/proc/self/task").unwrap().count() == 1
            });
            restrict(&places.kept).unwrap();
            assert_eq!(Tried::now(places), RESTRICTED);
        });
        Done::Ran
    })
}
