//! What the attribute says to mistakes, and what it becomes without any.

use crate::expand::sandboxed;
use crate::keys::{KEYS, Placement, RIGHTS, Shape, Status};
use proc_macro2::TokenStream;
use quote::quote;

fn expansion(attribute: &str, item: &str, test: bool) -> TokenStream {
    let attribute: TokenStream = attribute.parse().unwrap();
    sandboxed(attribute, item.parse().unwrap(), test)
}

/// The messages of an expansion, in order. Without any, the expansion must be Rust.
fn messages(attribute: &str, item: &str, test: bool) -> Vec<String> {
    let expansion = expansion(attribute, item, test);
    let file: syn::File =
        syn::parse2(expansion.clone()).unwrap_or_else(|error| panic!("{error}: {expansion}"));
    let errors = file.items.iter().filter_map(|item| match item {
        syn::Item::Macro(item) if item.mac.path.segments.last()?.ident == "compile_error" => {
            Some(item.mac.parse_body::<syn::LitStr>().unwrap().value())
        }
        _ => None,
    });
    errors.collect()
}

fn mistakes(attribute: &str) -> Vec<String> {
    messages(attribute, "fn f(path: &Path) -> u8 { 1 }", false)
}

/// Of an item with `#[sandboxed]`, or with what is put before a `|`.
fn item_mistakes(item: &str) -> Vec<String> {
    let (attribute, item) =
        item.split_once('|').filter(|(before, _)| !before.contains('{')).unwrap_or(("", item));
    messages(attribute, item, false)
}

#[test]
fn samples_of_all_keys_are_taken() {
    for key in KEYS {
        let attribute = match key.placements {
            _ if key.sample.contains(key.placements[0].word()) => key.sample.to_owned(),
            placements => format!("{}, {}", placements[0].word(), key.sample),
        };
        let found = messages(&attribute, "fn f() {}", key.test);
        match key.status {
            Status::Enforced => assert_eq!(found, [""; 0], "{}", key.sample),
            Status::Later(missing) => {
                let expected =
                    format!("this version of sandboxed cannot enforce `{}` yet: {missing}", key.name);
                assert_eq!(found, [expected], "{}", key.sample);
            }
        }
        assert_eq!(KEYS.iter().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
    }
}

#[test]
fn keys_are_taken_only_where_they_can_be_enforced() {
    for key in
        KEYS.iter().filter(|key| key.status == Status::Enforced && !matches!(key.shape, Shape::Placement(_)))
    {
        let sample = key.sample.strip_prefix("in_place, ").unwrap_or(key.sample);
        for placement in [Placement::Process, Placement::Thread, Placement::InPlace] {
            if key.test && placement == Placement::InPlace {
                continue;
            }
            let found = messages(&format!("{}, {sample}", placement.word()), "fn f() {}", key.test);
            let expected = !key.placements.contains(&placement);
            let start = format!("`{}` cannot give `{}`; only ", placement.word(), key.name);
            assert_eq!(found.len(), usize::from(expected), "{sample}: {found:?}");
            assert!(found.iter().all(|message| message.starts_with(&start)), "{found:?}");
        }
    }
}

#[test]
fn all_rights_are_taken() {
    assert_eq!(RIGHTS.len(), 17);
    let all = RIGHTS.iter().map(|right| format!("{right} = \"/{right}\"")).collect::<Vec<_>>().join(", ");
    assert_eq!(mistakes(&format!("fs({all})")), [""; 0]);
}

#[test]
fn mistakes_in_keys() {
    for (attribute, expected) in [
        ("reed = \"/\"", "unknown key `reed`; did you mean `read`?"),
        ("tcp_bnd = 80", "unknown key `tcp_bnd`; did you mean `tcp_bind`?"),
        ("zebra", "unknown key `zebra`; the documentation of the attribute lists the keys"),
        ("udp", "`udp` goes into `allow(...)`: write `allow(udp)`"),
        ("reuse = 2", "`reuse` goes into `workers(...)`: write `workers(reuse = ...)`"),
        ("dns", "`dns` goes into `preset(...)`: write `preset(dns)`"),
        ("make_dir = \"/x\"", "`make_dir` goes into `fs(...)`: write `fs(make_dir = ...)`"),
        ("allow(upd)", "unknown word `upd` in `allow`; did you mean `udp`?"),
        (
            "allow(sleep)",
            "unknown word `sleep` in `allow`; it takes udp, signal, abstract_unix_socket, metadata",
        ),
        ("preset(local)", "unknown word `local` in `preset`; did you mean `locale`?"),
        ("fs(make_dirs = \"/x\")", "unknown word `make_dirs` in `fs`; did you mean `make_dir`?"),
        ("read = \"/a\", read = \"/b\"", "duplicate key `read`; write a list, as in `read = [..., ...]`"),
        ("allow(udp), allow(signal)", "duplicate key `allow`; write one `allow(..., ...)`"),
        ("timeout = \"1s\", timeout = \"2s\"", "duplicate key `timeout`"),
        ("allow(udp, udp)", "`udp` is listed twice in `allow`"),
        ("fs(refer = \"/a\", refer = \"/b\")", "`refer` is listed twice in `fs`"),
        ("process, thread", "`thread` contradicts `process`; a function runs in one place"),
        ("thread, thread", "`thread` is written twice"),
        ("strict, best_effort", "`best_effort` contradicts `strict`; keep one"),
        ("strict, strict", "duplicate key `strict`"),
        ("workers(reuse = 2), workers(max = 3)", "duplicate key `workers`; write one `workers(..., ...)`"),
        ("workers(reuse = 2, reuse = 3)", "`reuse` is listed twice in `workers`"),
        ("workers(spares = 1)", "unknown word `spares` in `workers`; did you mean `spare`?"),
        ("workers(cpu = 1)", "unknown word `cpu` in `workers`; it takes reuse, spare, max"),
        ("workers(reuse)", "`reuse` needs a value, as in `workers(spare = 2)`"),
        ("workers = 5", "`workers` takes parentheses, as in `workers(spare = 2)`"),
        ("workers()", "`workers()` is empty; leave it out"),
        ("thread, workers(max = 1)", "`thread` cannot give `workers`; only `process` can"),
        ("in_place, warm = prepare", "`in_place` cannot give `warm`; only `process` can"),
        ("strict = true", "`strict` takes no value; write it alone"),
        ("thread(1)", "`thread` takes no value; write it alone"),
        ("allow(udp = 1)", "`udp` takes no value; write it alone"),
        ("read", "`read` needs a value, as in `read = \"/usr\"`"),
        ("read =", "`read` has no value behind `=`"),
        ("read(\"/usr\")", "`read` takes its value behind `=`, as in `read = \"/usr\"`"),
        ("allow = udp", "`allow` takes parentheses, as in `allow(udp)`"),
        ("allow", "`allow` needs a value, as in `allow(udp)`"),
        ("allow()", "`allow()` is empty; leave it out"),
        ("fs()", "`fs()` is empty; leave it out"),
        ("fs(refer)", "`refer` needs a value, as in `fs(make_dir = \"/var/cache\")`"),
        ("read = \"/a\" write = \"/b\"", "expected `,` before the next key"),
        ("\"/usr\"", "expected a key, such as `read = \"/usr\"`"),
        ("thread, timeout = \"1s\"", "`thread` cannot give `timeout`; only `process` can"),
        ("in_place, namespaces", "`in_place` cannot give `namespaces`; only `process` can"),
        ("thread, threads = 1", "`thread` cannot give `threads`; only `process` can"),
        ("in_place, memory = 1", "`in_place` cannot give `memory`; only `process` can"),
        (
            "thread_sync = \"signal\"",
            "`process`, the default here, cannot give `thread_sync`; only `in_place` can",
        ),
        (
            "unenforceable = \"skip\"",
            "`unenforceable` is for tests; use `#[sandboxed::test(unenforceable = ...)]`",
        ),
        ("warm = 5", "`warm` takes the path of a function, as in `warm = prepare`"),
        ("warm = || ()", "`warm` takes the path of a function, as in `warm = prepare`"),
        ("warm = prepare()", "`warm` takes the path of a function, as in `warm = prepare`"),
        ("warm(prepare)", "`warm` takes its value behind `=`, as in `warm = prepare`"),
        ("crate = 5", "`crate` takes the path of this crate, as in `crate = my::sandboxed`"),
        ("policy = 5", "`policy` takes a `Policy`, or the path of a policy file in quotes, found `5`"),
        (
            "fallible = \"x\"",
            "`fallible` takes the name of the function to add, as in `fallible = try_decode`",
        ),
        (
            "fallible = other::x",
            "`fallible` takes the name of the function to add, as in `fallible = try_decode`",
        ),
        ("fallible = f", "the function to add needs a name of its own"),
    ] {
        assert_eq!(mistakes(attribute), [expected], "{attribute}");
    }
}

#[test]
fn mistakes_in_values() {
    for (attribute, expected) in [
        ("read = 5", "`read` takes an absolute path, found `5`"),
        ("read = true", "`read` takes an absolute path, found `true`"),
        ("read = b\"/x\"", "`read` takes an absolute path, found `b\"/x\"`"),
        ("read = \"\"", "`read` takes an absolute path, found an empty one"),
        ("write = \"etc\"", "`write` takes an absolute path, found `etc`; write `/etc` or an expression"),
        ("read = \"~/x\"", "`~` is not expanded, found `~/x`; take the home directory from the environment"),
        ("read = \"/a\\0b\"", "a path cannot contain a zero byte"),
        ("read = []", "`read` has an empty list; leave the key out"),
        ("read = &[]", "`read` has an empty list; leave the key out"),
        ("read = [\"/a\", \"/b\", \"/a/\"]", "`/a/` is listed twice in `read`"),
        ("read = [\"/a\", optional(\"/a\")]", "`/a` is listed twice in `read`"),
        (
            "read = optional(\"lib\")",
            "`read` takes an absolute path, found `lib`; write `/lib` or an expression",
        ),
        ("read = optional()", "`optional` takes one path, such as `optional(\"/lib64\")`"),
        ("fs(refer = \"x\")", "`refer` takes an absolute path, found `x`; write `/x` or an expression"),
        ("tcp_bind = 99999", "`tcp_bind` takes a port from 0 to 65535, found `99999`"),
        ("tcp_bind = -1", "`tcp_bind` takes a port from 0 to 65535, found `-1`"),
        ("tcp_bind = 80u8", "`tcp_bind` takes a port from 0 to 65535, found `80u8`"),
        ("tcp_bind = \"80\"", "`tcp_bind` takes a port from 0 to 65535, found `\"80\"`"),
        ("tcp_bind = 1.5", "`tcp_bind` takes a port from 0 to 65535, found `1.5`"),
        ("tcp_bind = []", "`tcp_bind` has an empty list; leave the key out"),
        ("tcp_bind = [1, 2, 1]", "`1` is listed twice in `tcp_bind`"),
        ("udp_bind = [1..=5, 3]", "`3` overlaps `1..=5` in `udp_bind`"),
        ("udp_bind = 5..=1", "the range is reversed; write the lower port first, as in `8000..=8010`"),
        ("udp_bind = 5..5", "the range is empty; write the lower port first, as in `8000..=8010`"),
        ("udp_bind = ..", "an open range; write `0..=65535` for every port"),
        ("udp_bind = 1..=70000", "`udp_bind` takes a port from 0 to 65535, found `70000`"),
        ("timeout = 2", "`timeout` takes a duration such as `\"2s\"`, found `2`"),
        ("timeout = \"2\"", "`2` has no unit; write `2s` (units: ns, us, ms, s, min, h)"),
        (
            "timeout = \"never ever\"",
            "`never ever` does not begin with a number; write a number and a unit, such as `2s`",
        ),
        ("timeout = \"newer\"", "unknown word `newer`; did you mean `never`?"),
        ("memory = 0", "`memory` takes a size such as `\"256MiB\"`, found `0`"),
        ("memory = -5", "`memory` takes a size such as `\"256MiB\"`, found `-5`"),
        ("memory = 1 << 64", "`memory` takes from 1 to 18446744073709551615 bytes"),
        ("memory = 5 * (1 - 1)", "`memory` takes from 1 to 18446744073709551615 bytes"),
        ("memory = \"256MB\"", "unknown unit `MB` in `256MB`; did you mean `MiB`?"),
        ("memory = \"limited\"", "unknown word `limited`; did you mean `unlimited`?"),
        ("cpu = 1", "`cpu` takes a duration such as `\"2s\"`, found `1`"),
        ("cpu = \"never\"", "`never` does not begin with a number; write a number and a unit, such as `2s`"),
        ("open_files = 0", "`open_files` takes a number from 1, found `0`"),
        ("open_files = \"16\"", "`open_files` takes a number from 1, found `\"16\"`"),
        ("thread, open_files = 1", "`thread` cannot give `open_files`; only `process` can"),
        ("file_size = 0", "`file_size` takes a size such as `\"256MiB\"`, found `0`"),
        ("file_size = \"1M\"", "unknown unit `M` in `1M`; did you mean `MiB`?"),
        ("in_place, file_size = 1", "`in_place` cannot give `file_size`; only `process` can"),
        ("thread, cpu = \"1s\"", "`thread` cannot give `cpu`; only `process` can"),
        ("threads = 0", "`threads` takes a number from 1, found `0`"),
        ("threads = 0", "`threads` takes a number from 1, found `0`"),
        ("namespaces = 1", "`namespaces` takes no value; write it alone"),
        ("threads = \"2\"", "`threads` takes a number from 1, found `\"2\"`"),
        ("workers(reuse = 0)", "`reuse` takes a number from 1 to 4294967295, found `0`"),
        ("workers(max = 0)", "`max` takes a number from 1 to 4294967295, found `0`"),
        ("workers(spare = -1)", "`spare` takes a number from 0 to 4294967295, found `-1`"),
        ("workers(max = 4294967296)", "`max` takes a number from 1 to 4294967295, found `4294967296`"),
        ("workers(reuse = \"2\")", "`reuse` takes a number from 1 to 4294967295, found `\"2\"`"),
        (
            "workers(spare = 4, reuse = 2, max = 3)",
            "`spare` takes a number from 0 to `max`, which is 3, found `4`",
        ),
        (
            "workers(reuse = n), cpu = \"1s\"",
            "`cpu` counts the whole life of a worker, which so serves one call; leave `reuse` out, or limit `timeout` instead of `cpu`",
        ),
        ("env = [\"A=B\"]", "`env` takes the name of a variable, found `A=B`"),
        ("env = 5", "`env` takes the name of a variable, found `5`"),
        ("env = [\"A\", \"A\"]", "`A` is listed twice in `env`"),
        ("stdio = \"nul\"", "unknown value `\"nul\"` of `stdio`; did you mean `\"null\"`?"),
        ("quiet = \"x\"", "`quiet` takes an absolute path, found `x`; write `/x` or an expression"),
        ("stdio = NULL", "`stdio` takes one of `\"relay\"`, `\"null\"`, `\"capture\"`, `\"inherit\"`"),
    ] {
        assert_eq!(mistakes(attribute), [expected], "{attribute}");
    }
}

#[test]
fn keys_of_later_versions_are_checked_all_the_same() {
    let found = mistakes("log(same)");
    assert_eq!(found.len(), 2, "{found:?}");
    let expected = "unknown word `same` in `log`; it takes same_exec_off, new_exec_on, subdomains_off";
    assert_eq!(found[0], expected);
    assert!(found[1].starts_with("this version of sandboxed cannot enforce"), "{found:?}");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let attribute = "reed = \"/\", read = [5, \"x\"], tcp_bind = 99999, thread, timeout = \"2\", = , strict = 1, allow(upd)";
    assert_eq!(mistakes(attribute).len(), 9, "{:?}", mistakes(attribute));
    let found = messages(
        "reed = \"/\"",
        "async fn f<'a>(x: Mutex<u8>, y: *const u8) -> &'a str { let y: &'a str = \"\"; }",
        false,
    );
    assert_eq!(found.len(), 6, "{found:?}");
}

#[test]
fn mistakes_of_functions() {
    let thread = "use `thread`";
    for (item, starts) in [
        ("async fn f() {}", "an `async fn` cannot run in another process yet"),
        ("thread | async fn f() {}", "an `async fn` cannot run in a thread yet"),
        ("const fn f() {}", "a `const fn` cannot make the system calls"),
        ("thread | const fn f() {}", "a `const fn` cannot make the system calls"),
        ("in_place | const fn f() {}", "a `const fn` cannot make the system calls"),
        ("unsafe extern \"C\" fn f(x: u8, ...) {}", "a variadic function cannot be sandboxed"),
        ("fn f(x: impl Tr) {}", "an argument of another process needs a type with a name"),
        ("fn f() -> impl Tr { 1 }", "the type that another process returns needs a name"),
        (
            "fn f() -> &str { \"\" }",
            "a reference cannot be returned from another process; return `String` instead of `&str`",
        ),
        (
            "fn f() -> &'static [u8] { b\"\" }",
            "a reference cannot be returned from another process; return `Vec<u8>` instead of `&'static [u8]`",
        ),
        (
            "fn f() -> Option<&std::path::Path> { None }",
            "a reference cannot be returned from another process; return `PathBuf` instead of `&std::path::Path`",
        ),
        ("fn f<'a>(x: &'a str) -> Cow<'a, str> { x.into() }", "`'a` borrows from the caller"),
        ("fn f(x: &str) -> Cow<'_, str> { x.into() }", "`'_` borrows from the caller"),
        ("fn f(x: Box<dyn Tr>) {}", "`dyn` cannot be sent to another process"),
        ("fn f(x: &dyn Tr) {}", "`dyn` cannot be sent to another process"),
        ("fn f(x: fn(u8)) {}", "a function pointer means nothing in another process"),
        ("fn f() -> fn(u8) { g }", "a function pointer means nothing in another process"),
        ("fn f(x: *mut u8) {}", "a raw pointer means nothing in another process"),
        ("fn f<F: Fn(u8)>(x: F) {}", "a closure cannot be sent to another process"),
        ("fn f<F>(x: F) where F: FnOnce() {}", "a closure cannot be sent to another process"),
        ("fn f(x: &Mutex<u8>) {}", "updates of a `Mutex` in another process would be lost"),
        (
            "fn f(x: Vec<std::sync::Arc<std::sync::RwLock<u8>>>) {}",
            "updates of a `RwLock` in another process would be lost",
        ),
        ("fn f(x: &AtomicUsize) {}", "updates of a `AtomicUsize` in another process would be lost"),
        ("fn f(x: &mut str) {}", "`&mut str` cannot be sent back from another process; take `&mut String`"),
        ("fn f(x: &'static str) {}", "what another process receives does not live for `'static`"),
        ("fn f(self: Box<Self>) {}", "`self: Box<Self>` cannot be sent to another process"),
        ("fn f(self: Pin<&mut Self>) {}", "`self: Pin<&mut Self>` cannot be sent to another process"),
        ("fn f<'a>(x: &'a str) { let y: &'a str = x; }", "`'a` means nothing in another process"),
        ("fn f() -> ! { loop {} }", "a function that never returns has nothing to send back"),
        ("#[sandboxed] fn f() {}", "annotated twice; put all keys into one"),
        ("fn main(x: u8) {}", ""),
        ("process | fn main(x: u8) {}", "`main` takes no arguments"),
        ("process | async fn main() {}", "an `async fn` cannot run in another process yet"),
        ("async fn main() {}", "`main` is async and no attribute starts a runtime for it"),
        ("#[allow(unused)] async fn main() {}", "`main` is async and no attribute starts a runtime for it"),
        ("#[tokio::main] async fn main() {}", ""),
        ("workers(max = 1) | fn main() {}", "`main` runs once; `workers` has no use here, leave it out"),
        ("process, warm = prepare | fn main() {}", "`main` runs once; `warm` has no use here, leave it out"),
        ("fallible = g | fn main() {}", "nothing calls `main`"),
        ("thread, fallible = g | fn f() -> impl Tr {}", "`fallible` needs the type that is returned"),
        ("in_place, fallible = g | async fn f() {}", "`fallible` cannot add an `async fn` yet"),
        ("fn f();", "this function has no body to run; annotate its implementations"),
        ("/// Doc.\npub struct S;", "the attribute goes on a function with a body, not on a struct"),
        (
            "#[a(b)] pub(crate) mod m {}",
            "the attribute goes on a function with a body, not on a module; annotate the functions in it",
        ),
        (
            "impl S { fn f() {} }",
            "the attribute goes on a function with a body, not on an impl block; annotate the functions in it",
        ),
        (
            "trait T { fn f(); }",
            "the attribute goes on a function with a body, not on a trait; annotate its functions",
        ),
        ("static X: u8 = 1;", "the attribute goes on a function with a body, not on a static"),
    ] {
        let found = item_mistakes(item);
        if starts.is_empty() {
            assert_eq!(found, [""; 0], "{item}");
        } else {
            assert_eq!(found.len(), 1, "{item}: {found:?}");
            assert!(found[0].starts_with(starts), "{found:?}");
            assert!(!found[0].ends_with('.') && !found[0].contains(&format!("{thread}, {thread}")));
        }
    }
}

#[test]
fn accepted_functions() {
    for item in [
        "fn f(x: Cell) -> Cell { x }", // a type of the user's own
        "fn f<'a>(x: &'a str) -> u8 { 'a: loop { break 'a } fn g<'a>(x: &'a u8) {} 1 }",
        "fn f() -> Cow<'static, str> { \"\".into() }",
        "fn f() -> Result<u8, Box<dyn Error + Send + 'static>> { Ok(1) }",
        "fn f(self: &Self) {}",
        "thread | fn f<'a>(x: impl Fn() + 'a, y: &Mutex<u8>, z: Box<dyn Tr>) -> &'a str { x }",
        "thread | fn f(self: Box<Self>) -> impl Tr { 1 }",
        "in_place | async fn f() {}",
        "fn main() { }",
        "process | fn main() -> ! { loop {} }",
    ] {
        assert_eq!(item_mistakes(item), [""; 0], "{item}");
    }
}

#[test]
fn mistakes_of_tests() {
    let item = "fn t() {}";
    for (attribute, item, expected) in [
        (
            "unenforceable = \"skipp\"",
            item,
            "unknown value `\"skipp\"` of `unenforceable`; did you mean `\"skip\"`?",
        ),
        (
            "in_place",
            item,
            "`in_place` would restrict the test harness and every other test; use `process` or `thread`",
        ),
        ("", "fn t(x: u8) {}", "a test takes no arguments"),
        ("", "#[test] fn t() {}", "`#[sandboxed::test]` makes the function a test; leave this `test` out"),
        ("workers(spare = 1)", item, "a test runs once; `workers` has no use here, leave it out"),
        ("warm = prepare", item, "a test runs once; `warm` has no use here, leave it out"),
        ("fallible = g", item, "nothing calls a test; `fallible` has no use here"),
    ] {
        assert_eq!(messages(attribute, item, true), [expected], "{attribute}");
    }
}

#[test]
fn workers_and_warm_are_written_down() {
    let text =
        expansion("workers(max = most(n), spare = 0), warm = tables::prepare", "fn f(n: u32) {}", false);
    let text = text.to_string();
    for part in [
        quote!(.workers(::sandboxed::__private::Workers::new().max(most(n)).spare(0))),
        quote!(policy: ::core::option::Option::None),
        quote!(let __warm: fn() = tables::prepare; ::core::option::Option::Some(__warm)),
    ] {
        assert!(text.contains(&part.to_string()), "{part}: {text}");
    }
    let text = expansion("workers(reuse = 2)", "fn f(n: u32) {}", false).to_string();
    let none = quote!(policy: ::core::option::Option::Some(__policy), warm: ::core::option::Option::None,);
    assert!(text.contains(&none.to_string()), "{text}");
}

/// A package's directory is that of this one here.
const POLICY_FILES: &str = "../tests/policy_files";

#[cfg(feature = "policy-files")]
#[test]
fn policy_files_are_read_when_the_function_is_compiled() {
    let attribute = format!("policy = \"{POLICY_FILES}/site.toml\", read = \"/opt\"");
    let text = expansion(&attribute, "fn f() {}", false).to_string();
    let path = format!("{}/{POLICY_FILES}/site.toml", env!("CARGO_MANIFEST_DIR"));
    for part in [
        quote!(::core::include_bytes!(#path)),
        quote!(("/etc/a-file-that-is-not-there", 12u64), ("/etc/passwd", 12u64)),
        quote!(::sandboxed::__private::Policy::new().with_file),
        quote!(&[], 0u64),
    ] {
        assert!(text.contains(&part.to_string()), "{part}: {text}");
    }
    let attribute = format!("policy = \"{POLICY_FILES}/site.toml\"");
    let text = expansion(&attribute, "fn main() {}", false).to_string();
    let for_program = quote!(::sandboxed::__private::Policy::for_program().with_file).to_string();
    assert!(text.contains(&for_program), "{text}");
}

#[cfg(feature = "policy-files")]
#[test]
fn mistakes_of_policy_files() {
    let here = format!("{}/{POLICY_FILES}", env!("CARGO_MANIFEST_DIR"));
    for (file, expected) in [
        ("missing.toml", ": cannot be read: No such file or directory (os error 2)"),
        ("wrong/key.toml", ":3:1: unknown key `path_benaeth`; did you mean `path_beneath`?"),
        ("wrong/right.json", ":3:64: unknown right `raed_file`; did you mean `read_file`?"),
        ("site.yaml", ": the name of a policy file ends with `.toml` or `.json`"),
    ] {
        let found = mistakes(&format!("policy = \"{POLICY_FILES}/{file}\""));
        assert_eq!(found, [format!("{here}/{file}{expected}")]);
    }
    let found = mistakes(&format!("policy = \"{POLICY_FILES}/wrong/syntax.toml\", reed = 1"));
    assert!(found[0].starts_with(&format!("{here}/wrong/syntax.toml:2:")), "{found:?}");
    // With the attribute's other mistakes.
    assert_eq!(found.len(), 2);
}

#[cfg(not(feature = "policy-files"))]
#[test]
fn policy_files_need_their_feature() {
    let found = mistakes(&format!("policy = \"{POLICY_FILES}/site.toml\""));
    assert_eq!(found, ["a policy file needs the feature `policy-files` of the crate `sandboxed`"]);
}

/// A mistake leaves the signature, and never a body that can run.
#[test]
fn mistakes_leave_an_inert_function() {
    let text = expansion("reed, fallible = g", "pub fn f(mut x: u8) -> u8 { x += 1; x }", false).to_string();
    let inert = quote!(
        pub fn f(mut x: u8) -> u8 {
            ::core::unreachable!();
            {
                x += 1;
                x
            }
        }
    );
    assert!(text.contains(&inert.to_string()), "{text}");
    assert!(
        text.contains(
            &quote!(pub fn g(x: u8) -> ::core::result::Result<u8, ::sandboxed::__private::Error>).to_string()
        ),
        "{text}"
    );
    let text = expansion("reed", "async fn main() {}", false).to_string();
    assert!(!text.contains("async fn"), "{text}");
    let text = expansion("reed", "fn t() {}", true).to_string();
    assert!(text.contains(&quote!(#[::core::prelude::v1::test]).to_string()), "{text}");
}

/// Whether the list of sandboxed functions has the policy, or it depends on the call.
#[test]
fn policies_are_listed_where_they_are_constant() {
    let constant = |attribute: &str, item: &str| {
        let text = expansion(attribute, item, false).to_string();
        assert!(!text.contains("compile_error"), "{text}");
        text.contains("fn __policy ()")
    };
    let item = "fn f<T, const N: usize>((dir, _): (PathBuf, u8)) {}";
    let constants = [
        "",
        "read = \"/usr\"",
        "tcp_bind = PORT",
        "workers(max = MOST)",
        "read = std::env::temp_dir()",
        "policy = BASE",
    ];
    let file = format!("policy = \"{POLICY_FILES}/site.toml\"");
    let files = cfg!(feature = "policy-files").then_some(file.as_str());
    for attribute in constants.into_iter().chain(files) {
        assert!(constant(attribute, item), "{attribute}");
    }
    for attribute in [
        "read = dir",
        "read = [\"/usr\", dir.join(\"x\")]",
        "read = optional(&dir)",
        "fs(refer = dir)",
        "tcp_bind = N",
        "workers(spare = 1, max = N)",
        "read = T::DIR",
        "read = Self::DIR",
        "read = dirs()?",
        "read = concat!(\"/a\", \"b\")",
        "policy = base(&dir)",
        "timeout = { return }",
    ] {
        assert!(!constant(attribute, item), "{attribute}");
    }
    assert!(constant("read = Config::DIR", "fn f() {}"));
    assert!(!constant("read = Config::DIR", "fn f(&self) {}"), "Config may be a parameter of the impl block");
}
