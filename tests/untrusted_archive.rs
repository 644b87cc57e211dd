//! The archives of `examples/untrusted_archive`: what does harm without the attribute does none with it, and what is
//! good is unpacked alike.

#[path = "support/cases.rs"]
mod cases;
#[path = "../examples/untrusted_archive/compare.rs"]
mod compare;
#[path = "../examples/untrusted_archive/samples.rs"]
mod samples;
#[path = "../examples/untrusted_archive/unpack.rs"]
mod unpack;
#[path = "../examples/untrusted_archive/victim.rs"]
mod victim;

use cases::{Case, Done};
use compare::{End, Fate, compare};
use samples::{SAMPLES, Scale};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Just above the limits, which are those of the example.
const SCALE: Scale = Scale { bomb: 160 << 20, crowd: 1000 };
const PLAIN: &str = "--plain";

/// What becomes of an archive, without the attribute and with it: so many files, the harm, or part of an error.
#[derive(Clone, Copy)]
enum Is {
    Unpacked(usize),
    Harm(&'static [&'static str]),
    Failed(&'static str),
    Stopped(&'static str),
}

use Is::{Failed, Harm, Stopped, Unpacked};

const DENIED: Is = Failed("Permission denied (os error 13)");
const OTHER_DEVICE: Is = Failed("Invalid cross-device link (os error 18)");
const OUT_OF_MEMORY: Is = Stopped("out of memory");
const PROFILE: Is = Harm(&["changed home/.profile"]);

const EXPECTED: &[(&str, Is, Is)] = &[
    ("good.zip", Unpacked(3), Unpacked(3)),
    ("good.tar.gz", Unpacked(3), Unpacked(3)),
    ("good.tar.xz", Unpacked(3), Unpacked(3)),
    ("dot-dot.zip", PROFILE, DENIED),
    ("dot-dot.tar.gz", PROFILE, DENIED),
    ("dot-dot-directory.tar", Harm(&["changed home/.ssh"]), DENIED),
    ("absolute.zip", PROFILE, DENIED),
    ("absolute.tar", PROFILE, DENIED),
    ("backslash.zip", PROFILE, DENIED),
    ("link-then-file.zip", Harm(&["changed home/.profile", "left a symbolic link"]), DENIED),
    ("link-then-file.tar", Harm(&["changed home/.profile", "left a symbolic link"]), DENIED),
    ("link-to-secret.tar", Harm(&["left a symbolic link", "read a secret by notes.txt"]), DENIED),
    ("link-to-passwd.zip", Harm(&["left a symbolic link", "read a secret by users.txt"]), DENIED),
    ("hard-link-to-secret.tar", Harm(&["read a secret by notes.txt"]), OTHER_DEVICE),
    ("hard-link-then-file.tar", PROFILE, OTHER_DEVICE),
    ("link-in-the-way.tar", Harm(&["changed home/.profile", "left a symbolic link"]), DENIED),
    ("device.tar", Harm(&["left a device"]), DENIED),
    ("fifo.tar", Harm(&["left a FIFO"]), DENIED),
    ("set-uid.tar", Harm(&["left a set-user-ID program"]), Unpacked(1)),
    ("control-characters.zip", Unpacked(1), Unpacked(1)),
    ("claimed-size.tar", Harm(&["brought down by signal 6"]), OUT_OF_MEMORY),
    ("bomb.zip", Harm(&["wrote 160 MiB"]), OUT_OF_MEMORY),
    ("bomb.tar.xz", Harm(&["wrote 160 MiB"]), OUT_OF_MEMORY),
    ("bomb-nested.zip", Harm(&["wrote 160 MiB"]), OUT_OF_MEMORY),
    ("bomb-sparse.tar", Harm(&["wrote 160 MiB"]), OUT_OF_MEMORY),
    // Within the grants: only `timeout` bounds the number of files.
    ("crowd.tar.gz", Unpacked(1000), Unpacked(1000)),
    ("truncated.zip", Failed("invalid Zip archive"), Failed("invalid Zip archive")),
    ("truncated.tar.gz", Failed("deflate"), Failed("deflate")),
    ("truncated.tar.xz", Failed("premature eof"), Failed("premature eof")),
    ("wrong-checksum.zip", Failed("Invalid checksum"), Failed("Invalid checksum")),
    ("wrong-checksum.tar", Failed("checksum mismatch"), Failed("checksum mismatch")),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let [_, plain, archive, dest] = arguments.as_slice()
        && plain == PLAIN
    {
        compare::unpack_plainly(archive.as_ref(), dest.as_ref()).unwrap();
        return ExitCode::SUCCESS;
    }
    assert!(
        EXPECTED.iter().map(|row| row.0).eq(SAMPLES.iter().map(|sample| sample.0)),
        "a row for each sample"
    );
    cases::main((0..SAMPLES.len()).map(|index| Case::new(SAMPLES[index].0, move || check(index))).collect())
}

fn program(archive: &Path, dest: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(PLAIN).arg(archive).arg(dest);
    command
}

fn check(index: usize) -> Done {
    let (name, without, with) = EXPECTED[index];
    if name == "device.tar" && !rustix::process::geteuid().is_root() {
        return Done::NotRun("needs root: nobody else makes devices".into());
    }
    let found = compare(index, SCALE, program).unwrap();
    assert_eq!(found.name, name);
    found.without.assert_is(without);
    found.with.assert_is(with);
    match with {
        Unpacked(_) => assert_eq!(found.with.end, found.without.end, "it is unpacked alike"),
        Stopped(_) => assert!(found.size < SCALE.bomb / 100, "{} bytes are no bomb", found.size),
        Harm(_) | Failed(_) => {}
    }
    Done::Ran
}

impl Fate {
    #[track_caller]
    fn assert_is(&self, expected: Is) {
        let is = match (expected, &self.end) {
            (Harm(harm), _) => self.harm == harm,
            (Unpacked(count), End::Unpacked(items)) => self.harm.is_empty() && items.len() == count,
            (Failed(text), End::Failed(error)) => self.harm.is_empty() && error.contains(text),
            (Stopped(text), End::Stopped(by)) => self.harm.is_empty() && by == text,
            _ => false,
        };
        assert!(is, "{self:?}");
    }
}
