//! The end of a call, from everything that a worker has a say in.

use super::values::decode_answer;
use crate::error::{Error, Ran};
use crate::forkserver::{End, Report};
use crate::outcome::{Circumstances, Outcome};
use crate::plan::{Kernel, Placement, Plan, plan};
use crate::policy::{Policy, Stdio};
use crate::registry::Function;
use crate::wire::{FrameReader, Relay, Transcript};
use std::sync::LazyLock;
use std::time::Duration;

static FUNCTION: Function = Function {
    name: "a::function",
    file: "a.rs",
    line: 1,
    column: 1,
    placement: Placement::Process,
    attribute: "",
    policy: None,
    warm: None,
    test: false,
};

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let all_there = Kernel::with(crate::plan::NEWEST_ABI, u32::MAX, true);
    plan(&Policy::new(), Placement::Process, all_there).expect("everything is refused, which a kernel can")
});

static RELAY: LazyLock<Relay> = LazyLock::new(|| Relay::new(Stdio::Inherit).expect("two descriptors").0);

/// The first two bytes say how the worker ended; the rest is its reply.
pub fn outcome(input: &[u8]) {
    let Some(([end, number], stream)) = input.split_first_chunk() else { return };
    let mut transcript = transcript(*end, *number);
    transcript.read(&mut FrameReader::new(), stream);
    let begun = transcript.begun;
    match outcome_of(transcript, end & 32 != 0) {
        Ok(Outcome::Returned(answer)) => decode_answer(&answer),
        Ok(Outcome::Exit(_)) => {}
        Err(error) => {
            assert!(!begun || error.ran() == Ran::Yes, "{error:?} of a body that began");
            let text = error.to_string();
            let is_harmless = |letter: char| !letter.is_control() || "\n\r\t".contains(letter);
            assert!(text.chars().all(is_harmless), "{text:?} reaches terminals");
        }
    }
}

/// Before anything was read.
pub(super) fn transcript(end: u8, number: u8) -> Transcript {
    Transcript {
        report: report(end, number),
        stuck: end & 8 != 0,
        abandoned: end & 16 != 0,
        ..Transcript::default()
    }
}

pub(super) fn outcome_of(transcript: Transcript, is_program: bool) -> Result<Outcome, Error> {
    Circumstances { function: &FUNCTION, plan: &PLAN, relay: &RELAY, is_program }.outcome(transcript)
}

fn report(end: u8, number: u8) -> Option<Report> {
    let max_rss = if end & 64 == 0 { 0 } else { u64::MAX };
    let end = match end & 7 {
        0 => End::TimedOut,
        1 => End::Exited(number.into()),
        2 => End::Killed(number.into()),
        3 => End::NotForked(number.into()),
        4 => End::CpuTimeExceeded,
        _ => return None,
    };
    Some(Report { end, max_rss, cpu: Duration::from_secs(number.into()) })
}
