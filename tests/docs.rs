//! The page that leads from a symptom to its cause names the texts that the library prints.

use std::path::Path;

const PAGE: &str = include_str!("../docs/my-sandboxed-function-fails.md");

/// The library's own code, with the texts that go over several lines in one.
fn sources(directory: &Path, all: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                let line = line.trim_start();
                match line.strip_suffix('\\') {
                    Some(begun) => all.push_str(begun),
                    None => all.extend([line, "\n"]),
                }
            }
        }
    }
}

/// The lines of code blocks, and the first cells of tables of texts.
fn symptoms() -> Vec<&'static str> {
    let (mut found, mut is_block, mut is_table) = (Vec::new(), false, false);
    for line in PAGE.lines() {
        is_table = line.starts_with("| text |")
            || line.starts_with("| hint ")
            || (is_table && line.starts_with('|'));
        let cell = line.strip_prefix("| `").and_then(|cell| cell.split(" | ").next());
        match cell {
            _ if line.starts_with("```") => is_block = line == "```text",
            _ if is_block => found.push(line),
            Some(cell) if is_table => found.push(cell.trim_matches(['`', ' '])),
            _ => {}
        }
    }
    found
}

#[test]
fn each_symptom_is_a_text_of_the_library() {
    let mut library = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox-runtime/src"), &mut library);
    let symptoms = symptoms();
    assert!(symptoms.len() > 25, "{symptoms:?}");
    for symptom in symptoms {
        // What is behind a colon is said elsewhere.
        for piece in symptom.split('…').flat_map(|piece| piece.split(": ")).filter(|piece| piece.len() > 2)
        {
            assert!(library.contains(piece), "{symptom:?}: nothing prints {piece:?}");
        }
    }
}
