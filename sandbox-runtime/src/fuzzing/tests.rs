//! What the fuzzers have found so far, again.

use super::seeds;
use std::path::{Path, PathBuf};

/// Feeds the seeds and the files of the corpus. The seeds are written into the directory that `SANDBOXED_SEEDS` names.
fn replay(name: &str, seeds: &[Vec<u8>], target: fn(&[u8])) {
    seeds.iter().for_each(|seed| target(seed));
    if let Some(directory) = std::env::var_os("SANDBOXED_SEEDS") {
        let directory = Path::new(&directory).join(name);
        std::fs::create_dir_all(&directory).expect("a directory for the seeds");
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{number}")), seed).expect("a seed");
        }
    }
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files: Vec<PathBuf> = std::fs::read_dir(&corpus)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry of the corpus").path())
        .collect();
    assert!(files.len() > 10, "{} files in {}", files.len(), corpus.display());
    for file in files {
        println!("{}", file.display());
        target(&std::fs::read(&file).expect("a file of the corpus"));
    }
}

#[test]
fn audit() {
    replay("audit", &seeds::audit(), super::audit);
}

#[test]
fn frames() {
    replay("frames", &seeds::frames(), super::frames);
}

#[test]
fn outcome() {
    replay("outcome", &seeds::outcome(), super::outcome);
}

#[cfg(feature = "policy-files")]
#[test]
fn policy_files() {
    replay("policy_files", &seeds::policy_files(), super::policy_files);
}
