//! With the feature `tracing`: events of a body reach the subscriber of the host, with the function's name.

mod support;

use sandboxed::{Error, sandboxed};
use std::io::Write;
use std::sync::{Arc, Mutex};
use support::in_child;
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, info_span, trace};

#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The subscriber of the host, and what it writes.
fn subscribe(level: LevelFilter) -> Said {
    let said = Said::default();
    let writer = said.clone();
    tracing_subscriber::fmt()
        .with_max_level(level)
        .without_time()
        .with_ansi(false)
        .with_file(true)
        .with_writer(move || writer.clone())
        .init();
    said
}

impl Said {
    fn lines(&self) -> Vec<String> {
        let said = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(said).unwrap().lines().map(str::to_owned).collect()
    }
}

#[sandboxed(workers(reuse = 100, max = 1))]
fn says(what: &str) -> Result<u32, Error> {
    info!(target: "a::target", number = 7, text = "x", other = ?Some(1), "{what}");
    debug!("debug");
    trace!("trace");
    Ok(std::process::id())
}

#[test]
fn an_event_comes_as_it_was_made_with_the_functions_name() {
    in_child("an_event_comes_as_it_was_made_with_the_functions_name", || {
        let said = subscribe(LevelFilter::INFO);
        for _ in 0..3 {
            says("hello").unwrap();
            assert_eq!(
                said.lines(),
                [
                    " INFO a::target: tests/tracing.rs: hello sandboxed.function=\"tracing::says\" number=7 text=\"x\" \
                 other=Some(1)"
                ]
            );
        }
        says("\u{1b}[2J\nERROR forged").unwrap();
        let lines = said.lines();
        assert!(lines[0].contains(" \\u{1b}[2J"), "{lines:?}");
        assert!(lines[1].starts_with("    ERROR forged"), "{lines:?}");
    });
}

#[test]
fn before_there_is_a_subscriber_nobody_hears_and_then_at_its_level() {
    in_child("before_there_is_a_subscriber_nobody_hears_and_then_at_its_level", || {
        let worker = says("nobody hears").unwrap();
        let said = subscribe(LevelFilter::DEBUG);
        assert_eq!(says("hello").unwrap(), worker);
        let lines = said.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with(" INFO a::target: ") && lines[1].starts_with("DEBUG tracing: "),
            "{lines:?}"
        );
    });
}

#[sandboxed]
fn with_spans() -> Result<(), Error> {
    let _entered = info_span!("theirs").entered();
    info!("in a span");
    Ok(())
}

/// The host's own spans are around the call, and so around what is said in it.
#[test]
fn spans_of_a_body_stay_there_and_those_of_the_caller_are_around() {
    in_child("spans_of_a_body_stay_there_and_those_of_the_caller_are_around", || {
        let said = subscribe(LevelFilter::INFO);
        info_span!("ours", number = 1).in_scope(with_spans).unwrap();
        assert_eq!(
            said.lines(),
            [
                " INFO ours{number=1}: tracing: tests/tracing.rs: in a span sandboxed.function=\"tracing::with_spans\""
            ]
        );
    });
}
