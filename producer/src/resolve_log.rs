//! What resolves came to since the last drain, counted: by flag, variant, rule and assignment, and the schemas of their
//! contexts.
//!
//! The resolver crate's own log does the same for many threads at a time. An isolate has one, and what that takes (maps
//! that are built anew with each drain, allocated to pages) was most of what a resolve cost between request and response.

use std::collections::BTreeMap;

use confidence_resolver::ResolvedValue;
use confidence_resolver::proto::confidence::flags::admin::v1::client_resolve_info::EvaluationContextSchemaInstance;
use confidence_resolver::proto::confidence::flags::admin::v1::flag_resolve_info::{
    AssignmentResolveInfo, RuleResolveInfo, VariantResolveInfo,
};
use confidence_resolver::proto::confidence::flags::admin::v1::{ClientResolveInfo, FlagResolveInfo};
use confidence_resolver::proto::confidence::flags::resolver::v1::WriteFlagLogsRequest;
use confidence_resolver::proto::google::Struct;

use crate::limits::MAX_SCHEMAS_PER_CLIENT;
use crate::schema::resolve_log_of;

/// The resolves since the last drain.
#[derive(Debug, Default)]
pub struct ResolveLog {
    /// By credential.
    clients: BTreeMap<String, Client>,
    flags: BTreeMap<String, Flag>,
}

#[derive(Debug)]
struct Client {
    client: String,
    schemas: Vec<EvaluationContextSchemaInstance>,
}

/// Counts are `i64` on the wire. 2^63 resolves are out of reach.
#[derive(Debug, Default)]
struct Flag {
    variants: BTreeMap<String, i64>,
    rules: BTreeMap<String, Rule>,
}

#[derive(Debug, Default)]
struct Rule {
    count: i64,
    assignments: BTreeMap<String, i64>,
}

impl ResolveLog {
    /// Counts one resolve: `values` is what it came to, in the context and for the credential that it was made with.
    pub fn add(&mut self, context: &Struct, credential: &str, values: &[ResolvedValue<'_>]) {
        let (flags, client) = resolve_log_of(context, credential, values);
        self.add_client(client);
        flags.into_iter().for_each(|flag| self.add_flag(flag));
    }

    /// Says whether there was none.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.flags.is_empty()
    }

    /// Takes everything, in the order of names.
    pub fn drain(&mut self) -> WriteFlagLogsRequest {
        let Self { clients, flags } = std::mem::take(self);
        let client = |(client_credential, Client { client, schemas })| ClientResolveInfo {
            client,
            client_credential,
            schema: schemas,
        };
        WriteFlagLogsRequest {
            client_resolve_info: clients.into_iter().map(client).collect(),
            flag_resolve_info: flags.into_iter().map(Flag::into_info).collect(),
            ..WriteFlagLogsRequest::default()
        }
    }

    fn add_client(&mut self, info: ClientResolveInfo) {
        let ClientResolveInfo { client, client_credential, schema } = info;
        let known = self.clients.entry(client_credential).or_insert_with(|| Client { client, schemas: Vec::new() });
        for schema in schema {
            // A sample of what contexts look like, not a count: the first stay.
            if known.schemas.len() < MAX_SCHEMAS_PER_CLIENT && !known.schemas.contains(&schema) {
                known.schemas.push(schema);
            }
        }
    }

    fn add_flag(&mut self, info: FlagResolveInfo) {
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

impl Flag {
    fn into_info((flag, counts): (String, Self)) -> FlagResolveInfo {
        let variant = |(variant, count)| VariantResolveInfo { variant, count };
        let assignment = |(assignment_id, count)| AssignmentResolveInfo { assignment_id, count };
        let rule = |(rule, Rule { count, assignments })| RuleResolveInfo {
            rule,
            count,
            assignment_resolve_info: assignments.into_iter().map(assignment).collect(),
        };
        FlagResolveInfo {
            flag,
            variant_resolve_info: counts.variants.into_iter().map(variant).collect(),
            rule_resolve_info: counts.rules.into_iter().map(rule).collect(),
        }
    }
}

fn add(total: &mut i64, count: i64) {
    *total = total.saturating_add(count);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use confidence_resolver::proto::confidence::flags::resolver::v1::Sdk;
    use confidence_resolver::resolve_logger::ResolveLogger;
    use confidence_resolver::{FlagToApply, Host};
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::testing::{SECRET, resolver, sticky_state};

    /// Logs with the resolver crate's own log and with ours.
    struct BothLogs;

    thread_local! {
        static THEIRS: ResolveLogger<BothLogs> = ResolveLogger::new();
        static OURS: RefCell<ResolveLog> = RefCell::default();
    }

    impl Host for BothLogs {
        fn log_resolve(id: &str, context: &Struct, values: &[ResolvedValue<'_>], client: &confidence_resolver::Client) {
            let credential = &client.client_credential_name;
            THEIRS.with(|log| log.log_resolve(id, context, credential, values, client));
            OURS.with_borrow_mut(|log| log.add(context, credential, values));
        }

        fn log_assign(_: &str, _: &[FlagToApply<'_>], _: &confidence_resolver::Client, _: &Option<Sdk>) {}
    }

    fn sorted(mut logs: WriteFlagLogsRequest) -> WriteFlagLogsRequest {
        logs.client_resolve_info.sort_by(|left, right| left.client_credential.cmp(&right.client_credential));
        for client in &mut logs.client_resolve_info {
            client.schema.sort_by_key(|schema| format!("{schema:?}"));
        }
        logs.flag_resolve_info.sort_by(|left, right| left.flag.cmp(&right.flag));
        for flag in &mut logs.flag_resolve_info {
            flag.variant_resolve_info.sort_by(|left, right| left.variant.cmp(&right.variant));
            flag.rule_resolve_info.sort_by(|left, right| left.rule.cmp(&right.rule));
            for rule in &mut flag.rule_resolve_info {
                rule.assignment_resolve_info.sort_by(|left, right| left.assignment_id.cmp(&right.assignment_id));
            }
        }
        logs
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_says_what_the_crates_own_log_says(
            users in proptest::collection::vec((0..9_u32, "[A-Z]{2}", any::<bool>()), 1..12), rounds in 1..3,
        ) {
            let state = resolver(&sticky_state()).unwrap();
            let config = Config::default();
            for _ in 0..rounds {
                for (user, country, is_other) in &users {
                    let extra = if *is_other { r#","other":[1]"# } else { "" };
                    let body = format!(
                        r#"{{"clientSecret":"{SECRET}","apply":true,"evaluationContext":{{"targeting_key":"{user}","country":"{country}"{extra}}}}}"#
                    );
                    let call = crate::resolve::parse(body.as_bytes(), &config).unwrap();
                    drop(crate::resolve::run::<BothLogs>(call, &state, &config, false));
                }
                let ours = OURS.with_borrow_mut(ResolveLog::drain);
                prop_assert!(!ours.flag_resolve_info.is_empty());
                prop_assert_eq!(sorted(ours), sorted(THEIRS.with(ResolveLogger::checkpoint)));
                prop_assert!(OURS.with_borrow(ResolveLog::is_empty));
            }
        }
    }

    #[test]
    fn schemas_are_bounded_and_each_is_there_once() {
        let mut log = ResolveLog::default();
        for field in 0..2 * MAX_SCHEMAS_PER_CLIENT {
            let context: Struct = serde_json::from_str(&format!("{{\"field-{field}\":1}}")).unwrap();
            log.add(&context, "clients/a/clientCredentials/b", &[]);
            log.add(&context, "clients/a/clientCredentials/b", &[]);
        }
        let [info] = &log.drain().client_resolve_info[..] else { panic!("one client") };
        assert_eq!((info.client.as_str(), info.schema.len()), ("clients/a", MAX_SCHEMAS_PER_CLIENT));
    }
}
