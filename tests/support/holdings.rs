//! What a leak would show in.
#![allow(dead_code)] // each test file uses its part

use super::processes::{Process, children, own_descriptors};
use std::collections::BTreeMap;

#[derive(Debug)]
pub struct Holdings {
    pub descriptors: BTreeMap<i32, String>,
    threads: usize,
    children_of_server: usize,
    descriptors_of_server: usize,
}

impl Holdings {
    pub fn of(server: &Process) -> Holdings {
        Holdings {
            descriptors: own_descriptors(),
            threads: std::fs::read_dir("/proc/self/task").unwrap().count(),
            children_of_server: children(server.pid).len(),
            descriptors_of_server: server.descriptors().len(),
        }
    }

    /// A few workers may be ready by now that were not then, with the descriptors that lead to them; one that ended is
    /// noticed shortly after.
    pub fn is_no_more_than(&self, before: &Holdings) -> bool {
        const OF_READY_WORKERS: usize = 20;
        self.descriptors.len() <= before.descriptors.len() + OF_READY_WORKERS
            && self.threads <= before.threads
            && self.children_of_server <= before.children_of_server
            && self.descriptors_of_server <= before.descriptors_of_server
    }
}

/// The memory of a process.
pub struct Held {
    pub mappings: usize,
    pub data_kib: u64,
}

impl Held {
    pub fn of(process: &Process) -> Held {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.pid)).unwrap();
        let data = process.status("VmData");
        Held { mappings: maps.lines().count(), data_kib: data.strip_suffix(" kB").unwrap().parse().unwrap() }
    }

    pub fn assert_little_more_than(&self, before: &Held, who: &str) {
        let (mappings, data) = (before.mappings, before.data_kib);
        assert!(
            self.mappings <= mappings + 4,
            "mappings of the {who}: {mappings} before, {} after",
            self.mappings
        );
        assert!(
            self.data_kib <= data + 1024,
            "KiB of data of the {who}: {data} before, {} after",
            self.data_kib
        );
    }
}
