//! Listening to audit records, which are switched on meanwhile, and back off after the last that listens.
//!
//! The kernel keeps 64 records for a moment, unless it is told otherwise, and drops those of Landlock beyond; a refusal has
//! four. So room is made, too, and taken back.

use super::netlink::{Control, MARK, PATIENCE, Status, next, records, wait};
use super::records::LANDLOCK_ACCESS;
use super::{Event, Events, Refused};
use crate::error::Cause;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The ABI whose refusals are recorded.
const RECORDED: u32 = 7;
/// Room for records in the kernel: some 8 MiB if it is ever full.
const BACKLOG: u32 = 8192;

/// Whether auditing may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enable {
    /// It is on already, or there are no records.
    Never,
    /// It is switched on (`audit_enabled`), and has room for 8192 records (`audit_backlog_limit`), while somebody listens.
    /// A program that is killed, or aborts, leaves it so.
    IfNeeded,
}

/// Why records cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Landlock is older than its records.
    #[error("refusals are recorded from Landlock ABI 7 on, this kernel has {abi}")]
    Abi {
        /// What there is.
        abi: u32,
    },
    /// The kernel has no auditing.
    #[error("this kernel has no auditing")]
    NoAudit,
    /// A privilege is missing.
    #[error("{needs} is needed, in the initial user and pid namespaces")]
    NotPermitted {
        /// The capability.
        needs: &'static str,
    },
    /// It is off and may not be switched on ([`Enable::Never`]).
    #[error("auditing is off (`audit_enabled`)")]
    Off,
    /// An exclude rule of this machine hides all refusals.
    #[error("an audit rule of this machine excludes the records of Landlock's refusals (`auditctl -l`)")]
    Excluded,
    /// Records do not come through.
    #[error("no record is heard: this is not the initial network namespace, or an audit rule drops them")]
    Unheard,
    /// Another failure.
    #[error("{what}: {cause}")]
    Failed {
        /// What failed.
        what: &'static str,
        /// With what.
        cause: Cause,
    },
}

/// What may be missing from what was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many records the kernel dropped since the listener began, of any process.
    pub lost: u32,
    /// Records came faster than they were taken, and some were dropped.
    pub overrun: bool,
    /// Types of records that rules of this machine hide, perhaps of some processes only.
    pub hidden: Vec<u16>,
    /// Somebody switched auditing off meanwhile.
    pub off: bool,
    /// A drain ended before all that came before it was heard.
    pub unheard: bool,
}

impl Gaps {
    /// Whether everything was heard.
    pub fn is_empty(&self) -> bool {
        *self == Gaps::default()
    }
}

/// Hears the records of all processes.
pub struct Listener {
    records: OwnedFd,
    control: Control,
    events: Events,
    /// Who gives the switch back: not a child that was forked meanwhile.
    owner: Pid,
    lost_before: u32,
    overrun: bool,
    unheard: bool,
}

/// Those of this process that listen.
struct Listeners {
    count: usize,
    /// What was changed for them: what there was before.
    enabled: Option<u32>,
    backlog: Option<u32>,
}

static LISTENERS: Mutex<Listeners> = Mutex::new(Listeners { count: 0, enabled: None, backlog: None });

impl Listener {
    /// Listens, from now on.
    ///
    /// # Errors
    ///
    /// Why there are no records here; then nothing is changed.
    pub fn new(enable: Enable) -> Result<Listener, Unavailable> {
        let abi = crate::kernel().abi;
        if abi < RECORDED {
            return Err(Unavailable::Abi { abi });
        }
        let mut control =
            Control::open().map_err(|errno| failed("CAP_AUDIT_CONTROL", "netlink socket", errno))?;
        let records = records().map_err(|errno| failed("CAP_AUDIT_READ", "netlink group", errno))?;
        let hidden =
            control.hidden().map_err(|errno| failed("CAP_AUDIT_CONTROL", "AUDIT_LIST_RULES", errno))?;
        if hidden.iter().any(|rule| !rule.of_some && rule.records.contains(&LANDLOCK_ACCESS)) {
            return Err(Unavailable::Excluded);
        }
        let before = switch_on(&mut control, enable)?;
        let mut listener = Listener {
            records,
            control,
            events: Events::default(),
            owner: getpid(),
            lost_before: before.lost,
            overrun: false,
            unheard: false,
        };
        listener
            .hear(&mut Vec::new())
            .map_err(|errno| failed("CAP_AUDIT_WRITE", "a record to wait for", errno))?;
        if listener.unheard { Err(Unavailable::Unheard) } else { Ok(listener) }
    }

    /// What was recorded before this call. Equal refusals are counted together.
    ///
    /// That a domain ended is recorded a little after its last process has.
    pub fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let heard = self.hear(&mut events);
        self.unheard |= heard.is_err();
        events.extend(self.events.rest());
        counted(events)
    }

    /// What may be missing from what the drains returned.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn gaps(&mut self) -> Result<Gaps, Unavailable> {
        let status =
            self.control.status().map_err(|errno| failed("CAP_AUDIT_CONTROL", "AUDIT_GET", errno))?;
        let hidden = self.control.hidden();
        let hidden = hidden.map_err(|errno| failed("CAP_AUDIT_CONTROL", "AUDIT_LIST_RULES", errno))?;
        let hidden: BTreeSet<u16> = hidden.into_iter().flat_map(|rule| rule.records).collect();
        Ok(Gaps {
            lost: status.lost.wrapping_sub(self.lost_before),
            overrun: self.overrun,
            hidden: hidden.into_iter().collect(),
            off: status.enabled == 0,
            unheard: self.unheard,
        })
    }

    /// Takes what is here, then all up to a record of our own: the kernel keeps their order.
    fn hear(&mut self, events: &mut Vec<Event>) -> rustix::io::Result<()> {
        static MARKS: AtomicU64 = AtomicU64::new(0);
        // First, so that there is room for the mark.
        self.take(None, events)?;
        let mark = format!("sandboxed {} {}", getpid(), MARKS.fetch_add(1, Ordering::Relaxed));
        self.control.mark(&mark)?;
        let heard = self.take(Some(&format!("msg='{mark}'")), events)?;
        self.unheard |= !heard;
        Ok(())
    }

    /// Takes records up to the one with `mark`, or, without, those that are here. Whether it came to that in time.
    fn take(&mut self, mark: Option<&str>, events: &mut Vec<Event>) -> rustix::io::Result<bool> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let message = match next(&self.records) {
                Err(Errno::NOBUFS) => {
                    self.overrun = true;
                    continue;
                }
                message => message?,
            };
            match (message, mark) {
                (Some(message), Some(mark)) if message.kind == MARK && contains(&message.body, mark) => {
                    return Ok(true);
                }
                (Some(message), _) => events.extend(self.events.take(message.kind, &message.body)),
                (None, None) => return Ok(true),
                (None, Some(_)) => {
                    wait(&self.records, end)?;
                }
            }
        }
        Ok(false)
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("overrun", &self.overrun).finish_non_exhaustive()
    }
}

/// Also when a panic unwinds. A program that is killed, aborts or calls `exit` leaves auditing on.
impl Drop for Listener {
    fn drop(&mut self) {
        if getpid() != self.owner {
            return;
        }
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.count -= 1;
        if listeners.count > 0 || listeners.enabled.or(listeners.backlog).is_none() {
            return;
        }
        if let Err(errno) = self.control.set(listeners.enabled.take(), listeners.backlog.take()) {
            log::warn!("auditing stays as it was changed (`auditctl -s` shows it): {errno}");
        }
    }
}

/// Says what there was before.
fn switch_on(control: &mut Control, enable: Enable) -> Result<Status, Unavailable> {
    let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    // Within the lock: another thread may be about to switch it off.
    let status = control.status().map_err(|errno| failed("CAP_AUDIT_CONTROL", "AUDIT_GET", errno))?;
    match enable {
        Enable::Never if status.enabled == 0 => return Err(Unavailable::Off),
        Enable::Never => {}
        Enable::IfNeeded => {
            let enabled = Some(status.enabled).filter(|enabled| *enabled == 0);
            // Where it is locked (2), nothing can be changed until the machine boots again.
            let is_small = |backlog: &u32| (1..BACKLOG).contains(backlog) && status.enabled < 2;
            let backlog = Some(status.backlog).filter(is_small);
            if enabled.or(backlog).is_some() {
                let set = control.set(enabled.map(|_| 1), backlog.map(|_| BACKLOG));
                set.map_err(|errno| failed("CAP_AUDIT_CONTROL", "AUDIT_SET", errno))?;
            }
            listeners.enabled = listeners.enabled.or(enabled);
            listeners.backlog = listeners.backlog.or(backlog);
        }
    }
    listeners.count += 1;
    Ok(status)
}

fn failed(needs: &'static str, what: &'static str, errno: Errno) -> Unavailable {
    match errno {
        // Another user namespace is answered as if nobody were there.
        Errno::PERM | Errno::CONNREFUSED => Unavailable::NotPermitted { needs },
        Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => Unavailable::NoAudit,
        errno => Unavailable::Failed { what, cause: errno.into() },
    }
}

fn contains(body: &[u8], mark: &str) -> bool {
    body.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// Counts equal refusals where the first of them is.
fn counted(events: Vec<Event>) -> Vec<Event> {
    let mut places: HashMap<Refused, usize> = HashMap::new();
    let mut counted: Vec<Event> = Vec::new();
    for event in events {
        if let Event::Refused(refused) = &event {
            let place = *places.entry(refused.clone()).or_insert(counted.len());
            if let Some(Event::Refused(first)) = counted.get_mut(place) {
                first.count += 1;
                continue;
            }
        }
        counted.push(event);
    }
    counted
}
