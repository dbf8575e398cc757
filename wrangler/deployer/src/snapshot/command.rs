//! `import-snapshot`, and `deploy --import-snapshot`: reads what Spotify's Cloudflare resolver counted, shows it, imports
//! it, and compares.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tributary_proto::v1::ImportRequest;
use tributary_telemetry::{Delta, FamilyDescriptor, MetricKind, Value};

use super::{
    find::{AccountNamespaces, Found, Namespaces, find},
    import::{CallError, Installation, Scrape},
    options::{Options, RESOLVER_ID, USAGE, moment},
    peer::{KEYS, ReadError},
    totals::{FIRST_RELEASE_MS, TotalsError, to_delta},
};
use crate::{
    cloudflare::{accounts, client::Client},
    config::secrets::{API_TOKEN, METRICS_TOKEN, Secrets},
    deploy::Deployed,
    error::Error,
    report::Report,
    session::{Session, api_base_url},
};

/// The word of the command.
pub const WORD: &str = "import-snapshot";

/// How long the comparison waits for the next publication to reach where it scrapes: KV is up to a minute behind.
const PUBLICATION_TIME: Duration = Duration::from_secs(90);
const PUBLICATION_POLL: Duration = Duration::from_millis(500);

/// Why nothing was imported, or not known to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The command line.
    #[error("{0}\n\n{USAGE}")]
    Usage(String),
    /// The installation's token.
    #[error("METRICS_TOKEN of the installation is not set: export it, and run the same again")]
    NoToken,
    /// A file.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A value.
    #[error("{from}: {error}. Nothing was imported")]
    Value {
        /// Where it is from.
        from: String,
        /// What is wrong with it.
        error: ReadError,
    },
    /// The values together.
    #[error("together: {0}. Nothing was imported")]
    Sum(ReadError),
    /// No value.
    #[error("{0} holds none of {keys}: is it the namespace that the resolver binds as CONFIDENCE_METRICS_KV?", keys = KEYS.join(", "))]
    NoValue(String),
    /// Nothing was counted.
    #[error("{0}: nothing was counted, so there is nothing to import")]
    Empty(String),
    /// The namespace could not be read.
    #[error("{0}")]
    Namespace(String),
    /// The totals.
    #[error(transparent)]
    Totals(#[from] TotalsError),
    /// The installation.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Our own output.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command by itself: `arguments` are those behind its word. A namespace is read with the API token of the
/// environment; files need none.
///
/// # Errors
/// [`Error`]
pub fn from_command_line(
    arguments: &[String],
    environment: &BTreeMap<String, String>,
    report: &mut Report<'_>,
) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let secrets = Secrets::read(environment)?;
    secrets.values().for_each(|secret| report.hide(secret));
    let installation = match (&options.url, secrets.get(METRICS_TOKEN)) {
        (None, _) => None,
        (Some(url), Some(token)) => Some(Installation::new(url, token.clone())),
        (Some(_), None) => return Err(ImportError::NoToken.into()),
    };
    if options.from.iter().any(|name| PathBuf::from(name).is_file()) {
        return Ok(run(&options, installation.as_ref(), None, report)?);
    }
    let client = Client::new(api_base_url(environment), secrets.need(API_TOKEN)?.clone());
    let account_id = match environment.get("CLOUDFLARE_ACCOUNT_ID").filter(|id| !id.trim().is_empty()) {
        Some(id) => id.trim().to_owned(),
        None => accounts::detect(&client)?.id,
    };
    let namespaces = AccountNamespaces { client: &client, account_id: &account_id };
    Ok(run(&options, installation.as_ref(), Some(&namespaces), report)?)
}

/// Runs it after a deploy; `deployed` is `None` after a dry run, which shows what there is.
///
/// # Errors
/// [`ImportError`]; what is deployed stays.
pub fn after_deploy(
    session: &Session,
    from: &[String],
    deployed: Option<&Deployed>,
    report: &mut Report<'_>,
) -> Result<(), ImportError> {
    let options = Options {
        from: from.to_vec(),
        url: deployed.map(|deployed| deployed.endpoint.url()),
        resolver_id: session.config.consumer_vars.get("RESOLVER_ID").map_or(RESOLVER_ID, String::as_str).to_owned(),
        since_ms: FIRST_RELEASE_MS,
        source: None,
        another: false,
    };
    let installation = match deployed {
        None => None,
        Some(deployed) => {
            let token = deployed.shown_token.as_ref().or_else(|| session.config.secrets.get(METRICS_TOKEN));
            Some(Installation::of(&deployed.endpoint, token.ok_or(ImportError::NoToken)?.clone()))
        }
    };
    let namespaces = AccountNamespaces { client: &session.client, account_id: &session.account_id };
    report.line("")?;
    run(&options, installation.as_ref(), Some(&namespaces), report)
}

/// Does it all, and prints what it does. Without an installation nothing is imported.
///
/// # Errors
/// [`ImportError`]
pub fn run(
    options: &Options,
    installation: Option<&Installation>,
    namespaces: Option<&dyn Namespaces>,
    report: &mut Report<'_>,
) -> Result<(), ImportError> {
    let found = find(&options.from, namespaces)?;
    let source = options.source.clone().unwrap_or_else(|| found.source.clone());
    let delta = to_delta(&found.totals, &options.resolver_id, options.since_ms)?;
    show(&found, &source, &options.resolver_id, report)?;
    let Some(installation) = installation else {
        write_table(report, &delta, None)?;
        return Ok(report.line("dry run: nothing was imported")?);
    };
    let before = installation.scrape(&options.resolver_id)?;
    let has_counted = sampled(&delta).iter().any(|own| before.get(&own.name).is_some_and(|count| *count > 0.0));
    let is_new = !installation.imports()?.iter().any(|import| import.source == source);
    if has_counted && is_new {
        let url = installation.url();
        report
            .line(&format!("note: {url} has counted already. Whoever scraped it sees the import as one increase."))?;
    }
    let request = ImportRequest { source, totals: Some(delta.to_wire()), another: options.another };
    let answer = installation.import(&request)?;
    if answer.outcome != "applied" {
        write_table(report, &delta, None)?;
        let then = moment(answer.import.imported_ms);
        return Ok(report.line(&format!("already imported, on {then}; nothing changed"))?);
    }
    let (after, is_there) = wait_for(installation, &options.resolver_id, &delta, &before)?;
    write_table(report, &delta, Some((&before, &after)))?;
    let (series, families) = (answer.import.series, answer.import.families.len());
    report.line(&format!("imported: {series} series of {families} families"))?;
    if !is_there {
        report.line("/metrics does not show all of it yet: the Ledger has it, and the published copy is behind.")?;
    }
    Ok(())
}

fn show(found: &Found, source: &str, resolver_id: &str, report: &mut Report<'_>) -> io::Result<()> {
    report.line(&format!("source {source}, for resolver_id=\"{resolver_id}\""))?;
    for (name, bytes) in &found.values {
        report.line(&format!("  {name}: {bytes} bytes"))?;
    }
    report.line(&format!("  all of it: {}", found.hash))?;
    if !found.totals.left_out.is_empty() {
        let left_out: Vec<&str> = found.totals.left_out.iter().map(String::as_str).collect();
        report.line(&format!("  not imported: {}", left_out.join("; ")))?;
    }
    Ok(())
}

/// Scrapes until everything that was imported shows, or for as long as a publication may take.
fn wait_for(
    installation: &Installation,
    resolver_id: &str,
    delta: &Delta,
    before: &Scrape,
) -> Result<(Scrape, bool), CallError> {
    let samples = sampled(delta);
    let deadline = Instant::now() + PUBLICATION_TIME;
    loop {
        let after = installation.scrape(resolver_id)?;
        let count = |scrape: &Scrape, sample: &str| scrape.get(sample).copied().unwrap_or_default();
        let is_there = samples.iter().all(|own| count(&after, &own.name) >= count(before, &own.name) + own.total);
        if is_there || Instant::now() >= deadline {
            return Ok((after, is_there));
        }
        thread::sleep(PUBLICATION_POLL);
    }
}

/// A family as a scrape shows it.
struct Sampled {
    /// Name of the sample that counts.
    name: String,
    series: usize,
    /// Of all series.
    total: f64,
}

fn sampled(delta: &Delta) -> Vec<Sampled> {
    let total = |value: &Value| match value {
        Value::Counter(count) => *count,
        Value::Histogram(histogram) => histogram.count(),
        // What is imported has no such families.
        Value::Gauge(_) | Value::FloatCounter(_) | Value::UpDown(_) | Value::Exponential(_) => 0,
    };
    let families = delta.families().map(|family| {
        let sum = family.series().fold(0u64, |sum, (_, value)| sum.saturating_add(total(value)));
        Sampled { name: sample_name(family.descriptor()), series: family.series().len(), total: as_f64(sum) }
    });
    families.collect()
}

fn sample_name(family: &FamilyDescriptor) -> String {
    let suffix = match family.kind() {
        MetricKind::Counter => "_total",
        MetricKind::Histogram | MetricKind::Exponential => "_count",
        MetricKind::Gauge | MetricKind::UpDown => "",
    };
    format!("{}{suffix}", family.name())
}

/// As a scrape has it: above 2^53 to the nearest double.
fn as_f64(count: u64) -> f64 {
    tributary_telemetry::Number::Unsigned(count).to_f64()
}

fn write_table(report: &mut Report<'_>, delta: &Delta, scrapes: Option<(&Scrape, &Scrape)>) -> io::Result<()> {
    let samples = sampled(delta);
    let width = samples.iter().map(|own| own.name.len()).max().unwrap_or_default();
    let cell = |scrape: &Scrape, name: &str| scrape.get(name).copied().unwrap_or_default();
    let heads = if scrapes.is_some() { format!(" {:>18} {:>18}", "BEFORE", "AFTER") } else { String::new() };
    report.line(&format!("{:<width$} {:>6} {:>18}{heads}", "SAMPLE", "SERIES", "COUNTED"))?;
    for Sampled { name, series, total } in &samples {
        let cells = scrapes
            .map(|(before, after)| format!(" {:>18} {:>18}", cell(before, name), cell(after, name)))
            .unwrap_or_default();
        report.line(&format!("{name:<width$} {series:>6} {total:>18}{cells}"))?;
    }
    Ok(())
}
