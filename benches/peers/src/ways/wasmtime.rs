//! wasmtime: the jobs in WebAssembly (`jobs.wat`), compiled once. The bytes are copied into the instance's memory and
//! out of it. An instance that stays, or one of a pool for each call.
//!
//! It isolates by what the compiler emits, in the host's own process.

use crate::task::{Answer, Kind, Task};
use crate::{Result, Way};
use ::wasmtime::{
    Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Memory, Module, PoolingAllocationConfig,
    Store, TypedFunc,
};
use std::fmt::Write;

/// Where the input is; the tables of the check sum are before it.
const INPUT: usize = 1 << 16;
const PAGE: usize = 1 << 16;
/// The most memory of an instance in bytes: the largest input and the tables.
const MEMORY: usize = INPUT + (64 << 20);

/// Wasm reaches what is imported, and nothing is.
const BY_DESIGN: &str = "memory by the compiler, files, network, system calls";

/// A module that is compiled, and linked with nothing.
fn compile() -> Result<InstancePre<()>> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(1).total_memories(1).total_tables(1).max_memory_size(MEMORY);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, include_str!("jobs.wat").replace("TABLES", &tables()))?;
    Ok(Linker::new(&engine).instantiate_pre(&module)?)
}

/// The tables of the check sum as text of a data segment: the sum of a byte that is followed by 0, 1, 2, 3 zeros.
fn tables() -> String {
    let mut text = String::new();
    for zeros in 0..4 {
        for byte in 0..=255_u32 {
            let steps = 8 * (zeros + 1);
            let word = (0..steps).fold(byte, |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()));
            for byte in word.to_le_bytes() {
                write!(text, "\\{byte:02x}").expect("a string takes all");
            }
        }
    }
    text
}

/// An instance, and what it exports.
struct Jobs {
    store: Store<()>,
    memory: Memory,
    add: TypedFunc<(u32, u32), u32>,
    crc32: TypedFunc<(u32, u32), u32>,
    reverse: TypedFunc<(u32, u32), ()>,
}

impl Jobs {
    fn new(module: &InstancePre<()>) -> Result<Jobs> {
        let mut store = Store::new(module.module().engine(), ());
        let instance = module.instantiate(&mut store)?;
        Ok(Jobs {
            memory: instance.get_memory(&mut store, "memory").ok_or("no memory")?,
            add: instance.get_typed_func(&mut store, "add")?,
            crc32: instance.get_typed_func(&mut store, "crc32")?,
            reverse: instance.get_typed_func(&mut store, "reverse")?,
            store,
        })
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        match task {
            Task::Add(a, b) => Ok(Answer::Number(self.add.call(&mut self.store, (a, b))?)),
            Task::Crc32(bytes) => {
                let place = self.copy_in(bytes)?;
                Ok(Answer::Number(self.crc32.call(&mut self.store, place)?))
            }
            Task::Reverse(bytes) => {
                let place = self.copy_in(bytes)?;
                self.reverse.call(&mut self.store, place)?;
                Ok(Answer::Bytes(self.copy_out(bytes.len())))
            }
            Task::Echo(bytes) => {
                self.copy_in(bytes)?;
                Ok(Answer::Bytes(self.copy_out(bytes.len())))
            }
            Task::Decode(_) | Task::Probe(_) => Err("the module cannot do that".into()),
        }
    }

    /// Where it is then, and how long.
    fn copy_in(&mut self, bytes: &[u8]) -> Result<(u32, u32)> {
        let missing = (INPUT + bytes.len()).saturating_sub(self.memory.data_size(&self.store));
        self.memory.grow(&mut self.store, missing.div_ceil(PAGE) as u64)?;
        self.memory.write(&mut self.store, INPUT, bytes)?;
        Ok((INPUT.try_into()?, bytes.len().try_into()?))
    }

    fn copy_out(&self, length: usize) -> Vec<u8> {
        self.memory.data(&self.store)[INPUT..][..length].to_vec()
    }
}

fn can(kind: Kind) -> bool {
    !matches!(kind, Kind::Decode | Kind::Probe)
}

/// An instance that stays; a call meets what the last one left.
pub struct Persistent(Jobs);

impl Way for Persistent {
    const NAME: &'static str = "wasmtime, persistent instance";
    const BY_DESIGN: [&'static str; 2] = [BY_DESIGN, "stays"];

    fn prepare() -> Result<Persistent> {
        Ok(Persistent(Jobs::new(&compile()?)?))
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        self.0.call(task)
    }

    fn can(kind: Kind) -> bool {
        can(kind)
    }
}

/// An instance for each call, in a place of a pool.
pub struct Pooled(InstancePre<()>);

impl Way for Pooled {
    const NAME: &'static str = "wasmtime, pooled instance a call";
    const BY_DESIGN: [&'static str; 2] = [BY_DESIGN, "fresh"];

    fn prepare() -> Result<Pooled> {
        Ok(Pooled(compile()?))
    }

    fn call(&mut self, task: Task<&[u8]>) -> Result<Answer> {
        Jobs::new(&self.0)?.call(task)
    }

    fn can(kind: Kind) -> bool {
        can(kind)
    }
}
