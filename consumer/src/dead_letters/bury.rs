//! From a batch to the dead-letter queue.

use tributary_proto::dead_letter::{DeadLetter, MAX_SENT_BYTES};

use crate::limits::{MAX_SEND_BATCH_BYTES, MAX_SEND_BATCH_MESSAGES};

/// Where letters go, as the pipeline sees it.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait DeadLetterPort {
    /// Sends encoded letters to the dead-letter queue as one batch, which its limits allow: all of them or none.
    ///
    /// # Errors
    /// Where the queue did not say that it has them. It may have them all the same.
    async fn send(&self, letters: &[Vec<u8>]) -> Result<(), DeadLetterFailure>;

    /// Stores an encoded letter that no queue takes, because it is too large, in the Ledger itself.
    ///
    /// # Errors
    /// Where the Ledger did not say that it has it, or has no room.
    async fn store(&self, letter: Vec<u8>) -> Result<(), DeadLetterFailure>;
}

/// A letter did not get through, or nobody said so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dead letters did not get through: {0}")]
pub struct DeadLetterFailure(pub String);

/// What became of one letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Burial {
    /// The dead-letter queue has it.
    Sent,
    /// The Ledger has it: it is too large for a queue.
    Stored,
    /// Nobody is known to have it. Its message must not be acked.
    Failed(DeadLetterFailure),
}

impl Burial {
    /// The value of an `outcome` label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Stored => "stored",
            Self::Failed(_) => "failed",
        }
    }
}

/// Sends letters, in batches as large as the queue takes. After the first failure nothing more is tried: the rest of
/// the batch would wait for one timeout after the other.
///
/// Returns one for each letter, in their order.
pub async fn bury(letters: &[DeadLetter], port: &impl DeadLetterPort) -> Vec<Burial> {
    let mut burials: Vec<Option<Burial>> = letters.iter().map(|_| None).collect();
    let mut sendable: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut large: Vec<(usize, Vec<u8>)> = Vec::new();
    for (index, (letter, burial)) in letters.iter().zip(&mut burials).enumerate() {
        match letter.encode() {
            Ok(bytes) if bytes.len() <= MAX_SENT_BYTES => sendable.push((index, bytes)),
            Ok(bytes) => large.push((index, bytes)),
            // Unreachable: a letter is made by `letter_of`, of a message that a queue delivered.
            Err(error) => *burial = Some(Burial::Failed(DeadLetterFailure(error.to_string()))),
        }
    }
    let sizes: Vec<usize> = sendable.iter().map(|(_, bytes)| bytes.len()).collect();
    let mut failure = None;
    let mut sendable = sendable.into_iter();
    for count in batches(&sizes) {
        let (indices, batch): (Vec<_>, Vec<_>) = sendable.by_ref().take(count).unzip();
        let burial = outcome(&mut failure, Burial::Sent, async || port.send(&batch).await).await;
        for index in indices {
            note(&mut burials, index, burial.clone());
        }
    }
    for (index, bytes) in large {
        let burial = outcome(&mut failure, Burial::Stored, async || port.store(bytes.clone()).await).await;
        note(&mut burials, index, burial);
    }
    let silent = || Burial::Failed(DeadLetterFailure("not tried".into()));
    burials.into_iter().map(|burial| burial.unwrap_or_else(silent)).collect()
}

async fn outcome(
    failure: &mut Option<DeadLetterFailure>,
    success: Burial,
    attempt: impl AsyncFnOnce() -> Result<(), DeadLetterFailure>,
) -> Burial {
    if let Some(earlier) = failure {
        return Burial::Failed(earlier.clone());
    }
    match attempt().await {
        Ok(()) => success,
        Err(error) => {
            *failure = Some(error.clone());
            Burial::Failed(error)
        }
    }
}

fn note(burials: &mut [Option<Burial>], index: usize, burial: Burial) {
    if let Some(slot) = burials.get_mut(index) {
        *slot = Some(burial);
    }
}

/// How many of a run of messages go into each call of `sendBatch`, by their sizes in bytes: as many as its limits
/// allow, and at least one.
pub fn batches(sizes: &[usize]) -> Vec<usize> {
    let mut counts = Vec::new();
    let (mut count, mut bytes) = (0usize, 0usize);
    for size in sizes {
        let is_full = count >= MAX_SEND_BATCH_MESSAGES || bytes.saturating_add(*size) > MAX_SEND_BATCH_BYTES;
        if is_full && count > 0 {
            counts.push(count);
            (count, bytes) = (0, 0);
        }
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(*size);
    }
    if count > 0 {
        counts.push(count);
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::executor::block_on;
    use tributary_proto::v1::dead_letter::Body;

    use super::*;

    #[derive(Default)]
    struct Port {
        sent: RefCell<Vec<usize>>,
        stored: RefCell<usize>,
        /// Calls that succeed before one fails.
        good: RefCell<Option<usize>>,
    }

    impl Port {
        fn call(&self) -> Result<(), DeadLetterFailure> {
            match &mut *self.good.borrow_mut() {
                Some(0) => Err(DeadLetterFailure("down".into())),
                Some(left) => {
                    *left -= 1;
                    Ok(())
                }
                None => Ok(()),
            }
        }
    }

    impl DeadLetterPort for Port {
        async fn send(&self, letters: &[Vec<u8>]) -> Result<(), DeadLetterFailure> {
            assert!(letters.len() <= 100 && letters.iter().map(Vec::len).sum::<usize>() <= MAX_SEND_BATCH_BYTES);
            assert!(letters.iter().all(|letter| letter.len() <= MAX_SENT_BYTES));
            self.call()?;
            self.sent.borrow_mut().push(letters.len());
            Ok(())
        }

        async fn store(&self, letter: Vec<u8>) -> Result<(), DeadLetterFailure> {
            assert!(letter.len() > MAX_SENT_BYTES);
            self.call()?;
            *self.stored.borrow_mut() += 1;
            Ok(())
        }
    }

    fn letter(bytes: usize) -> DeadLetter {
        DeadLetter {
            reason: "protobuf".into(),
            detail: String::new(),
            message_id: "id".into(),
            attempts: 1,
            sent_ms: 1,
            dead_ms: 2,
            body: Some(Body::Bytes(vec![7; bytes])),
        }
    }

    #[test]
    fn letters_of_any_size_get_through_within_the_limits_of_the_queue() {
        let port = Port::default();
        let letters: Vec<_> = (0..250).map(|n| letter(if n % 50 == 0 { 120_000 } else { 10 })).collect();
        assert_eq!(block_on(bury(&letters, &port)), vec![Burial::Sent; 250]);
        assert_eq!(port.sent.borrow().iter().sum::<usize>(), 250);
        // The largest message that Queues takes: its letter does not fit a queue, and goes to the Ledger.
        assert_eq!(block_on(bury(&[letter(128_000)], &port)), [Burial::Stored]);
        assert_eq!(*port.stored.borrow(), 1);
    }

    #[test]
    fn after_a_failure_nothing_more_is_tried_and_nothing_more_is_said_to_be_sent() {
        let port = Port { good: RefCell::new(Some(1)), ..Port::default() };
        let letters: Vec<_> = (0..250).map(|_| letter(10)).chain([letter(128_000)]).collect();
        let burials = block_on(bury(&letters, &port));
        assert_eq!(burials.iter().filter(|burial| **burial == Burial::Sent).count(), 100);
        assert!(burials[100..].iter().all(|burial| matches!(burial, Burial::Failed(_))));
        assert_eq!((port.sent.borrow().len(), *port.stored.borrow()), (1, 0));
    }

    #[test]
    fn batches_cover_every_message_once() {
        for sizes in [vec![], vec![1; 100], vec![1; 101], vec![127_000; 7], vec![500_000; 3], vec![0; 1000]] {
            let counts = batches(&sizes);
            assert_eq!(counts.iter().sum::<usize>(), sizes.len());
            assert!(counts.iter().all(|count| (1..=100).contains(count)));
        }
    }
}
