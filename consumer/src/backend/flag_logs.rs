//! Merging the flag logs of a batch into as few requests as say the same.
//!
//! Rules (WIRE facts of `WriteFlagLogsRequest`): assignments are events and are concatenated; schemas are a set by
//! credential; resolve counts are summed by flag, variant, rule and assignment id, and an id that only one message has
//! survives; telemetry is merged per sender identity (SDK and resolver version), so that nothing is attributed to a
//! version that did not send it, and a total that does not fit the wire's 32 bits goes out in several requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tributary_proto::{
    Message as _,
    flag_log_bytes::{FlagLogs, Info},
    flag_logs::{Sdk, TelemetryData, WriteFlagLogsRequest},
    resolve_info::{
        ClientResolveInfo, FlagResolveInfo,
        client_resolve_info::EvaluationContextSchemaInstance,
        flag_resolve_info::{AssignmentResolveInfo, RuleResolveInfo, VariantResolveInfo},
    },
    wire::{Cursor, Field},
};
use tributary_telemetry::confidence::{TelemetryDelta, TelemetryMergeError, TelemetryReport};

/// Who sent telemetry: what must not be mixed in one report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SenderIdentity {
    /// The SDK or provider.
    pub sdk: Option<Sdk>,
    /// Version of the resolver library.
    pub resolver_version: String,
}

/// The merged flag logs of any number of messages, which they borrow from: names and assignments stay where they are until
/// a request is written.
#[derive(Clone, Debug, Default)]
pub struct MergedFlagLogs<'a> {
    /// Encoded requests with assignments alone.
    assigned: Vec<&'a [u8]>,
    /// Infos of clients, each that is different once.
    clients: Distinct<'a>,
    /// Infos of flags, likewise: isolates say the same of the same flags, and at one resolve a message nearly nothing else.
    flags: Distinct<'a>,
    /// In the order of first appearance; a batch has one identity, or two while a deploy rolls out.
    telemetry: Vec<(SenderIdentity, TelemetryDelta)>,
}

/// Encoded messages in the order of their first appearance, and how often each came.
#[derive(Clone, Debug, Default)]
struct Distinct<'a> {
    /// By where they stand in memory: a batch holds each that is different once. One that stands in two places counts for
    /// both all the same.
    places: HashMap<*const u8, usize>,
    messages: Vec<(&'a [u8], i64)>,
}

impl<'a> Distinct<'a> {
    fn add(&mut self, message: &'a [u8]) {
        let place = *self.places.entry(message.as_ptr()).or_insert(self.messages.len());
        match self.messages.get_mut(place) {
            Some((_, times)) => add(times, 1),
            None => self.messages.push((message, 1)),
        }
    }
}

/// What the infos of clients say together, by credential.
type Schemas<'a> = BTreeMap<&'a [u8], ClientSchemas<'a>>;

/// What the infos of flags say together, by flag.
type Counts<'a> = BTreeMap<&'a [u8], FlagCounts<'a>>;

#[derive(Clone, Debug, Default)]
struct ClientSchemas<'a> {
    client: &'a [u8],
    /// As they came: what comes again is not decoded again.
    seen: BTreeSet<&'a [u8]>,
    /// By encoded bytes, which are canonical: maps are encoded in the order of their keys.
    distinct: BTreeMap<Vec<u8>, EvaluationContextSchemaInstance>,
}

/// Counts are `i64` on the wire. Sums saturate: 2^63 resolves in one batch are a hostile message, not a total.
#[derive(Clone, Debug, Default)]
struct FlagCounts<'a> {
    variants: BTreeMap<&'a [u8], i64>,
    rules: BTreeMap<&'a [u8], RuleCounts<'a>>,
}

#[derive(Clone, Debug, Default)]
struct RuleCounts<'a> {
    count: i64,
    assignments: BTreeMap<&'a [u8], i64>,
}

impl<'a> MergedFlagLogs<'a> {
    /// Adds the logs of one message; its telemetry is added by [`MergedFlagLogs::add_telemetry`], where it was read.
    pub fn add_logs(&mut self, logs: &'a FlagLogs) {
        if !logs.assigned.is_empty() {
            self.assigned.push(&logs.assigned);
        }
        for info in &logs.infos {
            match info {
                Info::Client(info) => self.clients.add(info),
                Info::Flag(info) => self.flags.add(info),
            }
        }
    }

    /// Adds the telemetry of one message.
    ///
    /// # Errors
    /// [`TelemetryMergeError`] where a 64-bit total would overflow; nothing changes then.
    pub fn add_telemetry(
        &mut self,
        identity: &SenderIdentity,
        report: &TelemetryReport,
    ) -> Result<(), TelemetryMergeError> {
        match self.telemetry.iter_mut().find(|(known, _)| known == identity) {
            Some((_, merged)) => merged.add_report(report),
            None => {
                self.telemetry.push((identity.clone(), report.to_delta()));
                Ok(())
            }
        }
    }

    /// True when there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.assigned.is_empty()
            && self.clients.messages.is_empty()
            && self.flags.messages.is_empty()
            && self.telemetry.iter().all(|(_, telemetry)| telemetry.is_empty())
    }

    /// The requests that say what was merged, encoded: one, and one more for each further sender identity and each total
    /// that passes 32 bits. Logs and counts are in the first.
    pub fn into_requests(self) -> Vec<Vec<u8>> {
        let (mut schemas, mut flags) = (Schemas::new(), Counts::new());
        self.clients.messages.iter().for_each(|(info, _)| add_schemas(&mut schemas, info));
        self.flags.messages.iter().for_each(|(info, times)| add_counts(&mut flags, info, *times));
        let mut telemetry = self.telemetry.into_iter().flat_map(|(identity, merged)| {
            merged.to_wire().into_iter().map(move |part| TelemetryData {
                sdk: identity.sdk.clone(),
                resolver_version: identity.resolver_version.clone(),
                ..part
            })
        });
        let first = WriteFlagLogsRequest {
            flag_assigned: Vec::new(),
            telemetry_data: telemetry.next(),
            client_resolve_info: schemas.into_iter().map(ClientSchemas::into_wire).collect(),
            flag_resolve_info: flags.into_iter().map(FlagCounts::into_wire).collect(),
        };
        // Two encoded requests, one behind the other, are one request.
        let assigned_bytes: usize = self.assigned.iter().map(|assigned| assigned.len()).sum();
        let mut body = Vec::with_capacity(assigned_bytes.saturating_add(first.encoded_len()));
        self.assigned.iter().for_each(|assigned| body.extend_from_slice(assigned));
        body.append(&mut first.encode_to_vec());
        let mut requests = vec![body];
        requests.extend(telemetry.map(|part| {
            WriteFlagLogsRequest { telemetry_data: Some(part), ..WriteFlagLogsRequest::default() }.encode_to_vec()
        }));
        requests.retain(|request| !request.is_empty());
        requests
    }
}

fn add_schemas<'a>(schemas: &mut Schemas<'a>, info: &'a [u8]) {
    let known = schemas.entry(text_of(info, 2)).or_default();
    if known.client.is_empty() {
        known.client = text_of(info, 1);
    }
    for (number, field) in fields(info) {
        if let (3, Field::Bytes(schema)) = (number, field)
            && known.seen.insert(schema)
            && let Ok(schema) = EvaluationContextSchemaInstance::decode(schema)
        {
            known.distinct.insert(schema.encode_to_vec(), schema);
        }
    }
}

/// Adds what an info says that came so many times.
fn add_counts<'a>(flags: &mut Counts<'a>, info: &'a [u8], times: i64) {
    let known = flags.entry(text_of(info, 1)).or_default();
    for (number, field) in fields(info) {
        match (number, field) {
            (2, Field::Bytes(variant)) => {
                let (variant, count) = named_count(variant, 3);
                add(known.variants.entry(variant).or_default(), count.saturating_mul(times));
            }
            (3, Field::Bytes(rule)) => {
                let (name, count) = named_count(rule, 2);
                let known = known.rules.entry(name).or_default();
                add(&mut known.count, count.saturating_mul(times));
                for (number, field) in fields(rule) {
                    if let (3, Field::Bytes(assignment)) = (number, field) {
                        let (id, count) = named_count(assignment, 2);
                        add(known.assignments.entry(id).or_default(), count.saturating_mul(times));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The fields of a message. It was checked, so it does not end early.
fn fields(bytes: &[u8]) -> impl Iterator<Item = (u32, Field<'_>)> {
    let mut cursor = Cursor::new(bytes);
    std::iter::from_fn(move || cursor.field().ok().flatten())
}

/// The string in field `number` of a message: the last one, as a decoder has it.
fn text_of(message: &[u8], number: u32) -> &[u8] {
    let mut text: &[u8] = &[];
    for field in fields(message) {
        if let (found, Field::Bytes(bytes)) = field
            && found == number
        {
            text = bytes;
        }
    }
    text
}

/// The string in field 1 of a message and the `int64` in field `number`.
fn named_count(message: &[u8], number: u32) -> (&[u8], i64) {
    let (mut name, mut count): (&[u8], u64) = (&[], 0);
    for field in fields(message) {
        match field {
            (1, Field::Bytes(bytes)) => name = bytes,
            (found, Field::Varint(value)) if found == number => count = value,
            _ => {}
        }
    }
    (name, count.cast_signed())
}

/// A name on the wire; checked to be text.
fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn add(total: &mut i64, count: i64) {
    *total = total.saturating_add(count);
}

impl ClientSchemas<'_> {
    fn into_wire((client_credential, schemas): (&[u8], Self)) -> ClientResolveInfo {
        ClientResolveInfo {
            client: name(schemas.client),
            client_credential: name(client_credential),
            schema: schemas.distinct.into_values().collect(),
        }
    }
}

impl FlagCounts<'_> {
    fn into_wire((flag, counts): (&[u8], Self)) -> FlagResolveInfo {
        let variant = |(variant, count)| VariantResolveInfo { variant: name(variant), count };
        let assignment = |(assignment_id, count)| AssignmentResolveInfo { assignment_id: name(assignment_id), count };
        FlagResolveInfo {
            flag: name(flag),
            variant_resolve_info: counts.variants.into_iter().map(variant).collect(),
            rule_resolve_info: counts
                .rules
                .into_iter()
                .map(|(rule, counts)| RuleResolveInfo {
                    rule: name(rule),
                    count: counts.count,
                    assignment_resolve_info: counts.assignments.into_iter().map(assignment).collect(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
