//! Does what the plan says, step by step. Each step can be done again, and what a step did shows in the account: a run
//! that was interrupted anywhere is finished by the next.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use tributary_local::random::{self, RandomError, hex};
use tributary_local::secrets::{Secret, write_private};

use crate::cloudflare::{kv, queues};
use crate::config::secrets::{METRICS_TOKEN, TOKEN_KEY};
use crate::config::vars::Role;
use crate::error::Error;
use crate::mark::{Mark, fingerprint};
use crate::observe::{self, Observed, ObservedNamespace};
use crate::plan::{self, Desired, DesiredWorker, Step, Upload};
use crate::report::{Report, date};
use crate::session::{Session, at};
use crate::state::{self, NewState};
use crate::template::{Ids, TemplateError};
use crate::wrangler::Wrangler;

/// File with a METRICS_TOKEN that was made up and not shown yet.
const PENDING_TOKEN: &str = "metrics-token";

/// Everything that the steps need.
pub struct Apply<'a> {
    /// The command.
    pub session: &'a Session,
    /// What is wanted.
    pub desired: &'a Desired,
    /// What is there; kept up to date.
    pub observed: Observed,
    /// The new resolver state, if there is one.
    pub state: Option<NewState>,
    /// Which deploy it is: [`Mark::release`].
    pub release: u64,
    /// wrangler.
    pub wrangler: Wrangler,
}

impl Apply<'_> {
    /// Does one step.
    ///
    /// # Errors
    /// [`Error`]; the next run goes on from there.
    pub fn step(&mut self, step: &Step, report: &mut Report<'_>) -> Result<(), Error> {
        let (client, account_id) = (&self.session.client, &self.session.account_id);
        match step {
            Step::CreateQueue(name) => {
                let queue = queues::create(client, account_id, name)?;
                self.observed.queues.insert(name.clone(), queue);
                report.line(&format!("created     queue {name}"))?;
            }
            Step::CreateNamespace(title) => {
                let namespace = kv::create(client, account_id, title)?;
                report.line(&format!("created     KV namespace {title} ({})", namespace.id))?;
                self.observed.namespaces.insert(title.clone(), ObservedNamespace { namespace, foreign_key: None });
            }
            Step::PutState(write) => {
                if let (Some(there), Some(state)) = (self.observed.namespaces.get(&write.namespace), &self.state) {
                    state::put(client, account_id, &there.namespace, state)?;
                    report.line("written     resolver state")?;
                }
            }
            Step::Upload(upload) => self.upload(upload, report)?,
            Step::Triggers { role, .. } => self.triggers(*role, report)?,
        }
        Ok(())
    }

    fn worker(&self, role: Role) -> Result<&DesiredWorker, Error> {
        let worker = self.desired.workers.iter().find(|worker| worker.template.role() == role);
        worker.ok_or_else(|| missing(role, "there is no such Worker"))
    }

    fn upload(&mut self, upload: &Upload, report: &mut Report<'_>) -> Result<(), Error> {
        let (session, role) = (self.session, upload.role);
        let worker = self.worker(role)?;
        let name = worker.template.name().to_owned();
        let ids = plan::ids(self.desired, &self.observed);
        let content = plan::content(worker, &ids).ok_or_else(|| missing(role, "a KV namespace has no id"))?;
        let mut secrets: BTreeMap<String, Secret> = BTreeMap::new();
        for change in &upload.secrets {
            let secret = if change.is_made_up { make_up(change.name)? } else { self.given(role, change.name)? };
            report.hide(&secret);
            self.wrangler.redactor.add(&secret);
            if change.is_made_up && change.name == METRICS_TOKEN {
                let file = session.folder.join(PENDING_TOKEN);
                write_private(&file, secret.reveal().as_bytes()).map_err(at(&file))?;
            }
            secrets.insert(change.name.to_owned(), secret);
        }
        let prints = secrets
            .iter()
            .map(|(secret, value)| (secret.clone(), fingerprint(&session.account_id, &name, secret, value)))
            .collect();
        let before = self.observed.workers.get(&role).and_then(|there| there.mark.as_ref());
        let mark = plan::next_mark(content, self.release, before, prints, role);
        let config = self.render(role, &ids, &mark)?;
        let file = SecretsFile::write(&session.folder, role, &secrets)?;
        let message = format!("Tributary {}, {}", env!("CARGO_PKG_VERSION"), date(self.release / 1_000));
        let deployed = self.wrangler.deploy(&name, &config, file.as_ref().map(|file| file.0.as_path()), &message);
        drop(file);
        if let Err(error) = deployed {
            // An answer may have been lost on its way: what counts is what is live.
            let is_live = self.look(role).is_ok() && self.left(role)?.is_none();
            if !is_live {
                return Err(error.into());
            }
        }
        report.line(&format!("uploaded    Worker {name}"))?;
        self.look(role)?;
        match self.left(role)? {
            Some(Step::Triggers { .. }) => self.triggers(role, report),
            // Cloudflare's own view may lag behind; the next run looks again.
            _ => Ok(()),
        }
    }

    fn triggers(&mut self, role: Role, report: &mut Report<'_>) -> Result<(), Error> {
        let ids = plan::ids(self.desired, &self.observed);
        let worker = self.worker(role)?;
        let name = worker.template.name().to_owned();
        let mark = self.observed.workers.get(&role).and_then(|there| there.mark.clone());
        let mark = mark.ok_or_else(|| missing(role, "it is not there"))?;
        let config = self.render(role, &ids, &mark)?;
        self.wrangler.triggers(&name, &config)?;
        report.line(&format!("attached    Worker {name}"))?;
        self.look(role)
    }

    /// Writes the configuration of a Worker into the build folder.
    fn render(&self, role: Role, ids: &Ids, mark: &Mark) -> Result<PathBuf, Error> {
        let main = main_of(&self.session.repository, role);
        let text = self.worker(role)?.template.render(ids, &main, mark)?;
        let folder = self.session.folder.join(role.as_str());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let file = folder.join("wrangler.toml");
        fs::write(&file, text).map_err(at(&file))?;
        Ok(file)
    }

    /// Looks again at a Worker and the queues.
    fn look(&mut self, role: Role) -> Result<(), Error> {
        let (client, account_id) = (&self.session.client, &self.session.account_id);
        let name = self.session.name(role);
        self.observed.workers.remove(&role);
        self.observed.workers.extend(observe::worker(client, account_id, &name)?.map(|worker| (role, worker)));
        for queue in queues::list(client, account_id)? {
            if let Some(known) = self.observed.queues.get_mut(&queue.name) {
                *known = queue;
            }
        }
        Ok(())
    }

    /// What is left to do with a Worker. A secret that was renewed is renewed.
    fn left(&self, role: Role) -> Result<Option<Step>, Error> {
        let mut worker = self.worker(role)?.clone();
        worker.secrets.iter_mut().for_each(|wish| wish.renew = false);
        let ids = plan::ids(self.desired, &self.observed);
        Ok(plan::worker_step(&worker, self.observed.workers.get(&role), &ids, &self.observed.queues))
    }

    fn given(&self, role: Role, name: &str) -> Result<Secret, Error> {
        let config = &self.session.config;
        let vars = match role {
            Role::Consumer => &config.consumer_vars,
            Role::Producer => &config.producer_vars,
        };
        config.secrets.given(role, vars).remove(name).ok_or_else(|| missing(role, "a secret is missing"))
    }

    /// A METRICS_TOKEN that a run made up, is in effect, and has not been shown: it is shown now, and forgotten.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Terminal`].
    pub fn reveal_token(&self, report: &mut Report<'_>) -> Result<Option<Secret>, Error> {
        let file = self.session.folder.join(PENDING_TOKEN);
        let token = match fs::read_to_string(&file) {
            Ok(text) => Secret::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&file)(error)),
        };
        let mark = self.observed.workers.get(&Role::Consumer).and_then(|there| there.mark.as_ref());
        let name = self.session.name(Role::Consumer);
        let print = fingerprint(&self.session.account_id, &name, METRICS_TOKEN, &token);
        let is_live = mark.and_then(|mark| mark.secrets.get(METRICS_TOKEN)) == Some(&print);
        if is_live {
            report.line("")?;
            report.show(METRICS_TOKEN, &token)?;
            report.line("Keep it: it opens /metrics, /status and the dead letters, and is not shown again.")?;
        }
        fs::remove_file(&file).map_err(at(&file))?;
        Ok(is_live.then_some(token))
    }
}

/// The first module of a Worker's build output.
#[must_use]
pub fn main_of(repository: &Path, role: Role) -> PathBuf {
    repository.join(role.as_str()).join("build/index.js")
}

fn missing(role: Role, reason: &str) -> Error {
    TemplateError::Write { worker: role.as_str(), reason: reason.to_owned() }.into()
}

/// Makes up a secret of its kind.
fn make_up(name: &str) -> Result<Secret, RandomError> {
    let bytes = random::bytes::<16>()?;
    Ok(Secret::new(if name == TOKEN_KEY { base64::prelude::BASE64_STANDARD.encode(bytes) } else { hex(&bytes) }))
}

/// Secrets on their way to wrangler. The file goes away with this.
struct SecretsFile(PathBuf);

impl SecretsFile {
    /// Writes it, for us alone; `None` where there is nothing to set. JSON, because wrangler expands `$NAME` in the
    /// other format.
    fn write(folder: &Path, role: Role, secrets: &BTreeMap<String, Secret>) -> Result<Option<Self>, Error> {
        let file = Self::path(folder, role);
        if secrets.is_empty() {
            return Ok(None);
        }
        let content: BTreeMap<&str, &str> =
            secrets.iter().map(|(name, secret)| (name.as_str(), secret.reveal())).collect();
        let content = serde_json::to_vec(&content).unwrap_or_default();
        write_private(&file, &content).map_err(at(&file))?;
        Ok(Some(Self(file)))
    }

    fn path(folder: &Path, role: Role) -> PathBuf {
        folder.join(format!("{}-secrets.json", role.as_str()))
    }
}

impl Drop for SecretsFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("warning: delete {} yourself, it holds secrets: {error}", self.0.display());
        }
    }
}

/// Removes secrets that a killed run left behind.
///
/// # Errors
/// [`Error::File`].
pub fn remove_leftovers(folder: &Path) -> Result<(), Error> {
    for role in Role::ALL {
        let file = SecretsFile::path(folder, role);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&file)(error)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_on_their_way_are_private_and_go_away() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = [("KEY".to_owned(), Secret::new("a\"$HOME"))].into();
        let file = SecretsFile::write(folder.path(), Role::Consumer, &secrets).unwrap().unwrap();
        let path = file.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"KEY":"a\"$HOME"}"#);
        drop(file);
        assert!(!path.exists());
        fs::write(&path, "left by a killed run").unwrap();
        remove_leftovers(folder.path()).unwrap();
        assert!(!path.exists());
        assert!(SecretsFile::write(folder.path(), Role::Consumer, &BTreeMap::new()).unwrap().is_none());
    }

    #[test]
    fn made_up_secrets_are_of_their_kind() {
        assert_eq!(make_up(METRICS_TOKEN).unwrap().reveal().len(), 32);
        let key = make_up(TOKEN_KEY).unwrap();
        assert_eq!(base64::prelude::BASE64_STANDARD.decode(key.reveal()).unwrap().len(), 16);
        assert_ne!(make_up(TOKEN_KEY).unwrap(), key);
    }
}
