//! Each demo flag resolves as its table row says, by the resolver that the producer runs.

use confidence_resolver::proto::confidence::flags::resolver::v1::{
    ResolveFlagsRequest, ResolveProcessRequest, ResolvedFlag, Sdk, resolve_process_request, resolve_process_response,
};
use confidence_resolver::{Client, FlagToApply, Host, ResolvedValue, ResolverState};

use super::*;

struct Silent;

impl Host for Silent {
    fn log_resolve(_: &str, _: &Struct, _: &[ResolvedValue<'_>], _: &Client) {}
    fn log_assign(_: &str, _: &[FlagToApply<'_>], _: &Client, _: &Option<Sdk>) {}
}

fn parsed(bytes: &[u8]) -> ResolverState {
    let wrapper: ClientResolverState = tributary_proto::Message::decode(bytes).unwrap();
    assert_eq!((wrapper.account_id.as_str(), wrapper.log_destinations.as_slice()), (ACCOUNT_ID, &LOG_DESTINATIONS[..]));
    let state = admin::ResolverState::decode(&wrapper.state[..]).unwrap();
    ResolverState::from_proto(state, &wrapper.account_id, None).map_err(|_| "unusable").unwrap()
}

fn resolve(state: &ResolverState, flag: &str, user: &str, country: &str) -> Option<ResolvedFlag> {
    let context = format!(r#"{{"targeting_key":"{user}","country":"{country}"}}"#);
    let resolver = state.get_resolver_with_json_context::<Silent>("secret", &context, &vec![0; 16].into()).unwrap();
    let request = ResolveFlagsRequest { flags: vec![flag.to_owned()], apply: true, ..Default::default() };
    let response = resolver
        .resolve_flags(ResolveProcessRequest {
            resolve: Some(resolve_process_request::Resolve::WithoutMaterializations(request)),
        })
        .unwrap();
    let Some(resolve_process_response::Result::Resolved(resolved)) = response.result else { panic!("suspended") };
    resolved.response.unwrap().resolved_flags.pop()
}

/// How many of 2,000 users got each variant of `flag` (the empty name: none).
fn variants(flag: &str, country: &str) -> BTreeMap<String, usize> {
    variants_of(&demo_state("secret"), flag, country)
}

fn variants_of(state: &[u8], flag: &str, country: &str) -> BTreeMap<String, usize> {
    let state = parsed(state);
    let mut counts = BTreeMap::new();
    for user in 0..2_000 {
        let resolved = resolve(&state, flag, &format!("user-{user}"), country).unwrap();
        *counts.entry(resolved.variant.rsplit('/').next().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn checkout_button_splits_users_in_halves() {
    let counts = variants("flags/checkout-button", "US");
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["blue", "control"]);
    assert!((900..=1_100).contains(&counts["blue"]), "{counts:?}");
}

#[test]
fn new_search_is_for_nordic_countries_only() {
    assert_eq!(variants("flags/new-search", "SE"), BTreeMap::from([("enabled".to_owned(), 2_000)]));
    assert_eq!(variants("flags/new-search", "US"), BTreeMap::from([(String::new(), 2_000)]));
}

#[test]
fn dark_mode_falls_through_for_half_of_users() {
    let counts = variants("flags/dark-mode", "US");
    assert_eq!(counts.values().sum::<usize>(), 2_000);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["dark", "light"]);
    assert!((900..=1_100).contains(&counts["light"]), "{counts:?}");
}

#[test]
fn new_pricing_reaches_a_tenth_of_users() {
    let counts = variants("flags/new-pricing", "US");
    assert!((140..=260).contains(&counts["enabled"]), "{counts:?}");
    assert_eq!(counts["enabled"] + counts[""], 2_000);
}

#[test]
fn archived_flag_is_not_in_a_response() {
    assert_eq!(resolve(&parsed(&demo_state("secret")), "flags/old-banner", "user", "SE"), None);
}

#[test]
fn same_secret_gives_the_same_bytes() {
    assert_eq!(demo_state("a"), demo_state("a"));
    assert_ne!(demo_state("a"), demo_state("b"));
}

#[test]
fn a_changed_flag_gives_its_variant_to_everyone() {
    let changed = with_flag(&demo_state("secret"), "checkout-button", Some("blue")).unwrap();
    let all = |variant: &str| BTreeMap::from([(variant.to_owned(), 2_000)]);
    assert_eq!(variants_of(&changed, "flags/checkout-button", "US"), all("blue"));
    // The others are as they were, and it can be changed back.
    assert_eq!(variants_of(&changed, "flags/new-search", "SE"), all("enabled"));
    let back = with_flag(&changed, "checkout-button", Some("control")).unwrap();
    assert_eq!(variants_of(&back, "flags/checkout-button", "US"), all("control"));
    let archived = with_flag(&changed, "checkout-button", None).unwrap();
    assert_eq!(resolve(&parsed(&archived), "flags/checkout-button", "user", "SE"), None);
}

#[test]
fn a_change_that_makes_no_sense_is_refused() {
    let state = demo_state("secret");
    assert!(matches!(with_flag(b"no state", "x", None), Err(ChangeError::Unreadable(_))));
    assert!(matches!(with_flag(&state, "no-such-flag", None), Err(ChangeError::NoFlag(_))));
    assert!(matches!(with_flag(&state, "new-search", Some("red")), Err(ChangeError::NoVariant { .. })));
}
