//! The report: every sandboxed function of the binary, what its policy grants, and what holds each promise.
//!
//! All of it is read off the [`Plan`], which enforcement works by too, so that the two cannot disagree. [`Report`] is
//! data; its text is for a terminal, [`Report::html`] a page. The page is written by hand: a template engine would be
//! the largest dependency of every program that has a sandboxed function.

mod cell;
mod html;
mod resource;
mod text;

pub use cell::{Cell, Mark};
pub use resource::Resource;

use crate::denial::{By, Denial};
use crate::plan::{Kernel, Placement, Plan, Unenforceable, plan};
use crate::policy::Policy;
use crate::registry::{Function, functions};

/// Every sandboxed function of this binary, with what holds each of its promises on the running kernel.
///
/// Those of libraries are there too, if they are linked. [`Display`](std::fmt::Display) gives the text for a terminal,
/// [`html`](Report::html) a page. To get it for a program of yours, print it where an argument asks for it, or write it
/// in a test:
///
/// ```no_run
/// fn main() -> std::io::Result<()> {
///     if std::env::args().nth(1).as_deref() == Some("--sandboxes") {
///         print!("{}", sandboxed_runtime::report());
///         return std::fs::write("sandboxes.html", sandboxed_runtime::report().html());
///     }
///     // ... the program ...
///     Ok(())
/// }
/// ```
///
/// In a `main` that is sandboxed itself the page can be written where its own `write` says so.
///
/// For a policy that says `namespaces` the forkserver is started, to see whether there are any.
pub fn report() -> Report {
    Report::gather(functions(), crate::kernel(), |policy| {
        crate::kernel_for(policy).unwrap_or_else(|_| crate::kernel())
    })
}

/// Sandboxed functions and what holds their promises on one kernel: a table of functions against resources.
///
/// ```
/// use sandboxed_runtime::{Kernel, Report};
/// let old = Report::on(Kernel::with(3, 0, true));
/// print!("{old}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The kernel that it was made for.
    pub kernel: Kernel,
    /// The functions, by file and line.
    pub rows: Vec<Row>,
    /// What functions were denied that are not in the report.
    pub others: Vec<Denial>,
}

/// A function in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The name, with the module path.
    pub name: String,
    /// File, line and column of its attribute.
    pub place: String,
    /// Where its body runs.
    pub placement: Placement,
    /// Whether it is a `#[sandboxed::test]`.
    pub test: bool,
    /// The attribute's arguments as they were written.
    pub attribute: String,
    /// The policy; `None` where it depends on the arguments of a call, so that there is no plan either.
    pub policy: Option<Policy>,
    /// What holds its promises; where [`error`](Row::error) says that it cannot be enforced, what would be held under
    /// `best_effort`.
    pub plan: Option<Plan>,
    /// Why a call is an error on this kernel, before the body runs.
    pub error: Option<Unenforceable>,
    /// A cell for each of [`Resource::ALL`], in that order.
    pub cells: Vec<Cell>,
    /// What it was denied.
    pub denials: Vec<Denial>,
}

impl Report {
    /// As [`report`], for another kernel than the running one.
    pub fn on(kernel: Kernel) -> Report {
        Report::of(functions(), kernel)
    }

    /// Of these functions alone.
    pub fn of<'a>(functions: impl IntoIterator<Item = &'a Function>, kernel: Kernel) -> Report {
        Report::gather(functions, kernel, |_| kernel)
    }

    fn gather<'a>(
        functions: impl IntoIterator<Item = &'a Function>,
        kernel: Kernel,
        kernel_for: impl Fn(&Policy) -> Kernel,
    ) -> Report {
        let mut functions: Vec<&Function> = functions.into_iter().collect();
        functions.sort_by_key(|function| (function.file, function.line, function.column, function.name));
        let rows = functions.into_iter().map(|function| Row::new(function, &kernel_for)).collect();
        Report { kernel, rows, others: Vec::new() }
    }

    /// Marks what was denied: in the cells that it is about if the sandbox refused it, and in full below. Files that are
    /// not there are left out.
    pub fn with_denials(mut self, denials: &[Denial]) -> Report {
        for denial in denials.iter().filter(|denial| denial.by != By::Missing) {
            // Methods of several types can have one name; their places differ.
            let is_named = |row: &&mut Row| row.name == denial.function;
            let is_there = |row: &Row| row.name == denial.function && row.place == denial.place;
            let row = match self.rows.iter().position(is_there) {
                Some(at) => self.rows.get_mut(at),
                None => self.rows.iter_mut().find(is_named),
            };
            match row {
                Some(row) => row.deny(denial),
                None => self.others.push(denial.clone()),
            }
        }
        self
    }

    /// A page for a browser: one file that loads nothing else and runs no script, light or dark as the reader likes it.
    ///
    /// Names and paths may be strangers': they are escaped, and the page forbids scripts besides.
    pub fn html(&self) -> String {
        html::Page(self).to_string()
    }

    /// The text with colours (ANSI escapes), as `{:#}` prints it.
    pub fn coloured(&self) -> String {
        format!("{self:#}")
    }

    /// How many rows have such a cell.
    fn count(&self, mark: Mark) -> usize {
        self.rows.iter().filter(|row| row.cells.iter().any(|cell| cell.mark == mark)).count()
    }
}

impl Row {
    fn new(function: &Function, kernel_for: impl Fn(&Policy) -> Kernel) -> Row {
        let Function { name, file, line, column, placement, attribute, test, .. } = function;
        let policy = function.policy();
        let planned = policy.as_ref().map(|policy| planned(policy, *placement, kernel_for(policy)));
        let (plan, error) = planned.unwrap_or_default();
        let cell = |resource| match (&policy, &plan) {
            (Some(policy), Some(plan)) => Cell::new(resource, policy, plan, error.as_ref()),
            _ => Cell::by_arguments(resource),
        };
        Row {
            name: (*name).into(),
            place: format!("{file}:{line}:{column}"),
            placement: *placement,
            test: *test,
            attribute: (*attribute).into(),
            cells: Resource::ALL.map(cell).into(),
            policy,
            plan,
            error,
            denials: Vec::new(),
        }
    }

    fn deny(&mut self, denial: &Denial) {
        if denial.by.is_sandbox() {
            for resource in Resource::of_denial(denial) {
                let cells = self.cells.iter_mut().filter(|cell| cell.resource == resource);
                cells.for_each(|cell| cell.denied = cell.denied.saturating_add(denial.count));
            }
        }
        self.denials.push(denial.clone());
    }

    /// The attribute as it stands in the source.
    fn written(&self) -> String {
        let path = if self.test { "sandboxed::test" } else { "sandboxed" };
        match self.attribute.is_empty() {
            true => format!("#[{path}]"),
            false => format!("#[{path}({})]", self.attribute),
        }
    }
}

/// What is held in any case, and why a call is an error.
fn planned(policy: &Policy, placement: Placement, kernel: Kernel) -> (Option<Plan>, Option<Unenforceable>) {
    match plan(policy, placement, kernel) {
        Ok(plan) => (Some(plan), None),
        Err(error) => (plan(&policy.clone().best_effort(), placement, kernel).ok(), Some(error)),
    }
}

/// What the kernel has, in words.
fn kernel_in_words(kernel: Kernel) -> String {
    let landlock = match kernel.abi {
        0 => "without Landlock".to_owned(),
        abi => format!("with Landlock ABI {abi}"),
    };
    let filters =
        if kernel.seccomp { "and with system call filters" } else { "and without system call filters" };
    format!("a kernel {landlock} {filters}")
}

/// A line of what a stranger may have named: nothing in it moves the cursor, breaks the line or changes the direction.
fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut line, c| {
        match c {
            '"' | '\'' | '\\' => line.push(c),
            _ => line.extend(c.escape_debug()),
        }
        line
    })
}
