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
    /// The queue of each call.
    queues: RefCell<Vec<u32>>,
    /// Queues that refuse whatever the answers say.
    down: RefCell<Vec<u32>>,
}

impl Port for FakePort {
    async fn send(&self, queue: u32, batch: &[Outgoing]) -> Result<(), String> {
        self.queues.borrow_mut().push(queue);
        if self.down.borrow().contains(&queue) {
            return Err(format!("queue {queue} is down"));
        }
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

const ID: StreamId = StreamId([1; 16]);

/// An attempt of so many messages of 100 kB: two of them are a batch.
fn attempt(messages: u8) -> Attempt {
    let mut flusher =
        Flusher::new(Identity { stream_id: ID, ledgers: 1, name: "test".into(), dimensions: Default::default() });
    let fragments = (0..messages).map(|_| Fragment { bytes: vec![0; 100_000], assignments: 1 }).collect();
    flusher.add_fragments(fragments, 0);
    assert_eq!(flusher.seal(0, false, Vec::new, None).messages, u64::from(messages));
    flusher.take(0)
}

fn run(answers: &[Answer], messages: u8) -> (Result<(), Unsent>, Vec<u64>, FakePort) {
    let port = FakePort { answers: RefCell::new(answers.iter().copied().collect()), ..FakePort::default() };
    let queues = RefCell::new(Queues::new(ID, 1));
    let (result, confirmed, _) = run_on(&port, &queues, messages);
    (result, confirmed, port)
}

/// What came of it, what was confirmed, and which queues are news as failing.
fn run_on(port: &FakePort, queues: &RefCell<Queues>, messages: u8) -> (Result<(), Unsent>, Vec<u64>, Vec<u32>) {
    let (mut confirmed, mut avoided) = (Vec::new(), Vec::new());
    let confirm = |sequences: &[u64]| confirmed.extend_from_slice(sequences);
    let result = block_on(send(port, queues, attempt(messages), confirm, |queue, _| avoided.push(queue)));
    (result, confirmed, avoided)
}

#[test]
fn what_one_queue_refuses_goes_to_the_next_at_once_and_home_again_later() {
    let queues = RefCell::new(Queues::new(ID, 3));
    let home = queues.borrow().home();
    let next = (home + 1) % 3;
    let port = FakePort { down: RefCell::new(vec![home]), ..FakePort::default() };
    let (result, confirmed, avoided) = run_on(&port, &queues, 3);
    assert_eq!((result, confirmed, avoided), (Ok(()), vec![1, 2, 3], vec![home]));
    assert_eq!(*port.queues.borrow(), [home, next, next], "the second batch does not ask the one that failed");
    assert_eq!(port.now_ms.get(), 0, "nothing waits");
    // While it is avoided nothing is sent there, although it would take it.
    port.down.borrow_mut().clear();
    port.queues.borrow_mut().clear();
    assert_eq!(run_on(&port, &queues, 1), (Ok(()), vec![1], vec![]));
    port.now_ms.set(crate::limits::AVOID_MS);
    assert_eq!(run_on(&port, &queues, 1), (Ok(()), vec![1], vec![]));
    assert_eq!(*port.queues.borrow(), [next, home]);
}

#[test]
fn a_queue_that_hangs_is_left_for_the_next_in_time() {
    let queues = RefCell::new(Queues::new(ID, 3));
    let answers = RefCell::new([Answer::Hangs].into());
    let port = FakePort { answers, ..FakePort::default() };
    let (result, confirmed, avoided) = run_on(&port, &queues, 1);
    assert_eq!((result, confirmed, avoided), (Ok(()), vec![1], vec![queues.borrow().home()]));
    assert_eq!(port.now_ms.get(), SEND_TIMEOUT_MS);
}

#[test]
fn where_all_queues_fail_the_tries_are_bounded_and_reach_different_queues() {
    for (count, tries) in [(1, 3), (2, 6), (3, 9), (16, 9)] {
        let queues = RefCell::new(Queues::new(ID, count));
        let port = FakePort { down: RefCell::new((0..count).collect()), ..FakePort::default() };
        let (result, confirmed, avoided) = run_on(&port, &queues, 1);
        let unsent = result.unwrap_err();
        assert_eq!((unsent.sequences, confirmed, port.queues.borrow().len()), (vec![1], vec![], tries), "{count}");
        assert!(unsent.failure.ends_with("is down"), "{}", unsent.failure);
        let asked: std::collections::BTreeSet<u32> = port.queues.borrow().iter().copied().collect();
        assert_eq!(asked.len(), tries.min(usize::try_from(count).unwrap()), "{count}");
        assert_eq!(avoided.len(), asked.len(), "each is news once");
    }
    // Also where all of them hang.
    let queues = RefCell::new(Queues::new(ID, 16));
    let port = FakePort { answers: RefCell::new([Answer::Hangs; 99].into()), ..FakePort::default() };
    assert!(run_on(&port, &queues, 6).0.is_err());
    assert!(port.now_ms.get() < IN_FLIGHT_MS, "{}", port.now_ms.get());
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
