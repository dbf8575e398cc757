//! The services of the pipeline as calls that the simulation answers when their time has come.

use std::{
    cell::{Cell, RefCell},
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
    Commit(Vec<u8>),
    Deliver,
}

/// What it is answered.
pub(crate) enum Reply {
    Commit(Result<CommitResponse, LedgerFailure>),
    Delivered(DeliveryOutcome),
}

/// One invocation's only connection to the world.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) call: RefCell<Option<Call>>,
    pub(crate) reply: RefCell<Option<Reply>>,
    pub(crate) now_ms: Cell<u64>,
}

pub(crate) struct Ports(pub(crate) Rc<Wire>);

impl Ports {
    async fn ask(&self, call: Call) -> Reply {
        self.0.call.replace(Some(call));
        poll_fn(|_| self.0.reply.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl LedgerPort for Ports {
    async fn commit(&self, _ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        match self.ask(Call::Commit(request.to_vec())).await {
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
