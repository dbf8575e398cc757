//! Dimensions: further labels of Confidence's series, chosen by `METRICS_DIMENSIONS`.
//!
//! Producers always say what they know; the choice is made here, when a message becomes a delta. So it can be changed
//! at any time: what was counted before stays in the series that it was counted in, what comes goes to the series of
//! the new choice, and a sum over all series of a family moves by neither.

use tributary_proto::{
    envelope::{COLO, ENVIRONMENT, MAX_DIMENSION_BYTES},
    flag_logs::{Sdk, SdkId, sdk},
};

use crate::message::{Decoded, Telemetry};

/// What a series whose own dimensions are refused has instead: where there are too many
/// ([`crate::ledger::sources`]), or where a value is too long.
pub const OTHER: &str = "other";

/// One dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The Cloudflare data centre, three letters.
    Colo,
    /// The SDK or provider, by the name of its enum, or the name that it gives itself.
    Sdk,
    /// Its version.
    SdkVersion,
    /// The version of the resolver library.
    ResolverVersion,
    /// The producer's `ENVIRONMENT`.
    Environment,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 5] = [Self::Colo, Self::Sdk, Self::SdkVersion, Self::ResolverVersion, Self::Environment];

    /// The name: of the label, and in `METRICS_DIMENSIONS`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Colo => COLO,
            Self::Sdk => "sdk",
            Self::SdkVersion => "sdk_version",
            Self::ResolverVersion => "resolver_version",
            Self::Environment => ENVIRONMENT,
        }
    }

    const fn bit(self) -> u8 {
        1 << match self {
            Self::Colo => 0,
            Self::Sdk => 1,
            Self::SdkVersion => 2,
            Self::ResolverVersion => 3,
            Self::Environment => 4,
        }
    }
}

/// A choice of dimensions; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dimensions(u8);

impl Dimensions {
    /// Reads a list of names with commas between them; `None` where one is not known.
    pub fn parse(text: &str) -> Option<Self> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.into_iter().try_fold(Self::default(), |chosen, name| {
            let dimension = Dimension::ALL.into_iter().find(|dimension| dimension.as_str() == name)?;
            Some(Self(chosen.0 | dimension.bit()))
        })
    }

    /// Says whether `dimension` is chosen.
    pub const fn has(self, dimension: Dimension) -> bool {
        self.0 & dimension.bit() != 0
    }

    /// The labels of one message, in the order of [`Dimension::ALL`]. What a message does not say is left out; a value
    /// that is too long becomes [`OTHER`].
    pub fn labels_of(self, decoded: &Decoded) -> Vec<(&'static str, &str)> {
        Dimension::ALL
            .into_iter()
            .filter(|dimension| self.has(*dimension))
            .filter_map(|dimension| {
                let value = value_of(dimension, decoded).filter(|value| !value.is_empty())?;
                Some((dimension.as_str(), if value.len() > MAX_DIMENSION_BYTES { OTHER } else { value }))
            })
            .collect()
    }
}

fn value_of(dimension: Dimension, decoded: &Decoded) -> Option<&str> {
    let identity = match &decoded.telemetry {
        Telemetry::Read { identity, .. } => Some(identity),
        Telemetry::Refused(_) | Telemetry::Absent => None,
    };
    let sdk = || identity.and_then(|identity| identity.sdk.as_ref());
    match dimension {
        Dimension::Colo | Dimension::Environment => decoded.dimensions.get(dimension.as_str()).map(String::as_str),
        Dimension::Sdk => sdk().and_then(sdk_name),
        Dimension::SdkVersion => sdk().map(|sdk| sdk.version.as_str()),
        Dimension::ResolverVersion => identity.map(|identity| identity.resolver_version.as_str()),
    }
}

fn sdk_name(sdk: &Sdk) -> Option<&str> {
    match sdk.sdk.as_ref()? {
        // Newer than this consumer: several such SDKs share a label, and their versions may still tell them apart.
        sdk::Sdk::Id(id) => Some(SdkId::try_from(*id).map_or(OTHER, |id| id.as_str_name())),
        sdk::Sdk::CustomId(name) => Some(name),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tributary_proto::flag_logs::{TelemetryData, WriteFlagLogsRequest};

    use super::*;
    use crate::message::{MessageBody, QueueMessage, decode};

    fn decoded(sdk: Sdk, dimensions: &[(&str, &str)]) -> Decoded {
        use tributary_proto::{Message as _, envelope::*};
        let telemetry_data =
            Some(TelemetryData { sdk: Some(sdk), resolver_version: "0.26".into(), ..TelemetryData::default() });
        let logs = WriteFlagLogsRequest { telemetry_data, ..WriteFlagLogsRequest::default() };
        let envelope = Envelope {
            stream_id: StreamId([1; 16]),
            ledgers: 1,
            sequence: 1,
            window_start_ms: 1,
            window_end_ms: 2,
            resolver_id: "eu".into(),
            dimensions: dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            flag_logs: logs.encode_to_vec(),
            metrics: Vec::new(),
            resource_metrics: Vec::new(),
            dropped: Vec::new(),
        };
        let body = MessageBody::Bytes(envelope.encode().unwrap());
        decode(&QueueMessage { id: "1".into(), sent_ms: 2, attempts: 1, body }, "default").unwrap()
    }

    fn ours() -> Sdk {
        Sdk { sdk: Some(sdk::Sdk::Id(SdkId::CloudflareResolver.into())), version: "1.0".into() }
    }

    #[test]
    fn a_choice_is_a_list_of_known_names() {
        assert_eq!(Dimensions::parse(""), Some(Dimensions::default()));
        let chosen = Dimensions::parse(" colo , sdk_version,").unwrap();
        let has: Vec<_> = Dimension::ALL.into_iter().filter(|dimension| chosen.has(*dimension)).collect();
        assert_eq!(has, [Dimension::Colo, Dimension::SdkVersion]);
        assert_eq!(Dimensions::parse("colo,country"), None);
        let names: Vec<_> = Dimension::ALL.map(Dimension::as_str).into();
        let all = Dimensions::parse(&names.join(",")).unwrap();
        assert!(Dimension::ALL.into_iter().all(|dimension| all.has(dimension)));
    }

    #[test]
    fn a_message_has_the_labels_that_were_chosen_and_that_it_says() {
        let said = decoded(ours(), &[("colo", "AMS"), ("planet", "earth")]);
        let labels = |names: &str| BTreeMap::from_iter(Dimensions::parse(names).unwrap().labels_of(&said));
        assert_eq!(labels(""), BTreeMap::new());
        assert_eq!(labels("environment"), BTreeMap::new(), "not said");
        let all = labels("colo,sdk,sdk_version,resolver_version,environment");
        let expected = [
            ("colo", "AMS"),
            ("resolver_version", "0.26"),
            ("sdk", "SDK_ID_CLOUDFLARE_RESOLVER"),
            ("sdk_version", "1.0"),
        ];
        assert_eq!(all, BTreeMap::from(expected));
    }

    #[test]
    fn a_value_too_long_and_an_sdk_not_known_become_other() {
        let long = "x".repeat(MAX_DIMENSION_BYTES + 1);
        let sdk = |sdk| Sdk { sdk: Some(sdk), version: String::new() };
        let chosen = Dimensions::parse("colo,sdk,sdk_version").unwrap();
        let labels = |said: &Decoded| -> Vec<_> {
            chosen.labels_of(said).into_iter().map(|(name, value)| (name, value.to_owned())).collect()
        };
        let said = decoded(sdk(sdk::Sdk::Id(9_999)), &[("colo", long.as_str())]);
        assert_eq!(labels(&said), [("colo", OTHER.to_owned()), ("sdk", OTHER.to_owned())]);
        let said = decoded(sdk(sdk::Sdk::CustomId("mine".into())), &[]);
        assert_eq!(labels(&said), [("sdk", "mine".to_owned())]);
    }
}
