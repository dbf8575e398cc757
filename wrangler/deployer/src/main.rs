//! `make deploy` and its siblings: reads what it is told, and does one command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use tributary_deployer::error::Error;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    Err(Error::Usage("there is no command yet".to_owned()))
}
