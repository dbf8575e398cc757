//! The commands, one by one.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::Path;

use crate::cloudflare::workers;
use crate::config::read::{self, Command};
use crate::config::vars::Role;
use crate::deploy;
use crate::destroy;
use crate::error::Error;
use crate::observe::observe;
use crate::report::{Report, date};
use crate::rollback;
use crate::session::Session;
use crate::snapshot;
use crate::status;
use crate::template::Template;

/// Who asks.
pub struct Terminal<'a> {
    /// What is typed.
    pub input: &'a mut dyn BufRead,
    /// Whether somebody is there to type.
    pub is_interactive: bool,
}

impl Terminal<'_> {
    /// A question whose answer is yes unless somebody says no. Nobody there is yes, too.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn agrees(&mut self, report: &mut Report<'_>, question: &str) -> io::Result<bool> {
        if !self.is_interactive {
            return Ok(true);
        }
        report.ask(question)?;
        let answer = self.line()?;
        Ok(matches!(answer.to_lowercase().as_str(), "" | "y" | "yes"))
    }

    /// A question whose answer must be `word`. Nobody there is no.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn types(&mut self, report: &mut Report<'_>, question: &str, word: &str) -> io::Result<bool> {
        if !self.is_interactive {
            return Ok(false);
        }
        report.ask(question)?;
        Ok(self.line()? == word)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

/// Runs one command line without the program's name, in the checkout `repository`.
///
/// # Errors
/// [`Error`].
pub fn run(
    arguments: &[String],
    environment: &BTreeMap<String, String>,
    repository: &Path,
    out: &mut dyn Write,
    terminal: &mut Terminal<'_>,
) -> Result<(), Error> {
    if let Some((_, rest)) = arguments.split_first().filter(|(word, _)| *word == snapshot::command::WORD) {
        return snapshot::command::from_command_line(rest, environment, &mut Report::new(out));
    }
    let mut invocation = read::invocation(arguments, environment, repository)?;
    let import = std::mem::take(&mut invocation.import_snapshot);
    let command = invocation.command;
    if command != Command::Deploy {
        // What may be there, whatever is asked for now.
        invocation.config.materializations = true;
    }
    let mut report = Report::new(out);
    let mut session = Session::open(invocation, environment, repository, &mut report)?;
    match command {
        Command::Deploy => {
            let deployed = deploy::run(&mut session, &mut report, terminal)?;
            after_deploy(&session, deployed, &import, &mut report)
        }
        Command::Status => show_status(&mut session, &mut report),
        Command::Rollback => roll_back(&session, &mut report, terminal),
        Command::Destroy => take_out(&mut session, &mut report, terminal),
    }
}

/// What follows a deploy that worked and needs the running installation. `deployed` is `None` after a dry run.
fn after_deploy(
    session: &Session,
    deployed: Option<deploy::Deployed>,
    import: &[String],
    report: &mut Report<'_>,
) -> Result<(), Error> {
    if !import.is_empty() {
        snapshot::command::after_deploy(session, import, deployed.as_ref(), report)?;
    }
    match deployed {
        Some(_) => report.line(&format!("Done in {} s.", session.started.elapsed().as_secs())).map_err(Error::from),
        None => Ok(()),
    }
}

fn show_status(session: &mut Session, report: &mut Report<'_>) -> Result<(), Error> {
    let observed = observe(&session.client, &session.account_id, &mut session.templates)?;
    let access = session.access(None);
    let lines = status::lines(
        &session.client,
        &session.account_id,
        &session.templates,
        &observed,
        session.origin.as_deref(),
        access.as_ref(),
        session.now_ms / 1_000,
    )?;
    for line in lines {
        report.line(&line)?;
    }
    if observed.workers.is_empty() {
        report.line("Nothing is installed; `make deploy` does it.")?;
    }
    Ok(())
}

fn roll_back(session: &Session, report: &mut Report<'_>, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let (client, account_id) = (&session.client, &session.account_id);
    let mut histories = BTreeMap::new();
    for template in &session.templates {
        histories.insert(template.role(), rollback::history(client, account_id, template)?);
    }
    let names: BTreeMap<Role, String> =
        session.templates.iter().map(|template| (template.role(), template.name().to_owned())).collect();
    let moves = rollback::choose(&histories, &names, session.switches.force)?;
    let release = |past: &rollback::Past| past.mark.as_ref().map(|mark| date(mark.release / 1_000)).unwrap_or_default();
    for step in &moves {
        report.line(&format!(
            "  back       Worker {} from the deploy of {} to that of {} ({})",
            session.name(step.role),
            release(&step.from),
            release(&step.to),
            step.to.version_id
        ))?;
    }
    report.line(
        "Code, vars and secrets go back. Data do not: the Ledger, KV and what is in the queues stay as they are, and \
         counters go on. Batch settings and schedules stay, too; the next deploy sets them.",
    )?;
    if session.switches.dry_run {
        report.line("Nothing was changed: --dry-run.")?;
        return Ok(());
    }
    if !session.switches.yes && !terminal.types(report, "Type yes to go back:", "yes")? {
        return Err(Error::NotConfirmed(
            "nothing was changed: a rollback wants to be confirmed, in a terminal or with --yes",
        ));
    }
    for step in &moves {
        let name = session.name(step.role);
        let message = format!("Rollback to the deploy of {}", release(&step.to));
        workers::deploy_version(client, account_id, &name, &step.to.version_id, &message, session.switches.force)
            .map_err(|error| secrets_changed(&name, error))?;
        report.line(&format!("live        Worker {name}, as deployed {}", release(&step.to)))?;
    }
    report
        .line("Rolled back. `make deploy` deploys what is checked out; `make rollback` goes back one deploy more.")?;
    Ok(())
}

fn secrets_changed(worker: &str, error: crate::cloudflare::error::ApiError) -> Error {
    use crate::cloudflare::error::Cause;
    match &error.cause {
        Cause::Refused { said, .. } if workers::is_secrets_changed(&error) => Error::SecretsChanged {
            worker: worker.to_owned(),
            said: said.iter().map(|said| said.message.as_str()).collect::<Vec<_>>().join("; "),
        },
        _ => error.into(),
    }
}

fn take_out(session: &mut Session, report: &mut Report<'_>, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let observed = observe(&session.client, &session.account_id, &mut session.templates)?;
    let removals = destroy::plan(&session.templates, &observed, session.switches.keep_data);
    for line in &removals.left {
        report.line(&format!("  stays      {line}"))?;
    }
    if removals.removals.is_empty() {
        report.line(&format!("Nothing of {} is left to delete.", session.config.names.installation()))?;
        return Ok(());
    }
    for removal in &removals.removals {
        report.line(&format!("  delete     {}", removal.words()))?;
    }
    if session.switches.dry_run {
        report.line("Nothing was changed: --dry-run.")?;
        return Ok(());
    }
    let word = session.config.names.installation();
    let question = format!("This cannot be undone. Type {word} to delete all of it:");
    if !session.switches.yes && !terminal.types(report, &question, &word)? {
        return Err(Error::NotConfirmed(
            "nothing was deleted: this wants to be confirmed by the name of the installation, in a terminal, or with --yes",
        ));
    }
    for removal in &removals.removals {
        destroy::remove(&session.client, &session.account_id, removal)?;
        report.line(&format!("deleted     {}", removal.words()))?;
    }
    let names: Vec<&str> = session.templates.iter().map(Template::name).collect();
    report.line(&format!("Deleted. {} are gone.", names.join(" and ")))?;
    Ok(())
}
