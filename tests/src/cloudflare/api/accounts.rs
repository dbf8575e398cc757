//! Who the token belongs to, and which accounts it sees.

use serde_json::{Value, json};

use super::super::answer::{Answer, ApiError, Success, ok, page};
use super::super::call::Call;
use super::super::state::{Account, State};

/// Accounts on a page, and at most ("Accounts: List Accounts").
const PER_PAGE: usize = 20;
const MAX_PER_PAGE: usize = 50;

/// Answers below `/user`, `/accounts` and `/memberships`.
pub(crate) fn answer(state: &State, call: &Call, rest: &[&str]) -> Option<Answer> {
    if call.method != "GET" {
        return None;
    }
    let answer = match rest {
        ["user"] => ok(json!({
            "id": "7c5dae5552338874e5053f2534d2767a", "email": "somebody@example.com", "first_name": null,
            "last_name": null, "two_factor_authentication_enabled": true, "suspended": false,
        })),
        ["user", "tokens", "verify"] => Ok(Success::Envelope {
            result: json!({ "id": "ed17574386854bf78a67040be0a770b0", "status": "active" }),
            info: None,
            messages: vec![json!({ "code": 10_000, "message": "This API Token is valid and active", "type": null })],
        }),
        ["accounts"] => list(call, state.accounts.iter().map(view).collect()),
        ["memberships"] => list(call, state.accounts.iter().map(membership).collect()),
        ["accounts", id] => match state.account(id) {
            Some(account) => ok(view(account)),
            None => Err(ApiError::new(403, 9109, "Unauthorized to access requested resource")),
        },
        // Wrangler asks before it deletes a Worker; this fake runs no containers.
        ["accounts", _, "containers", "applications"] => ok(json!([])),
        _ => return None,
    };
    Some(answer)
}

fn list(call: &Call, items: Vec<Value>) -> Answer {
    page(items, call.number("page", 1, [1, usize::MAX])?, call.number("per_page", PER_PAGE, [5, MAX_PER_PAGE])?)
}

fn view(account: &Account) -> Value {
    json!({
        "id": account.id, "name": account.name, "type": "standard", "created_on": account.created_on,
        "settings": { "enforce_twofactor": false },
    })
}

fn membership(account: &Account) -> Value {
    json!({
        "id": account.id, "code": "", "status": "accepted", "roles": ["Super Administrator - All Privileges"],
        "account": view(account),
    })
}
