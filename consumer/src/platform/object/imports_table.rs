//! The Ledger's imports: [`crate::ledger::import`] wired to SQLite.

use tributary_proto::{
    Message as _,
    v1::{ImportList, ImportRecord, ImportRequest, ImportResponse, import_response::Outcome},
};
use worker::SqlStorageValue;

use super::{Failure, Ledger, Statement};
use crate::{
    ledger::{
        import::{self, Decision, Import},
        storage::StorageError,
    },
    otlp::queue::Exported,
    platform::runtime::now_ms,
};

impl Ledger {
    /// What was imported.
    pub(super) fn imports(&self) -> Result<Vec<u8>, Failure> {
        Ok(ImportList { records: self.import_records()? }.encode_to_vec())
    }

    /// Adds totals that were counted elsewhere, and publishes them.
    pub(super) async fn import_and_schedule(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let response = self.import(body)?;
        if response.outcome() == Outcome::Applied {
            self.schedule_publication().await?;
        }
        Ok(response.encode_to_vec())
    }

    /// Reads, decides and writes without an await: no other request sees a half of it.
    fn import(&self, body: &[u8]) -> Result<ImportResponse, Failure> {
        let refused = |why: String| ImportResponse { outcome: Outcome::Refused.into(), record: None, why };
        let import = match ImportRequest::decode(body) {
            Ok(request) => Import::from_wire(request).map_err(|error| error.to_string()),
            Err(error) => Err(format!("the body is no ImportRequest: {error}")),
        };
        let import = match import {
            Ok(import) => import,
            Err(why) => return Ok(refused(why)),
        };
        let known = self.import_records()?;
        let exported = self.exported_or_none()?;
        let now = now_ms();
        let mut refusal = None;
        let result = self.with_loaded(|loaded| {
            let before = loaded.state.clone();
            let Decision { outcome, record } = import::decide(&import, &known, loaded, now).map_err(|error| {
                refusal = Some(error.to_string());
                Failure::Refused(error.to_string())
            })?;
            if outcome == Outcome::Applied {
                let exported = Exported::with_totals(exported, &before, import.totals(), now)
                    .map_err(|error| Failure::Platform(error.to_string()))?;
                let exported = super::otlp::exported_statements(&exported)?;
                self.write_book(loaded, [insert(&record)].into_iter().chain(exported).collect())?;
            }
            Ok(ImportResponse { outcome: outcome.into(), record: Some(record), why: String::new() })
        });
        match refusal {
            // The book was dropped with it, and is loaded again.
            Some(why) => Ok(refused(why)),
            None => result,
        }
    }

    fn import_records(&self) -> Result<Vec<ImportRecord>, Failure> {
        self.sql().exec(import::CREATE, None)?;
        let mut rows = Vec::new();
        for row in self.sql().exec(import::SELECT, None)?.raw() {
            let Ok([SqlStorageValue::Blob(record)]) = <[SqlStorageValue; 1]>::try_from(row?) else {
                return Err(StorageError::Import("it is no BLOB".to_owned()).into());
            };
            rows.push(record);
        }
        Ok(import::decode_rows(rows.iter().map(Vec::as_slice))?)
    }
}

fn insert(record: &ImportRecord) -> Statement {
    let values = vec![SqlStorageValue::String(record.source.clone()), SqlStorageValue::Blob(record.encode_to_vec())];
    (import::INSERT, values)
}
