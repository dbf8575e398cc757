use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::pending;

use futures::executor::block_on;

use super::*;
use crate::flusher::{Flusher, Fragment, Identity};
use tributary_proto::envelope::StreamId;

#[derive(Clone, Copy)]
enum Answer {
    Taken,
    Failed,
    Hangs,
}

/// A queue that answers as told, then takes everything; time passes by waiting alone.
#[derive(Default)]
struct FakePort {
    answers: RefCell<VecDeque<Answer>>,
    now_ms: Cell<u64>,
    calls: RefCell<Vec<Vec<u64>>>,
}

impl Port for FakePort {
    async fn send(&self, batch: &[Outgoing]) -> Result<(), String> {
        self.calls.borrow_mut().push(sequences(batch));
        let answer = self.answers.borrow_mut().pop_front();
        match answer {
            None | Some(Answer::Taken) => Ok(()),
            Some(Answer::Failed) => Err("Too Many Requests".to_owned()),
            Some(Answer::Hangs) => pending().await,
        }
    }

    async fn wait(&self, milliseconds: u64) {
        // Whoever waits beside a send is polled after it: time passes only where the send hangs.
        self.now_ms.set(self.now_ms.get() + milliseconds);
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }
}

/// An attempt of so many messages of 100 kB: two of them are a batch.
fn attempt(messages: u8) -> Attempt {
    let mut flusher =
        Flusher::new(Identity { stream_id: StreamId([1; 16]), name: "test".into(), dimensions: Default::default() });
    let fragments = (0..messages).map(|_| Fragment { bytes: vec![0; 100_000], assignments: 1 }).collect();
    flusher.add_fragments(fragments, 0);
    assert_eq!(flusher.seal(0, false, Vec::new, None).messages, u64::from(messages));
    flusher.take(0)
}

fn run(answers: &[Answer], messages: u8) -> (Result<(), Unsent>, Vec<u64>, FakePort) {
    let port = FakePort { answers: RefCell::new(answers.iter().copied().collect()), ..FakePort::default() };
    let mut confirmed = Vec::new();
    let result = block_on(send(&port, attempt(messages), |sequences| confirmed.extend_from_slice(sequences)));
    (result, confirmed, port)
}

#[test]
fn what_the_queue_takes_is_confirmed_batch_by_batch_and_only_the_rest_is_tried_again() {
    let (result, confirmed, port) = run(&[Answer::Taken, Answer::Failed, Answer::Taken, Answer::Failed], 5);
    assert_eq!((result, confirmed), (Ok(()), vec![1, 2, 5, 3, 4]));
    assert_eq!(*port.calls.borrow(), [vec![1, 2], vec![3, 4], vec![5], vec![3, 4], vec![3, 4]]);
    assert_eq!(port.now_ms.get(), SEND_BACKOFF_MS.iter().sum::<u64>());
}

#[test]
fn after_three_tries_it_is_left_to_the_next_flush_with_the_reason() {
    let (result, confirmed, port) = run(&[Answer::Failed; 3], 1);
    let unsent = result.unwrap_err();
    assert_eq!((unsent.sequences, unsent.failure.as_str()), (vec![1], "Too Many Requests"));
    assert_eq!((confirmed, port.calls.borrow().len()), (vec![], 3));
}

#[test]
fn a_queue_that_hangs_is_given_up_before_another_flusher_may_take_the_messages() {
    let (result, _, port) = run(&[Answer::Hangs; 12], 6);
    assert_eq!(result.unwrap_err().sequences, [1, 2, 3, 4, 5, 6]);
    assert!(port.now_ms.get() < IN_FLIGHT_MS, "{}", port.now_ms.get());
    assert_eq!(port.calls.borrow().len(), 3, "no call is begun that might end too late");
}

#[test]
fn nothing_is_sent_as_nothing() {
    let (result, _, port) = run(&[], 0);
    assert_eq!((result, port.calls.borrow().len()), (Ok(()), 0));
}

#[test]
fn the_reason_is_cut_at_a_character() {
    assert_eq!(cut("é".repeat(MAX_MESSAGE_BYTES)).len(), MAX_MESSAGE_BYTES);
    assert_eq!(cut(format!("x{}", "é".repeat(MAX_MESSAGE_BYTES))).len(), MAX_MESSAGE_BYTES - 1);
    assert_eq!(cut("short".into()), "short");
}
