use super::super::super::state::{Account, ConsumerSettings};
use super::*;

const QUEUE: &str = "deltas";
const DEAD: &str = "dead";

fn state(settings: ConsumerSettings, messages: &[(&str, u64)]) -> State {
    let mut account = Account::new(1);
    let mut queue = new_queue(QUEUE);
    queue.consumer = Some(Consumer {
        id: "c".into(),
        created_on: String::new(),
        script: "s".into(),
        dead_letter_queue: Some(DEAD.into()),
        settings,
    });
    queue.messages = messages
        .iter()
        .map(|(id, due)| Message {
            id: (*id).into(),
            timestamp: 0,
            content_type: "text".into(),
            body: Vec::new(),
            attempts: 0,
            due: *due,
        })
        .collect();
    account.queues.push(queue);
    State { accounts: vec![account], ..State::default() }
}

fn settings() -> ConsumerSettings {
    ConsumerSettings { batch_size: 2, max_retries: 1, max_wait_time_ms: 100, retry_delay: 3, max_concurrency: None }
}

fn batch(state: &State, now: u64) -> Option<Batch> {
    due("a", &state.accounts[0].queues[0], now)
}

fn ids(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.id.as_str()).collect()
}

fn outcome(json: &str) -> Outcome {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_batch_goes_when_it_is_full_or_has_waited() {
    let state = state(settings(), &[("1", 1_000), ("2", 5_000)]);
    assert!(batch(&state, 999).is_none() && batch(&state, 1_099).is_none());
    assert_eq!(ids(&batch(&state, 1_100).unwrap().messages), ["1"]);
    assert_eq!(ids(&batch(&state, 5_000).unwrap().messages), ["1", "2"]);
    let mut paused = state;
    paused.accounts[0].queues[0].delivery_paused = true;
    assert!(batch(&paused, 9_000).is_none());
}

#[test]
fn an_ack_holds_though_its_batch_fails() {
    let failed = outcome(r#"{"outcome": "exception", "explicitAcks": ["1"], "retryBatch": {"retry": false}}"#);
    assert_eq!((failed.retries("1"), failed.retries("2")), (None, Some(None)));
    let some = outcome(r#"{"outcome": "ok", "retryMessages": [{"msgId": "2", "delaySeconds": 7}]}"#);
    assert_eq!((some.retries("1"), some.retries("2")), (None, Some(Some(7))));
    let all = outcome(r#"{"outcome": "ok", "explicitAcks": ["1"], "retryBatch": {"retry": true, "delaySeconds": 9}}"#);
    assert_eq!((all.retries("1"), all.retries("2")), (None, Some(Some(9))));
    // No word of it is a failure.
    assert_eq!(Outcome::default().retries("1"), Some(None));
}

#[test]
fn what_fails_once_too_often_is_a_dead_letter() {
    let mut state = state(settings(), &[("1", 0), ("2", 0), ("3", 0)]);
    state.accounts[0].id = "a".into();
    let failed = outcome(r#"{"outcome": "ok", "retryMessages": [{"msgId": "2"}]}"#);
    let first = batch(&state, 100).unwrap();
    assert_eq!((ids(&first.messages), first.left), (vec!["1", "2"], 1));
    settle(&mut state, &first, &failed, 100);
    let queue = &state.accounts[0].queues[0];
    let waiting: Vec<(&str, u64, u64)> = queue.messages.iter().map(|m| (m.id.as_str(), m.attempts, m.due)).collect();
    assert_eq!(waiting, [("2", 1, 3_100), ("3", 0, 0)]);
    let second = batch(&state, 3_100).unwrap();
    settle(&mut state, &second, &failed, 3_100);
    assert!(state.accounts[0].queues[0].messages.is_empty());
    // The queue of dead letters came into being with the first of them.
    let dead = state.accounts[0].queue_named(DEAD).unwrap();
    assert_eq!((ids(dead.messages.as_slices().0), dead.messages[0].attempts), (vec!["2"], 0));
}

#[test]
fn old_messages_go() {
    let mut state = state(settings(), &[("1", 0)]);
    let queue = &mut state.accounts[0].queues[0];
    queue.message_retention_period = 60;
    expire(queue, 60_000);
    assert_eq!(queue.messages.len(), 1);
    expire(queue, 60_001);
    assert!(queue.messages.is_empty());
}
