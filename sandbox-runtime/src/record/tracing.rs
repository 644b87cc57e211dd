//! Levels of `tracing`, and events of workers made anew in the host.

use super::{FUNCTION, Record};
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing_core::callsite::{self, Callsite, Identifier};
use tracing_core::field::{FieldSet, Value, display};
use tracing_core::metadata::Kind;
use tracing_core::{Event, Interest, Level, LevelFilter, Metadata, dispatcher, identify_callsite};

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// What this process wants to hear of.
pub(crate) fn level() -> u8 {
    LevelFilter::current().into_level().map_or(0, number)
}

/// From 1, an error, to 5.
pub(crate) fn number(level: Level) -> u8 {
    LEVELS.iter().position(|known| *known == level).map_or(0, |index| index as u8 + 1)
}

pub(crate) fn filter(number: u8) -> LevelFilter {
    let level = usize::from(number).checked_sub(1).map(|index| LEVELS[index.min(4)]);
    level.map_or(LevelFilter::OFF, LevelFilter::from_level)
}

pub(super) fn tell(record: &Record, function: &'static str) {
    if record.level > level() {
        return;
    }
    // A stranger may make more of them up than this process is to keep.
    let Some(site) = site_of(record) else { return record.tell_log(function) };
    let Some(metadata) = site.0.get() else { return };
    dispatcher::get_default(|subscriber| {
        if !subscriber.enabled(metadata) {
            return;
        }
        let message = format_args!("{}", record.message);
        let texts: Vec<_> = record.fields.iter().map(|(_, value)| display(value)).collect();
        let ours: [&dyn Value; 2] = [&message, &function];
        let theirs = texts.iter().map(|text| text as &dyn Value);
        let values: Vec<Option<&dyn Value>> = ours.into_iter().chain(theirs).map(Some).collect();
        subscriber.event(&Event::new(metadata, &metadata.fields().value_set_all(&values)));
    });
}

/// What `tracing` has a static for at each place of a program that makes events.
struct Site(OnceLock<Metadata<'static>>);

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().unwrap_or(&NONE)
    }
}

/// Of a site that nobody can have seen yet.
static NONE: Metadata<'static> = Metadata::new(
    "sandboxed",
    "sandboxed",
    Level::TRACE,
    None,
    None,
    None,
    FieldSet::new(&[], identify_callsite!(&NO_SITE)),
    Kind::EVENT,
);
static NO_SITE: Site = Site(OnceLock::new());

/// The most that are kept, for ever.
const MOST_SITES: usize = 1024;

/// Level, target, file, line, module, names of the fields.
type Place = (u8, String, Option<String>, Option<u32>, Option<String>, Vec<String>);

fn site_of(record: &Record) -> Option<&'static Site> {
    static KNOWN: Mutex<BTreeMap<Place, &'static Site>> = Mutex::new(BTreeMap::new());
    let Record { level, target, file, line, module, .. } = record;
    let names: Vec<String> = record.fields.iter().map(|(name, _)| name.clone()).collect();
    let place = (*level, target.clone(), file.clone(), *line, module.clone(), names);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(site) = known.get(&place) {
        return Some(site);
    }
    if known.len() == MOST_SITES {
        return None;
    }
    let site = make_site(&place)?;
    known.insert(place, site);
    drop(known);
    // Asks every subscriber, which may come back here.
    callsite::register(site);
    Some(site)
}

fn make_site((level, target, file, line, module, names): &Place) -> Option<&'static Site> {
    let keep = |text: &str| -> &'static str { String::leak(text.to_owned()) };
    let kept = names.iter().map(|name| keep(name));
    let names: Vec<&'static str> = ["message", FUNCTION].into_iter().chain(kept).collect();
    let site: &'static Site = Box::leak(Box::new(Site(OnceLock::new())));
    let metadata = Metadata::new(
        "event of a sandboxed function",
        keep(target),
        *LEVELS.get(usize::from(*level).checked_sub(1)?)?,
        file.as_deref().map(keep),
        *line,
        module.as_deref().map(keep),
        FieldSet::new(names.leak(), Identifier(site)),
        Kind::EVENT,
    );
    site.0.set(metadata).ok()?;
    Some(site)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Facade;

    /// Those that were known before go on.
    #[test]
    fn no_more_places_are_kept_than_there_may_be() {
        let of_line = |line: u32| Record {
            facade: Facade::Tracing,
            level: 3,
            target: "a::target".into(),
            message: "hello".into(),
            file: None,
            line: Some(line),
            module: None,
            fields: vec![("key".into(), "value".into())],
        };
        let most = MOST_SITES as u32;
        let first = site_of(&of_line(0)).unwrap();
        assert!((0..most).all(|line| site_of(&of_line(line)).is_some()));
        assert!(site_of(&of_line(most)).is_none());
        assert!(std::ptr::eq(site_of(&of_line(0)).unwrap(), first));
        let metadata = first.metadata();
        assert_eq!(
            (metadata.target(), metadata.line(), *metadata.level()),
            ("a::target", Some(0), Level::INFO)
        );
        assert_eq!(metadata.fields().to_string(), "{message, sandboxed.function, key}");
    }

    #[test]
    fn levels_are_numbers_and_back() {
        for (number, filter) in [(0, LevelFilter::OFF), (1, LevelFilter::ERROR), (5, LevelFilter::TRACE)] {
            assert_eq!(super::filter(number), filter);
            assert_eq!(filter.into_level().map_or(0, super::number), number);
        }
    }
}
