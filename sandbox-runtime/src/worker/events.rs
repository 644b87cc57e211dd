//! In a worker: the logger, and with the feature `tracing` the subscriber, that send what a body says to its host.

use super::reply::{send_record, take_records};
use crate::record::{Levels, Record};
use std::sync::OnceLock;

/// Has the body's records sent, if the host wants any. What the body has set before stays.
pub(super) fn begin(levels: Levels) {
    static IS_LOGGER: OnceLock<bool> = OnceLock::new();
    if levels.log > 0 {
        IS_LOGGER.get_or_init(|| log::set_logger(&Logger).is_ok());
    }
    if IS_LOGGER.get() == Some(&true) {
        log::set_max_level(
            log::LevelFilter::iter().nth(levels.log.into()).unwrap_or(log::LevelFilter::Trace),
        );
    }
    #[cfg(feature = "tracing")]
    subscriber::begin(levels.tracing);
    if levels != Levels::default() {
        take_records();
    }
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            send_record(Record::of_log(record));
        }
    }

    fn flush(&self) {}
}

#[cfg(feature = "tracing")]
mod subscriber {
    use super::send_record;
    use crate::record::{FIELDS, Facade, Record, tracing};
    use std::fmt;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
    use tracing_core::field::{Field, Visit};
    use tracing_core::span::{Attributes, Current, Id};
    use tracing_core::{
        Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber, callsite, dispatcher, span,
    };

    static LEVEL: AtomicU8 = AtomicU8::new(0);

    pub(super) fn begin(level: u8) {
        static IS_OURS: OnceLock<bool> = OnceLock::new();
        let known = LEVEL.swap(level, Ordering::Relaxed);
        if level > 0 && IS_OURS.get().is_none() {
            IS_OURS.get_or_init(|| dispatcher::set_global_default(Dispatch::new(Forward)).is_ok());
        } else if level != known {
            callsite::rebuild_interest_cache();
        }
    }

    fn is_wanted(metadata: &Metadata<'_>) -> bool {
        tracing::number(*metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    /// Sends events. Spans are not known to it.
    struct Forward;

    impl Subscriber for Forward {
        fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
            if metadata.is_event() && is_wanted(metadata) { Interest::always() } else { Interest::never() }
        }

        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event() && is_wanted(metadata)
        }

        fn max_level_hint(&self) -> Option<LevelFilter> {
            Some(tracing::filter(LEVEL.load(Ordering::Relaxed)))
        }

        fn event(&self, event: &Event<'_>) {
            let metadata = event.metadata();
            let mut said = Said::default();
            event.record(&mut said);
            send_record(Record {
                facade: Facade::Tracing,
                level: tracing::number(*metadata.level()),
                target: metadata.target().to_owned(),
                message: said.message,
                file: metadata.file().map(str::to_owned),
                line: metadata.line(),
                module: metadata.module_path().map(str::to_owned),
                fields: said.fields,
            });
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            Id::from_u64(NEXT.fetch_add(1, Ordering::Relaxed).max(1))
        }

        fn record(&self, _: &Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}

        fn current_span(&self) -> Current {
            Current::none()
        }
    }

    #[derive(Default)]
    struct Said {
        message: String,
        fields: Vec<(String, String)>,
    }

    impl Visit for Said {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            match field.name() {
                "message" => self.message = format!("{value:?}"),
                name if self.fields.len() < FIELDS => {
                    self.fields.push((name.to_owned(), format!("{value:?}")))
                }
                _ => {}
            }
        }
    }
}
