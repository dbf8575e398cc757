//! What a Worker says about itself, from its environment and by the standard variables.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// Name of the service. Default: the Worker's name.
pub const OTEL_SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// Further attributes: `key=value,key=value`, values percent-encoded.
pub const OTEL_RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The attribute that names the service.
pub const SERVICE_NAME: &str = "service.name";

/// What SDKs name a service that they do not know, and the beginning of what they name it then (OpenTelemetry specification,
/// semantic conventions of resources).
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Says whether this names no service. An SDK's builder of resources always says something.
pub fn is_unknown(service: &str) -> bool {
    service.starts_with(UNKNOWN_SERVICE)
}

/// A value of the environment that could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem;

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{OTEL_RESOURCE_ATTRIBUTES} is not a list of key=value with percent-encoded values; it is left out")
    }
}

/// Reads the environment (OpenTelemetry specification, Resource SDK, "Specifying resource information via an environment
/// variable"): a list with one bad entry is left out as a whole, and an empty variable is an absent one.
pub fn resource(name: &str, lookup: impl Fn(&str) -> Option<String>) -> (Resource, Option<Problem>) {
    let (attributes, problem) = match attributes(&lookup(OTEL_RESOURCE_ATTRIBUTES).unwrap_or_default()) {
        Ok(attributes) => (attributes, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let service = lookup(OTEL_SERVICE_NAME).filter(|service| !service.is_empty());
    let default = service.is_none() && !attributes.iter().any(|(key, _)| key == SERVICE_NAME);
    let service = service.or_else(|| default.then(|| name.to_owned()));
    let builder = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("telemetry.sdk.name", "opentelemetry"),
            KeyValue::new("telemetry.sdk.language", "rust"),
            // That of `opentelemetry_sdk`, which says it nowhere else.
            KeyValue::new("telemetry.sdk.version", SDK_VERSION),
        ])
        .with_attributes(attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)));
    (builder.with_attributes(service.map(|service| KeyValue::new(SERVICE_NAME, service))).build(), problem)
}

/// The version of `opentelemetry_sdk` that this is built with; held against the lock file by a test.
pub const SDK_VERSION: &str = "0.33.1";

fn attributes(list: &str) -> Result<Vec<(String, String)>, Problem> {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (key, value) = entry.split_once('=').ok_or(Problem)?;
            let key = percent_decoded(key.trim()).filter(|key| !key.is_empty()).ok_or(Problem)?;
            Ok((key, percent_decoded(value.trim()).ok_or(Problem)?))
        })
        .collect()
}

/// `None` where a `%` is not followed by two digits, or the bytes are no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? << 4 | digit()?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Vec<(String, String)>, Option<Problem>) {
        let lookup = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        let (resource, problem) = resource("shop", lookup);
        let own = resource.iter().filter(|(key, _)| !key.as_str().starts_with("telemetry."));
        let mut attributes: Vec<_> = own.map(|(key, value)| (key.to_string(), value.to_string())).collect();
        attributes.sort();
        (attributes, problem)
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_service_is_what_the_variables_say_or_the_workers_name() {
        assert_eq!(read(&[]), (pairs(&[("service.name", "shop")]), None));
        assert_eq!(read(&[(OTEL_SERVICE_NAME, "")]).0, pairs(&[("service.name", "shop")]));
        assert_eq!(read(&[(OTEL_SERVICE_NAME, "web")]).0, pairs(&[("service.name", "web")]));
        let list = [(OTEL_RESOURCE_ATTRIBUTES, "service.name=list, zone = a%20b%2Cc,,")];
        assert_eq!(read(&list), (pairs(&[("service.name", "list"), ("zone", "a b,c")]), None));
        let both = [list[0], (OTEL_SERVICE_NAME, "web")];
        assert_eq!(read(&both).0, pairs(&[("service.name", "web"), ("zone", "a b,c")]));
    }

    #[test]
    fn a_list_with_a_bad_entry_is_left_out_and_said() {
        for list in ["a", "a=1,b", "=1", "a=%", "a=%2", "a=%2g", "a=%ff", "a=%+1"] {
            let read = read(&[(OTEL_RESOURCE_ATTRIBUTES, list)]);
            assert_eq!(read, (pairs(&[("service.name", "shop")]), Some(Problem)), "{list}");
        }
    }

    #[test]
    fn the_sdks_version_is_that_of_the_lock() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"opentelemetry_sdk\"\nversion = \"{SDK_VERSION}\"\n")));
    }
}
