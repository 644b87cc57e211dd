//! Files for results, of which the next is made while a call runs: what a worker writes into memory that nobody has
//! touched costs more than the copy that it saves.

use super::template::Template;
use crate::bytes::result::{ResultFile, make};
use rustix::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Results {
    /// The next file, and its number.
    next: Mutex<Option<(OwnedFd, u32)>>,
    /// The number of the last one.
    made: AtomicU32,
    /// How long the last result was, in bytes.
    used: Arc<AtomicU64>,
}

impl Template {
    /// For the result of one call. `None` where there is none to be had: then it comes by copy.
    pub(crate) fn result_file(&self) -> Option<ResultFile> {
        let results = self.results();
        let next = results.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The template gives the memory of one back that is not used for long.
        let next = next.filter(|(_, number)| self.is_ours(*number)).map(|(file, _)| file);
        let file = next.map_or_else(|| make(self.window()), Ok).ok()?;
        Some(ResultFile::new(file, self.window(), Arc::clone(&results.used)))
    }

    fn is_ours(&self, number: u32) -> bool {
        self.slots().stocked().compare_exchange(number, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Has one made for the next call, if the last result was long.
    pub(crate) fn stock_result_file(&self) {
        let results = self.results();
        let length = results.used.swap(0, Ordering::Relaxed);
        let mut next = results.next.lock().unwrap_or_else(PoisonError::into_inner);
        if length == 0 || next.is_some() {
            return;
        }
        let Ok(file) = make(self.window()) else { return };
        let number = results.made.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
        self.slots().stocked().store(number, Ordering::SeqCst);
        // Without a template the next call fails anyway.
        if self.handle().touch(number, length, file.as_fd()).is_ok() {
            *next = Some((file, number));
        }
    }
}
