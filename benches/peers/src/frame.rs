//! Tasks and answers through pipes, in postcard's format: one message, which ends where the pipe ends.

use crate::Result;
use crate::task::{Answer, Task};
use serde::Serialize;
use serde_bytes::{ByteBuf, Bytes};
use std::io::{self, BufWriter, Read, Write};

/// Sends a task and closes the pipe.
pub fn send_task(task: Task<&[u8]>, to: impl Write) -> Result<()> {
    send(&task.map(Bytes::new), to)
}

/// Receives what [`send_answer`] sent.
pub fn receive_answer(mut from: impl Read) -> Result<Answer> {
    let mut message = Vec::new();
    from.read_to_end(&mut message)?;
    let answer: Answer<ByteBuf> =
        postcard::from_bytes(&message).map_err(|error| format!("no answer: {error}"))?;
    Ok(answer.map(ByteBuf::into_vec))
}

/// Sends an answer.
pub fn send_answer(answer: Answer, to: impl Write) -> Result<()> {
    send(&answer.map(ByteBuf::from), to)
}

/// Receives a task and performs it.
pub fn perform(mut from: impl Read) -> Result<Answer> {
    let mut message = Vec::new();
    from.read_to_end(&mut message)?;
    let task: Task<&Bytes> = postcard::from_bytes(&message)?;
    Ok(task.map(|bytes| &bytes[..]).perform())
}

/// What a program does that is started for one task: the task at its stdin, the answer at its stdout.
pub fn answer() -> Result<()> {
    send_answer(perform(io::stdin().lock())?, io::stdout().lock())
}

/// Buffered, so that a short message is one write; bytes that do not fit are written from where they are.
fn send(message: &impl Serialize, to: impl Write) -> Result<()> {
    let mut buffered = BufWriter::new(to);
    postcard::to_io(message, &mut buffered)?;
    Ok(buffered.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_goes_out_and_its_answer_comes_back() -> Result<()> {
        let mut there = Vec::new();
        send_task(Task::Reverse(&[1, 2, 3]), &mut there)?;
        let mut back = Vec::new();
        send_answer(perform(&there[..])?, &mut back)?;
        assert_eq!(receive_answer(&back[..])?, Answer::Bytes(vec![3, 2, 1]));
        Ok(())
    }

    #[test]
    fn an_answer_that_was_cut_is_an_error() -> Result<()> {
        let mut back = Vec::new();
        send_answer(Answer::Bytes(vec![1, 2, 3]), &mut back)?;
        assert!(receive_answer(&back[..2]).is_err());
        Ok(())
    }
}
