//! What came out, for people.

use super::boot::Boot;
use super::libtest::{self, Failure, Said};
use super::record::{Ended, Record, Run, User};
use super::suite::{LEFT_OUT, NOT_EVERYWHERE};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A kernel's tests as one user: a line of the table.
#[derive(Debug, Default)]
pub struct Row {
    pub kernel: String,
    pub version: String,
    pub abi: Option<u32>,
    pub errata: u32,
    pub user: &'static str,
    pub said: Said,
    pub seconds: u64,
}

/// The lines for one guest. What is no test's failure is one of the first line.
pub fn rows(kernel: &str, version: &str, boot: &Boot, users: &[User]) -> Vec<Row> {
    let mut rows: Vec<Row> = users
        .iter()
        .map(|user| Row {
            kernel: kernel.into(),
            version: version.into(),
            user: user.name(),
            ..Row::default()
        })
        .collect();
    let mut abi = 0;
    for record in &boot.records {
        match record {
            Record::Kernel { abi: found, errata, .. } => {
                abi = *found;
                rows.iter_mut().for_each(|row| (row.abi, row.errata) = (Some(*found), *errata));
            }
            Record::Run(run) => {
                let row = rows.iter_mut().find(|row| row.user == run.user.name());
                if let Some(row) = row {
                    row.add(run, abi);
                }
            }
            Record::End => {}
        }
    }
    let ended = boot.records.iter().any(|record| matches!(record, Record::End));
    if let Some(first) = rows.first_mut() {
        first.seconds = boot.took.as_secs();
        if !ended || boot.kernel_failed() {
            let what = if ended { "the kernel failed" } else { "the guest did not come to its end" };
            let output = format!("{}\n{}", boot.console.trim_end(), boot.qemu.trim_end());
            first.said.failed.push(Failure { test: what.into(), output });
        }
    }
    for row in &mut rows {
        if row.said.passed + row.said.refused == 0 {
            let output = "a kernel that runs nothing shows nothing".into();
            row.said.failed.push(Failure { test: "no test ran".into(), output });
        }
    }
    rows
}

impl Row {
    fn add(&mut self, run: &Run, abi: u32) {
        let said = libtest::read(&run.stdout, &run.stderr, abi);
        // A harness that ends well has failed nothing; one that failed something ends with 101.
        let Some(said) = said.filter(|said| match run.ended {
            Ended::Exit(0) => said.failed.is_empty(),
            Ended::Exit(101) => true,
            _ => false,
        }) else {
            let output = format!("{:?}\n{}\n{}", run.ended, run.stdout, run.stderr);
            self.said.failed.push(Failure { test: run.test.clone(), output });
            return;
        };
        let Said { passed, not_run, refused, failed, not_checked } = said;
        self.said.passed += passed;
        self.said.not_run += not_run;
        self.said.refused += refused;
        self.said.failed.extend(failed.into_iter().map(|failure| Failure {
            test: format!("{}::{}", run.test, failure.test),
            output: failure.output,
        }));
        self.said.not_checked.extend(not_checked.into_iter().map(|line| format!("{}: {line}", run.test)));
    }
}

/// Every line, in columns as wide as they must be.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        [
            "kernel",
            "package",
            "ABI",
            "errata",
            "user",
            "passed",
            "refused as planned",
            "failed",
            "not run",
            "not checked",
            "seconds",
        ]
        .map(str::to_owned),
    ];
    lines.extend(rows.iter().map(|row| {
        let abi = row.abi.map_or("?".into(), |abi| if abi == 0 { "none".into() } else { abi.to_string() });
        let Said { passed, not_run, refused, failed, not_checked } = &row.said;
        let [passed, not_run, refused, failed, not_checked] =
            [*passed, *not_run, *refused, failed.len(), not_checked.len()].map(|count| count.to_string());
        let seconds = if row.seconds == 0 { String::new() } else { row.seconds.to_string() };
        [
            row.kernel.clone(),
            row.version.clone(),
            abi,
            errata(row.errata),
            row.user.into(),
            passed,
            refused,
            failed,
            not_run,
            not_checked,
            seconds,
        ]
    }));
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0))
        .collect();
    let line = |line: &[String; 11]| {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

/// The numbers of the fixed errata.
fn errata(bits: u32) -> String {
    let numbers: Vec<String> =
        (0..u32::BITS).filter(|bit| bits & (1 << bit) != 0).map(|bit| (bit + 1).to_string()).collect();
    if numbers.is_empty() { "-".into() } else { numbers.join(",") }
}

/// What the table does not say.
pub fn footnotes(rows: &[Row], missing: &[String], verbose: bool) -> String {
    let mut text = String::from("In no guest: documentation tests");
    for (name, why) in LEFT_OUT {
        write!(text, ", {name} ({why})").unwrap_or_default();
    }
    let name = |(binary, part): &(&str, &str)| match *part {
        "" => (*binary).to_owned(),
        part => format!("{binary} ({part})"),
    };
    let part = NOT_EVERYWHERE.iter().map(name).collect::<Vec<_>>().join(", ");
    writeln!(text, "\nOnly without Landlock, and in the oldest and the newest kernel that has it: {part}")
        .unwrap_or_default();
    for line in missing {
        writeln!(text, "Not there: {line}").unwrap_or_default();
    }
    if verbose {
        for row in rows {
            for line in row.said.not_checked.iter().collect::<BTreeSet<_>>() {
                writeln!(text, "{} as {}: {line}", row.kernel, row.user).unwrap_or_default();
            }
        }
    }
    text
}
