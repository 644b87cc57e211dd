//! What a test binary said: libtest's text, and libtest-mimic's, which is the same but for what is noted here.

/// A binary's output, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub passed: usize,
    /// Ignored, or not run with a reason.
    pub not_run: usize,
    /// Refused by the library as its plan for this kernel says: cases that expect it, and tests that failed of it.
    pub refused: usize,
    /// Every other failure, with what it printed.
    pub failed: Vec<Failure>,
    /// What tests said that they cannot check here.
    pub not_checked: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub test: String,
    pub output: String,
}

/// Reads a binary's output, from a kernel of this ABI. `None` where it did not come to its end.
pub fn read(stdout: &str, stderr: &str, abi: u32) -> Option<Said> {
    // The last one: a test's own output may hold that of a harness in a child.
    let result = stdout.rfind("\ntest result: ")?;
    let counts = stdout[result..].trim_start().lines().next()?;
    let [passed, failed, ignored] = ["passed", "failed", "ignored"].map(|what| count(counts, what));
    let [passed, failed, ignored] = [passed?, failed?, ignored?];
    let blocks = failures(&stdout[..result]);
    if blocks.len() != failed {
        return None;
    }
    let (refused, failed): (Vec<_>, Vec<_>) =
        blocks.into_iter().partition(|failure| is_refused(&failure.output, abi));
    // A table of cases counts what it expected to be refused; the harness has it among the ignored.
    let cases = stdout[result..].lines().find_map(|line| line.strip_prefix("cases: "));
    let refused_cases = cases.and_then(|cases| count(cases, "refused")).unwrap_or(0);
    let not_checked = stdout.lines().chain(stderr.lines()).filter(|line| line.starts_with("not checked"));
    Some(Said {
        passed,
        not_run: ignored.checked_sub(refused_cases)?,
        refused: refused.len() + refused_cases,
        failed,
        not_checked: not_checked.map(str::to_owned).collect(),
    })
}

/// The number before a word.
fn count(line: &str, what: &str) -> Option<usize> {
    let words: Vec<&str> =
        line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(2).find_map(|pair| if pair[1] == what { pair[0].parse().ok() } else { None })
}

/// Input: `... ---- NAME stdout ---- OUTPUT ... failures: NAME...`, the names indented.
fn failures(text: &str) -> Vec<Failure> {
    let Some((text, names)) = text.rsplit_once("\nfailures:\n") else { return Vec::new() };
    let names = names.lines().filter_map(|line| line.strip_prefix("    "));
    let mut blocks: Vec<(usize, &str)> = names.filter_map(|name| Some((header(text, name)?, name))).collect();
    blocks.sort_unstable();
    let ends: Vec<usize> = blocks.iter().skip(1).map(|(start, _)| *start).chain([text.len()]).collect();
    let block = |((start, name), end): (&(usize, &str), usize)| Failure {
        test: (*name).to_owned(),
        output: text[*start..end].trim().to_owned(),
    };
    blocks.iter().zip(ends).map(block).collect()
}

/// Where a test's output begins. The first: a child that runs the same test comes within it. (libtest-mimic's header
/// has no `stdout`.)
fn header(text: &str, name: &str) -> Option<usize> {
    let headers = [format!("\n---- {name} stdout ----\n"), format!("\n---- {name} ----\n")];
    headers.iter().filter_map(|header| text.find(header.as_str())).min()
}

/// Whether a failure says that the library refused the call, because this kernel's Landlock is too old for it. Not
/// where the library is wrong about the kernel.
fn is_refused(output: &str, abi: u32) -> bool {
    is_refused_in_words(output, abi) || is_refused_in_debug(output, abi)
}

fn is_refused_in_words(output: &str, abi: u32) -> bool {
    output.match_indices("it needs Landlock ABI ").any(|(at, found)| {
        let Some((needed, has)) = output[at + found.len()..].split_once(", and this kernel has ") else {
            return false;
        };
        let has = match has.strip_prefix("no Landlock") {
            Some(_) => Some(0),
            None => number(has),
        };
        has == Some(abi) && number(needed).is_some_and(|needed| needed > abi)
    })
}

/// As `unwrap` prints it: `Unenforceable { placement: .., kernel: Kernel { abi: 2, .. }, lost: [.. Landlock(4) ..], strict`.
fn is_refused_in_debug(output: &str, abi: u32) -> bool {
    output.split("Unenforceable { placement: ").skip(1).any(|refusal| {
        let Some((_, kernel)) = refusal.split_once("kernel: Kernel { abi: ") else { return false };
        let lost = kernel.split(", strict: ").next().unwrap_or_default();
        let needed = lost.split("Landlock(").skip(1).filter_map(number).max();
        number(kernel) == Some(abi) && needed.is_some_and(|needed| needed > abi)
    })
}

fn number(text: &str) -> Option<u32> {
    text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str =
        "cannot be enforced: it needs Landlock ABI 4, and this kernel has 2, to hold `bind_tcp`";

    fn failure(test: &str, output: &str) -> Failure {
        Failure { test: test.into(), output: output.into() }
    }

    #[test]
    fn what_passed_is_counted() {
        let stdout = "\nrunning 3 tests\ntest a ... ok\ntest b ... ignored\ntest c ... ok\n\nsuccesses:\n\n\
                      ---- a stdout ----\nnot checked: UDP needs Landlock ABI 10, this kernel has 2\n\n\nsuccesses:\n    a\n    c\n\n\
                      test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\n";
        let not_checked = vec!["not checked: UDP needs Landlock ABI 10, this kernel has 2".to_owned()];
        let expected = Said { passed: 2, not_run: 1, not_checked, ..Said::default() };
        assert_eq!(read(stdout, "", 2), Some(expected));
    }

    #[test]
    fn what_failed_of_a_refusal_is_told_from_what_failed() {
        // Each with what a harness in a child printed, for the test of the same name.
        let child = "in the child: exit status: 101\n\nrunning 1 test\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\
                     assertion failed\n\nfailures:\n    b\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out\n";
        let stdout = format!(
            "\nrunning 3 tests\ntest c ... ok\n\nfailures:\n\n---- b stdout ----\n{child}\n---- a stdout ----\n{REFUSED}\n\n\
             failures:\n    a\n    b\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n\n"
        );
        let output = format!("---- b stdout ----\n{child}");
        let expected =
            Said { passed: 1, refused: 1, failed: vec![failure("b", output.trim())], ..Said::default() };
        assert_eq!(read(&stdout, "", 2), Some(expected));
    }

    #[test]
    fn a_table_counts_what_it_expected_to_be_refused() {
        let stdout = "\nrunning 6 tests\ntest a ... ok\ntest b ... ignored, refused as planned: it needs Landlock ABI 4\n\
                      test c ... ignored, not run: needs root\n\nfailures:\n\n---- d ----\nEACCES\n\n\nfailures:\n    d\n\n\
                      test result: FAILED. 2 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1s\n\n\
                      cases: 2 ran, 2 refused as planned, 1 not run (1 needs root)\n";
        let failed = vec![failure("d", "---- d ----\nEACCES")];
        let expected = Said { passed: 2, not_run: 1, refused: 2, failed, ..Said::default() };
        assert_eq!(read(stdout, "", 2), Some(expected));
    }

    #[test]
    fn a_refusal_is_one_for_this_kernel() {
        assert!(is_refused(REFUSED, 2));
        assert!(is_refused(
            "x: it needs Landlock ABI 1, and this kernel has no Landlock, to hold `no files`",
            0
        ));
        assert!(!is_refused(REFUSED, 7), "the library takes the kernel for an older one");
        assert!(!is_refused(REFUSED, 0));
        assert!(!is_refused("it needs Landlock ABI 2, and this kernel has 2, to hold `x`", 2));
        assert!(!is_refused("EACCES", 2));
        let debug = "Unenforceable(Unenforceable { placement: Process, kernel: Kernel { abi: 2, errata: 0, seccomp: true }, \
                     lost: [Lost { promise: Port(BindTcp), could: [Landlock(4)] }], strict: false }), ran: No";
        assert!(is_refused(debug, 2));
        assert!(!is_refused(debug, 7));
        assert!(!is_refused(&debug.replace("Landlock(4)", "Filter"), 2));
    }

    #[test]
    fn what_did_not_come_to_its_end_is_not_read() {
        assert_eq!(read("\nrunning 3 tests\ntest a ... ", "", 2), None);
        let listed = "\nfailures:\n    a\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured\n";
        assert_eq!(read(listed, "", 2), None, "a failure without its output");
    }
}
