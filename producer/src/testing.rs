//! What the tests share: a small resolver state, and hosts.

use confidence_resolver::proto::Message as _;
use confidence_resolver::proto::confidence::flags::admin::v1::flag::rule::assignment::{
    Assignment as Kind, FallthroughAssignment, VariantAssignment,
};
use confidence_resolver::proto::confidence::flags::admin::v1::flag::rule::materialization_spec::MaterializationReadMode;
use confidence_resolver::proto::confidence::flags::admin::v1::flag::rule::{
    Assignment, AssignmentSpec, BucketRange, MaterializationSpec,
};
use confidence_resolver::proto::confidence::flags::admin::v1::flag::{Rule, Variant};
use confidence_resolver::proto::confidence::flags::admin::v1::{Flag, ResolverState as ResolverStatePb, Segment};
use confidence_resolver::proto::confidence::flags::resolver::v1::Sdk;
use confidence_resolver::proto::confidence::flags::types::v1::targeting::{
    Criterion, EqRule, Value as TargetingValue, criterion, value,
};
use confidence_resolver::proto::confidence::flags::types::v1::{Expression, Targeting, expression};
use confidence_resolver::proto::confidence::iam::v1::{Client, ClientCredential, client_credential};
use confidence_resolver::proto::google::{Struct, Value};
use confidence_resolver::{FlagToApply, Host, ResolvedValue, ResolverState};
use tributary_proto::v1::ClientResolverState;
use tributary_state::ServedState;

use crate::state::StateError;

/// The client secret of [`state`].
pub(crate) const SECRET: &str = "zq7-secret-of-the-test";

/// A host with the resolver crate's own token code, that logs nothing.
pub(crate) struct PlainHost;

impl Host for PlainHost {
    fn log_resolve(_: &str, _: &Struct, _: &[ResolvedValue<'_>], _: &confidence_resolver::Client) {}
    fn log_assign(_: &str, _: &[FlagToApply<'_>], _: &confidence_resolver::Client, _: &Option<Sdk>) {}
}

/// Two flags for one client: `flags/all` gives everybody `on`, `flags/half` buckets by targeting key.
pub(crate) fn state() -> ResolverStatePb {
    let variant = |flag: &str, name: &str| Variant {
        name: format!("{flag}/variants/{name}"),
        value: Some(Struct::from_iter([("enabled".to_owned(), Value::from(name == "on"))])),
        ..Default::default()
    };
    let assignment = |flag: &str, name: &str, lower, upper| Assignment {
        assignment_id: name.to_owned(),
        bucket_ranges: vec![BucketRange { lower, upper }],
        assignment: Some(Kind::Variant(VariantAssignment { variant: format!("{flag}/variants/{name}") })),
    };
    let flag = |name: &str, assignments: Vec<Assignment>| Flag {
        name: name.to_owned(),
        state: 1,
        clients: vec!["clients/test".to_owned()],
        variants: vec![variant(name, "on"), variant(name, "off")],
        rules: vec![Rule {
            name: format!("{name}/rules/one"),
            segment: "segments/everybody".to_owned(),
            enabled: true,
            assignment_spec: Some(AssignmentSpec { bucket_count: 100, assignments }),
            ..Default::default()
        }],
        ..Default::default()
    };
    ResolverStatePb {
        flags: vec![
            flag("flags/all", vec![assignment("flags/all", "on", 0, 100)]),
            flag("flags/half", vec![assignment("flags/half", "on", 0, 50), assignment("flags/half", "off", 50, 100)]),
        ],
        segments_no_bitsets: vec![Segment { name: "segments/everybody".to_owned(), ..Default::default() }],
        clients: vec![Client { name: "clients/test".to_owned(), ..Default::default() }],
        client_credentials: vec![
            credential("clients/test/clientCredentials/one", SECRET),
            // Another client's secret in letters of several bytes: the crate's masking would cut inside one.
            credential("clients/test/clientCredentials/two", "ééééééééé"),
        ],
        ..Default::default()
    }
}

fn credential(name: &str, secret: &str) -> ClientCredential {
    let secret = client_credential::ClientSecret { secret: secret.to_owned() };
    ClientCredential {
        name: name.to_owned(),
        credential: Some(client_credential::Credential::ClientSecret(secret)),
        ..Default::default()
    }
}

/// The materialization of `flags/sticky` in [`sticky_state`].
pub(crate) const EXPERIMENT: &str = "materializedSegments/experiment";

/// [`state`] with flags that are sticky. All but those of `flags/members` hold for users in SE alone.
///
/// | flag | rules |
/// | --- | --- |
/// | `flags/sticky` | reads and writes [`EXPERIMENT`], whatever the targeting says later |
/// | `flags/write-only` | writes, and never reads |
/// | `flags/paused` | only those who are in it, and writes nothing |
/// | `flags/members` | whoever is in [`EXPERIMENT`] |
/// | `flags/holdout` | a first rule that lets all fall through and writes that, a second that is sticky |
pub(crate) fn sticky_state() -> ResolverStatePb {
    let mut state = state();
    let template = state.flags.iter().find(|flag| flag.name == "flags/half").cloned().unwrap_or_default();
    let flag = |name: &str, segment: &str, specs: &[Option<MaterializationSpec>]| {
        let rename = |text: &str| text.replace("flags/half", name);
        let mut flag = template.clone();
        flag.name = name.to_owned();
        for variant in &mut flag.variants {
            variant.name = rename(&variant.name);
        }
        let rule = flag.rules.remove(0);
        for (spec, number) in specs.iter().zip(["one", "two"]) {
            let mut rule = rule.clone();
            rule.name = format!("{name}/rules/{number}");
            rule.segment = segment.to_owned();
            rule.materialization_spec = spec.clone();
            for assignment in rule.assignment_spec.iter_mut().flat_map(|spec| &mut spec.assignments) {
                if let Some(Kind::Variant(variant)) = &mut assignment.assignment {
                    variant.variant = rename(&variant.variant);
                }
            }
            flag.rules.push(rule);
        }
        flag
    };
    let spec = |read: &str, write: &str, must_match, ignores_targeting| {
        let mode = MaterializationReadMode {
            materialization_must_match: must_match,
            segment_targeting_can_be_ignored: ignores_targeting,
        };
        let (read_materialization, write_materialization) = (read.to_owned(), write.to_owned());
        Some(MaterializationSpec { read_materialization, write_materialization, mode: Some(mode) })
    };
    let (paused, holdout, second) =
        ("materializedSegments/paused", "materializedSegments/holdout", "materializedSegments/second");
    let mut holdouts =
        flag("flags/holdout", SWEDEN, &[spec("", holdout, false, false), spec(second, second, false, true)]);
    if let Some(spec) = holdouts.rules.first_mut().and_then(|rule| rule.assignment_spec.as_mut()) {
        spec.assignments.truncate(1);
        for assignment in &mut spec.assignments {
            assignment.assignment = Some(Kind::Fallthrough(FallthroughAssignment {}));
            assignment.bucket_ranges = vec![BucketRange { lower: 0, upper: 100 }];
        }
    }
    state.flags.extend([
        flag("flags/sticky", SWEDEN, &[spec(EXPERIMENT, EXPERIMENT, false, true)]),
        flag("flags/write-only", SWEDEN, &[spec("", "materializedSegments/written", false, false)]),
        flag("flags/paused", SWEDEN, &[spec(paused, "", true, true)]),
        flag("flags/members", MEMBERS, &[None]),
        holdouts,
    ]);
    let country = criterion::Criterion::Attribute(criterion::AttributeCriterion {
        attribute_name: "country".to_owned(),
        rule: Some(criterion::attribute_criterion::Rule::EqRule(EqRule {
            value: Some(TargetingValue { value: Some(value::Value::StringValue("SE".to_owned())) }),
        })),
    });
    let member = criterion::Criterion::MaterializedSegment(criterion::MaterializedSegmentCriterion {
        materialized_segment: EXPERIMENT.to_owned(),
    });
    state.segments_no_bitsets.extend([targeted(SWEDEN, country), targeted(MEMBERS, member)]);
    state
}

const SWEDEN: &str = "segments/sweden";
const MEMBERS: &str = "segments/members";

fn targeted(name: &str, criterion: criterion::Criterion) -> Segment {
    let targeting = Targeting {
        criteria: [("one".to_owned(), Criterion { criterion: Some(criterion) })].into(),
        expression: Some(Expression { expression: Some(expression::Expression::Ref("one".to_owned())) }),
    };
    Segment { name: name.to_owned(), targeting: Some(targeting), ..Default::default() }
}

/// The resolver of `state`.
pub(crate) fn resolver(state: &ResolverStatePb) -> Result<ResolverState, StateError> {
    crate::state::parse(ServedState::decode(wrapped(state).into())?)
}

/// The bytes that the CDN would serve for `state`.
pub(crate) fn wrapped(state: &ResolverStatePb) -> Vec<u8> {
    let wrapper = ClientResolverState {
        state: state.encode_to_vec(),
        account_id: "test".to_owned(),
        log_destinations: Vec::new(),
    };
    tributary_proto::Message::encode_to_vec(&wrapper)
}
