//! CPU time of processes, which other load of the machine stretches far less than wall time.

use std::{collections::BTreeMap, fs, time::Duration};

/// Reads the CPU time of some processes, all their threads together.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// The last reading of each thread, in nanoseconds: one that has ended keeps what it used.
    threads: BTreeMap<(i32, String), u64>,
}

impl Meter {
    /// CPU time of these processes until now, since each began.
    pub(crate) fn read(&mut self, processes: &[i32]) -> Duration {
        for &process in processes {
            for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
                // A thread may end while we look. The first number is its time on a CPU.
                let Ok(line) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
                if let Some(nanos) = line.split(' ').next().and_then(|word| word.parse().ok()) {
                    self.threads.insert((process, thread.file_name().to_string_lossy().into_owned()), nanos);
                }
            }
        }
        Duration::from_nanos(self.threads.values().sum())
    }
}
