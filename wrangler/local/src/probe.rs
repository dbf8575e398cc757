//! Questions to the machine and to the Workers: which port is free, do they answer.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A client for [`is_ready`].
pub(crate) fn probe_agent() -> ureq::Agent {
    // Long enough for a cold isolate, short enough that a request lost in the start is tried again soon.
    let timeout = Some(Duration::from_secs(5));
    ureq::Agent::config_builder().timeout_global(timeout).http_status_as_error(false).build().into()
}

/// The producer has its state, and the consumer speaks through it: a scrape without a token is refused with 401, which
/// the consumer alone can say. (503 is what the producer says while its binding leads nowhere.)
pub(crate) fn is_ready(agent: &ureq::Agent, base_url: &str) -> Result<(), String> {
    let status = |path: &str| {
        let mut response = agent.get(format!("{base_url}{path}")).call().map_err(|error| format!("{path}: {error}"))?;
        let body = response.body_mut().read_to_string().unwrap_or_default();
        Ok::<_, String>((response.status().as_u16(), body))
    };
    match status("/v1/state:etag")? {
        (200, _) => {}
        (other, body) => return Err(format!("/v1/state:etag answers {other}: {body}")),
    }
    match status("/metrics")? {
        (200..=499, _) => Ok(()),
        (other, body) => Err(format!("/metrics answers {other}: {body}")),
    }
}

/// Ports that this process has handed out: the system may offer a port again before its taker listens.
static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of 127.0.0.1 that nobody listens on, and that this process has not handed out before.
pub(crate) fn free_port() -> io::Result<u16> {
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        if HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }

    #[test]
    fn silence_is_not_ready() {
        let error = is_ready(&probe_agent(), "http://127.0.0.1:1").unwrap_err();
        assert!(error.contains("/v1/state:etag"), "{error}");
    }
}
