//! Cuts what the resolver's loggers hold into pieces that fit a queue message.
//!
//! A [`Fragment`] is an encoded `WriteFlagLogsRequest` that holds a part of the records. Encoded requests concatenated
//! are one request, so a message is filled by appending fragments, without decoding anything. A record that alone is
//! over the size of a message is cut where its meaning allows it: an assignment event by its flags, a set of schemas
//! by schema, counts by variant, rule and assignment. What cannot be cut is given up and counted, never tried again.

use confidence_resolver::proto::Message;
use confidence_resolver::proto::confidence::flags::admin::v1::flag_resolve_info::RuleResolveInfo;
use confidence_resolver::proto::confidence::flags::admin::v1::{ClientResolveInfo, FlagResolveInfo};
use confidence_resolver::proto::confidence::flags::resolver::v1::WriteFlagLogsRequest;
use confidence_resolver::proto::confidence::flags::resolver::v1::events::FlagAssigned;

pub use tributary_emitter::flusher::Fragment;

/// What [`cut`] made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The pieces, assignments first.
    pub fragments: Vec<Fragment>,
    /// Assignments that alone are over the limit.
    pub oversize_assignments: u64,
    /// Other records (a schema, a count) that alone are over the limit.
    pub oversize_records: u64,
}

/// Bytes that wrapping costs at most: a tag and a length, twice (the record in the request, the item in the record).
const WRAP_BYTES: usize = 16;

/// Logs of at most this share of the limit stay in one piece: cut smaller, they would fill messages no better.
const WHOLE_SHARE: usize = 8;

/// Cuts `logs` into fragments of at most `limit` bytes each. Its telemetry, if any, is ignored.
pub fn cut(logs: WriteFlagLogsRequest, limit: usize) -> Cut {
    let mut cut = Cut::default();
    let logs = WriteFlagLogsRequest { telemetry_data: None, ..logs };
    if logs.encoded_len() <= limit / WHOLE_SHARE {
        let assignments = logs.flag_assigned.iter().map(|assigned| count(assigned.flags.len())).sum();
        let bytes = logs.encode_to_vec();
        cut.fragments.extend((!bytes.is_empty()).then_some(Fragment { bytes, assignments }));
        return cut;
    }
    for assigned in logs.flag_assigned {
        cut.assigned(assigned, limit);
    }
    for info in logs.client_resolve_info {
        cut.client_info(info, limit);
    }
    for info in logs.flag_resolve_info {
        cut.flag_info(info, limit);
    }
    cut
}

impl Cut {
    fn assigned(&mut self, assigned: FlagAssigned, limit: usize) {
        let flags = count(assigned.flags.len());
        let record = |part: FlagAssigned| WriteFlagLogsRequest { flag_assigned: vec![part], ..Default::default() };
        if fits(&assigned, limit) {
            self.fragments.push(Fragment { bytes: record(assigned).encode_to_vec(), assignments: flags });
            return;
        }
        let head = FlagAssigned { flags: Vec::new(), ..assigned };
        let (chunks, too_large) = chunk(assigned.flags, head.encoded_len(), limit);
        self.oversize_assignments = self.oversize_assignments.saturating_add(too_large);
        for flags in chunks {
            let assignments = count(flags.len());
            let bytes = record(FlagAssigned { flags, ..head.clone() }).encode_to_vec();
            self.fragments.push(Fragment { bytes, assignments });
        }
    }

    fn client_info(&mut self, info: ClientResolveInfo, limit: usize) {
        if fits(&info, limit) {
            return self.client_record(info);
        }
        let head = ClientResolveInfo { schema: Vec::new(), ..info };
        let (chunks, too_large) = chunk(info.schema, head.encoded_len(), limit);
        self.oversize_records = self.oversize_records.saturating_add(too_large);
        for schema in chunks {
            self.client_record(ClientResolveInfo { schema, ..head.clone() });
        }
    }

    fn client_record(&mut self, info: ClientResolveInfo) {
        let request = WriteFlagLogsRequest { client_resolve_info: vec![info], ..Default::default() };
        self.fragments.push(Fragment { bytes: request.encode_to_vec(), assignments: 0 });
    }

    fn flag_info(&mut self, info: FlagResolveInfo, limit: usize) {
        if fits(&info, limit) {
            return self.flag_record(info);
        }
        let head = FlagResolveInfo { flag: info.flag, ..Default::default() };
        let head_bytes = head.encoded_len();
        let (variants, too_large) = chunk(info.variant_resolve_info, head_bytes, limit);
        self.oversize_records = self.oversize_records.saturating_add(too_large);
        for variant_resolve_info in variants {
            self.flag_record(FlagResolveInfo { variant_resolve_info, ..head.clone() });
        }
        let mut rules = Vec::new();
        for rule in info.rule_resolve_info {
            if head_bytes.saturating_add(rule.encoded_len()).saturating_add(2 * WRAP_BYTES) <= limit {
                rules.push(rule);
                continue;
            }
            // The rule's own count goes with the first part only: counts are summed when parts are merged. Ten bytes
            // are the most that a count takes.
            let rule_head = RuleResolveInfo { rule: rule.rule, count: 0, assignment_resolve_info: Vec::new() };
            let rule_head_bytes = head_bytes.saturating_add(rule_head.encoded_len()).saturating_add(WRAP_BYTES + 10);
            let (parts, too_large) = chunk(rule.assignment_resolve_info, rule_head_bytes, limit);
            // Without any part the rule's own count is lost too.
            let lost = too_large.saturating_add(u64::from(parts.is_empty()));
            self.oversize_records = self.oversize_records.saturating_add(lost);
            let mut own_count = rule.count;
            for assignment_resolve_info in parts {
                let count = std::mem::take(&mut own_count);
                rules.push(RuleResolveInfo { count, assignment_resolve_info, ..rule_head.clone() });
            }
        }
        let (rules, too_large) = chunk(rules, head_bytes, limit);
        self.oversize_records = self.oversize_records.saturating_add(too_large);
        for rule_resolve_info in rules {
            self.flag_record(FlagResolveInfo { rule_resolve_info, ..head.clone() });
        }
    }

    fn flag_record(&mut self, info: FlagResolveInfo) {
        let request = WriteFlagLogsRequest { flag_resolve_info: vec![info], ..Default::default() };
        self.fragments.push(Fragment { bytes: request.encode_to_vec(), assignments: 0 });
    }
}

fn fits(record: &impl Message, limit: usize) -> bool {
    record.encoded_len().saturating_add(WRAP_BYTES) <= limit
}

/// Groups `items`, in order, so that a group and a head of `head_bytes` stay within `limit`; items that alone do not
/// are left out and counted.
fn chunk<T: Message>(items: Vec<T>, head_bytes: usize, limit: usize) -> (Vec<Vec<T>>, u64) {
    let room = limit.saturating_sub(head_bytes).saturating_sub(WRAP_BYTES);
    let mut chunks: Vec<Vec<T>> = Vec::new();
    let mut current = Vec::new();
    let mut used = 0_usize;
    let mut too_large = 0_u64;
    for item in items {
        let bytes = item.encoded_len().saturating_add(WRAP_BYTES);
        if bytes > room {
            too_large = too_large.saturating_add(1);
            continue;
        }
        if used.saturating_add(bytes) > room {
            chunks.push(std::mem::take(&mut current));
            used = 0;
        }
        used = used.saturating_add(bytes);
        current.push(item);
    }
    if !current.is_empty() {
        chunks.push(current);
    }
    (chunks, too_large)
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
