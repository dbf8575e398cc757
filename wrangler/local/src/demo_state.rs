//! A small resolver state of our own, so that a fresh clone has something to resolve.
//!
//! | flag | what it shows |
//! | --- | --- |
//! | `flags/checkout-button` | two variants, half of all users each |
//! | `flags/new-search` | targeting: only `country` SE, NO, DK or FI |
//! | `flags/dark-mode` | a first rule that lets half fall through to the second |
//! | `flags/new-pricing` | a segment that allocates a tenth of all users |
//! | `flags/old-banner` | archived: never in a response |

use std::collections::BTreeMap;

use confidence_resolver::proto::Message as _;
use confidence_resolver::proto::confidence::flags::admin::v1 as admin;
use confidence_resolver::proto::confidence::flags::types::v1 as types;
use confidence_resolver::proto::confidence::iam::v1 as iam;
use confidence_resolver::proto::google::{Struct, Value, value};
use tributary_proto::v1::ClientResolverState;

mod change;

pub use change::{ChangeError, with_flag};

use admin::flag::rule::{Assignment, AssignmentSpec, BucketRange, assignment};
use admin::flag::{Rule, State as FlagState, Variant};
use admin::resolver_state::{PackedBitset, packed_bitset};

/// Account of the demo, without the `accounts/` prefix. It salts the bucketing.
pub const ACCOUNT_ID: &str = "demo";
/// The demo's only client.
pub const CLIENT: &str = "clients/demo";
/// Its credential.
pub const CREDENTIAL: &str = "clients/demo/credentials/local";

/// Edge first, then the Cloudflare ingest: both paths of the consumer can be seen locally.
const LOG_DESTINATIONS: [i32; 2] = [1, 2];
/// The resolver spreads users over this many buckets of a segment's bitset.
const SEGMENT_BUCKETS: usize = 1_000_000;
/// Buckets of a rule; any number that halves.
const RULE_BUCKETS: i32 = 1_000;

const EVERYONE: &str = "segments/everyone";
const NORDICS: &str = "segments/nordics";
const TENTH: &str = "segments/tenth";

/// Builds the demo state as the Confidence CDN would serve it: an encoded `ClientResolverState`.
#[must_use]
pub fn demo_state(client_secret: &str) -> Vec<u8> {
    let state = resolver_state(client_secret).encode_to_vec();
    let wrapper =
        ClientResolverState { state, account_id: ACCOUNT_ID.to_owned(), log_destinations: LOG_DESTINATIONS.to_vec() };
    tributary_proto::Message::encode_to_vec(&wrapper)
}

fn resolver_state(client_secret: &str) -> admin::ResolverState {
    admin::ResolverState {
        flags: flags(),
        segments_no_bitsets: vec![
            segment(EVERYONE, None),
            segment(NORDICS, Some(nordic_countries())),
            segment(TENTH, None),
        ],
        bitsets: vec![full(EVERYONE), full(NORDICS), allocated(TENTH, SEGMENT_BUCKETS / 10)],
        clients: vec![iam::Client { name: CLIENT.to_owned(), display_name: "Demo".to_owned(), ..Default::default() }],
        client_credentials: vec![iam::ClientCredential {
            name: CREDENTIAL.to_owned(),
            display_name: "Local".to_owned(),
            credential: Some(iam::client_credential::Credential::ClientSecret(iam::client_credential::ClientSecret {
                secret: client_secret.to_owned(),
            })),
            ..Default::default()
        }],
        region: admin::resolver_state::Region::Eu.into(),
        ..Default::default()
    }
}

fn flags() -> Vec<admin::Flag> {
    let half = RULE_BUCKETS / 2;
    vec![
        flag(
            "checkout-button",
            &[("control", text("color", "grey")), ("blue", text("color", "blue"))],
            vec![(
                "split",
                EVERYONE,
                vec![("control", Some("control"), 0, half), ("blue", Some("blue"), half, RULE_BUCKETS)],
            )],
        ),
        flag(
            "new-search",
            &[("enabled", enabled(true))],
            vec![("nordics", NORDICS, vec![("", Some("enabled"), 0, RULE_BUCKETS)])],
        ),
        flag(
            "dark-mode",
            &[("dark", text("theme", "dark")), ("light", text("theme", "light"))],
            vec![
                ("trial", EVERYONE, vec![("holdout", None, 0, half), ("dark", Some("dark"), half, RULE_BUCKETS)]),
                ("default", EVERYONE, vec![("", Some("light"), 0, RULE_BUCKETS)]),
            ],
        ),
        flag(
            "new-pricing",
            &[("enabled", enabled(true))],
            vec![("tenth", TENTH, vec![("enabled", Some("enabled"), 0, RULE_BUCKETS)])],
        ),
        admin::Flag {
            state: FlagState::Archived.into(),
            ..flag(
                "old-banner",
                &[("shown", enabled(true))],
                vec![("all", EVERYONE, vec![("", Some("shown"), 0, RULE_BUCKETS)])],
            )
        },
    ]
}

/// Rule id, segment, and its assignments: assignment id, variant (`None` falls through), buckets `[lower, upper)`.
type RuleSketch<'a> = (&'a str, &'a str, Vec<(&'a str, Option<&'a str>, i32, i32)>);

fn flag(
    id: &str,
    variants: &[(&str, (Struct, types::flag_schema::StructFlagSchema))],
    rules: Vec<RuleSketch<'_>>,
) -> admin::Flag {
    let name = format!("flags/{id}");
    let variant_name = |variant: &str| format!("{name}/variants/{variant}");
    admin::Flag {
        schema: variants.first().map(|(_, (_, schema))| schema.clone()),
        variants: variants
            .iter()
            .map(|(variant, (value, _))| Variant {
                name: variant_name(variant),
                value: Some(value.clone()),
                ..Default::default()
            })
            .collect(),
        state: FlagState::Active.into(),
        rules: rules.into_iter().map(|sketch| rule(&name, sketch)).collect(),
        clients: vec![CLIENT.to_owned()],
        name,
        ..Default::default()
    }
}

fn rule(flag: &str, (id, segment, assignments): RuleSketch<'_>) -> Rule {
    let assignments = assignments.into_iter().map(|(id, variant, lower, upper)| Assignment {
        assignment_id: id.to_owned(),
        assignment: Some(match variant {
            Some(variant) => assignment::Assignment::Variant(assignment::VariantAssignment {
                variant: format!("{flag}/variants/{variant}"),
            }),
            None => assignment::Assignment::Fallthrough(assignment::FallthroughAssignment {}),
        }),
        bucket_ranges: vec![BucketRange { lower, upper }],
    });
    Rule {
        name: format!("{flag}/rules/{id}"),
        segment: segment.to_owned(),
        enabled: true,
        assignment_spec: Some(AssignmentSpec { bucket_count: RULE_BUCKETS, assignments: assignments.collect() }),
        ..Default::default()
    }
}

fn segment(name: &str, targeting: Option<types::Targeting>) -> admin::Segment {
    admin::Segment { name: name.to_owned(), targeting, state: admin::segment::State::Ok.into(), ..Default::default() }
}

/// `country` is one of four.
fn nordic_countries() -> types::Targeting {
    use types::targeting::{Criterion, SetRule, Value, criterion, value};
    let values = ["SE", "NO", "DK", "FI"]
        .map(|country| Value { value: Some(value::Value::StringValue(country.to_owned())) })
        .to_vec();
    let criterion = Criterion {
        criterion: Some(criterion::Criterion::Attribute(criterion::AttributeCriterion {
            attribute_name: "country".to_owned(),
            rule: Some(criterion::attribute_criterion::Rule::SetRule(SetRule { values })),
        })),
    };
    types::Targeting {
        criteria: BTreeMap::from([("country".to_owned(), criterion)]),
        expression: Some(types::Expression {
            expression: Some(types::expression::Expression::Ref("country".to_owned())),
        }),
    }
}

fn full(segment: &str) -> PackedBitset {
    PackedBitset { segment: segment.to_owned(), bitset: Some(packed_bitset::Bitset::FullBitset(true)) }
}

/// The first `buckets` of [`SEGMENT_BUCKETS`] are in (rounded down to whole bytes); users hash evenly over them all.
fn allocated(segment: &str, buckets: usize) -> PackedBitset {
    let mut bits = vec![0xff; buckets / 8];
    bits.resize(SEGMENT_BUCKETS / 8, 0);
    PackedBitset { segment: segment.to_owned(), bitset: Some(packed_bitset::Bitset::GzippedBitset(gzip(&bits))) }
}

/// One gzip member (RFC 1952) with the plainest header, the only one that resolvers read.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    const LEVEL: u8 = 6;
    let mut member = HEADER.to_vec();
    member.extend(miniz_oxide::deflate::compress_to_vec(bytes, LEVEL));
    member.extend(crc32fast::hash(bytes).to_le_bytes());
    // The format keeps the size modulo 2^32; ours is 125,000 bytes.
    member.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    member
}

fn enabled(is_enabled: bool) -> (Struct, types::flag_schema::StructFlagSchema) {
    use types::flag_schema::{BoolFlagSchema, SchemaType};
    field("enabled", value::Kind::BoolValue(is_enabled), SchemaType::BoolSchema(BoolFlagSchema {}))
}

fn text(name: &str, content: &str) -> (Struct, types::flag_schema::StructFlagSchema) {
    use types::flag_schema::{SchemaType, StringFlagSchema};
    field(name, value::Kind::StringValue(content.to_owned()), SchemaType::StringSchema(StringFlagSchema {}))
}

fn field(
    name: &str,
    kind: value::Kind,
    schema_type: types::flag_schema::SchemaType,
) -> (Struct, types::flag_schema::StructFlagSchema) {
    let value = Struct { fields: [(name.to_owned(), Value { kind: Some(kind) })].into() };
    let schema = types::FlagSchema { schema_type: Some(schema_type) };
    (value, types::flag_schema::StructFlagSchema { schema: BTreeMap::from([(name.to_owned(), schema)]) })
}

#[cfg(test)]
#[path = "demo_state/tests.rs"]
mod tests;
