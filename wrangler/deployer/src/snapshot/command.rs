//! `import-snapshot`: reads what Spotify's Cloudflare resolver counted, shows it, imports it, and compares.

use std::{
    io::{self, Write},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use tributary_local::secrets::Secret;
use tributary_proto::v1::ImportRequest;
use tributary_telemetry::{Delta, FamilyDescriptor, MetricKind, Value};

use super::{
    import::{CallError, Installation, Scrape},
    peer::{KEYS, MAX_VALUE_BYTES, PeerTotals, ReadError},
    totals::{FIRST_RELEASE_MS, TotalsError, to_delta},
};

/// The label of the resolver's series: no version of it has another.
pub const RESOLVER_ID: &str = "cf-resolver";

/// How long the comparison waits for the next publication to reach where it scrapes: KV is up to a minute behind.
const PUBLICATION_TIME: Duration = Duration::from_secs(90);
const PUBLICATION_POLL: Duration = Duration::from_millis(500);
const DAY_MS: u64 = 86_400_000;

/// How the command is used.
pub const USAGE: &str = "import-snapshot FROM… [--url URL] [options]

FROM is a KV namespace of Spotify's resolver, by its id or title (resolver-metrics), or files that hold its values.

  --url URL            the installation, as it is scraped; METRICS_TOKEN is its token. Without it nothing is imported
  --resolver-id NAME   the label of the series (cf-resolver), as RESOLVER_ID of both Workers says
  --since YYYY-MM-DD   a day on which nothing was counted yet; 2026-05-13 if not given, which is true of every version
  --source NAME        names what is imported; a source is imported once (the namespace's id, or a hash of the files)
  --another            imports although another source was imported for this label: of another installation
  --dry-run            shows what there is, and imports nothing";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Files, or one namespace.
    pub from: Vec<String>,
    /// The installation; `None` for a dry run.
    pub url: Option<String>,
    /// The label.
    pub resolver_id: String,
    /// When counting began, in milliseconds since the epoch.
    pub since_ms: u64,
    /// Its name.
    pub source: Option<String>,
    /// Whether another import for the same label is meant.
    pub another: bool,
}

/// Why nothing was imported, or not known to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The command line.
    #[error("{0}\n\n{USAGE}")]
    Usage(String),
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

/// Where namespaces are read: Cloudflare's API.
pub trait Namespaces {
    /// The id of the namespace with this id or title.
    ///
    /// # Errors
    /// Why it was not found, and what to do.
    fn find(&self, id_or_title: &str) -> Result<String, String>;

    /// The value of a key; `None` where there is none.
    ///
    /// # Errors
    /// What went wrong.
    fn value(&self, namespace_id: &str, key: &str) -> Result<Option<Vec<u8>>, String>;
}

impl Options {
    /// Reads the arguments behind the name of the command.
    ///
    /// # Errors
    /// [`ImportError::Usage`]
    pub fn read(arguments: &[String]) -> Result<Self, ImportError> {
        let usage = |what: &str| ImportError::Usage(what.to_owned());
        let mut options = Self {
            from: Vec::new(),
            url: None,
            resolver_id: RESOLVER_ID.to_owned(),
            since_ms: FIRST_RELEASE_MS,
            source: None,
            another: false,
        };
        let mut is_dry = false;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, given) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let mut value = || {
                let value = given.clone().or_else(|| arguments.next().cloned()).filter(|value| !value.is_empty());
                value.ok_or_else(|| usage(&format!("{name} takes a value")))
            };
            match name {
                "--url" => options.url = Some(value()?),
                "--resolver-id" => options.resolver_id = value()?,
                "--since" => options.since_ms = since(&value()?)?,
                "--source" => options.source = Some(value()?),
                "--another" => options.another = true,
                "--dry-run" => is_dry = true,
                unknown if unknown.starts_with('-') => return Err(usage(&format!("{unknown} is not known"))),
                from => options.from.push(from.to_owned()),
            }
        }
        if options.from.is_empty() {
            return Err(usage("FROM is missing"));
        }
        let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        match &options.url {
            _ if is_dry => options.url = None,
            Some(url) if !is_url(url) => return Err(usage("--url starts with https:// or http://")),
            Some(_) => {}
            None => return Err(usage("--url says where to, or --dry-run that nothing is to be imported")),
        }
        Ok(options)
    }
}

/// A day, as milliseconds since the epoch; not before the resolver counted anything.
fn since(text: &str) -> Result<u64, ImportError> {
    let wrong = || ImportError::Usage(format!("--since {text}: a day from 2026-05-13 on, as YYYY-MM-DD"));
    let parts: Vec<u64> = text.split('-').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let [year, month, day] = parts[..] else { return Err(wrong()) };
    if text.len() != 10 || !(2026..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(wrong());
    }
    // Days from 1 March of year 0, in which a leap day comes last (Howard Hinnant, "chrono-Compatible Low-Level Date
    // Algorithms", days_from_civil).
    let (year, shifted) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year;
    let ms = days.checked_sub(719_468).ok_or_else(wrong)? * DAY_MS;
    if ms < FIRST_RELEASE_MS { Err(wrong()) } else { Ok(ms) }
}

/// The moment of so many milliseconds since the epoch, to the minute.
fn moment(ms: u64) -> String {
    // The inverse of the above (civil_from_days), in eras of 400 years.
    let minutes = ms / 60_000 % 1_440;
    let days = ms / DAY_MS + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Name of the source.
    pub source: String,
    /// Of the values: the beginning of their SHA-256.
    pub hash: String,
    /// What it holds, with the number of bytes.
    pub values: Vec<(String, usize)>,
    /// All of it.
    pub totals: PeerTotals,
}

/// Reads what `from` names: files, if the first of them is one, else a namespace.
///
/// # Errors
/// [`ImportError`]
pub fn find(from: &[String], namespaces: Option<&dyn Namespaces>) -> Result<Found, ImportError> {
    let first = from.first().ok_or_else(|| ImportError::Usage("FROM is missing".to_owned()))?;
    let is_file = |name: &String| PathBuf::from(name).is_file();
    if from.iter().any(is_file) {
        let read = |name: &String| Ok::<_, ImportError>((name.clone(), read_file(name)?));
        let values = from.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        return found(format!("file:{}", hash_of(&values)), values);
    }
    let namespaces = namespaces.filter(|_| from.len() == 1).ok_or_else(|| ImportError::File {
        path: first.into(),
        why: "there is no such file; a KV namespace is read with CLOUDFLARE_API_TOKEN, one at a time".to_owned(),
    })?;
    let id = namespaces.find(first).map_err(ImportError::Namespace)?;
    let mut values = Vec::new();
    for key in KEYS {
        if let Some(value) = namespaces.value(&id, key).map_err(ImportError::Namespace)? {
            values.push((key.to_owned(), value));
        }
    }
    if values.is_empty() {
        return Err(ImportError::NoValue(first.clone()));
    }
    found(format!("kv:{id}"), values)
}

fn hash_of(values: &[(String, Vec<u8>)]) -> String {
    let hash = values.iter().fold(Sha256::new(), |hash, (_, value)| hash.chain_update(Sha256::digest(value)));
    let hash: [u8; 32] = hash.finalize().into();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn read_file(name: &str) -> Result<Vec<u8>, ImportError> {
    use std::io::Read as _;
    let wrong = |error: io::Error| ImportError::File { path: name.into(), why: error.to_string() };
    // One byte more than is taken, so that a longer one is known to be.
    let most = u64::try_from(MAX_VALUE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut value = Vec::new();
    std::fs::File::open(name).and_then(|file| file.take(most).read_to_end(&mut value)).map_err(wrong)?;
    Ok(value)
}

fn found(source: String, values: Vec<(String, Vec<u8>)>) -> Result<Found, ImportError> {
    let mut totals = PeerTotals::default();
    for (name, value) in &values {
        let read =
            PeerTotals::read(value).map_err(|error| ImportError::Value { from: format!("{source}, {name}"), error })?;
        totals = totals.merge(&read).map_err(ImportError::Sum)?;
    }
    if totals.is_empty() {
        return Err(ImportError::Empty(source));
    }
    let hash = hash_of(&values);
    Ok(Found { source, hash, values: values.into_iter().map(|(name, value)| (name, value.len())).collect(), totals })
}

/// Does it all, and prints what it does.
///
/// # Errors
/// [`ImportError`]
pub fn run(
    options: &Options,
    token: Option<&Secret>,
    namespaces: Option<&dyn Namespaces>,
    out: &mut dyn Write,
) -> Result<(), ImportError> {
    let found = find(&options.from, namespaces)?;
    let source = options.source.clone().unwrap_or_else(|| found.source.clone());
    let delta = to_delta(&found.totals, &options.resolver_id, options.since_ms)?;
    writeln!(out, "source {source}, for resolver_id=\"{}\"", options.resolver_id)?;
    for (name, bytes) in &found.values {
        writeln!(out, "  {name}: {bytes} bytes")?;
    }
    writeln!(out, "  all of it: {}", found.hash)?;
    if !found.totals.left_out.is_empty() {
        let left_out: Vec<&str> = found.totals.left_out.iter().map(String::as_str).collect();
        writeln!(out, "  not imported: {}", left_out.join("; "))?;
    }
    let Some(url) = &options.url else {
        write_table(out, &delta, None)?;
        return Ok(writeln!(out, "dry run: nothing was imported")?);
    };
    let token = token.ok_or_else(|| ImportError::Usage("METRICS_TOKEN of the installation is not set".to_owned()))?;
    let installation = Installation::new(url, token.clone());
    let before = installation.scrape(&options.resolver_id)?;
    let has_counted = sampled(&delta).iter().any(|own| before.get(&own.name).is_some_and(|count| *count > 0.0));
    let is_new = !installation.imports()?.iter().any(|import| import.source == source);
    if has_counted && is_new {
        writeln!(
            out,
            "note: {url} has counted already. Whoever scraped it before sees all of the import as one increase."
        )?;
    }
    let request = ImportRequest { source: source.clone(), totals: Some(delta.to_wire()), another: options.another };
    let answer = installation.import(&request)?;
    if answer.outcome != "applied" {
        write_table(out, &delta, None)?;
        let then = moment(answer.import.imported_ms);
        return Ok(writeln!(out, "already imported, on {then}; nothing changed")?);
    }
    let (after, is_there) = wait_for(&installation, &options.resolver_id, &delta, &before)?;
    write_table(out, &delta, Some((&before, &after)))?;
    writeln!(out, "imported: {} series of {} families", answer.import.series, answer.import.families.len())?;
    if !is_there {
        writeln!(
            out,
            "/metrics does not show all of it yet. The Ledger has it; the published copy that is read here is behind."
        )?;
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
        Value::Gauge(_) => 0,
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
        MetricKind::Histogram => "_count",
        MetricKind::Gauge => "",
    };
    format!("{}{suffix}", family.name())
}

/// As a scrape has it: above 2^53 to the nearest double.
fn as_f64(count: u64) -> f64 {
    tributary_telemetry::Number::Unsigned(count).to_f64()
}

fn write_table(out: &mut dyn Write, delta: &Delta, scrapes: Option<(&Scrape, &Scrape)>) -> io::Result<()> {
    let samples = sampled(delta);
    let width = samples.iter().map(|own| own.name.len()).max().unwrap_or_default();
    let cell = |scrape: &Scrape, name: &str| scrape.get(name).copied().unwrap_or_default();
    match scrapes {
        None => writeln!(out, "{:<width$} {:>6} {:>18}", "SAMPLE", "SERIES", "COUNTED")?,
        Some(_) => {
            writeln!(out, "{:<width$} {:>6} {:>18} {:>18} {:>18}", "SAMPLE", "SERIES", "COUNTED", "BEFORE", "AFTER")?;
        }
    }
    for Sampled { name, series, total } in &samples {
        write!(out, "{name:<width$} {series:>6} {total:>18}")?;
        if let Some((before, after)) = scrapes {
            write!(out, " {:>18} {:>18}", cell(before, name), cell(after, name))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
