//! What is locked, how it is compared, and what the test says.

use super::*;
use crate::plan::Placement;
use crate::policy::{Access, Allow, Policy, Preset, Stdio, Workers, optional};
use crate::registry::Function;
use std::time::Duration;

const fn function(name: &'static str, attribute: &'static str, policy: Option<fn() -> Policy>) -> Function {
    let (placement, warm, test) = (Placement::Process, None, false);
    Function { name, file: "src/a.rs", line: 7, column: 1, placement, attribute, policy, warm, test }
}

const BY_ARGUMENTS: Function =
    function("config::load", "read = [path , \"/etc/b, c\"], thread, memory=\"1KiB\", warm = f", None);

fn lock_of(functions: &[Function]) -> Lock {
    Lock::of(functions, Path::new("/the/package"))
}

/// The lock of a function with this policy.
fn lock(policy: fn() -> Policy) -> Lock {
    lock_of(&[function("a::f", "", Some(policy))])
}

#[test]
fn every_grant_has_a_line() {
    let everything = || {
        Policy::new()
            .read(["/usr", "/etc/a b"])
            .write(optional("/the/package/cache"))
            .fs(Access::MAKE_DIR | Access::REFER, "/x")
            .tcp_connect([80..=80, 8000..=8010])
            .allow(Allow::Udp)
            .allow(Allow::Signal)
            .preset(Preset::Tmp)
            .preset(Preset::Dns)
            .env(["A", "B"])
            .stdio(Stdio::Null)
            .cpu(Duration::from_millis(1500))
            .workers(Workers::new().reuse(8).max(4))
            .strict()
    };
    let serve = Function {
        placement: Placement::InPlace,
        line: 1,
        ..function("a::serve", "", Some(|| Policy::for_program().tcp_bind(8080)))
    };
    let text = lock_of(&[serve, function("a::everything", "", Some(everything)), BY_ARGUMENTS]).to_string();
    let expected = r#"# What sandboxed functions may do, as it was accepted. Written by `sandboxed::assert_locked!`:
# SANDBOXED_ACCEPT=1 cargo test

a::everything
  process
  allow(signal)
  allow(udp)
  cpu = "1500ms"
  env = "A"
  env = "B"
  fs(make_dir = "/x")
  fs(refer = "/x")
  memory = "1GiB"
  open_files = 256
  preset(dns)
  preset(tmp)
  read = "/etc/a b"
  read = "/usr"
  stdio = "null"
  strict
  tcp_connect = 80
  tcp_connect = 8000..=8010
  timeout = "30s"
  workers(reuse = 8, max = 4)
  write = optional("$CARGO_MANIFEST_DIR/cache")

a::serve
  in_place
  memory = "unlimited"
  tcp_bind = 8080
  timeout = "never"

config::load
  by its attribute
  process
  memory = "1KiB"
  read = [path, "/etc/b, c"]
"#;
    assert_eq!(text, expected);
    assert_eq!(Lock::parse(&text).to_string(), expected);
}

#[test]
fn a_path_is_written_from_a_place_only_where_the_attribute_does_not_spell_it_out() {
    let in_package: fn() -> Policy = || Policy::new().read("/the/package/data");
    let spelled_out = function("a::f", r#"read = "/the/package/data""#, Some(in_package));
    assert!(lock_of(&[spelled_out]).to_string().contains(r#"read = "/the/package/data""#));
    assert!(lock(in_package).to_string().contains(r#"read = "$CARGO_MANIFEST_DIR/data""#));
    let in_tmp = lock(|| Policy::new().write(std::env::temp_dir().join("x")));
    assert!(in_tmp.to_string().contains(r#"write = "$TMPDIR/x""#), "{in_tmp}");
    let beside = lock(|| Policy::new().read("/the/packages"));
    assert!(beside.to_string().contains(r#"read = "/the/packages""#));
}

#[test]
fn neither_lines_of_the_source_nor_the_order_of_functions_count() {
    let moved = Function { line: 90, file: "src/b.rs", ..function("a::f", "", Some(Policy::new)) };
    let all = [function("a::f", "", Some(Policy::new)), BY_ARGUMENTS];
    assert_eq!(lock_of(&[BY_ARGUMENTS, moved]).to_string(), lock_of(&all).to_string());
    // Methods of several types can have one name.
    let [first, second] = [1, 2].map(|line| Function { line, ..function("a::f", "", Some(Policy::new)) });
    assert_eq!(lock_of(&[second, first]).blocks.keys().collect::<Vec<_>>(), ["a::f", "a::f (2)"]);
}

/// The lines of a difference, without the name.
fn changes(before: fn() -> Policy, after: fn() -> Policy) -> Vec<String> {
    let text = lock(before).difference(&lock(after)).to_string();
    text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_difference_says_what_widens_and_what_narrows() {
    let new = Policy::new;
    type Case = (fn() -> Policy, fn() -> Policy, &'static [&'static str]);
    let cases: &[Case] = &[
        (new, new, &[]),
        (new, || Policy::new().read("/a"), &[r#"+ read = "/a" widens"#]),
        (|| Policy::new().read("/a"), new, &[r#"- read = "/a" narrows"#]),
        (
            || Policy::new().read("/a"),
            || Policy::new().read(optional("/a")),
            &[r#"- read = "/a""#, r#"+ read = optional("/a")"#],
        ),
        (new, || Policy::new().allow(Allow::Signal), &["+ allow(signal) widens"]),
        (new, || Policy::new().quiet("/a"), &[r#"+ quiet = "/a""#]),
        (new, || Policy::new().strict(), &["+ strict narrows"]),
        (
            || Policy::new().strict(),
            || Policy::new().best_effort(),
            &["- strict widens", "+ best_effort widens"],
        ),
        (
            new,
            || Policy::new().memory(2u64 << 30),
            &[r#"- memory = "1GiB" widens"#, r#"+ memory = "2GiB" widens"#],
        ),
        (
            new,
            || Policy::new().timeout(Duration::from_millis(1500)),
            &[r#"- timeout = "30s" narrows"#, r#"+ timeout = "1500ms" narrows"#],
        ),
        (
            new,
            || Policy::new().timeout(crate::Timeout::Never),
            &[r#"- timeout = "30s" widens"#, r#"+ timeout = "never" widens"#],
        ),
        (new, || Policy::new().file_size(1 << 20), &[r#"+ file_size = "1MiB" narrows"#]),
        (|| Policy::new().threads(1), new, &["- threads = 1 widens"]),
        (new, || Policy::new().stdio(Stdio::Inherit), &[r#"+ stdio = "inherit" widens"#]),
        (new, || Policy::new().workers(Workers::new().reuse(2)), &["+ workers(reuse = 2)"]),
    ];
    for (before, after, expected) in cases {
        assert_eq!(changes(*before, *after), *expected);
    }
}

#[test]
fn what_an_attribute_leaves_out_has_its_default() {
    let with = |attribute| lock_of(&[function("a::f", attribute, None)]);
    let said = |before: &Lock, after: &Lock| before.difference(after).to_string();
    let wider = said(&with("read = p, memory = \"1MiB\""), &with("read = p"));
    assert_eq!(wider, "  a::f\n-   memory = \"1MiB\"\n");
    let compared = said(&with("memory = \"1MiB\""), &with("memory = \"2MiB\""));
    assert!(compared.lines().skip(1).all(|line| line.ends_with("widens")), "{compared}");
    let expression = said(&with("memory = A"), &with("memory = B"));
    assert_eq!(expression, "  a::f\n-   memory = A\n+   memory = B\n");
    let from_policy = said(&lock(Policy::new), &with("read = p"));
    assert!(!from_policy.contains("timeout = \"30s\" "), "{from_policy}");
    assert!(from_policy.contains("read = p"), "{from_policy}");
}

#[test]
fn functions_that_are_new_or_gone_and_placements_are_told() {
    let [one, other] = ["a::f", "a::g"].map(|name| lock_of(&[function(name, "strict", None)]));
    let text = one.difference(&other).to_string();
    let expected = "- a::f (gone)\n-   by its attribute\n-   process\n-   strict\n\
                    + a::g (new)\n+   by its attribute\n+   process\n+   strict\n";
    assert_eq!(text, expected);
    let thread = Function { placement: Placement::Thread, ..function("a::f", "strict", None) };
    let effects = |difference: Difference| -> Vec<(String, Effect)> {
        difference.changes.into_values().flat_map(|change| change.added).collect()
    };
    let thread = lock_of(&[thread]);
    assert_eq!(effects(one.difference(&thread)), [("thread".to_owned(), Effect::Widens)]);
    assert_eq!(effects(thread.difference(&one)), [("process".to_owned(), Effect::Narrows)]);
}

#[test]
fn a_missing_file_is_written_but_in_ci_and_a_difference_fails_until_accepted() {
    let directory = std::env::temp_dir().join(format!("sandboxed-lock-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(FILE);
    let (narrow, wide) = (lock(Policy::new), lock(|| Policy::new().read("/etc/hosts")));
    let read = || std::fs::read_to_string(&path).unwrap();

    let missing = check(&narrow, &path, Mode::Ci).unwrap_err();
    assert!(missing.ends_with("is missing: run `SANDBOXED_ACCEPT=1 cargo test`, and commit it"), "{missing}");
    assert!(!path.exists());
    check(&narrow, &path, Mode::Compare).unwrap();
    assert_eq!(read(), narrow.to_string());
    for mode in [Mode::Compare, Mode::Ci, Mode::Accept] {
        check(&narrow, &path, mode).unwrap();
    }
    for mode in [Mode::Compare, Mode::Ci] {
        let message = check(&wide, &path, mode).unwrap_err();
        assert!(message.contains("\n  a::f\n+   read = \"/etc/hosts\""), "{message}");
        assert!(
            message.contains("widens\n\nif that is meant, run `SANDBOXED_ACCEPT=1 cargo test`"),
            "{message}"
        );
        assert_eq!(read(), narrow.to_string(), "it is not written");
    }
    check(&wide, &path, Mode::Accept).unwrap();
    assert_eq!(read(), wide.to_string());
    // What narrows has to be accepted too.
    assert!(check(&narrow, &path, Mode::Compare).unwrap_err().contains("narrows"));
    // Comments and the order of lines are the reader's.
    let edited = format!("# why\n{}", read().replace("  process\n", "").trim_end()) + "\n  process\n";
    std::fs::write(&path, &edited).unwrap();
    check(&wide, &path, Mode::Ci).unwrap();
    // Nothing to compare is no success.
    assert!(check(&Lock::default(), &path, Mode::Accept).unwrap_err().contains("use my_crate as _"));
    assert_eq!(read(), edited);
    std::fs::remove_dir_all(&directory).unwrap();
}
