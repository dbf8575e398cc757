//! What is installed, and how it is.

use crate::cloudflare::client::Client;
use crate::cloudflare::error::ApiError;
use crate::cloudflare::{kv, queues};
use crate::config::vars::Role;
use crate::observe::Observed;
use crate::plan::DRAINED;
use crate::report::{age, date};
use crate::smoke::{self, Access, Endpoint};
use crate::state::{STATE_KEY, etag_of};
use crate::template::{self, STATE_KV, Template};

/// Looks, and says a line for each thing.
///
/// # Errors
/// [`ApiError`]. A Worker that does not answer is a line, no error.
pub fn lines(
    client: &Client,
    account_id: &str,
    templates: &[Template],
    observed: &Observed,
    origin: Option<&str>,
    access: Option<&Access>,
    now: u64,
) -> Result<Vec<String>, ApiError> {
    let mut lines = Vec::new();
    for template in templates {
        lines.push(format!("Worker      {}  {}", template.name(), worker_words(template.role(), observed, now)));
    }
    for name in templates.iter().flat_map(Template::queues).collect::<std::collections::BTreeSet<_>>() {
        let words = match observed.queues.get(&name) {
            None => "not there".to_owned(),
            Some(queue) => backlog_words(queues::backlog(client, account_id, queue), now),
        };
        let drained =
            if template::is_drained(templates.iter(), &name) { format!("; {DRAINED}") } else { String::new() };
        lines.push(format!("queue       {name}  {words}{drained}"));
    }
    let state_title = templates.iter().find_map(|template| template.namespace_of(STATE_KV)).unwrap_or_default();
    for title in
        templates.iter().flat_map(|template| template.namespaces().values()).collect::<std::collections::BTreeSet<_>>()
    {
        let words = match observed.namespaces.get(title) {
            None => "not there".to_owned(),
            Some(there) if title == state_title => {
                match kv::metadata(client, account_id, &there.namespace, STATE_KEY)? {
                    None => format!("{}  no resolver state with an ETag", there.namespace.id),
                    Some(metadata) => {
                        format!(
                            "{}  resolver state {}",
                            there.namespace.id,
                            etag_of(&metadata).unwrap_or_else(|| "without ETag".to_owned())
                        )
                    }
                }
            }
            Some(there) => there.namespace.id.clone(),
        };
        lines.push(format!("KV          {title}  {words}"));
    }
    let producer = templates.iter().find(|template| template.role() == Role::Producer);
    if let (Some(producer), Some(subdomain), true) =
        (producer, &observed.subdomain, observed.workers.contains_key(&Role::Producer))
    {
        let endpoint = Endpoint::new(producer.name(), subdomain, origin);
        lines.push(format!("URL         {}", endpoint.url()));
        lines.extend(answers(&endpoint, access, now));
    }
    Ok(lines)
}

fn worker_words(role: Role, observed: &Observed, now: u64) -> String {
    let Some(worker) = observed.workers.get(&role) else { return "not there".to_owned() };
    let version = match &worker.version {
        _ if worker.is_gradual => "several versions share the requests".to_owned(),
        Some(version) => format!("version {} ({})", version.number, version.id),
        None => "no version".to_owned(),
    };
    match &worker.mark {
        Some(mark) => {
            format!(
                "{version}, deployed {}, {} ago",
                date(mark.release / 1_000),
                age(now.saturating_sub(mark.release / 1_000))
            )
        }
        None => format!("{version}, not made by a deploy of Tributary"),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; a time for people")]
fn backlog_words(backlog: Result<Option<queues::Backlog>, ApiError>, now: u64) -> String {
    match backlog {
        Ok(Some(backlog)) if backlog.messages > 0.0 && backlog.oldest_ms > 0.0 => {
            let oldest = (backlog.oldest_ms / 1_000.0) as u64;
            format!("about {} messages, the oldest {} old", backlog.messages, age(now.saturating_sub(oldest)))
        }
        Ok(Some(backlog)) => format!("about {} messages", backlog.messages),
        Ok(None) => "there".to_owned(),
        Err(_) => "there; its backlog could not be read".to_owned(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; an age for people")]
fn answers(endpoint: &Endpoint, access: Option<&Access>, now: u64) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(match endpoint.get("/v1/state:etag", None) {
        Ok((200, body)) => format!("resolver    answers {}", body.chars().take(200).collect::<String>()),
        Ok((status, _)) => format!("resolver    answers {status}"),
        Err(reason) => format!("resolver    does not answer: {reason}"),
    });
    let metrics = endpoint.get("/metrics", access);
    lines.push(match (&metrics, access) {
        (Ok((200, body)), _) => match smoke::age(body) {
            Some(seconds) => format!("/metrics    answers, {} old", age(seconds.max(0.0) as u64)),
            None => "/metrics    answers".to_owned(),
        },
        (Ok((401, _)), None) => {
            "/metrics    answers and is closed; with METRICS_TOKEN or CONFIDENCE_CLIENT_SECRET set it is read"
                .to_owned()
        }
        (Ok((401, _)), Some(_)) => {
            "/metrics    does not take the METRICS_TOKEN or CONFIDENCE_CLIENT_SECRET that is set here".to_owned()
        }
        (Ok((status, _)), _) => format!("/metrics    answers {status}"),
        (Err(reason), _) => format!("/metrics    does not answer: {reason}"),
    });
    if let Ok((200, body)) = &metrics
        && let Some(time) = smoke::state_time(body)
    {
        lines.push(format!("state       {} old", age(now.saturating_sub(time.max(0.0) as u64))));
    }
    lines
}
