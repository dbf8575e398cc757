//! `make deploy` and its siblings: reads what it is told, and does one command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use tributary_deployer::{error::Error, snapshot};
use tributary_local::secrets::Secret;

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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((_, rest)) = arguments.split_first().filter(|(command, _)| *command == "import-snapshot") {
        let options = snapshot::command::Options::read(rest)?;
        let token = std::env::var("METRICS_TOKEN").ok().filter(|token| !token.is_empty()).map(Secret::new);
        return Ok(snapshot::command::run(&options, token.as_ref(), None, &mut std::io::stdout())?);
    }
    Err(Error::Usage("there is no command yet".to_owned()))
}
