//! A state with one flag changed: what a person does in Confidence's console.

use confidence_resolver::proto::Message as _;
use confidence_resolver::proto::confidence::flags::admin::v1 as admin;
use tributary_proto::v1::ClientResolverState;

use super::{EVERYONE, FlagState, RULE_BUCKETS, RuleSketch, rule};

/// Why a flag could not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The bytes are no state.
    #[error("this is no resolver state: {0}")]
    Unreadable(String),
    /// The state has no such flag.
    #[error("the state has no flag {0:?}")]
    NoFlag(String),
    /// The flag has no such variant.
    #[error("flag {flag:?} has no variant {variant:?}")]
    NoVariant {
        /// The flag.
        flag: String,
        /// The variant.
        variant: String,
    },
}

/// The state, as the CDN serves it, in which everyone gets `variant` of `flag`; without a variant it is archived.
///
/// The state must have the demo state's segment of everyone. Both names are short: `checkout-button`, `blue`.
///
/// # Errors
/// [`ChangeError`].
pub fn with_flag(state: &[u8], flag: &str, variant: Option<&str>) -> Result<Vec<u8>, ChangeError> {
    let mut wrapper = <ClientResolverState as tributary_proto::Message>::decode(state)
        .map_err(|error| ChangeError::Unreadable(error.to_string()))?;
    let mut inner = admin::ResolverState::decode(wrapper.state.as_slice())
        .map_err(|error| ChangeError::Unreadable(error.to_string()))?;
    let name = format!("flags/{flag}");
    let found = inner.flags.iter_mut().find(|candidate| candidate.name == name);
    let found = found.ok_or_else(|| ChangeError::NoFlag(flag.to_owned()))?;
    match variant {
        None => found.state = FlagState::Archived.into(),
        Some(variant) => {
            let full = format!("{name}/variants/{variant}");
            if !found.variants.iter().any(|candidate| candidate.name == full) {
                return Err(ChangeError::NoVariant { flag: flag.to_owned(), variant: variant.to_owned() });
            }
            let sketch: RuleSketch<'_> = ("changed", EVERYONE, vec![(variant, Some(variant), 0, RULE_BUCKETS)]);
            found.rules = vec![rule(&name, sketch)];
            found.state = FlagState::Active.into();
        }
    }
    wrapper.state = inner.encode_to_vec();
    Ok(tributary_proto::Message::encode_to_vec(&wrapper))
}
