//! ipc-channel: a warm worker, which is this program again, and a channel there and one back. No sandbox.
//!
//! Bytes go in the message, or in memory that both sides map (`IpcSharedMemory`), which pays for large ones.

use crate::task::{Answer, Task};
use crate::{Result, Way};
use ::ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use std::borrow::Cow;
use std::env;
use std::marker::PhantomData;
use std::process::{Child, Command};

/// How bytes cross.
pub trait Carrier: Serialize + DeserializeOwned + 'static {
    /// What the worker's argument says.
    const WORD: &'static str;
    /// The way's name.
    const NAME: &'static str;
    /// Packs bytes up.
    fn pack(bytes: Cow<[u8]>) -> Self;
    /// What was packed.
    fn bytes(&self) -> &[u8];
    /// What was packed, for good.
    fn unpack(self) -> Vec<u8>;
}

impl Carrier for ByteBuf {
    const WORD: &'static str = "message";
    const NAME: &'static str = "ipc-channel, warm worker";

    fn pack(bytes: Cow<[u8]>) -> ByteBuf {
        ByteBuf::from(bytes.into_owned())
    }

    fn bytes(&self) -> &[u8] {
        self
    }

    fn unpack(self) -> Vec<u8> {
        self.into_vec()
    }
}

impl Carrier for IpcSharedMemory {
    const WORD: &'static str = "shared-memory";
    const NAME: &'static str = "ipc-channel, warm worker, shared memory";

    fn pack(bytes: Cow<[u8]>) -> IpcSharedMemory {
        IpcSharedMemory::from_bytes(&bytes)
    }

    fn bytes(&self) -> &[u8] {
        self
    }

    fn unpack(self) -> Vec<u8> {
        self.to_vec()
    }
}

/// What the host holds; the worker makes the channels and sends these ends.
type HostEnds<C> = (IpcSender<Task<C>>, IpcReceiver<Answer<C>>);

/// The host's side of a worker.
pub struct Worker<C: Carrier> {
    ends: Option<HostEnds<C>>,
    process: Child,
    carrier: PhantomData<C>,
}

impl<C: Carrier> Way for Worker<C> {
    const NAME: &'static str = C::NAME;

    fn prepare() -> Result<Worker<C>> {
        let (server, token) = IpcOneShotServer::<HostEnds<C>>::new()?;
        let process = Command::new(env::current_exe()?).args(["ipc-channel", C::WORD, &token]).spawn()?;
        let (_, ends) = server.accept()?;
        Ok(Worker { ends: Some(ends), process, carrier: PhantomData })
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        let (tasks, answers) = self.ends.as_ref().ok_or("the worker was dismissed")?;
        tasks.send(task.map(|bytes| C::pack(bytes.into())))?;
        Ok(answers.recv()?.map(C::unpack))
    }
}

/// A worker ends when its channel does.
impl<C: Carrier> Drop for Worker<C> {
    fn drop(&mut self) {
        self.ends = None;
        if let Err(error) = self.process.wait() {
            eprintln!("the worker was not waited for: {error}");
        }
    }
}

/// What a process does that was started as a worker.
pub fn work(carrier: &str, token: &str) -> Result<()> {
    match carrier {
        ByteBuf::WORD => serve::<ByteBuf>(token),
        IpcSharedMemory::WORD => serve::<IpcSharedMemory>(token),
        _ => Err(format!("no carrier: {carrier}").into()),
    }
}

fn serve<C: Carrier>(token: &str) -> Result<()> {
    let (to_worker, tasks) = ipc::channel::<Task<C>>()?;
    let (answers, from_worker) = ipc::channel()?;
    let ends: HostEnds<C> = (to_worker, from_worker);
    IpcSender::connect(token.into())?.send(ends)?;
    while let Ok(task) = tasks.recv() {
        let answer = task.as_ref().map(C::bytes).perform();
        answers.send(answer.map(|bytes| C::pack(bytes.into())))?;
    }
    Ok(())
}
