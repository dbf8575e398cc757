//! Merging the flag logs of a batch into as few requests as say the same.
//!
//! Rules (WIRE facts of `WriteFlagLogsRequest`): assignments are events and are concatenated; schemas are a set by
//! credential; resolve counts are summed by flag, variant, rule and assignment id, and an id that only one message has
//! survives; telemetry is merged per sender identity (SDK and resolver version), so that nothing is attributed to a
//! version that did not send it, and a total that does not fit the wire's 32 bits goes out in several requests.

use std::collections::BTreeMap;

use tributary_proto::{
    Message as _,
    events::FlagAssigned,
    flag_logs::{Sdk, TelemetryData, WriteFlagLogsRequest},
    resolve_info::{
        ClientResolveInfo, FlagResolveInfo,
        client_resolve_info::EvaluationContextSchemaInstance,
        flag_resolve_info::{AssignmentResolveInfo, RuleResolveInfo, VariantResolveInfo},
    },
};
use tributary_telemetry::confidence::{TelemetryDelta, TelemetryMergeError};

/// Who sent telemetry: what must not be mixed in one report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SenderIdentity {
    /// The SDK or provider.
    pub sdk: Option<Sdk>,
    /// Version of the resolver library.
    pub resolver_version: String,
}

/// The merged flag logs of any number of messages.
#[derive(Clone, Debug, Default)]
pub struct MergedFlagLogs {
    assigned: Vec<FlagAssigned>,
    schemas: BTreeMap<String, ClientSchemas>,
    flags: BTreeMap<String, FlagCounts>,
    /// In the order of first appearance; a batch has one identity, or two while a deploy rolls out.
    telemetry: Vec<(SenderIdentity, TelemetryDelta)>,
}

#[derive(Clone, Debug, Default)]
struct ClientSchemas {
    client: String,
    /// By encoded bytes, which are canonical: maps are encoded in the order of their keys.
    distinct: BTreeMap<Vec<u8>, EvaluationContextSchemaInstance>,
}

/// Counts are `i64` on the wire. Sums saturate: 2^63 resolves in one batch are a hostile message, not a total.
#[derive(Clone, Debug, Default)]
struct FlagCounts {
    variants: BTreeMap<String, i64>,
    rules: BTreeMap<String, RuleCounts>,
}

#[derive(Clone, Debug, Default)]
struct RuleCounts {
    count: i64,
    assignments: BTreeMap<String, i64>,
}

impl MergedFlagLogs {
    /// Adds the logs of one message; its telemetry is added by [`MergedFlagLogs::add_telemetry`], where it was read.
    pub fn add_logs(&mut self, logs: WriteFlagLogsRequest) {
        let WriteFlagLogsRequest { flag_assigned, telemetry_data: _, client_resolve_info, flag_resolve_info } = logs;
        self.assigned.extend(flag_assigned);
        for info in client_resolve_info {
            self.add_schemas(info);
        }
        for info in flag_resolve_info {
            self.add_counts(info);
        }
    }

    /// Adds the telemetry of one message.
    ///
    /// # Errors
    /// [`TelemetryMergeError`] where a 64-bit total would overflow; nothing changes then.
    pub fn add_telemetry(
        &mut self,
        identity: &SenderIdentity,
        telemetry: &TelemetryDelta,
    ) -> Result<(), TelemetryMergeError> {
        match self.telemetry.iter_mut().find(|(known, _)| known == identity) {
            Some((_, merged)) => merged.merge(telemetry),
            None => {
                self.telemetry.push((identity.clone(), telemetry.clone()));
                Ok(())
            }
        }
    }

    /// True when there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.assigned.is_empty()
            && self.schemas.is_empty()
            && self.flags.is_empty()
            && self.telemetry.iter().all(|(_, telemetry)| telemetry.is_empty())
    }

    /// The requests that say what was merged: one, and one more for each further sender identity and each total that
    /// passes 32 bits. Logs and counts are in the first.
    pub fn into_requests(self) -> Vec<WriteFlagLogsRequest> {
        let mut telemetry = self.telemetry.into_iter().flat_map(|(identity, merged)| {
            merged.to_wire().into_iter().map(move |part| TelemetryData {
                sdk: identity.sdk.clone(),
                resolver_version: identity.resolver_version.clone(),
                ..part
            })
        });
        let first = WriteFlagLogsRequest {
            flag_assigned: self.assigned,
            telemetry_data: telemetry.next(),
            client_resolve_info: self.schemas.into_iter().map(ClientSchemas::into_wire).collect(),
            flag_resolve_info: self.flags.into_iter().map(FlagCounts::into_wire).collect(),
        };
        let mut requests = vec![first];
        requests.extend(
            telemetry
                .map(|part| WriteFlagLogsRequest { telemetry_data: Some(part), ..WriteFlagLogsRequest::default() }),
        );
        requests.retain(|request| *request != WriteFlagLogsRequest::default());
        requests
    }

    fn add_schemas(&mut self, info: ClientResolveInfo) {
        let ClientResolveInfo { client, client_credential, schema } = info;
        let known = self.schemas.entry(client_credential).or_default();
        if known.client.is_empty() {
            known.client = client;
        }
        for instance in schema {
            known.distinct.insert(instance.encode_to_vec(), instance);
        }
    }

    fn add_counts(&mut self, info: FlagResolveInfo) {
        let FlagResolveInfo { flag, variant_resolve_info, rule_resolve_info } = info;
        let known = self.flags.entry(flag).or_default();
        for VariantResolveInfo { variant, count } in variant_resolve_info {
            add(known.variants.entry(variant).or_default(), count);
        }
        for RuleResolveInfo { rule, count, assignment_resolve_info } in rule_resolve_info {
            let known = known.rules.entry(rule).or_default();
            add(&mut known.count, count);
            for AssignmentResolveInfo { assignment_id, count } in assignment_resolve_info {
                add(known.assignments.entry(assignment_id).or_default(), count);
            }
        }
    }
}

fn add(total: &mut i64, count: i64) {
    *total = total.saturating_add(count);
}

impl ClientSchemas {
    fn into_wire((client_credential, schemas): (String, Self)) -> ClientResolveInfo {
        ClientResolveInfo {
            client: schemas.client,
            client_credential,
            schema: schemas.distinct.into_values().collect(),
        }
    }
}

impl FlagCounts {
    fn into_wire((flag, counts): (String, Self)) -> FlagResolveInfo {
        let variant = |(variant, count)| VariantResolveInfo { variant, count };
        let assignment = |(assignment_id, count)| AssignmentResolveInfo { assignment_id, count };
        FlagResolveInfo {
            flag,
            variant_resolve_info: counts.variants.into_iter().map(variant).collect(),
            rule_resolve_info: counts
                .rules
                .into_iter()
                .map(|(rule, counts)| RuleResolveInfo {
                    rule,
                    count: counts.count,
                    assignment_resolve_info: counts.assignments.into_iter().map(assignment).collect(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
