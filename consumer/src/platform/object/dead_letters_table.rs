//! The Ledger's table of dead letters: wires [`crate::ledger::dead_letters`] to SQLite.

use tributary_proto::{
    Message as _,
    v1::{
        DeleteDeadLettersRequest, DeleteDeadLettersResponse, ReadDeadLettersRequest, ReadDeadLettersResponse,
        StoreDeadLettersRequest, StoreDeadLettersResponse, StoredDeadLetter, delete_dead_letters_request::Cause,
    },
};
use worker::SqlStorageValue;

use super::{Failure, Ledger, integer};
use crate::{
    dead_letters::{
        metrics::{Change, changed},
        request::{ListRequest, show},
    },
    ledger::dead_letters::{self as table, Inventory, NewRow, PlaceRow, Room, SizeRow},
    limits::{MAX_COMMIT_BYTES, MAX_DEAD_LETTERS},
    platform::{
        dead_letters::{DELETE_PATH, LIST_PATH, READ_PATH, STORE_PATH},
        runtime::now_ms,
    },
};

impl Ledger {
    /// Answers one call, and publishes what it changed.
    pub(super) async fn dead_letters(&self, path: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        if body.len() > MAX_COMMIT_BYTES {
            return Err(Failure::Refused(format!("dead letters of {} bytes", body.len())));
        }
        let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
        match path {
            STORE_PATH => {
                let request = StoreDeadLettersRequest::decode(body).map_err(|error| refused(&error))?;
                let response = self.store_letters(request)?;
                self.schedule_publication().await?;
                Ok(response.encode_to_vec())
            }
            READ_PATH => {
                let request = ReadDeadLettersRequest::decode(body).map_err(|error| refused(&error))?;
                Ok(self.read_letters(&request)?.encode_to_vec())
            }
            DELETE_PATH => {
                let request = DeleteDeadLettersRequest::decode(body).map_err(|error| refused(&error))?;
                let response = self.delete_letters(&request)?;
                self.schedule_publication().await?;
                Ok(response.encode_to_vec())
            }
            LIST_PATH => {
                let request: ListRequest = serde_json::from_slice(body).map_err(|error| refused(&error))?;
                self.list_letters(&request)
            }
            _ => Err(Failure::Refused("no such call".into())),
        }
    }

    /// What is in the table; made where it is missing.
    pub(super) fn inventory(&self) -> Result<Inventory, Failure> {
        self.sql().exec(table::CREATE, None)?;
        Ok(Inventory::new(self.sql().exec(table::COUNT, None)?.to_array()?))
    }

    fn store_letters(&self, request: StoreDeadLettersRequest) -> Result<StoreDeadLettersResponse, Failure> {
        let now = now_ms();
        self.with_loaded(|loaded| {
            let mut room = Room::beside(self.inventory()?.total());
            let (mut stored, mut full) = (Vec::with_capacity(request.letters.len()), 0u64);
            let mut statements = Vec::new();
            for bytes in request.letters {
                let row = NewRow::new(bytes).ok_or_else(|| Failure::Refused("not a dead letter".into()))?;
                let id = SqlStorageValue::String(row.message_id.clone());
                let replaced: Vec<SizeRow> = self.sql().exec(table::SELECT_SIZE, vec![id.clone()])?.to_array()?;
                let size = u64::try_from(row.letter.len()).unwrap_or(u64::MAX);
                let has_room = room.take(size, replaced.first().map(|row| row.size));
                stored.push(has_room);
                if !has_room {
                    full = full.saturating_add(1);
                    continue;
                }
                let values = vec![
                    id,
                    SqlStorageValue::String(row.reason),
                    integer(size)?,
                    // A time from outside that no integer of SQLite holds shows as 0.
                    integer(row.dead_ms).unwrap_or(SqlStorageValue::Integer(0)),
                    SqlStorageValue::Blob(row.letter),
                ];
                statements.push((table::REPLACE, values));
            }
            let letters = u64::try_from(statements.len()).unwrap_or(u64::MAX);
            loaded.note(now, |delta| {
                changed(delta, Change::Stored, letters)?;
                changed(delta, Change::Full, full)
            })?;
            self.write_book(loaded, statements)?;
            loaded.status.dead_letters = self.inventory()?.counts;
            Ok(StoreDeadLettersResponse { stored })
        })
    }

    fn read_letters(&self, request: &ReadDeadLettersRequest) -> Result<ReadDeadLettersResponse, Failure> {
        let inventory = self.inventory()?;
        let values = vec![
            integer(request.after)?,
            integer(table::up_to(request, &inventory))?,
            SqlStorageValue::String(request.reason.clone()),
            integer(request.limit.into())?,
        ];
        Ok(ReadDeadLettersResponse {
            letters: self.select_letters(table::SELECT_PAGE, values)?,
            last_place: inventory.last_place,
        })
    }

    fn list_letters(&self, request: &ListRequest) -> Result<Vec<u8>, Failure> {
        let inventory = self.inventory()?;
        let values = vec![SqlStorageValue::String(request.reason.clone()), integer(request.limit.into())?];
        let letters = self.select_letters(table::SELECT_RECENT, values)?;
        Ok(show(&inventory, &letters, request.with_body).to_string().into_bytes())
    }

    fn delete_letters(&self, request: &DeleteDeadLettersRequest) -> Result<DeleteDeadLettersResponse, Failure> {
        let now = now_ms();
        let change = match request.cause() {
            Cause::Redriven => Change::Redriven,
            Cause::Discarded => Change::Discarded,
            Cause::Unspecified => return Err(Failure::Refused("a deletion without its cause".into())),
        };
        self.with_loaded(|loaded| {
            self.sql().exec(table::CREATE, None)?;
            let rows: Vec<PlaceRow> = if request.places.is_empty() {
                let limit = u64::from(request.limit).min(MAX_DEAD_LETTERS);
                let values = vec![SqlStorageValue::String(request.reason.clone()), integer(limit)?];
                self.sql().exec(table::SELECT_PLACES, values)?.to_array()?
            } else {
                let places = serde_json::Value::from(request.places.clone()).to_string();
                self.sql().exec(table::SELECT_PRESENT, vec![SqlStorageValue::String(places)])?.to_array()?
            };
            let deleted = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            if deleted > 0 {
                let places = serde_json::Value::from_iter(rows.iter().map(|row| row.place)).to_string();
                loaded.note(now, |delta| changed(delta, change, deleted))?;
                self.write_book(loaded, vec![(table::DELETE, vec![SqlStorageValue::String(places)])])?;
                loaded.status.dead_letters = self.inventory()?.counts;
            }
            Ok(DeleteDeadLettersResponse { deleted })
        })
    }

    /// A page of a statement that selects place and letter.
    fn select_letters(&self, statement: &str, values: Vec<SqlStorageValue>) -> Result<Vec<StoredDeadLetter>, Failure> {
        let cursor = self.sql().exec(statement, values)?;
        let mut failure = None;
        let rows = cursor.raw().map_while(|row| match row.map(<[SqlStorageValue; 2]>::try_from) {
            Ok(Ok([SqlStorageValue::Integer(place), SqlStorageValue::Blob(letter)])) => {
                u64::try_from(place).ok().map(|place| StoredDeadLetter { place, letter })
            }
            Ok(_) => {
                failure = Some(Failure::Platform("a row of dead letters that is none".into()));
                None
            }
            Err(error) => {
                failure = Some(error.into());
                None
            }
        });
        let page = table::page(rows);
        failure.map_or(Ok(page), Err)
    }
}
