//! The report as text and as a page, on kernels that need not run; the page in a browser where there is one.

mod browser;
mod functions;

use functions::{denials, denied, report};
use sandboxed::report::{Mark, Resource};
use sandboxed::{By, Kernel, Promise, Report, sandboxed};
use std::path::Path;

/// Landlock without errata's fixes, TCP but no UDP.
const KERNEL: Kernel = Kernel::with(5, 0, true);

#[test]
fn the_text_is_as_it_was() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/report.txt");
    let text = report(KERNEL).with_denials(&denials()).to_string();
    if std::env::var_os("SANDBOXED_BLESS").is_some() {
        return std::fs::write(path, text).expect("the text is written");
    }
    let expected = std::fs::read_to_string(path).expect("the text");
    assert_eq!(text, expected, "if that is meant: SANDBOXED_BLESS=1 cargo test --test report");
}

#[test]
fn colours_are_there_where_they_are_asked_for() {
    let report = report(KERNEL).with_denials(&denials());
    let plain = report.to_string();
    assert!(!plain.contains('\x1b'));
    let coloured = report.coloured();
    assert_eq!(coloured, format!("{report:#}"));
    // Nothing but the colours differs.
    let without = coloured.split('\x1b').map(|part| match part.split_once('m') {
        Some((code, rest)) if code.starts_with('[') => rest,
        _ => part,
    });
    assert_eq!(without.collect::<String>(), plain);
    assert!(coloured.contains("\x1b[31munenforceable"));
}

#[sandboxed(read = "/usr", allow(udp))]
fn of_this_binary() {}

/// Every cell is what the plan says, on every kernel.
#[test]
fn cells_have_each_promise_of_the_plan_once() {
    for kernel in (0..=11).flat_map(|abi| [0, u32::MAX].map(|errata| Kernel::with(abi, errata, true))) {
        let report = report(kernel);
        for row in report.rows.iter().filter(|row| row.policy.is_some()) {
            let plan = row.plan.as_ref().unwrap();
            let held: usize = row.cells.iter().map(|cell| cell.held.len()).sum();
            assert_eq!(held, plan.held.len(), "{} on {kernel:?}", row.name);
            for cell in &row.cells {
                let is_here = |promise: Promise| Resource::of(promise) == cell.resource;
                assert!(cell.held.iter().all(|(promise, layers)| plan.held.get(promise) == Some(layers)));
                let lost = plan.lost.iter().any(|lost| is_here(lost.promise));
                assert_eq!(matches!(cell.mark, Mark::Lost | Mark::Unenforceable), lost, "{}", row.name);
                let must = row.error.iter().flat_map(|error| &error.lost).any(|lost| is_here(lost.promise));
                assert_eq!(cell.mark == Mark::Unenforceable, must, "{} on {kernel:?}", row.name);
            }
        }
    }
}

#[test]
fn functions_of_the_binary_are_listed_by_file_and_line() {
    of_this_binary();
    let report = sandboxed::report();
    assert_eq!(report.kernel, sandboxed::kernel());
    let row = report.rows.iter().find(|row| row.name.ends_with("::of_this_binary")).unwrap();
    assert_eq!(row.attribute, r#"read = "/usr", allow(udp)"#);
    let mark = |resource| row.cells.iter().find(|cell| cell.resource == resource).unwrap().mark;
    assert_eq!(mark(Resource::Udp), Mark::Granted);
    assert_eq!(mark(Resource::Write), Mark::Refused);
    let places = functions::order(&report);
    let mut sorted = places.clone();
    sorted.sort();
    assert_eq!(places, sorted);
}

#[test]
fn denials_are_marked_by_what_they_are_about() {
    let report = report(KERNEL).with_denials(&denials());
    let cell = |name: &str, resource| {
        let row = report.rows.iter().find(|row| row.name == name).unwrap();
        row.cells.iter().find(|cell| cell.resource == resource).unwrap().denied
    };
    assert_eq!(cell("site::serve", Resource::Read), 3);
    assert_eq!(cell("site::serve", Resource::Udp), 1);
    assert_eq!(cell("site::serve", Resource::Write), 0, "file permissions refused it");
    assert_eq!(cell("config::load", Resource::Read), 1, "whatever its arguments were");
    assert_eq!(cell("image::decode", Resource::Read), 0);
    assert_eq!(report.others.len(), 1);
    // Of two with one name, that whose place it is.
    let twins: Vec<u64> = report.rows.iter().filter(|row| row.name == "twin::run").map(denied).collect();
    assert_eq!(twins, [0, 1]);
    assert!(denials().iter().any(|denial| denial.by == By::Permissions));
}

#[test]
fn the_page_loads_nothing_and_has_every_function_and_denial() {
    let report = report(KERNEL).with_denials(&denials());
    let page = report.html();
    for outside in ["http:", "https:", "src=\"", "<script", "<img", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for name in report.rows.iter().map(|row| &row.name).filter(|name| !name.contains(['<', '\u{202e}'])) {
        assert!(page.contains(&format!(">{name}</a>")), "{name}");
    }
    assert_eq!(page.matches("<pre class=\"denial\">").count(), denials().len());
    assert!(page.contains("<span>denied </span>3×"));
    assert!(page.contains("by arguments: <code>read = path, memory = &quot;256MiB&quot;</code>"));
    // What names could deceive with is seen.
    assert!(page.contains("hostile::&lt;img") && page.contains("\\u{202e}"));
    let text = report.to_string();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text}");
}

#[test]
fn a_report_of_nothing_is_a_report() {
    let report = Report::of([], KERNEL);
    assert_eq!(report.to_string().lines().count(), 1);
    assert!(report.html().contains("<b>0</b> functions"));
}
