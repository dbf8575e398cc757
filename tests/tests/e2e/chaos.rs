//! The short form of the chaos test; `make chaos` is the long one.

use std::time::Duration;

use tempfile::TempDir;
use tributary_tests::chaos;

#[test]
fn under_fire_no_delta_is_lost_and_none_counted_twice() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let folder = TempDir::new().unwrap();
    let report = chaos::run(seed, Duration::from_secs(20), folder.path()).unwrap();
    println!("{report}");
    assert!(report.is_exact(), "replay with SEED={seed}\n{report}");
}
