//! What a body logs and prints reaches the host: by the host's logger, at its level, in order, with the function's name.

mod support;

use log::kv::{Key, VisitSource};
use log::{Level, LevelFilter};
use sandboxed::sandboxed;
use std::sync::Mutex;
use support::{in_child, output_in_child};

/// What the host's logger was told.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    level: Option<Level>,
    target: String,
    message: String,
    place: Option<(String, u32)>,
    module: Option<String>,
    fields: Vec<(String, String)>,
}

static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());

struct Collect;

impl log::Log for Collect {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() != "unwanted"
    }

    fn log(&self, record: &log::Record<'_>) {
        struct Fields(Vec<(String, String)>);
        impl<'kvs> VisitSource<'kvs> for Fields {
            fn visit_pair(
                &mut self,
                key: Key<'kvs>,
                value: log::kv::Value<'kvs>,
            ) -> Result<(), log::kv::Error> {
                self.0.push((key.to_string(), value.to_string()));
                Ok(())
            }
        }
        let mut fields = Fields(Vec::new());
        record.key_values().visit(&mut fields).unwrap();
        TOLD.lock().unwrap().push(Told {
            level: Some(record.level()),
            target: record.target().into(),
            message: record.args().to_string(),
            place: record.file().zip(record.line()).map(|(file, line)| (file.to_owned(), line)),
            module: record.module_path().map(str::to_owned),
            fields: fields.0,
        });
        // Beside what is printed.
        if record.args().to_string().len() < 10 {
            println!("[{}]", record.args());
        }
    }

    fn flush(&self) {}
}

fn collect(level: LevelFilter) {
    log::set_logger(&Collect).unwrap();
    log::set_max_level(level);
}

fn messages() -> Vec<String> {
    std::mem::take(&mut *TOLD.lock().unwrap()).into_iter().map(|told| told.message).collect()
}

#[sandboxed]
fn says(what: &str) -> Result<(), sandboxed::Error> {
    log::info!(target: "a::target", number = 7, text = "x"; "{what}");
    Ok(())
}

#[test]
fn a_record_comes_as_it_was_made_with_the_functions_name() {
    in_child("a_record_comes_as_it_was_made_with_the_functions_name", || {
        collect(LevelFilter::Info);
        says("hello").unwrap();
        let told = TOLD.lock().unwrap().pop().unwrap();
        assert_eq!((told.level, &*told.target, &*told.message), (Some(Level::Info), "a::target", "hello"));
        assert_eq!(told.place.unwrap().0, file!());
        assert_eq!(told.module.as_deref(), Some(module_path!()));
        let field = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            told.fields,
            [field("sandboxed.function", "events::says"), field("number", "7"), field("text", "x")]
        );
    });
}

#[sandboxed(workers(reuse = 100, max = 1))]
fn at_each_level() -> Result<(u32, usize), sandboxed::Error> {
    for level in Level::iter() {
        log::log!(level, "{level}");
    }
    log::error!(target: "unwanted", "unwanted");
    Ok((std::process::id(), log::max_level() as usize))
}

/// That is asked anew at each call, also of a worker that is used again.
#[test]
fn the_hosts_level_holds_and_its_logger_decides() {
    in_child("the_hosts_level_holds_and_its_logger_decides", || {
        // Without a logger nobody wants any.
        let (worker, level) = at_each_level().unwrap();
        assert_eq!(level, 0);
        collect(LevelFilter::Off);
        for level in [LevelFilter::Warn, LevelFilter::Trace, LevelFilter::Off, LevelFilter::Error] {
            log::set_max_level(level);
            assert_eq!(at_each_level().unwrap(), (worker, level as usize));
            let expected: Vec<_> =
                Level::iter().filter(|each| *each <= level).map(|each| each.to_string()).collect();
            assert_eq!(messages(), expected);
        }
    });
}

#[sandboxed]
fn prints_and_logs() {
    print!("1 ");
    log::info!("2");
    println!("3");
    print!("4 ");
    log::info!("5");
    log::info!("6");
    print!("7 ");
    panic!("8");
}

#[test]
fn prints_records_and_a_panic_come_in_order() {
    let name = "prints_records_and_a_panic_come_in_order";
    let output = output_in_child(name, || {
        collect(LevelFilter::Info);
        std::panic::set_hook(Box::new(|info| println!("{}", info.payload_as_str().unwrap())));
        for _ in 0..20 {
            std::panic::catch_unwind(prints_and_logs).unwrap_err();
        }
        // The harness prints results through its own.
        drop(std::panic::take_hook());
    });
    let Some(output) = output else { return };
    let text = String::from_utf8(output.stdout).unwrap();
    let once = "1 [2]\n3\n4 [5]\n[6]\n7 sandboxed `events::prints_and_logs` panicked at ";
    assert_eq!(text.matches(once).count(), 20, "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[sandboxed]
fn threads() -> Result<(), sandboxed::Error> {
    // A thread that logs does not wait for who holds stdout.
    let stdout = std::io::stdout().lock();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || (0..50).for_each(|number| log::info!("{thread} {number}")));
        }
    });
    drop(stdout);
    Ok(())
}

#[test]
fn other_threads_of_a_body_log_too() {
    in_child("other_threads_of_a_body_log_too", || {
        collect(LevelFilter::Info);
        threads().unwrap();
        let messages = messages();
        for thread in 0..4 {
            let prefix = format!("{thread} ");
            let numbers: Vec<usize> =
                messages.iter().filter_map(|message| message.strip_prefix(&prefix)?.parse().ok()).collect();
            assert_eq!(numbers, Vec::from_iter(0..50));
        }
    });
}

#[sandboxed(workers(reuse = 100, max = 1))]
fn leaves_a_thread_behind(logs: bool) -> Result<u32, sandboxed::Error> {
    if logs {
        std::thread::spawn(|| {
            loop {
                log::info!("{}", "x".repeat(10_000));
            }
        });
    }
    log::info!("by the body");
    Ok(std::process::id())
}

/// Between calls nobody reads what it says.
#[test]
fn a_thread_that_logs_on_keeps_no_call_from_its_worker() {
    in_child("a_thread_that_logs_on_keeps_no_call_from_its_worker", || {
        collect(LevelFilter::Info);
        let worker = leaves_a_thread_behind(true).unwrap();
        for _ in 0..99 {
            assert_eq!(leaves_a_thread_behind(false).unwrap(), worker);
        }
        assert_eq!(messages().iter().filter(|message| *message == "by the body").count(), 100);
    });
}

struct Own;

impl log::Log for Own {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        println!("own: {}", record.args());
    }

    fn flush(&self) {}
}

fn set_own() {
    log::set_logger(&Own).unwrap();
    log::set_max_level(LevelFilter::Debug);
}

#[sandboxed(warm = set_own)]
fn with_its_own_logger() -> Result<(), sandboxed::Error> {
    log::debug!("hello");
    Ok(())
}

#[test]
fn a_logger_of_the_bodys_own_stays() {
    let output = output_in_child("a_logger_of_the_bodys_own_stays", || {
        collect(LevelFilter::Info);
        with_its_own_logger().unwrap();
        assert_eq!(messages(), [""; 0]);
    });
    let Some(output) = output else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("own: hello\n"));
}

#[sandboxed(timeout = "1s")]
fn logs_for_ever() -> Result<(), sandboxed::Error> {
    loop {
        log::info!("{}", "x".repeat(1000));
    }
}

#[test]
fn a_body_that_logs_for_ever_times_out() {
    in_child("a_body_that_logs_for_ever_times_out", || {
        collect(LevelFilter::Info);
        assert!(logs_for_ever().unwrap_err().is_timeout());
        assert!(messages().len() > 1);
        says("hello").unwrap();
        assert_eq!(messages(), ["hello"]);
    });
}

#[sandboxed]
fn logs_a_flood(records: usize, length: usize) -> Result<(), sandboxed::Error> {
    let message = "x".repeat(length);
    (0..records).for_each(|_| log::error!("{message}"));
    Ok(())
}

/// The rest is counted, and the host says so itself; the next call has as much again.
#[test]
fn a_flood_of_records_is_bounded() {
    in_child("a_flood_of_records_is_bounded", || {
        collect(LevelFilter::Info);
        const RECORDS: usize = 700;
        for _ in 0..2 {
            logs_a_flood(RECORDS, 32 << 10).unwrap();
            let mut told = std::mem::take(&mut *TOLD.lock().unwrap());
            let rest = told.pop().unwrap();
            let length: usize = told.iter().map(|record| record.message.len()).sum();
            assert!((15 << 20..=16 << 20).contains(&length), "{length} bytes");
            let left_out = RECORDS - told.len();
            let said = format!(
                "{left_out} records of a call of `events::logs_a_flood` were left out: 16 MiB are the most"
            );
            assert_eq!((rest.level, rest.message, rest.fields), (Some(Level::Warn), said, Vec::new()));
        }
        logs_a_flood(400, 32 << 10).unwrap();
        assert_eq!(messages().len(), 400);
    });
}

#[sandboxed]
fn logs_much(message: &str) -> Result<(), sandboxed::Error> {
    log::info!(target: message, "{message}");
    Ok(())
}

#[test]
fn what_is_long_is_cut() {
    in_child("what_is_long_is_cut", || {
        collect(LevelFilter::Info);
        logs_much(&"ß".repeat(1 << 20)).unwrap();
        let told = TOLD.lock().unwrap().pop().unwrap();
        assert_eq!((told.message.len(), told.target.len()), (32 << 10, 1 << 10));
    });
}
