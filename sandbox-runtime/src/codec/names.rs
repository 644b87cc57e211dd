//! The names of fields and variants that a value had so far.

use std::collections::HashMap;

/// The names so far, by number from 1.
#[derive(Default)]
pub(super) struct Names {
    numbers: HashMap<&'static str, usize>,
    names: Vec<Seen>,
    last: usize,
}

/// Fields follow one another as they did before, so most names are found without a look at their text.
struct Seen {
    name: &'static str,
    /// The number of the one that came after it.
    next: usize,
}

impl Names {
    /// The number of a name that there was before.
    #[inline]
    pub(super) fn number(&mut self, name: &'static str) -> Option<usize> {
        let guess = self.seen(self.last).map_or(0, |last| last.next);
        let number = match self.seen(guess) {
            Some(seen) if std::ptr::eq(seen.name, name) => Some(guess),
            _ => self.look_up(name),
        };
        self.last = number.unwrap_or(self.names.len());
        number
    }

    fn look_up(&mut self, name: &'static str) -> Option<usize> {
        let new = self.names.len() + 1;
        let number = *self.numbers.entry(name).or_insert(new);
        if number == new {
            self.names.push(Seen { name, next: 0 });
        }
        let last = self.last;
        if let Some(last) = last.checked_sub(1).and_then(|last| self.names.get_mut(last)) {
            last.next = number;
        }
        (number != new).then_some(number)
    }

    #[inline]
    fn seen(&self, number: usize) -> Option<&Seen> {
        self.names.get(number.checked_sub(1)?)
    }
}
