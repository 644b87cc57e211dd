//! The table's lines.

/// What a row is to be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// So many times the floor at most.
    Times(f64),
    /// So many µs more than the floor at most.
    More(f64),
    /// So much at most, of this unit.
    AtMost(f64, &'static str),
}

/// What was measured.
#[derive(Clone, Debug)]
pub enum Figures {
    /// In µs, or the target's unit.
    Measured { ours: f64, floor: f64 },
    /// Why not.
    Not(String),
}

impl Figures {
    /// With a target that needs no floor.
    pub fn alone(ours: f64) -> Figures {
        Figures::Measured { ours, floor: f64::NAN }
    }

    pub fn not(why: impl Into<String>) -> Figures {
        Figures::Not(why.into())
    }

    /// From one process to another.
    pub fn to_line(&self) -> String {
        match self {
            Figures::Measured { ours, floor } => format!("{ours} {floor}"),
            Figures::Not(why) => format!("{NOT}{why}"),
        }
    }

    pub fn from_line(line: &str) -> Option<Figures> {
        if let Some(why) = line.strip_prefix(NOT) {
            return Some(Figures::not(why));
        }
        let (ours, floor) = line.split_once(' ')?;
        Some(Figures::Measured { ours: ours.parse().ok()?, floor: floor.parse().ok()? })
    }
}

const NOT: &str = "not measured: ";

impl From<[f64; 2]> for Figures {
    fn from([ours, floor]: [f64; 2]) -> Figures {
        Figures::Measured { ours, floor }
    }
}

pub fn print_head() {
    let [ours, floor, ratio, target] = ["ours", "floor", "ratio", "target"];
    println!("{:46}{ours:>13}{floor:>13}{ratio:>8}{target:>12}  met  the floor is", "medians");
}

pub fn line(what: &str, against: &str, target: Target, figures: &Figures) -> String {
    let (ours, floor) = match figures {
        Figures::Measured { ours, floor } => (*ours, *floor),
        Figures::Not(why) => return line_of_words(what, &format!("{NOT}{why}")),
    };
    let (unit, goal, is_met) = match target {
        Target::Times(most) => ("µs", format!("<= {most} x"), ours <= most * floor),
        Target::More(most) => ("µs", format!("+ {} ms", most / 1e3), ours - floor <= most),
        Target::AtMost(most, unit) => (unit, format!("<= {most} {unit}"), ours <= most),
    };
    let met = if is_met { "yes" } else { "no" };
    let (ratio, floor) = match floor.is_nan() {
        true => (String::new(), String::new()),
        false => (figure(ours / floor), quantity(floor, unit)),
    };
    format!("{what:46}{:>13}{floor:>13}{ratio:>8}{goal:>12}  {met:4} {against}", quantity(ours, unit))
}

pub fn line_of_words(what: &str, words: &str) -> String {
    format!("{what:46}{words}")
}

fn quantity(value: f64, unit: &str) -> String {
    format!("{} {unit}", figure(value))
}

/// With as many digits as tell something.
fn figure(value: f64) -> String {
    let digits = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}
