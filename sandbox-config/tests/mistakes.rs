//! Every mistake is told at its place, with the offending word and what to write instead.

use sandboxed_config::{Format, PolicyFileError, Source, read};
use std::path::Path;

fn mistake(text: &str, format: Format) -> PolicyFileError {
    read(&[Source::of_text(text, format)]).expect_err(text)
}

/// Line, column and message of the mistake in a text.
fn check(format: Format, cases: &[(&str, &str)]) {
    let found: Vec<_> = cases.iter().map(|(text, _)| (*text, mistake(text, format).to_string())).collect();
    let expected: Vec<_> = cases.iter().map(|(text, message)| (*text, (*message).to_owned())).collect();
    for (found, expected) in found.iter().zip(&expected).filter(|(found, expected)| found != expected) {
        eprintln!("found    {found:?}\nexpected {expected:?}");
    }
    assert!(found == expected);
}

/// A rule around the list of its rights, from line 2, column 19 on.
fn rights(list: &str) -> String {
    format!("[[path_beneath]]\nallowed_access = [{list}]\nparent = [\"/x\"]")
}

/// A rule around the list of its paths, from line 3, column 11 on.
fn parents(list: &str) -> String {
    format!("[[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [{list}]")
}

#[test]
fn keys_in_toml() {
    check(
        Format::Toml,
        &[
            ("[[rulesets]]", "1:3: unknown key `rulesets`; did you mean `ruleset`?"),
            ("pathBeneath = []", "1:1: unknown key `pathBeneath`; did you mean `path_beneath`?"),
            ("x = 1", "1:1: unknown key `x`; it is one of abi, variable, ruleset, path_beneath, net_port"),
            (
                "[[ruleset]]\nhandled_acces_fs = [\"execute\"]",
                "2:1: unknown key `handled_acces_fs`; did you mean `handled_access_fs`?",
            ),
            ("[[ruleset]]\nscope = [\"signal\"]", "2:1: unknown key `scope`; did you mean `scoped`?"),
            (
                "[[path_beneath]]\nallowed_access = [\"execute\"]\nparents = [\"/\"]",
                "3:1: unknown key `parents`; did you mean `parent`?",
            ),
            (
                "[[net_port]]\nallowed_access = [\"bind_tcp\"]\nports = [1]",
                "3:1: unknown key `ports`; did you mean `port`?",
            ),
            (
                "[[variable]]\nname = \"a\"\nliterals = [\"b\"]",
                "3:1: unknown key `literals`; did you mean `literal`?",
            ),
            ("abi = 1\nabi = 1", "2:1: duplicate key"),
            ("abi = 1", "1:1: empty: none of `ruleset`, `path_beneath`, `net_port` is there"),
            ("", "1:1: empty: none of `ruleset`, `path_beneath`, `net_port` is there"),
            ("[[path_beneath]]\nparent = [\"/\"]", "1:1: `allowed_access` is missing"),
            ("abi = 1\n[[path_beneath]]\nallowed_access = [\"execute\"]", "2:1: `parent` is missing"),
            ("[[net_port]]\nallowed_access = [\"bind_tcp\"]", "1:1: `port` is missing"),
            ("[[variable]]\nliteral = [\"x\"]", "1:1: `name` is missing"),
            ("abi = 1\n[[ruleset]]\n", "2:1: an empty `ruleset`; leave it out"),
            ("ruleset = []", "1:11: `ruleset` has an empty list; leave it out"),
            ("ruleset = {}", "1:11: `ruleset` takes a list, found a table"),
            ("[ruleset]\nscoped = [\"signal\"]", "1:1: `ruleset` takes a list, found a table"),
            ("ruleset = [1]", "1:12: expected a table, found `1`"),
            (
                "[[variable]]\nname = \"v\"",
                "1:1: it handles no right, so it would refuse nothing; name some in a `ruleset`",
            ),
            (
                "abi = 1\n[[ruleset]]\nscoped = [\"abi.all\"]",
                "1:1: it handles no right, so it would refuse nothing; name some in a `ruleset`",
            ),
        ],
    );
}

#[test]
fn words_in_toml() {
    check(
        Format::Toml,
        &[
            (
                &rights("\"read_file\", \"raed_dir\""),
                "2:32: unknown right `raed_dir`; did you mean `read_dir`?",
            ),
            (
                &rights("\n \"é\", \"abi.raed_write\""),
                "3:2: unknown right `é`; it is one of execute, write_file, \
              read_file, read_dir, remove_dir, remove_file, make_char, make_dir, make_reg, make_sock, make_fifo, \
              make_block, make_sym, refer, truncate, ioctl_dev, abi.all, abi.read_execute, abi.read_write",
            ),
            (
                &rights("\"abi.read_wrote\""),
                "2:19: unknown right `abi.read_wrote`; did you mean `abi.read_write`?",
            ),
            (&rights("\"abi.all\""), "2:19: `abi.all` needs the key `abi`, as in `abi = 6`"),
            (&rights("\"v7.all\""), "2:19: unknown right `v7.all`; did you mean `abi.all`?"),
            (&rights("\"v0.all\""), "2:19: unknown right `v0.all`; did you mean `abi.all`?"),
            (&rights("\"v01.all\""), "2:19: unknown right `v01.all`; did you mean `abi.all`?"),
            (
                &rights("\"bind_tcp\""),
                "2:19: unknown right `bind_tcp`; it is one of execute, write_file, read_file, \
              read_dir, remove_dir, remove_file, make_char, make_dir, make_reg, make_sock, make_fifo, make_block, \
              make_sym, refer, truncate, ioctl_dev, abi.all, abi.read_execute, abi.read_write",
            ),
            (
                &rights("\"resolve_unix\""),
                "2:19: the format has no word for `resolve_unix`; `abi.all` and `abi.read_write` have it from \
                 `abi = 9` on",
            ),
            (&rights("1"), "2:19: expected the name of a right in quotes, found `1`"),
            (&rights("[\"execute\"]"), "2:19: expected the name of a right in quotes, found a list"),
            (&rights(""), "2:18: `allowed_access` has an empty list; leave it out"),
            (
                "[[ruleset]]\nhandled_access_net = [\"bind_udp\"]",
                "2:23: the format has no word for `bind_udp`; `abi.all` has it from `abi = 10` on",
            ),
            (
                "[[ruleset]]\nhandled_access_net = [\"v3.all\"]",
                "2:23: unknown right `v3.all`; did you mean `abi.all`?",
            ),
            ("[[ruleset]]\nscoped = [\"signals\"]", "2:11: unknown scope `signals`; did you mean `signal`?"),
            ("[[ruleset]]\nscoped = \"signal\"", "2:10: `scoped` takes a list, found `signal`"),
        ],
    );
}

#[test]
fn values_in_toml() {
    let port = |port: &str| format!("[[net_port]]\nallowed_access = [\"bind_tcp\"]\nport = [80, {port}]");
    check(
        Format::Toml,
        &[
            (&parents("\"/a\", \"/${b}\""), "3:17: no variable is named `b`"),
            (&parents("\"/${b\""), "3:11: `${` has no `}` behind it in `/${b`"),
            (
                &parents("\"/${1}\""),
                "3:11: a variable's name is a letter, then letters, digits and `_` (all ASCII), found `1`",
            ),
            (&parents("\"\""), "3:11: an empty path"),
            (&parents("\"/a\\u0000\""), "3:11: a path cannot contain a zero byte"),
            (&parents("2"), "3:11: expected a path in quotes, found `2`"),
            (&parents("true"), "3:11: expected a path in quotes, found a truth value"),
            (&parents("1979-05-27"), "3:11: expected a path in quotes, found a date or time"),
            (
                "[[variable]]\nname = \"foo-bar\"",
                "2:8: a variable's name is a letter, then letters, digits and `_` (all ASCII), found `foo-bar`",
            ),
            ("[[variable]]\nname = \"v\"\nliteral = []", "3:11: `literal` has an empty list; leave it out"),
            ("[[variable]]\nname = \"v\"\nliteral = [1]", "3:12: expected text in quotes, found `1`"),
            (&port("65536"), "3:13: a port is a number from 0 to 65535, found `65536`"),
            (&port("-1"), "3:13: a port is a number from 0 to 65535, found `-1`"),
            (&port("8.5"), "3:13: a port is a number from 0 to 65535, found `8.5`"),
            (&port("\"80\""), "3:13: a port is a number from 0 to 65535, found `80`"),
            ("abi = 0", "1:7: `abi` is a number from 1 to 2147483647, found `0`"),
            ("abi = -1", "1:7: `abi` is a number from 1 to 2147483647, found `-1`"),
            ("abi = \"5\"", "1:7: `abi` is a number from 1 to 2147483647, found `5`"),
            ("abi = 2147483648", "1:7: `abi` is a number from 1 to 2147483647, found `2147483648`"),
        ],
    );
    let huge = format!("abi = {}", u128::MAX);
    assert_eq!(mistake(&huge, Format::Toml).column, 7);
}

#[test]
fn mistakes_in_json() {
    check(
        Format::Json,
        &[
            ("{ \"rulset\": [] }", "1:3: unknown key `rulset`; did you mean `ruleset`?"),
            ("{\n  \"path_beneath\": []\n}", "2:3: unknown key `path_beneath`; did you mean `pathBeneath`?"),
            (
                "{\"pathBeneath\": [\n{\"allowedAccess\": [\"execute\",\n  \"raed_file\"], \"parent\": [\"/\"]}]}",
                "3:3: unknown right `raed_file`; did you mean `read_file`?",
            ),
            (
                "{\"pathBeneath\": [{\"allowedAccess\": [\"execute\"], \"parent\": [\"/é\", \"/${x}\"]}]}",
                "1:66: no variable is named `x`",
            ),
            (
                "{\"ruleset\": [{\"handledAccessFs\": [\"abi.all\"]}]}",
                "1:35: `abi.all` needs the key `abi`, as in `abi = 6`",
            ),
            ("{\"abi\": 1, \"abi\": 1}", "1:12: duplicate key `abi`"),
            ("{\"abi\": 1, \"\\u0061bi\": 1}", "1:1: duplicate key `abi`"),
            ("{\"abi\": 1}", "1:1: empty: none of `ruleset`, `pathBeneath`, `netPort` is there"),
            ("{\"abi\": 1.5}", "1:9: `abi` is a number from 1 to 2147483647, found `1.5`"),
            ("{\"abi\": null}", "1:9: `abi` is a number from 1 to 2147483647, found `null`"),
            ("[]", "1:1: expected a table, found a list"),
            ("\"x\"", "1:1: expected a table, found `x`"),
            ("{\n\"abi\": 1,\n}", "3:1: key must be a string"),
            ("{\"abi\": 1", "1:9: EOF while parsing an object"),
            ("", "1:1: EOF while parsing a value"),
            ("{\"abi\": 1} x", "1:12: trailing characters"),
            ("{\"ruleset\": [{\"scoped\": [\"\\ud800\"]}]}", "1:26: unexpected end of hex escape"),
            ("\u{feff}{\"abi\": 1}", "1:1: expected value"),
        ],
    );
}

#[test]
fn toml_that_is_none() {
    let error = mistake("abi = 1\nruleset = [", Format::Toml);
    assert_eq!((error.line, error.column), (2, 12), "{error}");
    let error = mistake("abi 1", Format::Toml);
    assert_eq!(error.line, 1, "{error}");
    // A byte order mark is part of TOML 1.1, and stands before the first column.
    let text = "\u{feff}[[ruleset]]\nscoped = [\"signal\"]\n";
    assert!(read(&[Source::of_text(text, Format::Toml)]).is_ok());
}

#[test]
fn the_first_of_many() {
    let text = rights("\"reed_file\", \"raed_file\"");
    assert_eq!(mistake(&text, Format::Toml).column, 19);
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        Source::of_file(&path).and_then(|source| read(&[source]))
    };
    let path = |name: &str| dir.path().join(name).display().to_string();
    let error = of("a.toml", b"[[ruleset]]\nscoped = [\n  \"signl\"]").unwrap_err();
    assert_eq!(error.path.as_deref(), Some(dir.path().join("a.toml").as_path()));
    assert_eq!(
        error.to_string(),
        format!("{}:3:3: unknown scope `signl`; did you mean `signal`?", path("a.toml"))
    );
    for name in ["a.yaml", "a.TOML", "a", ".toml"] {
        let error = of(name, b"").unwrap_err();
        let expected = "the name of a policy file ends with `.toml` or `.json`";
        assert_eq!(error.to_string(), format!("{}: {expected}", path(name)));
        assert_eq!((error.line, error.column), (0, 0));
    }
    let error = Source::of_file(Path::new("/no/such/file.json")).unwrap_err();
    let expected = "/no/such/file.json: cannot be read: No such file or directory (os error 2)";
    assert_eq!(error.to_string(), expected);
    let error = of("b.json", b"{\n\"a\": \"\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), format!("{}:2:7: not UTF-8", path("b.json")));
    // Of several, the one that is wrong.
    let sources = ["a.toml", "c.toml"].map(|name| {
        std::fs::write(
            path(name),
            if name == "a.toml" { "[[ruleset]]\nscoped = [\"signal\"]" } else { "x = 1" },
        )
        .unwrap();
        Source::of_file(path(name)).unwrap()
    });
    assert_eq!(read(&sources).unwrap_err().path.unwrap(), dir.path().join("c.toml"));
    let apart = [
        Source::of_text("[[ruleset]]\nscoped = [\"signal\"]", Format::Toml),
        Source::of_text("[[ruleset]]\nhandled_access_fs = [\"execute\"]", Format::Toml),
    ];
    let expected = "together, the files handle no right: they would refuse nothing";
    assert_eq!(read(&apart).unwrap_err().to_string(), expected);
    assert_eq!(read(&[]).unwrap_err().to_string(), expected);
}
