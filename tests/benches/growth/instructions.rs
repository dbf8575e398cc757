//! The points once more in a process under callgrind, as far as that takes minutes.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tributary_tests::growth::Point;

use crate::{
    meter::taken,
    points::{self, Extent},
};

/// The argument that makes this process the one that is counted.
pub(crate) const CHILD: &str = "--count-instructions";

/// The process under callgrind: says which of its dumps is which point.
pub(crate) fn count() {
    points::run(Extent::Counted, &mut |point| {
        println!("{} {} {} {}", taken(), point.messages, point.x, point.scenario)
    });
}

/// Adds to each point what it takes in instructions. False, and said, where that cannot be counted.
pub(crate) fn add(points: &mut [Point]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("counted");
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .args(["--toggle-collect=*bench_counted_region*", "--toggle-collect=*bench_uncounted_region*"])
        .arg("--dump-before=*bench_end_of_point*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .arg(CHILD)
        .stdin(Stdio::null())
        .output();
    let child = match child {
        Ok(child) if child.status.success() => child,
        Ok(child) => {
            println!("instructions: valgrind failed\n{}", String::from_utf8_lossy(&child.stderr));
            return false;
        }
        Err(error) => {
            println!(
                "instructions were not counted: valgrind does not run ({error}). On Debian: apt-get install valgrind"
            );
            return false;
        }
    };
    for line in String::from_utf8(child.stdout).unwrap().lines() {
        let mut parts = line.splitn(4, ' ');
        let mut part = || parts.next().unwrap();
        let (dump, messages, x, scenario) = (part(), part(), part(), part());
        let point = points.iter_mut().find(|point| point.scenario == scenario && point.x.to_string() == x);
        let (point, messages) = (point.unwrap(), messages.parse::<u64>().unwrap());
        // Fewer messages were counted than timed: as many as these would have been.
        point.instructions = Some(total(&out, dump) * point.messages / messages);
    }
    true
}

/// What callgrind counted up to a dump, from the one before.
fn total(out: &Path, dump: &str) -> u64 {
    let text = fs::read_to_string(format!("{}.{dump}", out.display())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    line.unwrap().trim().parse().unwrap()
}
