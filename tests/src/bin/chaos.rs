//! `make chaos SEED=… MINUTES=…`: the long form of the chaos test. Ends with its table, and with failure unless exact.

use std::{process::ExitCode, time::Duration};

use tempfile::TempDir;
use tributary_tests::chaos;

fn main() -> ExitCode {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let seed = number("SEED", std::process::id().into());
    let minutes = number("MINUTES", 5);
    println!("chaos: seed {seed}, {minutes} minutes (SEED={seed} MINUTES={minutes} replays it)");
    let report = TempDir::new()
        .map_err(|error| error.to_string())
        .and_then(|folder| chaos::run(seed, Duration::from_secs(minutes * 60), folder.path()));
    match report {
        Ok(report) => {
            println!("{report}");
            if report.is_exact() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}
