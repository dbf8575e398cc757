//! An import of totals, as it comes over HTTP.

use tributary_consumer::ledger::{
    book::Book,
    import::{Import, decide, decode_rows},
    parts::StoredBook,
};
use tributary_proto::{
    Message as _,
    v1::{ImportRequest, import_response::Outcome},
};

use super::NOW_MS;
use crate::memory::bounded;

/// The most that reading may allocate, in multiples of the request: some 10 bytes make a histogram of 513 buckets.
const FACTOR: usize = 1_024;

/// Any request is refused, or taken as a whole: what was there grows by exactly what it says, what it says is kept, the
/// state reads back, and the same again changes nothing.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    let Ok(request) = bounded(data.len(), FACTOR, || ImportRequest::decode(data)) else { return };
    let Ok(import) = bounded(data.len(), FACTOR, || Import::from_wire(request)) else { return };
    let mut book = Book::new("eu", NOW_MS).expect("a label");
    let before = book.clone();
    let Ok(decision) = decide(&import, &[], &mut book, NOW_MS) else { return };
    assert_eq!(decision.outcome, Outcome::Applied, "nothing is in its way");
    for family in import.totals().families() {
        let name = family.descriptor().name();
        for (labels, value) in family.series() {
            let now = book.state.get(name, labels).expect("taken").value().clone();
            let expected = match before.state.get(name, labels) {
                Some(series) => series.value().merged(value).expect("of one kind"),
                None => value.clone(),
            };
            assert_eq!(now, expected, "{name}");
        }
    }
    assert_eq!(StoredBook::seal(&book).open().expect("reads back").state, book.state);
    let known = decode_rows([decision.record.encode_to_vec().as_slice()]).expect("reads back");
    let after = book.clone();
    let again = decide(&import, &known, &mut book, NOW_MS + 1).expect("decided");
    assert_eq!((again.outcome, &again.record), (Outcome::AlreadyImported, &decision.record));
    assert!(book == after, "a repeat changes nothing");
}
