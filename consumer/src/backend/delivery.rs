//! Where merged flag logs go, what the request is, what the answer means, and when to try again.

use std::{borrow::Cow, time::Duration};

use tributary_proto::{Message as _, v1::IngestFlagLogsRequest};

use super::retry_after;
use crate::{
    config::Config,
    limits::{DEAD_RETRY_MAX_DELAY, RETRY_FIRST_DELAY, RETRY_MAX_DELAY},
};

/// A place that takes flag logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Confidence's own edge: `clientFlagLogs:write`.
    Edge,
    /// The ingest Worker on Cloudflare: `flagLogs:ingest`, which wants the account.
    Ingest,
}

impl Destination {
    /// The value of a `destination` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Ingest => "cloudflare",
        }
    }
}

/// Where the resolver state says that flag logs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Primary first, then the fallback. Never empty.
    pub destinations: Vec<Destination>,
    /// The account, for the ingest.
    pub account_id: String,
}

impl Default for Route {
    /// The route of a state that says nothing: the edge alone.
    fn default() -> Self {
        Self { destinations: vec![Destination::Edge], account_id: String::new() }
    }
}

impl Route {
    /// Reads `log_destinations` and `account_id` of the resolver state: 2 is the ingest and any other number the edge,
    /// the first entry is primary, the next different one the fallback, and no entry means the edge alone.
    pub fn new(log_destinations: &[i32], account_id: String) -> Self {
        let mut destinations: Vec<Destination> = Vec::with_capacity(2);
        for number in log_destinations {
            let destination = if *number == 2 { Destination::Ingest } else { Destination::Edge };
            if !destinations.contains(&destination) {
                destinations.push(destination);
            }
        }
        // The ingest cannot take logs of nobody.
        if account_id.is_empty() {
            destinations.retain(|destination| *destination != Destination::Ingest);
        }
        if destinations.is_empty() {
            destinations.push(Destination::Edge);
        }
        Self { destinations, account_id }
    }
}

/// A request to the backend, but for its authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRequest<'a> {
    /// Full URL.
    pub url: String,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Cow<'a, [u8]>,
}

/// The request that delivers `logs`, an encoded `WriteFlagLogsRequest`, to `destination`.
pub fn delivery_request<'a>(
    config: &Config,
    route: &Route,
    destination: Destination,
    logs: &'a [u8],
) -> DeliveryRequest<'a> {
    match destination {
        Destination::Edge => DeliveryRequest {
            url: config.flag_logs_url.clone(),
            content_type: "application/x-protobuf",
            body: Cow::Borrowed(logs),
        },
        Destination::Ingest => DeliveryRequest {
            url: config.ingest_url.clone(),
            content_type: "application/protobuf",
            body: IngestFlagLogsRequest { account_id: route.account_id.clone(), batch: logs.to_vec() }
                .encode_to_vec()
                .into(),
        },
    }
}

/// What became of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Taken.
    Delivered,
    /// Not taken now: worth another destination, then another try, not before the time that it asked for.
    Unavailable {
        /// The answer's `Retry-After`, where it gave one.
        retry_after: Option<Duration>,
    },
    /// Refused for good: the same bytes will be refused again.
    Refused {
        /// The status.
        status: u16,
    },
}

impl DeliveryOutcome {
    /// The value of an `outcome` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { status } if is_about_us(status) => "misconfigured",
            Self::Refused { .. } => "refused",
        }
    }

    /// Reads a status and its `Retry-After`. Below 400 is success; 408, 429 and 5xx may pass; any other is for good.
    pub fn of_status(status: u16, retry_after: Option<&str>, now_ms: u64) -> Self {
        match status {
            0..400 => Self::Delivered,
            408 | 429 | 500.. => {
                Self::Unavailable { retry_after: retry_after.and_then(|text| retry_after::parse(text, now_ms)) }
            }
            _ => Self::Refused { status },
        }
    }
}

/// True for a status that speaks of who we are and where we send, and not of what: credentials (401, 402, 403, 407)
/// and addresses (404, 405, 410). Alone it condemns no message; see `pipeline::deliver`.
pub fn is_about_us(status: u16) -> bool {
    matches!(status, 401..=405 | 407 | 410)
}

/// How long a message waits before its next delivery: doubles with every attempt, half of it at random so that messages
/// which failed together do not come back together, never shorter than what the backend asked for, and at most
/// [`RETRY_MAX_DELAY`].
///
/// `attempts` counts the deliveries so far, from 1; `random` is any 32 random bits.
pub fn retry_delay(attempts: u32, retry_after: Option<Duration>, random: u32) -> Duration {
    backoff(attempts, random, RETRY_MAX_DELAY).max(retry_after.unwrap_or_default()).min(RETRY_MAX_DELAY)
}

/// How long a dead letter waits that could not be stored: as [`retry_delay`], up to [`DEAD_RETRY_MAX_DELAY`].
pub fn dead_retry_delay(attempts: u32, random: u32) -> Duration {
    backoff(attempts, random, DEAD_RETRY_MAX_DELAY)
}

fn backoff(attempts: u32, random: u32, most: Duration) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let ceiling = RETRY_FIRST_DELAY.saturating_mul(1 << doublings).min(most);
    let half = ceiling / 2;
    let jitter = half.mul_f64(f64::from(random) / f64::from(u32::MAX));
    half.saturating_add(jitter)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn destinations_follow_the_state_primary_first() {
        let route = |numbers: &[i32], account: &str| Route::new(numbers, account.into()).destinations;
        assert_eq!(route(&[], "a"), [Destination::Edge]);
        assert_eq!(route(&[2, 1], "a"), [Destination::Ingest, Destination::Edge]);
        assert_eq!(route(&[1, 2, 1, 7], "a"), [Destination::Edge, Destination::Ingest]);
        assert_eq!(route(&[-1], "a"), [Destination::Edge]);
        assert_eq!(route(&[2], ""), [Destination::Edge], "the ingest cannot take logs of nobody");
    }

    #[test]
    fn each_destination_gets_its_own_body() {
        let (config, _) = Config::read(&BTreeMap::new());
        let route = Route::new(&[2, 1], "acc".into());
        let logs = [0x0a, 0x00];
        let edge = delivery_request(&config, &route, Destination::Edge, &logs);
        assert_eq!((edge.content_type, &*edge.body), ("application/x-protobuf", &logs[..]));
        let ingest = delivery_request(&config, &route, Destination::Ingest, &logs);
        assert_eq!(ingest.content_type, "application/protobuf");
        let wrapped = IngestFlagLogsRequest::decode(&*ingest.body).unwrap();
        assert_eq!((wrapped.account_id.as_str(), wrapped.batch.as_slice()), ("acc", &logs[..]));
    }

    #[test]
    fn every_status_has_its_class() {
        let unavailable = DeliveryOutcome::Unavailable { retry_after: None };
        for (status, expected) in [
            (200, DeliveryOutcome::Delivered),
            (399, DeliveryOutcome::Delivered),
            (400, DeliveryOutcome::Refused { status: 400 }),
            (401, DeliveryOutcome::Refused { status: 401 }),
            (408, unavailable),
            (413, DeliveryOutcome::Refused { status: 413 }),
            (429, unavailable),
            (500, unavailable),
            (503, unavailable),
            (599, unavailable),
        ] {
            assert_eq!(DeliveryOutcome::of_status(status, None, 0), expected, "{status}");
        }
        let asked = DeliveryOutcome::of_status(503, Some(" 7 "), 0);
        assert_eq!(asked, DeliveryOutcome::Unavailable { retry_after: Some(Duration::from_secs(7)) });
        assert_eq!(DeliveryOutcome::of_status(503, Some("soon"), 0), unavailable);
    }

    #[test]
    fn a_status_that_speaks_of_us_is_told_from_one_that_speaks_of_the_message() {
        for status in 400..500 {
            let outcome = DeliveryOutcome::of_status(status, None, 0).as_str();
            let expected = match status {
                401 | 402 | 403 | 404 | 405 | 407 | 410 => "misconfigured",
                408 | 429 => "unavailable",
                _ => "refused",
            };
            assert_eq!(outcome, expected, "{status}");
        }
    }

    #[test]
    fn a_dead_letter_is_tried_for_longer_than_its_queue_keeps_it() {
        use crate::limits::{MAX_DEAD_RETRIES, QUEUE_RETENTION};
        let least: Duration = (1..=MAX_DEAD_RETRIES).map(|attempts| dead_retry_delay(attempts, 0)).sum();
        assert!(least > QUEUE_RETENTION, "{least:?}");
        assert!((1..200).all(|attempts| dead_retry_delay(attempts, u32::MAX) <= Duration::from_secs(43_200)));
    }

    #[test]
    fn delays_double_stay_within_bounds_and_honour_what_the_backend_asked_for() {
        for random in [0, 1, u32::MAX / 2, u32::MAX] {
            let mut last = Duration::ZERO;
            for attempts in 1..=100 {
                let delay = retry_delay(attempts, None, random);
                assert!(delay >= last && delay <= RETRY_MAX_DELAY && delay >= RETRY_FIRST_DELAY / 2);
                last = delay;
            }
        }
        assert_eq!(retry_delay(1, Some(Duration::from_secs(60)), 0), Duration::from_secs(60));
        assert_eq!(retry_delay(1, Some(Duration::from_secs(u64::MAX)), 0), RETRY_MAX_DELAY);
        assert_eq!(retry_delay(u32::MAX, None, u32::MAX), RETRY_MAX_DELAY);
    }
}
