//! No Worker grows without somebody saying so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use tributary_tests::installation::repository;

const BUDGET: &str = "wrangler/size-budget.txt";

/// Bytes of the wasm of a Worker that is built, gzipped as docs/performance.md counts them.
fn gzipped(worker: &str) -> usize {
    let wasm = repository().join(worker).join("build/index_bg.wasm");
    let wasm = File::open(&wasm).unwrap_or_else(|error| panic!("{}: {error}; make build builds it", wasm.display()));
    let output = Command::new("gzip").arg("-9").stdin(wasm).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
    output.stdout.len()
}

#[test]
fn each_worker_stays_within_its_budget() {
    let budget = fs::read_to_string(repository().join(BUDGET)).unwrap();
    let lines: Vec<_> = budget.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 3, "both Workers and the example");
    for line in lines {
        let (worker, most) = line.split_once(' ').unwrap();
        let (size, most) = (gzipped(worker), most.parse::<usize>().unwrap());
        println!("{worker}: {size} of {most} bytes");
        assert!(size <= most, "{worker} has {size} bytes of gzipped wasm, more than the {most} of {BUDGET}");
    }
}
