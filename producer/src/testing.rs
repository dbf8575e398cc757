//! What the tests share: a small resolver state, and hosts.

use confidence_resolver::proto::Message as _;
use confidence_resolver::proto::confidence::flags::admin::v1::flag::rule::assignment::{
    Assignment as Kind, VariantAssignment,
};
use confidence_resolver::proto::confidence::flags::admin::v1::flag::rule::{Assignment, AssignmentSpec, BucketRange};
use confidence_resolver::proto::confidence::flags::admin::v1::flag::{Rule, Variant};
use confidence_resolver::proto::confidence::flags::admin::v1::{Flag, ResolverState as ResolverStatePb, Segment};
use confidence_resolver::proto::confidence::flags::resolver::v1::Sdk;
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
