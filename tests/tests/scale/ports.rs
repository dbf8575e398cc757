//! The services of the pipeline as calls that the simulation answers when their time has come.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    task::Poll,
};

use tributary_consumer::{
    backend::delivery::{DeliveryOutcome, Destination, Route},
    dead_letters::bury::{DeadLetterFailure, DeadLetterPort},
    pipeline::{BackendPort, LedgerFailure, LedgerPort},
};
use tributary_proto::v1::CommitResponse;

/// What an invocation waits for.
pub(crate) enum Call {
    /// The number of a Ledger, and what it is asked.
    Commit(u32, Vec<u8>),
    Deliver,
}

/// What it is answered.
pub(crate) enum Reply {
    Commit(Result<CommitResponse, LedgerFailure>),
    Delivered(DeliveryOutcome),
}

/// One invocation's only connection to the world. Calls to several Ledgers are under way at a time.
#[derive(Default)]
pub(crate) struct Wire {
    /// Calls that nobody took up yet, by number from 1.
    pub(crate) calls: RefCell<Vec<(u64, Call)>>,
    last_call: Cell<u64>,
    /// Answers, and whether they have arrived.
    replies: RefCell<BTreeMap<u64, (Reply, bool)>>,
    pub(crate) now_ms: Cell<u64>,
}

impl Wire {
    /// The answer to a call, on its way.
    pub(crate) fn answer(&self, call: u64, reply: Reply) {
        self.replies.borrow_mut().insert(call, (reply, false));
    }

    /// It is there.
    pub(crate) fn arrived(&self, call: u64) {
        if let Some((_, has_arrived)) = self.replies.borrow_mut().get_mut(&call) {
            *has_arrived = true;
        }
    }

    fn take(&self, call: u64) -> Option<Reply> {
        let mut replies = self.replies.borrow_mut();
        replies.get(&call).is_some_and(|(_, has_arrived)| *has_arrived).then(|| replies.remove(&call))?.map(|of| of.0)
    }
}

pub(crate) struct Ports(pub(crate) Rc<Wire>);

impl Ports {
    async fn ask(&self, what: Call) -> Reply {
        let call = self.0.last_call.get() + 1;
        self.0.last_call.set(call);
        self.0.calls.borrow_mut().push((call, what));
        poll_fn(|_| self.0.take(call).map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl LedgerPort for Ports {
    async fn commit(&self, ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        match self.ask(Call::Commit(ledger, request.to_vec())).await {
            Reply::Commit(answer) => answer,
            Reply::Delivered(_) => Err(LedgerFailure("the answer of somebody else".to_owned())),
        }
    }
}

impl BackendPort for Ports {
    async fn route(&self) -> Route {
        Route::default()
    }

    async fn deliver(&self, _route: &Route, _destination: Destination, _logs: &[u8]) -> DeliveryOutcome {
        match self.ask(Call::Deliver).await {
            Reply::Delivered(outcome) => outcome,
            Reply::Commit(_) => DeliveryOutcome::Unavailable { retry_after: None },
        }
    }

    fn now_ms(&self) -> u64 {
        self.0.now_ms.get()
    }
}

impl DeadLetterPort for Ports {
    async fn send(&self, _letters: &[Vec<u8>]) -> Result<(), DeadLetterFailure> {
        Err(DeadLetterFailure("nothing bad is sent".to_owned()))
    }

    async fn store(&self, _letter: Vec<u8>) -> Result<(), DeadLetterFailure> {
        Err(DeadLetterFailure("nothing bad is sent".to_owned()))
    }
}
