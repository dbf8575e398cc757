//! Dead letters: to their queue, to the Ledger, and back.

use tributary_proto::v1::{
    DeleteDeadLettersRequest, DeleteDeadLettersResponse, ReadDeadLettersRequest, ReadDeadLettersResponse,
    StoreDeadLettersRequest, StoreDeadLettersResponse, delete_dead_letters_request::Cause,
};
use worker::{Env, Method};

use super::{ledger::Ledger, log, queue, runtime::now_ms};
use crate::{
    config::{DEAD_QUEUE, DELTAS_QUEUE},
    dead_letters::{
        bury::{DeadLetterFailure, DeadLetterPort},
        keep::KeepPort,
        redrive::{RedrivePort, redrive},
        request::{Call, ListRequest, discarded, redriven},
    },
    message::MessageBody,
    pipeline::LedgerFailure,
    scrape::respond::Answer,
};

/// Beginning of the paths of the Ledger's calls.
pub(crate) const PREFIX: &str = "/dead-letters/";
/// Stores letters.
pub(crate) const STORE_PATH: &str = "/dead-letters/store";
/// Reads letters.
pub(crate) const READ_PATH: &str = "/dead-letters/read";
/// Deletes letters.
pub(crate) const DELETE_PATH: &str = "/dead-letters/delete";
/// Shows letters, as JSON.
pub(crate) const LIST_PATH: &str = "/dead-letters/list";

/// The dead letters of this installation.
pub(crate) struct DeadLetters<'a> {
    env: &'a Env,
}

impl<'a> DeadLetters<'a> {
    /// Those of the queues and of the Ledger bound in `env`.
    pub(crate) fn new(env: &'a Env) -> Self {
        Self { env }
    }

    /// Answers a call.
    pub(crate) async fn answer(&self, call: &Call) -> Answer {
        let unavailable = |failure: &LedgerFailure| {
            log::error("dead_letters", &serde_json::json!({"why": failure.to_string()}));
            Answer::error(503, "STORE_UNAVAILABLE", "the Ledger does not answer now; the log says why")
        };
        match call {
            Call::List(request) => match self.list(request).await {
                Ok(shown) => Answer::json(200, &shown),
                Err(failure) => unavailable(&failure),
            },
            Call::Redrive(request) => redriven(&redrive(request, self).await),
            Call::Discard { reason, limit } => {
                let request = DeleteDeadLettersRequest {
                    reason: reason.clone(),
                    limit: *limit,
                    cause: Cause::Discarded.into(),
                    ..Default::default()
                };
                match self.delete(request).await {
                    Ok(response) => discarded(reason, response.deleted),
                    Err(failure) => unavailable(&failure),
                }
            }
        }
    }

    async fn list(&self, request: &ListRequest) -> Result<serde_json::Value, LedgerFailure> {
        let body = serde_json::to_vec(request).map_err(|error| LedgerFailure(error.to_string()))?;
        let answer = Ledger::new(self.env).call(Method::Post, LIST_PATH, Some(body)).await?;
        serde_json::from_slice(&answer).map_err(|error| LedgerFailure(error.to_string()))
    }

    async fn call<R: tributary_proto::Message + Default>(
        &self,
        path: &str,
        request: &impl tributary_proto::Message,
    ) -> Result<R, LedgerFailure> {
        let answer = Ledger::new(self.env).call(Method::Post, path, Some(request.encode_to_vec())).await?;
        R::decode(answer.as_slice()).map_err(|error| LedgerFailure(format!("an answer that {error}")))
    }
}

impl DeadLetterPort for DeadLetters<'_> {
    async fn send(&self, letters: &[Vec<u8>]) -> Result<(), DeadLetterFailure> {
        let messages: Vec<MessageBody> = letters.iter().cloned().map(MessageBody::Bytes).collect();
        queue::send(self.env, DEAD_QUEUE, &messages).await.map_err(DeadLetterFailure)
    }

    async fn store(&self, letter: Vec<u8>) -> Result<(), DeadLetterFailure> {
        match KeepPort::store(self, vec![letter]).await {
            Ok(stored) if stored == [true] => Ok(()),
            Ok(_) => Err(DeadLetterFailure("the store is full".into())),
            Err(failure) => Err(DeadLetterFailure(failure.to_string())),
        }
    }
}

impl KeepPort for DeadLetters<'_> {
    async fn store(&self, letters: Vec<Vec<u8>>) -> Result<Vec<bool>, LedgerFailure> {
        let response: StoreDeadLettersResponse = self.call(STORE_PATH, &StoreDeadLettersRequest { letters }).await?;
        Ok(response.stored)
    }
}

impl RedrivePort for DeadLetters<'_> {
    async fn read(&self, request: ReadDeadLettersRequest) -> Result<ReadDeadLettersResponse, LedgerFailure> {
        self.call(READ_PATH, &request).await
    }

    async fn delete(&self, request: DeleteDeadLettersRequest) -> Result<DeleteDeadLettersResponse, LedgerFailure> {
        self.call(DELETE_PATH, &request).await
    }

    async fn send(&self, messages: &[MessageBody]) -> Result<(), String> {
        queue::send(self.env, DELTAS_QUEUE, messages).await
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }
}
