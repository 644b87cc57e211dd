//! Input that was made to do harm: it ends as an error, and neither takes long nor much memory.

use proptest::prelude::*;
use sandboxed_config::{Format, MOST_BYTES, Source, read};
use std::os::unix::fs::symlink;
use std::process::Command;

const FORMATS: [Format; 2] = [Format::Toml, Format::Json];

fn message(text: String, format: Format) -> String {
    read(&[Source::of_text(text, format)]).unwrap_err().message
}

#[test]
fn deep_nesting() {
    for deep in [10, 1_000, 200_000] {
        for (open, close) in [("[", "]"), ("{\"ruleset\":", "}")] {
            let json = format!("{{\"ruleset\":{}1{}}}", open.repeat(deep), close.repeat(deep));
            message(json, Format::Json);
        }
        message(format!("ruleset = {}1{}", "[".repeat(deep), "]".repeat(deep)), Format::Toml);
        message(format!("ruleset = {}1{}", "{a=".repeat(deep), "}".repeat(deep)), Format::Toml);
        message(format!("{}ruleset = 1", "a.".repeat(deep)), Format::Toml);
        message(format!("[{}ruleset]", "a.".repeat(deep)), Format::Toml);
    }
    let nested = format!("{}1{}", "[".repeat(20), "]".repeat(20));
    assert_eq!(message(nested, Format::Json), "nested deeper than the format goes");
}

#[test]
fn products_of_variables() {
    let values: Vec<String> = (0..200).map(|value| format!("\"{value}\"")).collect();
    let text = |parents: &str| {
        format!(
            "[[variable]]\nname = \"v\"\nliteral = [{}]\n[[path_beneath]]\nallowed_access = [\"execute\"]\n\
             parent = [{parents}]\n",
            values.join(", ")
        )
    };
    let expected = "with this, the file grants more than 10000 paths";
    for parents in [
        "\"/${v}${v}\"".to_owned(),
        format!("\"{}\"", "${v}".repeat(50_000)),
        // Each alone would do.
        (0..60).map(|n| format!("\"/{n}/${{v}}\"")).collect::<Vec<_>>().join(", "),
        // The same ones again.
        vec!["\"/${v}\""; 100_000].join(", "),
    ] {
        assert_eq!(message(text(&parents), Format::Toml), expected);
    }
    // A variable whose value names it is no recursion.
    let text = "[[variable]]\nname = \"v\"\nliteral = [\"${v}${v}\"]\n\
                [[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [\"${v}\"]\n";
    let config = read(&[Source::of_text(text, Format::Toml)]).unwrap();
    assert_eq!(config.paths.keys().collect::<Vec<_>>(), [std::path::Path::new("${v}${v}")]);
}

/// A list of the values for each place would take a hundred gigabytes.
#[test]
fn a_long_variable_in_many_places() {
    let values: Vec<String> = (0..60_000).map(|value| format!("\"{value}\"")).collect();
    let text = |parent: &str| {
        format!(
            "[[variable]]\nname = \"v\"\nliteral = [{}]\n[[variable]]\nname = \"none\"\n\
             [[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [\"{parent}\"]\n",
            values.join(",")
        )
    };
    let places = "${v}".repeat(100_000);
    assert_eq!(message(text(&places), Format::Toml), "with this, the file grants more than 10000 paths");
    let none = read(&[Source::of_text(text(&format!("${{none}}{places}")), Format::Toml)]).unwrap();
    assert!(none.paths.is_empty());
}

/// To find what a word is a misspelling of takes as much as both are long, multiplied.
#[test]
fn long_misspellings() {
    let [a, b] = ["a", "b"].map(|name| name.repeat(200_000));
    let text = format!(
        "[[variable]]\nname = \"{a}\"\nliteral = [\"x\"]\n\
         [[path_beneath]]\nallowed_access = [\"execute\"]\nparent = [\"/${{{b}}}\"]\n"
    );
    assert_eq!(message(text, Format::Toml), format!("no variable is named `{b}`"));
    message(format!("{a} = 1"), Format::Toml);
}

#[test]
fn long_texts() {
    let long = "#".repeat(MOST_BYTES as usize + 1);
    for format in FORMATS {
        assert_eq!(message(long.clone(), format), "a policy has at most 1048576 bytes");
    }
    // The longest that is read, of the densest kind.
    let most = MOST_BYTES as usize / 4;
    message(format!("{{\"ruleset\":[{}1]}}", "1,".repeat(most)), Format::Json);
    message(format!("ruleset=[{}1]", "1,".repeat(most)), Format::Toml);
    message(format!("[[path_beneath]]\nparent=[\"{}\"]", "$".repeat(most)), Format::Toml);
    let many: String = (0..most / 4).map(|key| format!("k{key}=1\n")).collect();
    assert_eq!(read(&[Source::of_text(many, Format::Toml)]).unwrap_err().line, 1);
    let same = format!("{{{}\"abi\":1}}", "\"abi\":1,".repeat(most / 4));
    assert_eq!(message(same, Format::Json), "duplicate key `abi`");
}

#[test]
fn files_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str| Source::of_file(dir.path().join(name)).unwrap_err().message;
    std::fs::create_dir(dir.path().join("dir.toml")).unwrap();
    assert_eq!(refused("dir.toml"), "cannot be read: not a regular file");
    let made = Command::new("mkfifo").arg(dir.path().join("fifo.toml")).status().unwrap();
    assert!(made.success());
    assert_eq!(refused("fifo.toml"), "cannot be read: not a regular file");
    symlink("/dev/zero", dir.path().join("zero.json")).unwrap();
    assert_eq!(refused("zero.json"), "cannot be read: not a regular file");
    symlink("loop.toml", dir.path().join("loop.toml")).unwrap();
    assert!(refused("loop.toml").starts_with("cannot be read: "));
    // Sparse: 100 MB without a block.
    let huge = std::fs::File::create(dir.path().join("huge.toml")).unwrap();
    huge.set_len(100_000_000).unwrap();
    assert_eq!(refused("huge.toml"), "cannot be read: a policy has at most 1048576 bytes");
    // Twins.
    std::fs::write(dir.path().join("file.toml"), "").unwrap();
    assert!(Source::of_file(dir.path().join("file.toml")).is_ok());
    symlink("file.toml", dir.path().join("link.toml")).unwrap();
    assert!(Source::of_file(dir.path().join("link.toml")).is_ok());
}

/// Text made of the format's own pieces, so that it gets far.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "[[ruleset]]\n",
            "[[path_beneath]]\n",
            "[[net_port]]\n",
            "[[variable]]\n",
            "abi = ",
            "parent = ",
            "allowed_access = ",
            "port = ",
            "name = ",
            "literal = ",
            "handled_access_fs = ",
            "scoped = ",
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\n",
            "=",
            "\"",
            "\"execute\"",
            "\"abi.all\"",
            "\"signal\"",
            "\"/x\"",
            "\"${v}\"",
            "\"v\"",
            "5",
            "-1",
            "\"ruleset\":",
            "\"pathBeneath\":",
            "\"allowedAccess\":",
            "\"parent\":",
            "\"handledAccessFs\":",
            "\"abi\":",
            "\\u0000",
            "${",
            "}",
            "$$",
        ])
        .prop_map(str::to_owned),
        ".{0,4}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// An error's place is in the text.
fn looked_at(text: &str) {
    for format in FORMATS {
        if let Err(error) = read(&[Source::of_text(text, format)]) {
            assert!(error.line <= text.matches('\n').count() + 1, "{text:?}: {error}");
            let line = text.split('\n').nth(error.line - 1).unwrap();
            assert!((1..=line.chars().count() + 1).contains(&error.column), "{text:?}: {error}");
            assert!(!error.message.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        looked_at(&text);
    }

    #[test]
    fn no_arrangement_of_the_formats_pieces_panics(text in pieces()) {
        looked_at(&text);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        looked_at(&String::from_utf8_lossy(&bytes));
    }
}
