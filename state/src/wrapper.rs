//! What the bytes of a state hold, as far as that can be said without the resolver, which only one of the Workers has.
//!
//! Nothing is copied: a state has megabytes, and an isolate 128 MB for everything.

use bytes::Bytes;
use prost::Message as _;

/// What the CDN serves, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedState {
    /// An encoded `confidence.flags.admin.v1.ResolverState`; a part of the bytes that were read, not a copy.
    pub state: Bytes,
    /// The account, without the `accounts/` prefix.
    pub account_id: String,
    /// Where flag logs go, as the wire's numbers: 1 the edge, 2 the Cloudflare ingest; first the primary.
    pub log_destinations: Vec<i32>,
}

/// Why bytes are no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Not the wrapper that the CDN serves.
    #[error("its wrapper does not decode (an encrypted state needs STATE_ENCRYPTION_KEY)")]
    Wrapper,
    /// Encrypted under another key, cut off, altered, or not encrypted at all.
    #[error(
        "it does not decrypt with STATE_ENCRYPTION_KEY: that is the key of another client credential, or the bytes were \
         cut off or altered, or never encrypted"
    )]
    Sealed,
    /// The wrapper is empty.
    #[error("there is no state in it")]
    Empty,
    /// The state inside is none.
    #[error("the state inside does not decode")]
    State,
    /// It names no account, which decides who gets which variant.
    #[error("it names no account")]
    NoAccount,
    /// Nobody could resolve with it.
    #[error("it holds no client credential")]
    NoCredential,
}

/// `tributary.v1.ClientResolverState`, with a state that is not copied out of the bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct Wrapper {
    #[prost(bytes = "bytes", tag = "1")]
    state: Bytes,
    #[prost(string, tag = "2")]
    account_id: String,
    #[prost(int32, repeated, tag = "4")]
    log_destinations: Vec<i32>,
}

/// What must be in a `confidence.flags.admin.v1.ResolverState`; decoding it reads over all other fields, so bytes that
/// were cut off or are something else do not decode.
#[derive(Clone, PartialEq, prost::Message)]
struct Outline {
    #[prost(bytes = "bytes", repeated, tag = "7")]
    client_credentials: Vec<Bytes>,
}

impl ServedState {
    /// Takes apart what the CDN serves, and looks whether it can be a state. Whether the resolver takes it is the
    /// resolver's to say.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn decode(bytes: Bytes) -> Result<Self, StateError> {
        let Wrapper { state, account_id, log_destinations } =
            Wrapper::decode(bytes).map_err(|_| StateError::Wrapper)?;
        if state.is_empty() {
            return Err(StateError::Empty);
        }
        let outline = Outline::decode(state.clone()).map_err(|_| StateError::State)?;
        if outline.client_credentials.is_empty() {
            return Err(StateError::NoCredential);
        }
        if account_id.is_empty() {
            return Err(StateError::NoAccount);
        }
        Ok(Self { state, account_id, log_destinations })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use tributary_proto::{Message as _, v1::ClientResolverState};

    use super::*;

    /// A state of one flag, two credentials and one bitset, by hand: tag, length, content.
    pub(crate) const STATE: &[u8] = &[0x0a, 2, 1, 2, 0x3a, 1, 9, 0x3a, 0, 0x2a, 3, 7, 7, 7];

    pub(crate) fn wrapped(state: &[u8]) -> Vec<u8> {
        let wrapper =
            ClientResolverState { state: state.to_vec(), account_id: "a".to_owned(), log_destinations: vec![2, 1] };
        wrapper.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<ServedState, StateError> {
        ServedState::decode(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn the_wrapper_is_read_and_its_state_is_not_copied() {
        let bytes = Bytes::from(wrapped(STATE));
        let served = ServedState::decode(bytes.clone()).unwrap();
        assert_eq!((&*served.state, served.account_id.as_str()), (STATE, "a"));
        assert_eq!(served.log_destinations, [2, 1]);
        assert!(bytes.as_ptr_range().contains(&served.state.as_ptr()));
    }

    #[test]
    fn what_is_no_state_is_refused_with_its_reason() {
        assert_eq!(decode(b""), Err(StateError::Empty));
        assert_eq!(decode(&wrapped(b"")), Err(StateError::Empty));
        assert_eq!(decode(b"<html>404</html>"), Err(StateError::Wrapper));
        assert_eq!(decode(&[0xff; 64]), Err(StateError::Wrapper));
        assert_eq!(decode(&wrapped(&[0xff; 64])), Err(StateError::State));
        assert_eq!(decode(&wrapped(&[0x0a, 2, 1, 2])), Err(StateError::NoCredential));
        // A state without its wrapper shares field numbers with it.
        assert!(decode(STATE).is_err());
    }

    #[test]
    fn a_state_that_was_cut_off_is_refused_wherever_the_cut_is() {
        let whole = wrapped(STATE);
        // Between the last two fields nothing shows a cut; what is missing then is where flag logs go.
        let boundary = whole.len() - 4;
        for end in (0..whole.len()).filter(|end| *end != boundary) {
            assert!(decode(&whole[..end]).is_err(), "{end} of {}", whole.len());
        }
        assert!(decode(&whole[..boundary]).unwrap().log_destinations.is_empty());
        assert_eq!(decode(&whole[..boundary - 3]), Err(StateError::NoAccount));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_state_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(served) = decode(&bytes) {
                prop_assert!(!served.state.is_empty());
            }
        }
    }
}
