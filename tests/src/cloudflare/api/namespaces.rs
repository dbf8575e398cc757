//! KV namespaces.
//!
//! Known: a namespace that is not there (10013), a title that is taken (10014) or missing (10019). Guessed: statuses.

use serde_json::{Value, json};

use super::super::answer::{Answer, ApiError, ok, page};
use super::super::call::Call;
use super::super::ids;
use super::super::state::{Account, Namespace};
use super::{text, values};

/// Namespaces on a page, and at most ("KV: List Namespaces").
const PER_PAGE: usize = 20;
const MAX_PER_PAGE: usize = 1_000;
/// "KV: Limits": namespaces of an account.
const MAX_NAMESPACES: usize = 1_000;
const MAX_TITLE_BYTES: usize = 512;

const INVALID_BODY: u32 = 10_012;
const NOT_FOUND: u32 = 10_013;
const TITLE_TAKEN: u32 = 10_014;
const TITLE_REQUIRED: u32 = 10_019;

/// Answers below `/accounts/<id>/storage/kv/namespaces`.
pub(crate) fn answer(account: &mut Account, call: &Call, rest: &[&str], is_write_limited: bool) -> Option<Answer> {
    let answer = match (call.method.as_str(), rest) {
        ("GET", []) => list(account, call),
        ("POST", []) => create(account, call),
        ("GET", [id]) => find(account, id).map(|namespace| view(namespace)).and_then(ok),
        ("PUT", [id]) => rename(account, call, id),
        ("DELETE", [id]) => delete(account, id),
        (_, [id, rest @ ..]) => match find(account, id) {
            Ok(namespace) => return values::answer(namespace, call, rest, is_write_limited),
            Err(error) => Err(error),
        },
        _ => return None,
    };
    Some(answer)
}

fn find<'a>(account: &'a mut Account, id: &str) -> Result<&'a mut Namespace, ApiError> {
    let namespace = account.namespaces.iter_mut().find(|namespace| namespace.id == id);
    namespace.ok_or_else(|| ApiError::new(404, NOT_FOUND, "namespace not found"))
}

fn list(account: &Account, call: &Call) -> Answer {
    let mut namespaces: Vec<&Namespace> = account.namespaces.iter().collect();
    match call.param("order").as_deref() {
        Some("title") => namespaces.sort_by(|a, b| a.title.cmp(&b.title)),
        Some("id") | None => namespaces.sort_by(|a, b| a.id.cmp(&b.id)),
        Some(other) => return Err(ApiError::new(400, INVALID_BODY, format!("invalid order {other:?}"))),
    }
    if call.param("direction").as_deref() == Some("desc") {
        namespaces.reverse();
    }
    let items = namespaces.into_iter().map(view).collect();
    page(items, call.number("page", 1, [1, usize::MAX])?, call.number("per_page", PER_PAGE, [1, MAX_PER_PAGE])?)
}

/// The title of a body, unless another namespace than `id` has it.
fn title(account: &Account, call: &Call, id: Option<&str>) -> Result<String, ApiError> {
    let body = call.json(INVALID_BODY)?;
    let title = text(&body, "title", TITLE_REQUIRED)?;
    if title.len() > MAX_TITLE_BYTES {
        return Err(ApiError::new(400, TITLE_REQUIRED, format!("title has more than {MAX_TITLE_BYTES} bytes")));
    }
    if account.namespaces.iter().any(|namespace| namespace.title == title && Some(namespace.id.as_str()) != id) {
        let message = "a namespace with this account ID and title already exists";
        return Err(ApiError::new(400, TITLE_TAKEN, message));
    }
    Ok(title.to_owned())
}

fn create(account: &mut Account, call: &Call) -> Answer {
    let title = title(account, call, None)?;
    if account.namespaces.len() >= MAX_NAMESPACES {
        return Err(ApiError::new(403, 10_015, "the account has as many namespaces as it can have"));
    }
    let namespace = Namespace { id: ids::hex_id(), title, values: std::collections::BTreeMap::new() };
    let answer = view(&namespace);
    account.namespaces.push(namespace);
    ok(answer)
}

fn rename(account: &mut Account, call: &Call, id: &str) -> Answer {
    find(account, id)?;
    let title = title(account, call, Some(id))?;
    let namespace = find(account, id)?;
    namespace.title = title;
    ok(view(namespace))
}

fn delete(account: &mut Account, id: &str) -> Answer {
    find(account, id)?;
    account.namespaces.retain(|namespace| namespace.id != id);
    ok(Value::Null)
}

fn view(namespace: &Namespace) -> Value {
    json!({ "id": namespace.id, "title": namespace.title, "supports_url_encoding": true })
}
