//! A small resolver state: what the producer's targets resolve against, and the seed of the `state` target.

use confidence_resolver::{
    ResolverState,
    proto::{
        Message as _,
        confidence::{
            flags::{
                admin::v1::{
                    Flag, ResolverState as ResolverStateMessage, Segment,
                    flag::{
                        Rule, Variant,
                        rule::{
                            Assignment, AssignmentSpec, BucketRange,
                            assignment::{Assignment as Kind, VariantAssignment},
                        },
                    },
                },
                types::v1::{
                    Expression, Targeting, expression,
                    targeting::{
                        AllRule, AnyRule, ContainsRule, Criterion, EndsWithRule, EqRule, InnerRule, RangeRule,
                        SemanticVersion, SetRule, StartsWithRule, Value as TargetingValue, criterion,
                        criterion::{AttributeCriterion, attribute_criterion::Rule as AttributeRule},
                        inner_rule, range_rule, value,
                    },
                },
            },
            iam::v1::{Client, ClientCredential, client_credential},
        },
        google::{Struct, Timestamp, Value},
    },
};
use tributary_producer::config::{Config, Secret};
use tributary_producer::state::{StateError, parse};
use tributary_proto::v1::ClientResolverState;
use tributary_state::ServedState;

/// The client secret of the state.
pub(crate) const SECRET: &str = "zq7-secret-of-the-fuzzer";
/// The key of resolve tokens.
pub(crate) const KEY: [u8; 16] = [7; 16];

thread_local! {
    static STATE: ResolverState =
        resolver(state_bytes()).expect("the fixture is a resolver state");
}

/// Makes a resolver of the bytes that the CDN would serve.
pub(crate) fn resolver(bytes: Vec<u8>) -> Result<ResolverState, StateError> {
    parse(ServedState::decode(bytes.into())?)
}

/// Runs `work` on the state, which is parsed once per thread.
pub(crate) fn with_state<T>(work: impl FnOnce(&ResolverState) -> T) -> T {
    STATE.with(work)
}

/// A configuration with a key for resolve tokens.
pub(crate) fn config() -> Config {
    Config { encryption_key: Some(Secret::new(KEY)), ..Config::default() }
}

/// The bytes that the CDN would serve.
pub(crate) fn state_bytes() -> Vec<u8> {
    let wrapper = ClientResolverState {
        state: message().encode_to_vec(),
        account_id: "fuzz".to_owned(),
        log_destinations: vec![1, 2],
    };
    tributary_proto::Message::encode_to_vec(&wrapper)
}

/// One flag for everybody, one in two halves, and one for each kind of targeting rule.
fn message() -> ResolverStateMessage {
    let mut flags = vec![flag("flags/all", "segments/all", 100), flag("flags/half", "segments/all", 50)];
    let mut segments = vec![Segment { name: "segments/all".to_owned(), ..Segment::default() }];
    for (name, attribute, rule) in rules() {
        let segment = format!("segments/{name}");
        flags.push(flag(&format!("flags/{name}"), &segment, 100));
        segments.push(Segment { name: segment, targeting: Some(targeting(attribute, rule)), ..Segment::default() });
    }
    let secret = client_credential::ClientSecret { secret: SECRET.to_owned() };
    ResolverStateMessage {
        flags,
        segments_no_bitsets: segments,
        clients: vec![Client { name: "clients/fuzz".to_owned(), ..Client::default() }],
        client_credentials: vec![ClientCredential {
            name: "clients/fuzz/clientCredentials/one".to_owned(),
            credential: Some(client_credential::Credential::ClientSecret(secret)),
            ..ClientCredential::default()
        }],
        ..ResolverStateMessage::default()
    }
}

fn flag(name: &str, segment: &str, upper: i32) -> Flag {
    let variant = format!("{name}/variants/on");
    let enabled = Struct::from_iter([("enabled".to_owned(), Value::from(true))]);
    Flag {
        name: name.to_owned(),
        state: 1,
        clients: vec!["clients/fuzz".to_owned()],
        variants: vec![Variant { name: variant.clone(), value: Some(enabled), ..Variant::default() }],
        rules: vec![Rule {
            name: format!("{name}/rules/one"),
            segment: segment.to_owned(),
            enabled: true,
            assignment_spec: Some(AssignmentSpec {
                bucket_count: 100,
                assignments: vec![Assignment {
                    assignment_id: "on".to_owned(),
                    bucket_ranges: vec![BucketRange { lower: 0, upper }],
                    assignment: Some(Kind::Variant(VariantAssignment { variant })),
                }],
            }),
            ..Rule::default()
        }],
        ..Flag::default()
    }
}

fn rules() -> Vec<(&'static str, &'static str, AttributeRule)> {
    let wrap = |value| TargetingValue { value: Some(value) };
    let text = |text: &str| wrap(value::Value::StringValue(text.to_owned()));
    let version = |text: &str| wrap(value::Value::VersionValue(SemanticVersion { version: text.to_owned() }));
    let time = |seconds| wrap(value::Value::TimestampValue(Timestamp { seconds, nanos: 0 }));
    let range = |start, end| RangeRule {
        start: Some(range_rule::Start::StartInclusive(start)),
        end: Some(range_rule::End::EndExclusive(end)),
    };
    let number = |number| wrap(value::Value::NumberValue(number));
    let inner = |rule| Some(InnerRule { rule: Some(rule) });
    vec![
        ("eq", "country", AttributeRule::EqRule(EqRule { value: Some(text("SE")) })),
        ("true", "beta", AttributeRule::EqRule(EqRule { value: Some(wrap(value::Value::BoolValue(true))) })),
        ("set", "country", AttributeRule::SetRule(SetRule { values: vec![text("SE"), text("NO")] })),
        ("number", "user.age", AttributeRule::RangeRule(range(number(18.0), number(65.5)))),
        ("version", "version", AttributeRule::RangeRule(range(version("1.2.3"), version("2.0.0")))),
        ("time", "joined", AttributeRule::RangeRule(range(time(1_500_000_000), time(1_900_000_000)))),
        (
            "any",
            "tags",
            AttributeRule::AnyRule(AnyRule {
                rule: inner(inner_rule::Rule::EqRule(EqRule { value: Some(text("a")) })),
            }),
        ),
        (
            "every",
            "tags",
            AttributeRule::AllRule(AllRule {
                rule: inner(inner_rule::Rule::StartsWithRule(StartsWithRule { value: "a".to_owned() })),
            }),
        ),
        ("starts", "name", AttributeRule::StartsWithRule(StartsWithRule { value: "é".to_owned() })),
        ("ends", "name", AttributeRule::EndsWithRule(EndsWithRule { value: "z".to_owned() })),
        ("contains", "name", AttributeRule::ContainsRule(ContainsRule { value: "o".to_owned() })),
    ]
}

fn targeting(attribute: &str, rule: AttributeRule) -> Targeting {
    let attribute = AttributeCriterion { attribute_name: attribute.to_owned(), rule: Some(rule) };
    let criterion = Criterion { criterion: Some(criterion::Criterion::Attribute(attribute)) };
    Targeting {
        criteria: [("one".to_owned(), criterion)].into(),
        expression: Some(Expression { expression: Some(expression::Expression::Ref("one".to_owned())) }),
    }
}
