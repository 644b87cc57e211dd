//! Methods and associated functions.
#![deny(warnings)]
#![forbid(unsafe_code)]

use sandboxed::sandboxed;
use serde::{de::DeserializeOwned, Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Counter {
    n: u32,
}

impl Counter {
    const DIR: &'static str = "/usr";

    #[sandboxed]
    fn new(n: u32) -> Self {
        Self { n }
    }

    fn prepare() {}

    #[sandboxed(read = Self::DIR, warm = Counter::prepare)]
    fn get(&self) -> u32 {
        println!("{self:?} {}", self.n);
        let add = |x| self.n + x;
        add(self::ONE)
    }

    #[sandboxed(fallible = try_bump)]
    fn bump(&mut self, by: u32) -> u32 {
        self.n += by;
        self.n
    }

    #[sandboxed(thread)]
    fn bump_in_thread(&mut self, by: u32) -> &u32 {
        self.n += by;
        &self.n
    }

    #[sandboxed]
    fn eat(mut self) -> Counter {
        self.n += 1;
        self
    }

    #[sandboxed(fallible = Self::try_assoc)]
    fn assoc() -> u32 {
        3
    }

    #[sandboxed]
    #[allow(clippy::needless_arbitrary_self_type)]
    fn typed(self: &mut Self) {
        macro_rules! add {
            ($x:expr) => {
                self.n += $x
            };
        }
        add!(1);
        struct Other(u32);
        impl Other {
            fn get(&self) -> u32 {
                self.0
            }
        }
        self.n += Other(1).get();
    }

    #[sandboxed(thread)]
    fn boxed(self: Box<Self>) -> Box<Self> {
        self
    }
}

const ONE: u32 = 1;

trait Shape: Serialize + DeserializeOwned {
    #[sandboxed]
    fn area(&self) -> u32 {
        let _ = self;
        4
    }
    fn name(&self) -> String;
}

impl Shape for Counter {
    #[sandboxed]
    fn name(&self) -> String {
        format!("{self:?} {{self}}")
    }
}

#[derive(Serialize, Deserialize)]
struct Wrap<T>(T);

trait Prepare {
    fn prepare() {}
}

impl Prepare for Counter {}

trait Dir {
    fn default_dir() -> &'static str {
        "/usr"
    }
}

impl Dir for u32 {}

impl<T: Serialize + DeserializeOwned + Clone> Wrap<T> {
    #[sandboxed(read = T::default_dir())]
    fn inner(&self) -> T
    where
        T: Dir,
    {
        self.0.clone()
    }

    #[sandboxed(warm = <Counter as Prepare>::prepare)]
    fn pair<U: Serialize + DeserializeOwned>(self, u: U) -> (T, U) {
        (self.0, u)
    }
}

/// Never runs.
fn calls() -> Result<(), sandboxed::Error> {
    let mut counter = Counter::new(1);
    counter.bump(counter.get());
    counter.bump(*counter.clone().bump_in_thread(1));
    counter.typed();
    counter.try_bump(counter.area() + Counter::assoc() + Counter::try_assoc()?)?;
    let counter = Box::new(counter.eat()).boxed();
    let _ = (counter.name(), Wrap(3u32).inner(), Wrap(3u32).pair("x".to_string()));
    Ok(())
}

pub fn main() {
    let _ = calls;
}
