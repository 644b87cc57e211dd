//! What generated code calls: finds the placement, runs it, turns the outcome into the caller's result.

use crate::codec::{self, CodecError, Incoming, Outgoing};
use crate::error::{Error, ErrorKind};
use crate::placement;
use crate::policy::Policy;
use crate::registry::Function;
use std::fmt;
use std::process::Termination;

/// What runs in a worker: takes the arguments, runs the body, replies. It captures nothing, so that its address
/// in the executable says all about it.
pub type Entry = for<'c, 'i> fn(&'c mut Call<'i>) -> Result<(), CodecError>;

/// One call, as the side that runs the body sees it.
pub struct Call<'i> {
    /// The arguments.
    pub input: Incoming<'i>,
    caller: &'i mut dyn Caller,
}

/// Whoever waits for the answer of a call.
pub(crate) trait Caller {
    /// The arguments are there, the body begins.
    fn begun(&mut self);
    /// Whether it has the file that came for the result.
    fn has_result_file(&self) -> bool;
    /// The body's result.
    fn returned(&mut self, message: &Outgoing<'_>);
    /// The exit code of `fn main`.
    fn exit_code(&mut self, code: u8);
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("input", &self.input).finish_non_exhaustive()
    }
}

impl<'i> Call<'i> {
    pub(crate) fn new(input: Incoming<'i>, caller: &'i mut dyn Caller) -> Call<'i> {
        Call { input, caller }
    }

    /// Says that the arguments are there and the body begins.
    pub fn begin(&mut self) {
        self.caller.begun();
    }

    /// Sends what goes back.
    ///
    /// # Errors
    ///
    /// A value that cannot be encoded.
    pub fn reply<'v>(
        &mut self,
        put: impl FnOnce(&mut Outgoing<'v>) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let mut message = Outgoing::answer(self.caller.has_result_file());
        put(&mut message)?;
        self.caller.returned(&message);
        Ok(())
    }

    /// Sends the exit code of `fn main`; prints its error as the standard library does.
    ///
    /// # Errors
    ///
    /// An exit code that is none of the 256.
    pub fn exit_code<T: Termination>(&mut self, value: T) -> Result<(), CodecError> {
        let code = value.report();
        // `ExitCode` does not tell its number, but it can be compared.
        let number = (0..=u8::MAX).find(|number| std::process::ExitCode::from(*number) == code);
        self.caller.exit_code(number.ok_or_else(|| CodecError::Encode("unknown exit code".into()))?);
        Ok(())
    }
}

/// A call of a `process` function.
///
/// # Errors
///
/// Whatever keeps the body from giving a result.
pub fn process<'v, A>(
    function: &'static Function,
    policy: Policy,
    entry: Entry,
    put: impl FnOnce(&mut Outgoing<'v>) -> Result<(), CodecError>,
    take: impl FnOnce(&mut Incoming<'_>) -> Result<A, CodecError>,
) -> Result<A, Error> {
    let mut message = Outgoing::new();
    put(&mut message).map_err(|error| placement::cannot_encode(function, &error))?;
    let mut answer = placement::process::call(function, &policy, entry, &message)?;
    let (bulk, result) = (answer.bulk.as_deref_mut(), answer.result.take());
    let mut values = Incoming::new(&answer.stream, Vec::new()).with_bulk(bulk).with_result(result);
    let taken = take(&mut values).and_then(|value| values.finish().map(|()| value));
    answer.stream.into_vec().into_iter().for_each(codec::spare::give);
    taken.map_err(|error| placement::bad_data(function, error.to_string()))
}

/// A call of a `thread` function.
///
/// # Errors
///
/// Whatever keeps the body from giving a result.
pub fn thread<R: Send>(
    function: &'static Function,
    policy: Policy,
    body: impl FnOnce() -> R + Send,
) -> Result<R, Error> {
    placement::thread::call(function, &policy, body)
}

/// Restricts this process, before the body of an `in_place` function runs in it.
///
/// # Errors
///
/// Whatever keeps the process from being restricted. It may be restricted in part then, never less than before.
pub fn in_place(function: &'static Function, policy: Policy) -> Result<(), Error> {
    placement::in_place::enforce(function, &policy).map(drop)
}

/// Runs `fn main` in a worker and ends as it does.
pub fn program(function: &'static Function, policy: Policy, entry: Entry) -> ! {
    placement::process::program(function, &policy, entry)
}

/// Ends a program whose sandbox cannot be had, and whose `main` has no way to say so.
pub fn refuse_to_start(error: Error) -> ! {
    match std::error::Error::source(&error) {
        Some(cause) => eprintln!("Error: {error}: {cause}"),
        None => eprintln!("Error: {error}"),
    }
    std::process::exit(1)
}

/// Finds how a sandbox failure reaches the caller: see [`VerdictErr`] and [`VerdictPanic`].
#[derive(Debug)]
pub struct Verdict<R>(std::marker::PhantomData<R>);

impl<R> Verdict<R> {
    /// For this result's type.
    pub fn of(_: &Result<R, Error>) -> Verdict<R> {
        Verdict(std::marker::PhantomData)
    }
}

/// Failures become the `Err` of the function's own `Result`.
#[derive(Debug)]
pub struct AsErr;
/// Failures become panics.
#[derive(Debug)]
pub struct AsPanic;

/// Preferred by method lookup: the function returns a `Result` whose error has `From<Error>`.
pub trait VerdictErr {
    /// Picks it.
    fn pick(&self) -> AsErr;
}

impl<T, E: From<Error>> VerdictErr for &Verdict<Result<T, E>> {
    fn pick(&self) -> AsErr {
        AsErr
    }
}

/// Everything else.
pub trait VerdictPanic {
    /// Picks it.
    fn pick(&self) -> AsPanic;
}

impl<R> VerdictPanic for Verdict<R> {
    fn pick(&self) -> AsPanic {
        AsPanic
    }
}

/// Turns a failure into what the caller gets.
pub trait Settle<R> {
    /// The result, or the failure in the caller's own type, or a panic.
    fn settle(self, result: Result<R, Error>) -> R;
}

impl<T, E: From<Error>> Settle<Result<T, E>> for AsErr {
    fn settle(self, result: Result<Result<T, E>, Error>) -> Result<T, E> {
        result.unwrap_or_else(|error| Err(error.into()))
    }
}

impl<R> Settle<R> for AsPanic {
    #[track_caller]
    fn settle(self, result: Result<R, Error>) -> R {
        match result {
            Ok(value) => value,
            Err(error) => match error.kind() {
                // Beside the message, which is the same whatever the environment says.
                ErrorKind::Panicked { backtrace: Some(frames), .. } => {
                    eprintln!("stack backtrace of the worker:\n{frames}");
                    panic!("{error}")
                }
                // As if the body had panicked: the hook of this process has not seen it yet.
                ErrorKind::Panicked { .. } | ErrorKind::Unenforceable(_) => panic!("{error}"),
                _ => match std::error::Error::source(&error) {
                    Some(cause) => panic!("{error}: {cause}"),
                    None => panic!("{error}"),
                },
            },
        }
    }
}

/// Whether a panic in the host would end it (`panic = "abort"`).
#[derive(Debug)]
pub struct Strategy<const ABORT: bool>;

/// Whether failures may reach the caller this way.
#[diagnostic::on_unimplemented(
    message = "under `panic = \"abort\"` a failure of this sandboxed function would end the whole program",
    label = "this function cannot say that its sandbox failed",
    note = "return a `Result` whose error has `From<sandboxed::Error>`, such as `std::io::Result` or `Result<_, sandboxed::Error>`"
)]
pub trait Allows<S> {}
impl<const ABORT: bool> Allows<AsErr> for Strategy<ABORT> {}
impl Allows<AsPanic> for Strategy<false> {}

/// Nobody's way. With it there is more than one, so that rustc says what is missing instead of inferring the rest.
#[derive(Debug)]
pub struct Undecided;
impl<const ABORT: bool> Allows<Undecided> for Strategy<ABORT> {}

/// Gives the caller its result.
#[track_caller]
pub fn settle<S, R, const ABORT: bool>(how: S, _: Strategy<ABORT>, result: Result<R, Error>) -> R
where
    S: Settle<R>,
    Strategy<ABORT>: Allows<S>,
{
    how.settle(result)
}

/// What a test can return when it is skipped.
pub trait SkippedTest {
    /// The value of a test that has nothing to object to.
    fn skipped() -> Self;
}

impl SkippedTest for () {
    fn skipped() {}
}

impl<E> SkippedTest for Result<(), E> {
    fn skipped() -> Self {
        Ok(())
    }
}

/// `unenforceable = "skip"` of a test: says that it is skipped, and why.
///
/// # Errors
///
/// Every other failure.
pub fn skip_unenforceable<R: SkippedTest>(function: &'static Function, error: Error) -> Result<R, Error> {
    if !error.is_unenforceable() {
        return Err(error);
    }
    eprintln!("skipped: test `{}`: {error}", function.name);
    Ok(R::skipped())
}
