//! Attributes, scope and resource as labels.

use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue},
    resource::v1::Resource,
};

use super::{PointRefusal, name::label_name, text::text_of};
use crate::{LabelName, LabelSet};

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE_ID: &str = "service.instance.id";
const SCOPE_PREFIX: &str = "otel_scope_";

/// What one attribute, or a part of scope or resource, comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    name: String,
    /// The original key: values that meet in one label stand in the order of these.
    key: String,
    value: String,
}

impl Entry {
    fn of_attribute(attribute: &KeyValue) -> Self {
        let value = text_of(attribute.value.as_ref());
        Self { name: label_name(&attribute.key), key: attribute.key.clone(), value }
    }

    fn known(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), key: name.to_owned(), value: value.to_owned() }
    }

    /// About what it takes where it is written.
    fn bytes(&self) -> usize {
        self.name.len().saturating_add(self.value.len()).saturating_add(9)
    }
}

/// The labels that all points of a scope have.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    entries: Vec<Entry>,
    /// About what they take where they are written.
    pub(super) bytes: usize,
}

impl Common {
    fn of(entries: Vec<Entry>) -> Self {
        let bytes = entries.iter().fold(0_usize, |sum, entry| sum.saturating_add(entry.bytes()));
        Self { entries, bytes }
    }

    /// The labels of a point with these attributes.
    pub(super) fn with(&self, attributes: &[KeyValue]) -> Result<LabelSet, PointRefusal> {
        let of_point = attributes.iter().map(Entry::of_attribute);
        label_set(self.entries.iter().cloned().chain(of_point).collect())
    }
}

/// About what attributes take, without writing them.
pub(super) fn attribute_bytes(attributes: &[KeyValue]) -> usize {
    attributes.iter().fold(0_usize, |sum, attribute| sum.saturating_add(attribute.key.len()).saturating_add(64))
}

/// Labels from entries: an empty value means that there is none; values that meet in one name are joined by `;`.
fn label_set(mut entries: Vec<Entry>) -> Result<LabelSet, PointRefusal> {
    entries.retain(|entry| !entry.value.is_empty());
    // Stable, so that a key that is there twice keeps its order.
    entries.sort_by(|left, right| (&left.name, &left.key).cmp(&(&right.name, &right.key)));
    let mut joined: Vec<(String, String)> = Vec::with_capacity(entries.len());
    for Entry { name, value, .. } in entries {
        match joined.last_mut() {
            Some((last, values)) if *last == name => {
                values.push(';');
                values.push_str(&value);
            }
            _ => joined.push((name, value)),
        }
    }
    let pairs = joined.into_iter().map(|(name, value)| LabelName::new(name).map(|name| (name, value)));
    let pairs = pairs.collect::<Result<Vec<_>, _>>().map_err(|_| PointRefusal::Labels)?;
    LabelSet::new(pairs).map_err(|_| PointRefusal::Labels)
}

/// What a resource says of its points.
pub(super) struct Target {
    /// `<service.namespace>/<service.name>`; empty where there is no name.
    job: String,
    /// The labels of `target_info`.
    pub(super) info: Option<Result<LabelSet, PointRefusal>>,
}

impl Target {
    /// Reads a resource. Isolates come and go by the thousand and a series is their sum, so what tells one from another,
    /// `service.instance.id`, is in no label.
    pub(super) fn of(resource: Option<&Resource>) -> Self {
        let attributes = resource.map(|resource| resource.attributes.as_slice()).unwrap_or_default();
        let find = |key: &str| {
            let found = attributes.iter().find(|attribute| attribute.key == key);
            found.map(|attribute| text_of(attribute.value.as_ref())).unwrap_or_default()
        };
        let (name, namespace) = (find(SERVICE_NAME), find(SERVICE_NAMESPACE));
        if name.is_empty() {
            return Self { job: name, info: None };
        }
        let job = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
        let is_identity = |key: &str| [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE_ID].contains(&key);
        let others = attributes.iter().filter(|attribute| !is_identity(&attribute.key)).map(Entry::of_attribute);
        let entries = others.chain([Entry { key: SERVICE_NAME.to_owned(), ..Entry::known("job", &job) }]);
        let info = Some(label_set(entries.collect()));
        Self { job, info }
    }

    /// The labels of all points of a scope of it.
    pub(super) fn with(&self, scope: Option<&InstrumentationScope>, schema_url: &str) -> Common {
        let mut entries = vec![Entry { key: SERVICE_NAME.to_owned(), ..Entry::known("job", &self.job) }];
        if let Some(scope) = scope {
            entries.push(Entry::known("otel_scope_name", &scope.name));
            entries.push(Entry::known("otel_scope_version", &scope.version));
            let of_scope = scope.attributes.iter().map(|attribute| {
                let key = format!("{SCOPE_PREFIX}{}", attribute.key);
                Entry { name: label_name(&key), key, value: text_of(attribute.value.as_ref()) }
            });
            // These three are the scope's own, whatever its attributes say.
            let own = ["otel_scope_name", "otel_scope_version", "otel_scope_schema_url"];
            entries.extend(of_scope.filter(|entry| !own.contains(&entry.name.as_str())));
        }
        entries.push(Entry::known("otel_scope_schema_url", schema_url));
        entries.retain(|entry| !entry.value.is_empty());
        Common::of(entries)
    }
}
