//! `make deploy` and its siblings: one command of [`tributary_deployer::command`].

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use tributary_deployer::command::{self, Terminal};
use tributary_deployer::error::Error;
use tributary_deployer::report::Redactor;

fn main() -> ExitCode {
    // Values that are not UTF-8 are none that we read.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    match run(&environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", Redactor::of(&environment).clean(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn run(environment: &BTreeMap<String, String>) -> Result<(), Error> {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let mut input = io::stdin().lock();
    let is_interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut terminal = Terminal { input: &mut input, is_interactive };
    command::run(&arguments, environment, &repository()?, &mut io::stdout(), &mut terminal)
}

/// The checkout: where we are started, else where we were built.
fn repository() -> io::Result<PathBuf> {
    let here = std::env::current_dir()?;
    if here.join("wrangler/producer.toml").is_file() {
        return Ok(here);
    }
    Ok(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")))
}
