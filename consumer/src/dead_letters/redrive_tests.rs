//! Redrive on a store and a queue in memory that fail at every step.

use std::cell::{Cell, RefCell};

use futures::executor::block_on;
use tributary_proto::v1::{StoredDeadLetter, dead_letter::Body};

use super::*;
use crate::dead_letters::letter::redriven;
use crate::message::QueueMessage;

#[derive(Default)]
struct World {
    /// Place, reason, letter.
    store: RefCell<Vec<(u64, DeadLetter)>>,
    next_place: Cell<u64>,
    queue: RefCell<Vec<MessageBody>>,
    /// Calls that succeed before one fails.
    good_calls: Cell<Option<u64>>,
    /// What fails did happen all the same.
    fails_after: Cell<bool>,
    now_ms: Cell<u64>,
    /// A message that dies again the moment it is sent.
    dies_again: Cell<bool>,
}

impl World {
    fn with(letters: impl IntoIterator<Item = DeadLetter>) -> Self {
        let world = Self::default();
        letters.into_iter().for_each(|letter| world.store(letter));
        world
    }

    /// As the table does: a letter that comes again has a new place.
    fn store(&self, letter: DeadLetter) {
        self.next_place.set(self.next_place.get() + 1);
        let mut store = self.store.borrow_mut();
        store.retain(|(_, known)| known.message_id != letter.message_id);
        store.push((self.next_place.get(), letter));
    }

    fn step(&self) -> (bool, bool) {
        let is_bad = self.good_calls.get() == Some(0);
        self.good_calls.set(self.good_calls.get().map(|left| left.saturating_sub(1)));
        (is_bad, !is_bad || self.fails_after.get())
    }

    fn ids(&self) -> Vec<String> {
        self.store.borrow().iter().map(|(_, letter)| letter.message_id.clone()).collect()
    }
}

impl RedrivePort for World {
    async fn read(&self, request: ReadDeadLettersRequest) -> Result<ReadDeadLettersResponse, LedgerFailure> {
        let (is_bad, _) = self.step();
        if is_bad {
            return Err(LedgerFailure("down".into()));
        }
        let last_place = self.store.borrow().iter().map(|(place, _)| *place).max().unwrap_or_default();
        let up_to = if request.up_to == 0 { last_place } else { request.up_to };
        let letters = self
            .store
            .borrow()
            .iter()
            .filter(|(place, _)| *place > request.after && *place <= up_to)
            .filter(|(_, letter)| request.reason.is_empty() || letter.reason == request.reason)
            .take(usize::try_from(request.limit).unwrap().min(7))
            .map(|(place, letter)| StoredDeadLetter { place: *place, letter: letter.encode().unwrap() })
            .collect();
        Ok(ReadDeadLettersResponse { letters, last_place })
    }

    async fn delete(&self, request: DeleteDeadLettersRequest) -> Result<DeleteDeadLettersResponse, LedgerFailure> {
        assert_eq!(request.cause(), Cause::Redriven);
        let (is_bad, happens) = self.step();
        let before = self.store.borrow().len();
        if happens {
            self.store.borrow_mut().retain(|(place, _)| !request.places.contains(place));
        }
        let deleted = u64::try_from(before - self.store.borrow().len()).unwrap();
        if is_bad { Err(LedgerFailure("answer lost".into())) } else { Ok(DeleteDeadLettersResponse { deleted }) }
    }

    async fn send(&self, messages: &[MessageBody]) -> Result<(), String> {
        let (is_bad, happens) = self.step();
        if happens {
            self.queue.borrow_mut().extend_from_slice(messages);
            if self.dies_again.get() {
                let again: Vec<_> = self.store.borrow().iter().map(|(_, letter)| letter.clone()).collect();
                again.into_iter().for_each(|letter| self.store(letter));
            }
        }
        if is_bad { Err("queue down".into()) } else { Ok(()) }
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.set(self.now_ms.get() + 1);
        self.now_ms.get()
    }
}

fn letter(id: usize, reason: &str, body: Option<Body>) -> DeadLetter {
    DeadLetter {
        reason: reason.into(),
        detail: String::new(),
        message_id: format!("id-{id}"),
        attempts: 1,
        sent_ms: 5,
        dead_ms: 6,
        body,
    }
}

fn bytes(id: usize) -> DeadLetter {
    letter(id, if id.is_multiple_of(2) { "protobuf" } else { "backend_400" }, Some(Body::Bytes(vec![7; id])))
}

#[test]
fn all_letters_go_back_and_only_then_are_gone() {
    let world = World::with((1..=50).map(bytes));
    let done = block_on(redrive(&RedriveRequest::default(), &world));
    assert_eq!((done.total(), done.kept, done.more, done.failure), (50, 0, false, None));
    assert_eq!(done.sent.get("protobuf"), Some(&25));
    assert_eq!(world.queue.borrow().len(), 50);
    assert_eq!(world.ids(), [""; 0]);
    assert_eq!(block_on(redrive(&RedriveRequest::default(), &world)).total(), 0);
}

#[test]
fn a_reason_and_a_limit_choose() {
    let world = World::with((1..=50).map(bytes));
    let request = RedriveRequest { reason: Some("protobuf".into()), limit: Some(10), ..RedriveRequest::default() };
    let done = block_on(redrive(&request, &world));
    assert_eq!((done.total(), world.ids().len()), (10, 40));
    assert_eq!(world.queue.borrow()[0], MessageBody::Bytes(vec![7; 2]), "the oldest first");
}

#[test]
fn whatever_fails_nothing_is_lost_and_the_next_call_ends_it() {
    for fails_after in [false, true] {
        for good in 0..20 {
            let world = World::with((1..=20).map(bytes));
            world.good_calls.set(Some(good));
            world.fails_after.set(fails_after);
            let first = block_on(redrive(&RedriveRequest::default(), &world));
            let in_queue = |id: usize| world.queue.borrow().contains(&MessageBody::Bytes(vec![7; id]));
            for id in 1..=20 {
                assert!(in_queue(id) || world.ids().contains(&format!("id-{id}")), "{id} is lost");
            }
            world.good_calls.set(None);
            let second = block_on(redrive(&RedriveRequest::default(), &world));
            assert_eq!(second.failure, None);
            assert!((1..=20).all(in_queue) && world.ids().is_empty(), "{first:?} {second:?}");
        }
    }
}

#[test]
fn a_message_that_dies_again_keeps_its_new_letter_and_is_not_redriven_for_ever() {
    let world = World::with((1..=5).map(bytes));
    world.dies_again.set(true);
    let done = block_on(redrive(&RedriveRequest::default(), &world));
    assert_eq!(done.total(), 5);
    assert_eq!(world.ids().len(), 5, "each has a letter again");
}

#[test]
fn what_cannot_go_back_stays_and_is_said() {
    let large = "x".repeat(127_500);
    let world = World::with([
        letter(1, "body_type", None),
        letter(2, "backend_400", Some(Body::Text(large.clone()))),
        letter(3, "flag_logs", Some(Body::Text("{}".into()))),
        letter(4, "body_type", Some(Body::Json("{\"a\":1}".into()))),
        letter(5, "protobuf", Some(Body::Bytes(large.into_bytes()))),
    ]);
    let done = block_on(redrive(&RedriveRequest::default(), &world));
    assert_eq!((done.total(), done.kept), (3, 2));
    assert_eq!(world.ids(), ["id-1", "id-2"]);
    let queue = world.queue.borrow();
    let text = QueueMessage { id: "new".into(), sent_ms: 900, attempts: 1, body: queue[0].clone() };
    let text = redriven(&text).unwrap();
    assert_eq!((text.id.as_str(), text.sent_ms, text.body), ("id-3", 5, MessageBody::Text("{}".into())));
    assert_eq!(queue[1], MessageBody::Json("{\"a\":1}".into()));
}

#[test]
fn a_call_ends_in_time_and_the_next_takes_it_up() {
    struct Slow(World);
    impl RedrivePort for Slow {
        async fn read(&self, request: ReadDeadLettersRequest) -> Result<ReadDeadLettersResponse, LedgerFailure> {
            self.0.read(request).await
        }
        async fn delete(&self, request: DeleteDeadLettersRequest) -> Result<DeleteDeadLettersResponse, LedgerFailure> {
            self.0.delete(request).await
        }
        async fn send(&self, messages: &[MessageBody]) -> Result<(), String> {
            self.0.send(messages).await
        }
        fn now_ms(&self) -> u64 {
            self.0.now_ms.set(self.0.now_ms.get() + 11_000);
            self.0.now_ms.get()
        }
    }
    let world = Slow(World::with((1..=30).map(bytes)));
    let mut request = RedriveRequest::default();
    let (mut calls, mut sent) = (0, 0);
    loop {
        let done = block_on(redrive(&request, &world));
        (calls, sent) = (calls + 1, sent + done.total());
        if !done.more {
            break;
        }
        request = RedriveRequest { after: done.after, up_to: Some(done.up_to), ..request };
    }
    assert_eq!((sent, world.0.queue.borrow().len()), (30, 30));
    assert!(calls > 1, "{calls}");
}
