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
use boot::Boot;
use fetch::Kernel;
use record::{Job, Record, User};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

/// The series that are checked, one for each Landlock ABI that Debian has a kernel of.
const SERIES: &[&str] = &["5.10", "6.1", "6.12", "6.18", "7.0", "7.1", "7.2", "7.3"];
/// A kernel that has Landlock, booted without it.
const OFF: Row = Row { name: "off", series: "7.3", command_line: "lsm=lockdown,yama" };
/// How many guests run at a time; each keeps one processor busy.
const AT_A_TIME: usize = 2;

/// A boot.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    series: &'static str,
    command_line: &'static str,
}

#[derive(Debug, Default)]
struct Options {
    rows: Vec<Row>,
    tests: Vec<String>,
    verbose: bool,
    /// For the test binaries.
    arguments: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options> {
        let all = || SERIES.iter().map(|series| Row { name: series, series, command_line: "" }).chain([OFF]);
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--test" => options.tests.push(arguments.next().context("--test takes a name")?.clone()),
                "--verbose" => options.verbose = true,
                "--" => options.arguments.extend(arguments.by_ref().cloned()),
                name => match all().find(|row| row.name == name) {
                    Some(row) => options.rows.push(row),
                    None => bail!("no kernel {name}; there are {} and {}", SERIES.join(", "), OFF.name),
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
    let job = Job { tests: suite.tests.clone(), arguments: options.arguments.clone() };
    let start = Instant::now();
    let initramfs = scratch.join("initramfs");
    initramfs::write(&initramfs, &scratch, workspace, &suite, &job, &kernels)?;
    eprintln!(
        "{} MiB of tests, packed in {} s",
        initramfs.metadata()?.len() >> 20,
        start.elapsed().as_secs()
    );

    let boots = boot_all(&options.rows, &kernels, &initramfs, &scratch)?;
    Ok(report(&options, &kernels, &boots, start))
}

/// Where this program was built.
fn target_directory(workspace: &Path) -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let above = exe.ancestors().find(|directory| directory.join("CACHEDIR.TAG").exists());
    Ok(above.map_or_else(|| workspace.join("target"), Path::to_owned))
}

/// Boots every row, as many at a time as may be; in the order of the rows.
fn boot_all(rows: &[Row], kernels: &[Kernel], initramfs: &Path, scratch: &Path) -> Result<Vec<Boot>> {
    let queue: Mutex<VecDeque<(usize, Row)>> = Mutex::new(rows.iter().copied().enumerate().collect());
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let work = || -> Result<Vec<(usize, Boot)>> {
        let mut done = Vec::new();
        while let Some((index, row)) = next() {
            let kernel = kernels.iter().find(|kernel| kernel.series == row.series).context("not fetched")?;
            let scratch = scratch.join(row.name);
            std::fs::create_dir_all(&scratch)?;
            let boot = boot::boot(&kernel.image, initramfs, row.series, row.command_line, &scratch)?;
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
fn report(options: &Options, kernels: &[Kernel], boots: &[Boot], start: Instant) -> bool {
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for (row, boot) in options.rows.iter().zip(boots) {
        let name =
            if row.name == OFF.name { format!("{}, Landlock off", row.series) } else { row.name.into() };
        let version = kernels.iter().find(|kernel| kernel.series == row.series);
        let version = version.map_or("", |kernel| &kernel.version);
        rows.extend(table::rows(&name, version, boot, &[User::Root, User::Nobody]));
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
