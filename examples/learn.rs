//! Learns what a function needs, and runs it with that and nothing else.
//!
//! ```text
//! cargo run --example learn
//! ```
//!
//! The function runs three times: with no grants, where it is denied what it needs; in a process with `SANDBOXED_LEARN`,
//! where nothing is enforced and all is written down; and with the policy that this gave, where nothing is denied.
//! Learning is the feature `learn`, which is off by default; without it this program has cargo build and run it again.

use std::process::ExitCode;

#[cfg(not(feature = "learn"))]
fn main() -> ExitCode {
    let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--example", "learn", "--features", "learn"]);
    cargo.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    if cfg!(not(debug_assertions)) {
        cargo.arg("--release");
    }
    match cargo.status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("{cargo:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "learn")]
fn main() -> ExitCode {
    match example::main() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "learn")]
mod example {
    use sandboxed::{By, Denial, Policy, observe, sandboxed};
    use std::error::Error;
    use std::path::{Path, PathBuf};
    use std::process::{Command, ExitCode};
    use std::sync::OnceLock;
    use std::{env, fs, io};

    type Done<T> = Result<T, Box<dyn Error>>;

    /// What was learned, once it was.
    static LEARNED: OnceLock<Policy> = OnceLock::new();

    /// Sums up the images of a directory into a file. A line of settings may say how, and is mostly not there.
    #[sandboxed(policy = LEARNED.get().cloned().unwrap_or_default())]
    fn index(images: &Path, to: &Path) -> io::Result<usize> {
        let settings = fs::read_to_string(images.join("index.conf")).unwrap_or_default();
        let mut lines = Vec::new();
        for image in fs::read_dir(images)? {
            let path = image?.path();
            lines.push(format!("{:08x} {}{settings}", crc32fast::hash(&fs::read(&path)?), path.display()));
        }
        lines.sort();
        let unfinished = to.join("index.new");
        fs::write(&unfinished, lines.join("\n"))?;
        fs::rename(unfinished, to.join("index"))?;
        Ok(lines.len())
    }

    /// A call's result, and what it was denied; not what it looked for that is not there.
    fn observed<R>(call: impl FnOnce() -> R) -> (R, Vec<Denial>) {
        let (result, mut denials) = observe(call);
        denials.retain(|denial| denial.by != By::Missing);
        (result, denials)
    }

    pub fn main() -> Done<ExitCode> {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
        let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
        if let [to] = arguments.as_slice() {
            println!("learned from {} images", index(&images, to)?);
            return Ok(ExitCode::SUCCESS);
        }
        let directory = tempfile::tempdir()?;
        let (result, denials) = observed(|| index(&images, directory.path()));
        println!(
            "-- enforced, with no grants: {:?}, {} denials\n",
            result.map_err(|error| error.kind()),
            denials.len()
        );

        let file = directory.path().join("policy.toml");
        let mut child = Command::new(env::current_exe()?);
        if !child.arg(directory.path()).env("SANDBOXED_LEARN", &file).status()?.success() {
            return Err("the process that learns has failed".into());
        }
        let text = fs::read_to_string(&file)?;
        println!("\n-- {}:\n\n{text}", file.display());

        let learned: toml::Table = text.parse()?;
        let function = &learned["function"][concat!(module_path!(), "::index")];
        let policy = Policy::from_toml(function["landlockconfig"].as_str().ok_or("no policy in it")?)?;
        LEARNED.set(policy).map_err(|_| "it was learned before")?;
        let (result, denials) = observed(|| index(&images, directory.path()));
        println!("-- enforced, with what was learned: {result:?}, {} denials", denials.len());
        denials.iter().for_each(|denial| print!("{denial}"));
        Ok(if result.is_ok() && denials.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
