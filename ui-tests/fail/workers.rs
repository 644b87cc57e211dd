use sandboxed::sandboxed;

#[sandboxed(workers(reuse = 0, spare = -1, max = 0))]
fn too_few() {}

#[sandboxed(workers(reuse = 4294967296, max = "4"))]
fn too_many() {}

#[sandboxed(workers(spare = 4, max = 3))]
fn more_spare_than_there_may_be() {}

#[sandboxed(workers(reuse = 2, reuse = 3, spares = 1), workers(max = 2), max = 2)]
fn words() {}

#[sandboxed(workers(reuse = 2), cpu = "1s")]
fn counted_over_all_calls() {}

#[sandboxed(thread, workers(max = 2))]
fn in_a_thread() {}

#[sandboxed(process, workers(max = 2))]
fn main() {}

#[sandboxed::test(workers(spare = 2))]
fn test() {}
