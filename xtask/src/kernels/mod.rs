//! The test suite in every kernel: fetches kernels, boots each in a virtual machine and prints what came out.

mod apt;
mod boot;
mod fetch;
pub mod guest;
mod initramfs;
mod libtest;
mod newc;
mod record;
mod suite;
mod sys;
mod table;

use anyhow::{Context, Result, bail};
use boot::{Boot, Machine};
use fetch::Kernel;
use record::{Extent, Job, Record, User};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

/// The series that are checked, one for each Landlock ABI that Debian has a kernel of.
const SERIES: &[(&str, Extent)] = &[
    ("5.10", Extent::Whole),
    ("6.1", Extent::Whole),
    ("6.12", Extent::Part),
    ("6.18", Extent::Part),
    ("7.0", Extent::Part),
    ("7.1", Extent::Part),
    ("7.2", Extent::Part),
    ("7.3", Extent::Whole),
];
/// A kernel that has Landlock, booted without it.
const OFF: Row = Row { name: "off", series: "7.3", command_line: "lsm=lockdown,yama", extent: Extent::Whole };
/// How many guests run at a time; each keeps one processor busy.
const AT_A_TIME: usize = 2;

/// A boot.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    series: &'static str,
    command_line: &'static str,
    extent: Extent,
}

#[derive(Debug, Default)]
struct Options {
    rows: Vec<Row>,
    tests: Vec<String>,
    nobody: bool,
    verbose: bool,
    /// For the test binaries.
    arguments: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options> {
        let row = |(series, extent): &(&'static str, Extent)| Row {
            name: series,
            series,
            command_line: "",
            extent: *extent,
        };
        let all = || SERIES.iter().map(row).chain([OFF]);
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--test" => options.tests.push(arguments.next().context("--test takes a name")?.clone()),
                "--nobody" => options.nobody = true,
                "--verbose" => options.verbose = true,
                "--" => options.arguments.extend(arguments.by_ref().cloned()),
                name => match all().find(|row| row.name == name) {
                    Some(row) => options.rows.push(row),
                    None => {
                        let names: Vec<&str> = all().map(|row| row.name).collect();
                        bail!("no kernel {name}; there are {}", names.join(", "))
                    }
                },
            }
        }
        if options.rows.is_empty() {
            options.rows = all().collect();
        }
        Ok(options)
    }
}

/// Whether all is well.
pub fn main(arguments: &[String]) -> Result<bool> {
    let options = Options::parse(arguments)?;
    if std::env::consts::ARCH != "x86_64" {
        bail!("the kernels are for x86_64, and so must the tests be");
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let place = target_directory(workspace)?.join("kernels");
    let scratch = place.join("scratch");
    std::fs::create_dir_all(&scratch)?;

    let mut wanted: Vec<&str> = options.rows.iter().map(|row| row.series).collect();
    wanted.dedup();
    let kernels = fetch::kernels(&place, &wanted)?;
    let mut suite = suite::build(workspace)?;
    suite.select(&options.tests)?;
    let users = if options.nobody { vec![User::Root, User::Nobody] } else { vec![User::Root] };
    let job = Job { tests: suite.tests.clone(), users: users.clone(), arguments: options.arguments.clone() };
    let start = Instant::now();
    let initramfs = scratch.join("initramfs");
    initramfs::write(&initramfs, &scratch, workspace, &suite, &job, &kernels)?;
    eprintln!(
        "{} MiB of tests, packed in {} s",
        initramfs.metadata()?.len() >> 20,
        start.elapsed().as_secs()
    );

    let boots = boot_all(&options.rows, &kernels, &initramfs, &scratch)?;
    Ok(report(&options, &users, &kernels, &boots, start))
}

/// Where this program was built.
fn target_directory(workspace: &Path) -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let above = exe.ancestors().find(|directory| directory.join("CACHEDIR.TAG").exists());
    Ok(above.map_or_else(|| workspace.join("target"), Path::to_owned))
}

/// Boots every row, as many at a time as may be, the longest first; the result is in the order of the rows.
fn boot_all(rows: &[Row], kernels: &[Kernel], initramfs: &Path, scratch: &Path) -> Result<Vec<Boot>> {
    let (whole, part): (Vec<_>, Vec<_>) =
        rows.iter().copied().enumerate().partition(|(_, row)| row.extent == Extent::Whole);
    let queue: Mutex<VecDeque<(usize, Row)>> = Mutex::new(whole.into_iter().chain(part).collect());
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let work = || -> Result<Vec<(usize, Boot)>> {
        let mut done = Vec::new();
        while let Some((index, row)) = next() {
            let kernel = kernels.iter().find(|kernel| kernel.series == row.series).context("not fetched")?;
            let scratch = scratch.join(row.name);
            std::fs::create_dir_all(&scratch)?;
            let boot = boot::boot(
                &Machine {
                    image: &kernel.image,
                    initramfs,
                    series: row.series,
                    extent: row.extent,
                    command_line: row.command_line,
                },
                &scratch,
            )?;
            eprintln!("{}: {} s", row.name, boot.took.as_secs());
            done.push((index, boot));
        }
        Ok(done)
    };
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
        }
        anyhow::Ok(())
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, boot)| boot).collect())
}

/// Prints what came out; whether all is well.
fn report(options: &Options, users: &[User], kernels: &[Kernel], boots: &[Boot], start: Instant) -> bool {
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for (row, boot) in options.rows.iter().zip(boots) {
        let name =
            if row.name == OFF.name { format!("{}, Landlock off", row.series) } else { row.name.into() };
        let version = kernels.iter().find(|kernel| kernel.series == row.series);
        let version = version.map_or("", |kernel| &kernel.version);
        rows.extend(table::rows(&name, version, boot, users));
        for record in &boot.records {
            if let Record::Kernel { missing: found, .. } = record {
                missing.extend(found.iter().map(|line| format!("{name}: {line}")));
            }
        }
        if options.verbose {
            println!("{}", times(&name, boot));
        }
    }
    for row in &rows {
        for failure in &row.said.failed {
            println!("\n{} as {}: FAILED {}\n{}", row.kernel, row.user, failure.test, failure.output);
        }
    }
    println!("\n{}\n{}", table::table(&rows), table::footnotes(&rows, &missing, options.verbose));
    println!("{} s after the build", start.elapsed().as_secs());
    rows.iter().all(|row| row.said.failed.is_empty())
}

/// What each binary took, slowest first.
fn times(name: &str, boot: &Boot) -> String {
    let mut runs: Vec<(u64, String)> = boot
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Run(run) => Some((run.milliseconds, format!("{} as {}", run.test, run.user.name()))),
            _ => None,
        })
        .collect();
    runs.sort_by(|a, b| b.cmp(a));
    let lines: Vec<String> = runs.iter().map(|(took, what)| format!("{took:>8} ms  {what}")).collect();
    format!("{name}:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn kernels_and_tests_are_chosen_by_name() {
        let all = parse(&[]).unwrap();
        assert_eq!(all.rows.len(), SERIES.len() + 1);
        let some = parse(&["7.3", "off", "--test", "scopes", "--", "signals"]).unwrap();
        assert_eq!(some.rows.iter().map(|row| row.name).collect::<Vec<_>>(), ["7.3", "off"]);
        assert_eq!((some.tests, some.arguments), (vec!["scopes".to_owned()], vec!["signals".to_owned()]));
        assert!(parse(&["7.9"]).unwrap_err().to_string().contains("there are 5.10, 6.1"));
        assert!(parse(&["--test"]).is_err());
    }
}
