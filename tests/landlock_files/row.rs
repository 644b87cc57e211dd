//! A row of the table: what lies there, what is granted, what is done and what each act gives; and how it is run.

use crate::act::{Act, Room, Use, attempt_all};
use crate::cases::{Case, Done};
use crate::layout::{Laid, Layout};
use crate::mounts::{self, Ground};
use crate::need::Need;
use crate::words::{READ, RUN, WRITE};
use crate::{support, sys};
use sandboxed::{
    Access, Allow, Error, ErrorKind, Memory, Placement, Policy, Ran, Unenforceable, kernel, plan, sandboxed,
};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// What an act gives.
#[derive(Clone, Debug)]
pub enum Want {
    /// 0, or this errno.
    Is(i32),
    /// What it gives outside of a sandbox, which is not `EACCES`.
    Free,
    /// From this ABI on the first, before it the second.
    Since(u32, Box<Want>, Box<Want>),
}

impl From<i32> for Want {
    fn from(errno: i32) -> Want {
        Want::Is(errno)
    }
}

impl Want {
    /// Whether it is a denial on some kernel, or is none on some.
    fn may_be_denial(&self, denial: bool) -> bool {
        match self {
            Want::Is(errno) => [libc::EACCES, libc::EPERM, libc::EXDEV].contains(errno) == denial,
            Want::Free => !denial,
            Want::Since(_, then, before) => then.may_be_denial(denial) || before.may_be_denial(denial),
        }
    }

    fn errno(&self, abi: u32, free: impl FnOnce() -> i32) -> i32 {
        match self {
            Want::Is(errno) => *errno,
            Want::Free => match free() {
                libc::EACCES => panic!("it is refused outside of a sandbox too"),
                errno => errno,
            },
            Want::Since(least, then, before) => if abi >= *least { then } else { before }.errno(abi, free),
        }
    }
}

/// Paths below the layout's directory (or absolute ones), and the rights there.
type Grants = Vec<(String, Access)>;

#[derive(Clone)]
pub struct Row {
    name: String,
    layout: Arc<Layout>,
    /// Sandboxes in each other, the outermost first.
    layers: Vec<Grants>,
    allow: Vec<Allow>,
    steps: Vec<(Act, Want)>,
    needs: Vec<Need>,
    placements: Vec<Placement>,
    /// A path cannot be granted, so the call is an error with this errno.
    bad_grant: Option<i32>,
}

impl Row {
    /// Nothing is granted yet. It runs in a worker and in a thread.
    pub fn new(name: impl Into<String>, layout: impl Fn(&Path) -> Laid + Send + Sync + 'static) -> Row {
        Row {
            name: name.into(),
            layout: Arc::new(layout),
            layers: vec![Grants::new()],
            allow: Vec::new(),
            steps: Vec::new(),
            needs: Vec::new(),
            placements: vec![Placement::Process, Placement::Thread],
            bad_grant: None,
        }
    }

    /// Grants in the innermost sandbox.
    pub fn grants<P: Into<String>>(mut self, grants: impl IntoIterator<Item = (P, Access)>) -> Row {
        let all = grants.into_iter().map(|(path, access)| (path.into(), access));
        self.layers.last_mut().expect("there is one").extend(all);
        self
    }

    /// Another sandbox inside.
    pub fn then<P: Into<String>>(mut self, grants: impl IntoIterator<Item = (P, Access)>) -> Row {
        self.layers.push(Grants::new());
        self.grants(grants)
    }

    pub fn allow(mut self, what: Allow) -> Row {
        self.allow.push(what);
        self
    }

    pub fn gives(mut self, want: impl Into<Want>, acts: impl IntoIterator<Item = Act>) -> Row {
        let want = want.into();
        self.steps.extend(acts.into_iter().map(|act| (act, want.clone())));
        self
    }

    pub fn ok(self, acts: impl IntoIterator<Item = Act>) -> Row {
        self.gives(0, acts)
    }

    pub fn denied(self, acts: impl IntoIterator<Item = Act>) -> Row {
        self.gives(libc::EACCES, acts)
    }

    /// As outside of a sandbox.
    pub fn free(self, acts: impl IntoIterator<Item = Act>) -> Row {
        self.gives(Want::Free, acts)
    }

    /// From this ABI on the first, before it the second.
    pub fn since(
        self,
        abi: u32,
        then: impl Into<Want>,
        before: impl Into<Want>,
        acts: impl IntoIterator<Item = Act>,
    ) -> Row {
        self.gives(Want::Since(abi, Box::new(then.into()), Box::new(before.into())), acts)
    }

    pub fn needs(mut self, need: Need) -> Row {
        self.needs.push(need);
        self
    }

    pub fn only(mut self, placement: Placement) -> Row {
        self.placements = vec![placement];
        self
    }

    /// The whole process too.
    pub fn also_in_place(mut self) -> Row {
        self.placements.push(Placement::InPlace);
        self
    }

    pub fn bad_grant(mut self, errno: i32) -> Row {
        self.bad_grant = Some(errno);
        self
    }

    /// A case for each placement.
    pub fn cases(self) -> Vec<Case> {
        let has = |denial| self.steps.iter().any(|(_, want)| want.may_be_denial(denial));
        let pairs = has(true) && has(false);
        assert!(pairs || self.bad_grant.is_some(), "{}: each denial has an allowed twin", self.name);
        let row = Arc::new(self);
        let case = |placement: Placement| {
            let (row, name) = (row.clone(), format!("{}::{placement}", row.name));
            Case::new(name.clone(), move || row.run(&name, placement))
        };
        row.placements.iter().copied().map(case).collect()
    }
}

fn policy(dir: &Path, grants: &Grants, allow: &[Allow]) -> Policy {
    // A limit would refuse memory files.
    let unlimited = Policy::new().memory(Memory::Unlimited);
    let policy = grants.iter().fold(unlimited, |policy, (path, access)| {
        let path = dir.join(path);
        match *access {
            READ => policy.read(path),
            WRITE => policy.write(path),
            RUN => policy.execute(path),
            access => policy.fs(access, path),
        }
    });
    allow.iter().fold(policy, |policy, what| policy.allow(*what))
}

impl Row {
    fn run(&self, name: &str, placement: Placement) -> Done {
        if let Some(why) = self.needs.iter().find_map(|need| need.missing()) {
            return Done::NotRun(why);
        }
        let enters = self.mounts() && !mounts::found().entered;
        let alone = || {
            if enters {
                mounts::enter_namespace().expect("it was possible before");
            }
            self.try_in(placement);
        };
        match enters || placement == Placement::InPlace {
            true => support::in_child(name, alone),
            false => self.try_in(placement),
        }
        match self.refusal(Path::new("/"), placement) {
            // The harness has the last word.
            Some((_, why)) if std::env::var_os("SANDBOXED_TEST_CHILD").is_none() => {
                Done::Refused(why.to_string())
            }
            _ => Done::Ran,
        }
    }

    fn mounts(&self) -> bool {
        self.needs.iter().any(|need| matches!(need, Need::Mounts | Need::Overlay))
    }

    fn policies(&self, dir: &Path) -> Vec<Policy> {
        self.layers.iter().map(|grants| policy(dir, grants, &self.allow)).collect()
    }

    /// How the plan for this kernel refuses it: in which sandbox, counted from outside.
    fn refusal(&self, dir: &Path, placement: Placement) -> Option<(usize, Unenforceable)> {
        self.policies(dir).iter().enumerate().find_map(|(depth, policy)| {
            let placement = if depth == 0 { placement } else { Placement::Thread };
            plan(policy, placement, kernel()).err().map(|why| (depth, why))
        })
    }

    fn acts(&self) -> Vec<Act> {
        self.steps.iter().map(|(act, _)| act.clone()).collect()
    }

    /// Gives `body` a directory with the layout in it.
    fn with_layout<T>(&self, body: impl FnOnce(&Path, &Laid) -> T) -> T {
        let dir = mounts::directory();
        let _ground = self.mounts().then(|| Ground::at(dir.path()));
        let laid = (self.layout)(dir.path());
        body(dir.path(), &laid)
    }

    fn try_in(&self, placement: Placement) {
        self.with_layout(|dir, laid| match placement {
            Placement::InPlace => {
                // It cannot tidy up what it may no longer touch.
                let child = sys::fork(|| self.judge(dir, laid, placement));
                assert!(sys::wait_for(child).success(), "in the restricted process");
            }
            _ => self.judge(dir, laid, placement),
        });
    }

    fn judge(&self, dir: &Path, laid: &Laid, placement: Placement) {
        let diary = tempfile::tempfile().expect("a file");
        let layers = self.policies(dir);
        let clone = |file: &File| file.try_clone().expect("a descriptor");
        let acts = self.acts();
        // Before: in place there is no outside any more.
        let free = self.outside();
        let found = match placement {
            Placement::Process => {
                let given = laid.given.iter().map(clone).collect();
                in_process(layers, dir, &acts, given, clone(&diary))
            }
            Placement::Thread => in_thread(&layers, dir, &acts, &laid.given, &diary),
            Placement::InPlace => in_place(&layers, dir, &acts, &laid.given, &diary),
        };
        let begun = diary.metadata().expect("it is open").len();
        match (self.refusal(dir, placement), self.bad_grant, found) {
            (Some((depth, why)), _, Err(error)) => {
                assert_eq!(error.kind(), &ErrorKind::Unenforceable(why), "{error}");
                assert_eq!((error.ran(), begun), (Ran::No, depth as u64), "{error}");
            }
            (None, Some(errno), Err(error)) => {
                assert!(error.is_launch() && format!("{error:?}").contains(&name(errno)), "{error:?}");
                assert_eq!((error.ran(), begun), (Ran::No, 0), "{error}");
            }
            (None, None, Ok(found)) => {
                assert_eq!(begun, self.layers.len() as u64, "each body began once");
                self.compare(&found, &free, placement);
            }
            (refusal, bad_grant, found) => panic!("{refusal:?}, {bad_grant:?}, but {found:?}"),
        }
    }

    fn compare(&self, found: &[i32], free: &[i32], placement: Placement) {
        assert_eq!(found.len(), self.steps.len());
        let abi = kernel().abi;
        let wrong: Vec<String> = (0..found.len())
            .filter_map(|step| {
                let (act, want) = &self.steps[step];
                let refused =
                    (placement == Placement::Process).then(|| self.refused_in_worker(act)).flatten();
                let want = refused.unwrap_or_else(|| want.errno(abi, || free[step]));
                (found[step] != want)
                    .then(|| format!("{act:?} gives {}, not {}", name(found[step]), name(want)))
            })
            .collect();
        assert!(wrong.is_empty(), "with {:?} granted:\n{}", self.layers, wrong.join("\n"));
    }

    /// What the filter of a worker answers, before Landlock is asked.
    fn refused_in_worker(&self, act: &Act) -> Option<i32> {
        let grants = |rights: Access| self.layers[0].iter().any(|(_, access)| !(*access & rights).is_empty());
        let files = Access::ALL.iter().map(|right| right.0).filter(|right| *right != Access::RESOLVE_UNIX);
        let names_files = grants(files.fold(Access::NONE, |all, right| all | right));
        match act {
            // There is no process to run it in.
            Act::Execute(_) if !grants(Access::EXECUTE) => Some(libc::EPERM),
            _ if act.names_a_path() && !names_files => Some(libc::EACCES),
            Act::On(source, _) if source.is_opened_for_writing() && !grants(Access::WRITE_FILE) => {
                Some(libc::EACCES)
            }
            Act::On(_, Use::Ioctl(request)) if !HARMLESS.contains(request) && !grants(Access::IOCTL_DEV) => {
                Some(libc::EACCES)
            }
            _ => None,
        }
    }

    /// What the acts give outside of a sandbox, where a step asks.
    fn outside(&self) -> Vec<i32> {
        fn asks(want: &Want) -> bool {
            match want {
                Want::Is(_) => false,
                Want::Free => true,
                Want::Since(_, then, before) => asks(then) || asks(before),
            }
        }
        if !self.steps.iter().any(|(_, want)| asks(want)) {
            return Vec::new();
        }
        self.with_layout(|dir, laid| attempt_all(&self.acts(), &Room { dir, given: &laid.given }))
    }
}

/// The requests that may be made of any descriptor: see `IOCTLS` of the filter.
#[rustfmt::skip]
const HARMLESS: [u64; 15] = [
    0x5401, 0x802c_542a, 0x5413, 0x541b, 0x5421, 0x5451, 0x5450, 0x5460, 2, 0xc020_660b, 0x4004_9409, 0x4020_940d,
    0xc018_9436, 0x8008_6601, 0x801c_581f,
];

fn name(errno: i32) -> String {
    match errno {
        0 => "0".into(),
        errno => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// The body of each sandbox: says that it began, then goes on to the next one inside, or acts.
fn body(layers: &[Policy], room: &Room<'_>, acts: &[Act], mut diary: &File) -> Result<Vec<i32>, Error> {
    diary.write_all(b"x").expect("it was handed over");
    match layers {
        [] => Ok(attempt_all(acts, room)),
        layers => in_thread(layers, room.dir, acts, room.given, diary),
    }
}

#[sandboxed(policy = &layers[0])]
fn in_process(
    layers: Vec<Policy>,
    dir: &Path,
    acts: &[Act],
    given: Vec<File>,
    diary: File,
) -> Result<Vec<i32>, Error> {
    body(&layers[1..], &Room { dir, given: &given }, acts, &diary)
}

#[sandboxed(thread, policy = &layers[0])]
fn in_thread(
    layers: &[Policy],
    dir: &Path,
    acts: &[Act],
    given: &[File],
    diary: &File,
) -> Result<Vec<i32>, Error> {
    body(&layers[1..], &Room { dir, given }, acts, diary)
}

#[sandboxed(in_place, thread_sync = "signal", policy = &layers[0])]
fn in_place(
    layers: &[Policy],
    dir: &Path,
    acts: &[Act],
    given: &[File],
    diary: &File,
) -> Result<Vec<i32>, Error> {
    body(&layers[1..], &Room { dir, given }, acts, diary)
}
