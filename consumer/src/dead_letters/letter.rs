//! Reasons; a message as a letter, and a letter as the message that it was.

use tributary_proto::{
    dead_letter::{DeadLetter, MAX_MESSAGE_ID_BYTES},
    v1::dead_letter::Body,
};

use crate::message::{MessageBody, QueueMessage};

/// The reason of a message whose deliveries ran out: nothing was wrong with it that would not pass.
pub const RETRIES_EXHAUSTED: &str = "retries_exhausted";

/// What a reason that is none of ours counts as.
pub const OTHER: &str = "other";

/// Every reason but those of the backend, which are `backend_` and a status: what a new Ledger shows at 0.
pub const REASONS: [&str; 8] =
    [RETRIES_EXHAUSTED, OTHER, "body_type", "oversize", "protobuf", "format", "invalid", "flag_logs"];

/// The reason of a message that the backend refuses for good.
pub fn backend_reason(status: u16) -> String {
    format!("backend_{status}")
}

/// A reason as a label value: one of a closed set, whatever a letter from outside says.
pub fn label_of(reason: &str) -> &str {
    let is_status = |digits: &str| digits.len() == 3 && digits.starts_with('4') && digits.parse::<u16>().is_ok();
    if REASONS.contains(&reason) || reason.strip_prefix("backend_").is_some_and(is_status) { reason } else { OTHER }
}

/// The letter of a message.
pub fn letter_of(message: &QueueMessage, reason: impl Into<String>, detail: String, now_ms: u64) -> DeadLetter {
    DeadLetter {
        reason: reason.into(),
        detail,
        message_id: bounded_id(&message.id),
        attempts: message.attempts,
        sent_ms: message.sent_ms,
        dead_ms: now_ms,
        body: match &message.body {
            MessageBody::Bytes(bytes) => Some(Body::Bytes(bytes.clone())),
            MessageBody::Text(text) => Some(Body::Text(text.clone())),
            MessageBody::Json(text) => Some(Body::Json(text.clone())),
            MessageBody::Other => None,
        },
    }
}

/// The platform's ids have 32 characters. One that does not fit a letter is shortened to a hash, the same every time.
fn bounded_id(id: &str) -> String {
    if !id.is_empty() && id.len() <= MAX_MESSAGE_ID_BYTES {
        return id.to_owned();
    }
    use sha2::Digest as _;
    sha2::Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The letter that a message of the dead-letter queue is or becomes: ours as we sent it, or a message that the queue
/// itself moved there because its deliveries ran out.
pub fn letter_from_dead_queue(message: &QueueMessage, now_ms: u64) -> DeadLetter {
    if let MessageBody::Bytes(bytes) = &message.body
        && let Ok(letter) = DeadLetter::decode(bytes)
        // A text message that was redriven goes about as its letter: what the queue moved is the text, not a letter.
        && letter.reason != REDRIVEN
    {
        return letter;
    }
    let original = redriven(message);
    let message = original.as_ref().unwrap_or(message);
    letter_of(message, RETRIES_EXHAUSTED, "the queue moved it here after its last delivery".into(), now_ms)
}

/// The reason word of a letter that is a text message on its way back, and no dead letter.
const REDRIVEN: &str = "redriven";

/// What a letter is sent back to the queue as. `None` where that cannot be done: it has no content.
pub fn back_to_queue(letter: &DeadLetter) -> Option<MessageBody> {
    match letter.body.as_ref()? {
        Body::Bytes(bytes) => Some(MessageBody::Bytes(bytes.clone())),
        Body::Json(text) => Some(MessageBody::Json(text.clone())),
        // Text has no stream and sequence: it counts once by its message id, and gets a new one when it is sent. So the
        // first id, and the time that decides when that id is forgotten, go along.
        Body::Text(_) => {
            let wrapped = DeadLetter { reason: REDRIVEN.into(), detail: String::new(), ..letter.clone() };
            wrapped.encode().ok().map(MessageBody::Bytes)
        }
    }
}

/// The text message that came back as [`back_to_queue`] sent it: with its first id and time. `None` for any other.
pub fn redriven(message: &QueueMessage) -> Option<QueueMessage> {
    let MessageBody::Bytes(bytes) = &message.body else { return None };
    let letter = DeadLetter::decode(bytes).ok().filter(|letter| letter.reason == REDRIVEN)?;
    let Some(Body::Text(text)) = letter.body else { return None };
    Some(QueueMessage {
        id: letter.message_id,
        sent_ms: letter.sent_ms,
        attempts: message.attempts,
        body: MessageBody::Text(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: MessageBody) -> QueueMessage {
        QueueMessage { id: "id-1".into(), sent_ms: 5_000, attempts: 3, body }
    }

    fn dead(body: MessageBody) -> DeadLetter {
        letter_of(&message(body), "protobuf", "why".into(), 9_000)
    }

    #[test]
    fn a_letter_goes_back_as_it_came() {
        for body in
            [MessageBody::Bytes(vec![0, 0xff]), MessageBody::Bytes(vec![]), MessageBody::Json("{\"a\":[1]}".into())]
        {
            assert_eq!(back_to_queue(&dead(body.clone())), Some(body));
        }
        assert_eq!(back_to_queue(&dead(MessageBody::Other)), None);
    }

    #[test]
    fn a_text_message_keeps_its_first_id_and_time_however_often_it_is_redriven() {
        let original = message(MessageBody::Text("{}".into()));
        let mut travelling = original.clone();
        for round in 0..5 {
            let letter = letter_of(&travelling, "flag_logs", "why".into(), 9_000 + round);
            let sent = QueueMessage {
                id: format!("new-{round}"),
                sent_ms: 50_000,
                attempts: 1,
                body: back_to_queue(&letter).unwrap(),
            };
            travelling = redriven(&sent).unwrap();
            assert_eq!(travelling, QueueMessage { attempts: 1, ..original.clone() });
        }
    }

    #[test]
    fn what_the_queue_moved_is_told_from_what_we_sent() {
        let ours = dead(MessageBody::Bytes(b"garbage".to_vec()));
        let sent = |body| QueueMessage { id: "other".into(), sent_ms: 7, attempts: 1, body };
        let bytes = MessageBody::Bytes(ours.encode().unwrap());
        assert_eq!(letter_from_dead_queue(&sent(bytes), 10_000), ours);
        for body in [
            MessageBody::Bytes(b"garbage".to_vec()),
            MessageBody::Text("x".into()),
            MessageBody::Json("7".into()),
            MessageBody::Other,
        ] {
            let letter = letter_from_dead_queue(&message(body.clone()), 10_000);
            assert_eq!((letter.reason.as_str(), letter.message_id.as_str()), (RETRIES_EXHAUSTED, "id-1"));
            assert_eq!((letter.sent_ms, letter.dead_ms), (5_000, 10_000));
        }
        // A redriven text that ran out of deliveries is that text, under its first id.
        let wrapped = back_to_queue(&dead(MessageBody::Text("hello".into()))).unwrap();
        let letter = letter_from_dead_queue(&sent(wrapped), 10_000);
        assert_eq!((letter.reason.as_str(), letter.message_id.as_str()), (RETRIES_EXHAUSTED, "id-1"));
        assert_eq!(letter.body, Some(Body::Text("hello".into())));
    }

    #[test]
    fn no_letter_but_a_redriven_text_is_unwrapped() {
        for body in [
            MessageBody::Bytes(dead(MessageBody::Text("x".into())).encode().unwrap()),
            MessageBody::Bytes(vec![]),
            MessageBody::Text("x".into()),
            MessageBody::Other,
        ] {
            assert_eq!(redriven(&message(body)), None);
        }
    }

    #[test]
    fn every_reason_that_can_be_made_is_its_own_label_and_no_other() {
        for reason in REASONS {
            assert_eq!(label_of(reason), reason);
        }
        for status in 400..500 {
            assert_eq!(label_of(&backend_reason(status)), backend_reason(status));
        }
        for reason in ["backend_", "backend_4", "backend_4000", "backend_500", "backend_4x4", "backend_+40", "mine", ""]
        {
            assert_eq!(label_of(reason), OTHER, "{reason}");
        }
    }

    #[test]
    fn an_id_that_fits_no_letter_is_replaced_by_the_same_hash_each_time() {
        let id =
            |id: &str| letter_of(&QueueMessage { id: id.into(), ..message(MessageBody::Other) }, "x", String::new(), 0);
        for odd in ["", &"x".repeat(5_000)] {
            assert_eq!((id(odd).message_id.len(), id(odd).message_id), (64, id(odd).message_id));
            assert!(id(odd).encode().is_ok());
        }
    }
}
