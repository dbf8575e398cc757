//! `make deploy`: look, plan, say, do, ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use tributary_local::secrets::Secret;
use tributary_local::workers::Tools;

use crate::apply::{self, Apply, main_of};
use crate::command::Terminal;
use crate::config::secrets::{CLIENT_SECRET, METRICS_TOKEN, STATE_ENCRYPTION_KEY, TOKEN_KEY};
use crate::config::vars::Role;
use crate::content;
use crate::error::Error;
use crate::mark::fingerprint;
use crate::observe::{Observed, ObservedWorker, observe};
use crate::plan::{self, Desired, DesiredWorker, SecretWish, StateWrite};
use crate::report::{Report, plan_lines};
use crate::session::{Session, at};
use crate::smoke::Endpoint;
use crate::state;
use crate::template::{STATE_KV, Template};
use crate::wrangler::Wrangler;

/// File that remembers a deploy until it is finished.
const UNFINISHED: &str = "unfinished-deploy";

/// What a deploy ended with, for whatever comes after it.
#[derive(Debug)]
pub struct Deployed {
    /// Where the installation answers.
    pub endpoint: Endpoint,
    /// The METRICS_TOKEN that was shown in this run.
    pub shown_token: Option<Secret>,
}

/// Installs, or brings up to date. `None` after a dry run.
///
/// # Errors
/// [`Error`]; the next run goes on from there.
pub fn run(
    session: &mut Session,
    report: &mut Report<'_>,
    terminal: &mut Terminal<'_>,
) -> Result<Option<Deployed>, Error> {
    let (client, account_id) = (&session.client, &session.account_id);
    let client_secret = session.config.secrets.need(CLIENT_SECRET)?;
    let tools = Tools::find(&session.repository)?;
    apply::remove_leftovers(&session.folder)?;
    let mut modules = BTreeMap::new();
    for role in Role::ALL {
        modules.insert(role, content::modules(&main_of(&session.repository, role))?);
    }

    let observed = observe(client, account_id, &mut session.templates)?;
    let session = &*session;
    let state_title = session.templates.iter().find_map(|template| template.namespace_of(STATE_KV)).unwrap_or_default();
    let state_namespace = observed.namespaces.get(state_title).map(|there| &there.namespace);
    // To fetch an encrypted state nobody needs the key, which stays in Workers that have it.
    let has_key = |worker: &ObservedWorker| worker.secrets().contains(STATE_ENCRYPTION_KEY);
    let is_sealed = session.config.secrets.get(STATE_ENCRYPTION_KEY).is_some()
        || observed.workers.get(&Role::Producer).is_some_and(has_key);
    let state = state::look(client, account_id, state_namespace, &session.config.cdn_url, client_secret, is_sealed)?;
    let write = state.as_ref().map(|state| StateWrite {
        namespace: state_title.to_owned(),
        bytes: state.bytes.len(),
        etag: state.etag.clone(),
    });
    let desired = Desired {
        workers: session.templates.iter().map(|template| desired_worker(session, template, &modules)).collect(),
        state: write,
        adopt: session.switches.adopt,
    };
    let plan = plan::plan(&desired, &observed)?;
    report.line(&format!("plan        for {}", session.config.names.installation()))?;
    for line in plan_lines(&plan, |role| session.name(role)) {
        report.line(&line)?;
    }
    if session.switches.dry_run {
        report.line("Nothing was changed: --dry-run.")?;
        return Ok(None);
    }
    if plan.steps.is_empty() {
        report.line("Nothing to change.")?;
    } else if !session.switches.yes && !terminal.agrees(report, "Go on? [Y/n]")? {
        return Err(Error::NotConfirmed("nothing was changed"));
    }

    let subdomain = observed.subdomain.clone().unwrap_or_default();
    let release = release(session, &observed)?;
    let mut apply = Apply {
        session,
        desired: &desired,
        observed,
        state,
        release,
        wrangler: Wrangler {
            tools,
            folder: session.folder.clone(),
            token: client.token().clone(),
            account_id: account_id.clone(),
            base_url: client.base_url().to_owned(),
            redactor: report.redactor().clone(),
        },
    };
    apply.wrangler.start_logs().map_err(at(&session.folder))?;
    for step in &plan.steps {
        apply.step(step, report)?;
    }
    end_release(session)?;
    let shown_token = apply.reveal_token(report)?;
    let endpoint = session.endpoint(&subdomain);
    if !session.switches.skip_check {
        let access = session.access(shown_token.as_ref());
        let answers = endpoint.check(access.as_ref(), &session.name(Role::Producer))?;
        report.line("")?;
        report.line(&format!(
            "checked     {} answers, and so does /metrics (state {})",
            endpoint.url(),
            answers.state_etag
        ))?;
    }
    summary(session, shown_token.is_some(), &endpoint, report)?;
    Ok(Some(Deployed { endpoint, shown_token }))
}

fn desired_worker(session: &Session, template: &Template, modules: &BTreeMap<Role, String>) -> DesiredWorker {
    let role = template.role();
    let (vars, made_up) = match role {
        Role::Consumer => (&session.config.consumer_vars, METRICS_TOKEN),
        Role::Producer => (&session.config.producer_vars, TOKEN_KEY),
    };
    let given = session.config.secrets.given(role, vars);
    let mut secrets: Vec<SecretWish> = crate::config::secrets::NAMES
        .into_iter()
        .filter_map(|name| {
            let secret = given.get(name)?;
            let print = fingerprint(&session.account_id, template.name(), name, secret);
            Some(SecretWish { name, given: Some(print), renew: false })
        })
        .collect();
    if !given.contains_key(made_up) {
        let renew = made_up == METRICS_TOKEN && session.switches.new_metrics_token;
        secrets.push(SecretWish { name: made_up, given: None, renew });
    }
    let modules = modules.get(&role).cloned().unwrap_or_default();
    DesiredWorker { template: template.clone(), modules, secrets }
}

/// Which deploy this is: later than everything that is live. One that finishes a deploy that was cut off is that deploy,
/// so that a rollback undoes both halves; the build folder remembers it.
fn release(session: &Session, observed: &Observed) -> Result<u64, Error> {
    let live = observed.workers.values().filter_map(|worker| Some(worker.mark.as_ref()?.release));
    let live: BTreeSet<u64> = live.collect();
    let file = session.folder.join(UNFINISHED);
    let unfinished = fs::read_to_string(&file).ok().and_then(|text| text.parse().ok());
    if let Some(unfinished) = unfinished.filter(|unfinished| live.last() == Some(unfinished)) {
        return Ok(unfinished);
    }
    let after = live.last().map_or(0, |last| last.saturating_add(1));
    let release = session.now_ms.max(after);
    fs::write(&file, release.to_string()).map_err(at(&file))?;
    Ok(release)
}

fn end_release(session: &Session) -> Result<(), Error> {
    let file = session.folder.join(UNFINISHED);
    fs::remove_file(&file).map_err(at(&file))
}

/// What a person needs next.
fn summary(session: &Session, is_shown: bool, endpoint: &Endpoint, report: &mut Report<'_>) -> Result<(), Error> {
    let metrics_token = match session.config.secrets.get(METRICS_TOKEN) {
        Some(_) => "the one of your environment",
        None if is_shown => "shown above, and not again",
        None => "shown once, by the deploy that made it; lost: make deploy ARGS=--new-metrics-token",
    };
    let lines = format!(
        "\nURL         {url}\nMETRICS_TOKEN {metrics_token}\n\n\
         Scrape it:\n\n  scrape_configs:\n    - job_name: tributary\n      scheme: https\n      \
         static_configs: [{{ targets: [{host}] }}]\n      \
         authorization: {{ type: Bearer, credentials: <METRICS_TOKEN> }}\n\n\
         Next: open {url}/status and sign in with METRICS_TOKEN; point your application at {url}; load \
         docs/grafana.\nSee how it is: make status. Undo this deploy: make rollback.",
        url = endpoint.url(),
        host = endpoint.host(),
    );
    for line in lines.lines() {
        report.line(line)?;
    }
    let refreshes = session.templates.iter().any(|template| !template.crons().is_empty());
    report.line(if refreshes {
        "A change of your flags gets here by itself within about two minutes."
    } else {
        "A change of your flags gets here with the next make deploy."
    })?;
    Ok(())
}
