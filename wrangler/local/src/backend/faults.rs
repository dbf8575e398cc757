//! Bad answers on order: how tests and people see what the consumer does when the backend fails.

use serde::Deserialize;

use super::decode::Destination;

/// The body of `POST /faults`. It replaces the fault that was in effect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Status to answer with; the batch is not taken. Absent: the request is only delayed.
    pub status: Option<u16>,
    /// How many requests it hits; absent: all, until `DELETE /faults`.
    pub times: Option<u64>,
    /// Wait before the answer, ms.
    #[serde(default)]
    pub delay_ms: u64,
    /// `edge` or `cloudflare`; absent: both.
    pub destination: Option<String>,
    /// Value of the answer's `Retry-After` header, s.
    pub retry_after: Option<u64>,
}

/// The fault in effect, if any.
#[derive(Debug, Default)]
pub struct Faults {
    current: Option<Fault>,
}

impl Faults {
    /// Puts `fault` in effect, or ends the one that is.
    ///
    /// # Errors
    /// A sentence, where the fault makes no sense; the one in effect stays.
    pub fn set(&mut self, fault: Option<Fault>) -> Result<(), String> {
        if let Some(fault) = &fault {
            if fault.status.is_some_and(|status| !(200..=599).contains(&status)) {
                return Err("status must be 200 to 599".to_owned());
            }
            let is_known =
                |name: &String| [Destination::Edge, Destination::Cloudflare].iter().any(|d| d.as_str() == name);
            if !fault.destination.as_ref().is_none_or(is_known) {
                return Err("destination must be edge or cloudflare".to_owned());
            }
        }
        self.current = fault;
        Ok(())
    }

    /// The fault for a request to `destination`; uses up one of its times.
    pub fn take(&mut self, destination: Destination) -> Option<Fault> {
        let fault = self.current.as_mut()?;
        if fault.destination.as_deref().is_some_and(|name| name != destination.as_str()) {
            return None;
        }
        if let Some(times) = &mut fault.times {
            *times = times.checked_sub(1)?;
        }
        Some(fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn fault_hits_as_often_as_told() {
        let mut faults = Faults::default();
        faults.set(Some(fault(r#"{"status":503,"times":2}"#))).unwrap();
        let hits = (0..5).filter(|_| faults.take(Destination::Edge).is_some()).count();
        assert_eq!(hits, 2);
    }

    #[test]
    fn fault_hits_its_destination_only_until_it_is_ended() {
        let mut faults = Faults::default();
        faults.set(Some(fault(r#"{"status":503,"destination":"edge"}"#))).unwrap();
        assert!(faults.take(Destination::Cloudflare).is_none());
        assert!((0..100).all(|_| faults.take(Destination::Edge).is_some()));
        faults.set(None).unwrap();
        assert!(faults.take(Destination::Edge).is_none());
    }

    #[test]
    fn senseless_fault_is_refused() {
        let mut faults = Faults::default();
        assert!(faults.set(Some(fault(r#"{"status":42}"#))).is_err());
        assert!(faults.set(Some(fault(r#"{"destination":"moon"}"#))).is_err());
        assert!(serde_json::from_str::<Fault>(r#"{"stauts":503}"#).is_err());
    }
}
