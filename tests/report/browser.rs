//! The page in a browser: what it says, that it runs nothing, and that all of it can be reached.

use crate::functions::{FUNCTIONS, denials, report};
use crate::{KERNEL, functions};
use sandboxed::report::Resource;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A browser without a window, if there is one. Where `CI` is set there must be one.
fn browser() -> Option<&'static str> {
    let runs = |name: &&str| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(runs);
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "there is no chromium that starts, and CI is to show the page"
        );
        eprintln!("not checked: there is no chromium to show the page");
    }
    found
}

/// Its own sandbox needs user namespaces and is none of what is tested.
fn run(browser: &str, profile: &Path, arguments: &[&str], page: &Path) -> Output {
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000"]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(arguments);
    command.arg(format!("file://{}", page.display())).env("HOME", profile);
    command.output().expect("the browser runs")
}

/// What pages say on the console comes as `:CONSOLE(`.
fn console(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect()
}

fn written(directory: &Path, page: &str) -> PathBuf {
    let path = directory.join("page.html");
    std::fs::write(&path, page).expect("the page is written");
    path
}

#[test]
fn a_browser_shows_every_row_and_runs_nothing() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().unwrap();
    let page = written(directory.path(), &report(KERNEL).with_denials(&denials()).html());
    let output = run(browser, directory.path(), &["--dump-dom"], &page);
    let dom = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && dom.contains("</html>"), "{output:?}");
    assert_eq!(console(&output), [""; 0]);
    assert_eq!(dom.matches("<th role=\"rowheader\"").count(), FUNCTIONS.len());
    assert_eq!(dom.matches("<td role=\"cell\"").count(), FUNCTIONS.len() * Resource::ALL.len());
    assert_eq!(dom.matches("<section id=").count(), FUNCTIONS.len() + 1, "and of those that are not here");
    // Neither in the name, nor in paths, nor in denials did anything become an element.
    assert!(dom.contains("<title>Sandboxed functions</title>"));
    for element in ["<img", "<script", "<b>\""] {
        assert!(!dom.contains(element), "{element}");
    }
    assert!(dom.contains("hostile::&lt;img src=x onerror="), "it shows as text");
}

/// The twin of the test above: this browser runs scripts, and says so, where a page has them and forbids none.
#[test]
fn a_page_that_ran_a_script_would_be_noticed() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().unwrap();
    let script = "<script>document.title='owned'; console.error('ran')</script>";
    let page = written(directory.path(), &format!("<!doctype html><title>x</title>{script}"));
    let output = run(browser, directory.path(), &["--dump-dom"], &page);
    assert!(String::from_utf8_lossy(&output.stdout).contains("<title>owned</title>"), "{output:?}");
    assert_eq!(console(&output).len(), 1, "{output:?}");
    // The page's own policy stops what would get past its escapes.
    let hole = report(KERNEL).html().replace("</main>", &format!("{script}</main>"));
    let page = written(directory.path(), &hole);
    let output = run(browser, directory.path(), &["--dump-dom"], &page);
    let dom = String::from_utf8_lossy(&output.stdout);
    assert!(dom.contains("<title>Sandboxed functions</title>"), "{dom}");
    assert!(console(&output).iter().any(|line| line.contains("Content Security Policy")), "{output:?}");
}

/// At the width of a telephone nothing sticks out to the right. (A page that loads its report in a frame measures it:
/// the report itself runs no script.)
#[test]
fn a_narrow_screen_shows_all_of_it() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().unwrap();
    let html = functions::report(KERNEL).with_denials(&denials()).html();
    let measured = |width: u32, html: &str| -> u32 {
        let srcdoc = html.replace('&', "&amp;").replace('"', "&quot;");
        let frame = format!(
            "<!doctype html><title>x</title><iframe id=f width={width} height=900 srcdoc=\"{srcdoc}\"></iframe>\
             <script>onload = () => document.title = document.getElementById('f').contentDocument.documentElement.scrollWidth</script>"
        );
        let page = written(directory.path(), &frame);
        let output = run(browser, directory.path(), &["--dump-dom"], &page);
        let dom = String::from_utf8_lossy(&output.stdout).into_owned();
        let title = dom.split("<title>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
        title.parse().unwrap_or_else(|_| panic!("no width: {output:?}"))
    };
    assert!(measured(390, &html) <= 390);
    // Without what makes cards of the rows it would.
    assert!(
        measured(390, &html.replace("max-width: 60rem", "max-width: 1px").replace("overflow-x: auto", ""))
            > 390
    );
}
