//! What `import-snapshot` is told, and the days that it is told in.

use super::{command::ImportError, totals::FIRST_RELEASE_MS};

/// The label of the resolver's series: no version of it has another.
pub const RESOLVER_ID: &str = "cf-resolver";

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
pub(super) fn since(text: &str) -> Result<u64, ImportError> {
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
pub(super) fn moment(ms: u64) -> String {
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

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
