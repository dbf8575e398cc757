//! From the dead-letter queue into the Ledger.

use crate::{
    backend::delivery::dead_retry_delay,
    dead_letters::letter::letter_from_dead_queue,
    message::QueueMessage,
    pipeline::{LedgerFailure, MessageVerdict},
};

/// Where letters are kept.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait KeepPort {
    /// Stores encoded letters; says for each, in their order, whether there was room for it.
    ///
    /// # Errors
    /// Where the Ledger did not answer. Whether they are stored is then unknown.
    async fn store(&self, letters: Vec<Vec<u8>>) -> Result<Vec<bool>, LedgerFailure>;
}

/// What a batch of the dead-letter queue came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// One for each message, in their order.
    pub verdicts: Vec<MessageVerdict>,
    /// Letters for which there was no room.
    pub full: usize,
    /// Why nothing was stored, if so.
    pub failure: Option<LedgerFailure>,
}

/// Stores a batch of the dead-letter queue. What is not stored stays in the queue until it is, or until the queue's
/// retention ends.
pub async fn keep(messages: &[QueueMessage], port: &impl KeepPort, now_ms: u64, random: u32) -> Kept {
    let mut letters = Vec::with_capacity(messages.len());
    let mut places = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        // A message of a queue fits a letter; one that did not would stay where it is.
        if let Ok(letter) = letter_from_dead_queue(message, now_ms).encode() {
            letters.push(letter);
            places.push(index);
        }
    }
    let expected = letters.len();
    let result = if letters.is_empty() { Ok(Vec::new()) } else { port.store(letters).await };
    let (stored, failure) = match result {
        Ok(stored) if stored.len() == expected => (stored, None),
        Ok(stored) => (Vec::new(), Some(LedgerFailure(format!("{} answers for {expected} letters", stored.len())))),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let mut verdicts: Vec<_> =
        messages.iter().map(|message| MessageVerdict::Retry(dead_retry_delay(message.attempts, random))).collect();
    for (place, is_stored) in places.iter().zip(&stored) {
        if let Some(verdict) = verdicts.get_mut(*place).filter(|_| *is_stored) {
            *verdict = MessageVerdict::Ack;
        }
    }
    Kept { verdicts, full: stored.iter().filter(|is_stored| !**is_stored).count(), failure }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use tributary_proto::dead_letter::DeadLetter;

    use super::*;
    use crate::message::MessageBody;

    struct Port(Result<Vec<bool>, LedgerFailure>);

    impl KeepPort for Port {
        async fn store(&self, letters: Vec<Vec<u8>>) -> Result<Vec<bool>, LedgerFailure> {
            assert!(letters.iter().all(|letter| DeadLetter::decode(letter).is_ok()));
            self.0.clone()
        }
    }

    fn messages(count: usize) -> Vec<QueueMessage> {
        (0..count)
            .map(|n| QueueMessage {
                id: format!("id-{n}"),
                sent_ms: 5,
                attempts: 1,
                body: MessageBody::Bytes(vec![0xff; n]),
            })
            .collect()
    }

    fn acks(kept: &Kept) -> Vec<bool> {
        kept.verdicts.iter().map(|verdict| *verdict == MessageVerdict::Ack).collect()
    }

    #[test]
    fn a_letter_is_acked_only_when_it_is_stored() {
        let run = |answer| block_on(keep(&messages(3), &Port(answer), 9_000, 0));
        assert_eq!(acks(&run(Ok(vec![true; 3]))), [true; 3]);
        let full = run(Ok(vec![true, false, true]));
        assert_eq!((acks(&full), full.full, full.failure), (vec![true, false, true], 1, None));
        let down = run(Err(LedgerFailure("down".into())));
        assert_eq!((acks(&down), down.failure.is_some()), (vec![false; 3], true));
        for nonsense in [vec![], vec![true; 2], vec![true; 4]] {
            assert_eq!(acks(&run(Ok(nonsense))), [false; 3]);
        }
        assert_eq!(block_on(keep(&[], &Port(Ok(vec![true])), 9_000, 0)).verdicts, []);
    }

    #[test]
    fn a_message_of_any_size_that_a_queue_delivers_can_be_kept() {
        for body in [MessageBody::Bytes(vec![0xff; 128_000]), MessageBody::Text("\u{1}".repeat(128_000))] {
            let message = QueueMessage { id: "x".into(), sent_ms: 5, attempts: 21, body };
            let kept = block_on(keep(&[message], &Port(Ok(vec![true])), 9_000, 0));
            assert_eq!(kept.verdicts, [MessageVerdict::Ack]);
        }
    }
}
