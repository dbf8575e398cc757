//! Everything that is printed. No secret passes but the one that is shown on purpose.

use std::collections::BTreeMap;
use std::io::{self, Write};

use tributary_local::secrets::Secret;

use crate::config::secrets;
use crate::config::vars::Role;
use crate::plan::{Plan, SecretChange, Step, Upload};

/// Shorter texts than this are no secrets to look for: they occur by chance.
const MIN_SECRET_BYTES: usize = 6;

/// Where lines go.
pub struct Report<'a> {
    out: &'a mut dyn Write,
    redactor: Redactor,
}

/// Replaces secrets in texts that others wrote.
#[derive(Debug, Clone, Default)]
pub struct Redactor(Vec<Secret>);

impl Redactor {
    /// One that knows the secrets of `environment`, whether they are fit to be used or not.
    #[must_use]
    pub fn of(environment: &BTreeMap<String, String>) -> Self {
        let mut redactor = Self::default();
        let set = secrets::NAMES.iter().filter_map(|name| environment.get(*name));
        set.for_each(|value| redactor.add(&Secret::new(value.trim())));
        redactor
    }

    /// Also replaces this one.
    pub fn add(&mut self, secret: &Secret) {
        if secret.reveal().len() >= MIN_SECRET_BYTES && !self.0.contains(secret) {
            self.0.push(secret.clone());
        }
    }

    /// The text without any of them.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.reveal(), "‹secret›"))
    }
}

impl<'a> Report<'a> {
    /// A report onto `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, redactor: Redactor::default() }
    }

    /// Never prints this.
    pub fn hide(&mut self, secret: &Secret) {
        self.redactor.add(secret);
    }

    /// What replaces secrets here.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// One line, at once.
    ///
    /// # Errors
    /// Where nobody reads any more.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        let text = self.redactor.clean(text);
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// A question, without a line break.
    ///
    /// # Errors
    /// Where nobody reads any more.
    pub fn ask(&mut self, text: &str) -> io::Result<()> {
        write!(self.out, "{} ", self.redactor.clean(text))?;
        self.out.flush()
    }

    /// A secret, on purpose and once.
    ///
    /// # Errors
    /// Where nobody reads any more.
    pub fn show(&mut self, name: &str, secret: &Secret) -> io::Result<()> {
        writeln!(self.out, "{name}={}", secret.reveal())?;
        self.out.flush()
    }
}

/// The plan, a line a step.
#[must_use]
pub fn plan_lines(plan: &Plan, name_of: impl Fn(Role) -> String) -> Vec<String> {
    let unchanged = plan.unchanged.iter().map(|what| format!("  unchanged  {what}"));
    let steps = plan.steps.iter().map(|step| match step {
        Step::CreateQueue(name) => format!("  create     queue {name}"),
        Step::CreateNamespace(title) => format!("  create     KV namespace {title}"),
        Step::PutState(state) => {
            format!("  write      resolver state, {} bytes, into {}", state.bytes, state.namespace)
        }
        Step::Upload(upload) => format!("  upload     Worker {} ({})", name_of(upload.role), upload_words(upload)),
        Step::Triggers { role, differ } => format!("  attach     Worker {}: {}", name_of(*role), differ.join(", ")),
    });
    unchanged.chain(steps).collect()
}

fn upload_words(upload: &Upload) -> String {
    let reasons = upload.reasons.iter().map(ToString::to_string);
    reasons.chain(upload.secrets.iter().map(secret_words)).collect::<Vec<_>>().join("; ")
}

fn secret_words(change: &SecretChange) -> String {
    let verb = if change.replaces { "replaces" } else { "sets" };
    let origin = if change.is_made_up { ", made up" } else { "" };
    format!("{verb} {}{origin}", change.name)
}

/// Seconds since the epoch as a date, RFC 3339 in UTC. Civil from days: Hinnant, "chrono-compatible low-level date
/// algorithms", 2013.
#[must_use]
pub fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// A duration for people: the largest unit of which there are two.
#[must_use]
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Reason, StateWrite};

    #[test]
    fn secrets_of_others_do_not_pass_and_the_shown_one_does() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        report.hide(&Secret::new("hunter2"));
        report.hide(&Secret::new("abc"));
        let environment = [("METRICS_TOKEN".to_owned(), " hunter2 ".to_owned())].into();
        assert_eq!(Redactor::of(&environment).clean("no hunter2"), "no ‹secret›");
        report.line("token=hunter2 abc").unwrap();
        report.show("METRICS_TOKEN", &Secret::new("hunter2")).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "token=‹secret› abc\nMETRICS_TOKEN=hunter2\n");
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(seconds), expected);
        }
        assert_eq!([age(119), age(120), age(7_200), age(172_800)], ["119 s", "2 min", "2 h", "2 days"]);
    }

    #[test]
    fn the_plan_says_each_step() {
        let plan = Plan {
            steps: vec![
                Step::CreateQueue("q".to_owned()),
                Step::PutState(StateWrite { namespace: "n".to_owned(), bytes: 5, etag: None }),
                Step::Upload(Upload {
                    role: Role::Consumer,
                    reasons: vec![Reason::New],
                    secrets: vec![SecretChange { name: "METRICS_TOKEN", is_made_up: true, replaces: false }],
                }),
                Step::Triggers { role: Role::Producer, differ: vec!["schedules".to_owned()] },
            ],
            unchanged: vec!["queue d".to_owned()],
        };
        let lines = plan_lines(&plan, |role| role.as_str().to_owned()).join("\n");
        let expected = "  unchanged  queue d\n  create     queue q\n  write      resolver state, 5 bytes, into n\n  \
                        upload     Worker consumer (new; sets METRICS_TOKEN, made up)\n  attach     Worker producer: schedules";
        assert_eq!(lines, expected);
    }
}
