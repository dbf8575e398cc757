//! Which account it is.

use serde::Deserialize;

use super::client::{Call, Client};
use super::error::{ApiError, Permission, codes};

/// An account that the token sees.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// What its people call it.
    #[serde(default)]
    pub name: String,
}

/// Why no account was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The list.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// None.
    #[error(
        "the token sees no Cloudflare account.\nGive it the account under \"Account Resources\" at \
         https://dash.cloudflare.com/profile/api-tokens, or set CLOUDFLARE_ACCOUNT_ID."
    )]
    None,
    /// Several.
    #[error("the token sees several Cloudflare accounts:\n{}\nSay which: CLOUDFLARE_ACCOUNT_ID=<id>, or account_id in tributary.toml.", list(.0))]
    Several(Vec<Account>),
    /// A token of an account cannot list.
    #[error(
        "the token belongs to an account and cannot list accounts.\nSay which it is: CLOUDFLARE_ACCOUNT_ID=<id>, or account_id in tributary.toml."
    )]
    AccountOwned,
}

fn list(accounts: &[Account]) -> String {
    let lines: Vec<String> = accounts.iter().map(|account| format!("  {}  {}", account.id, account.name)).collect();
    lines.join("\n")
}

/// The one account of the token.
///
/// # Errors
/// [`AccountError`].
pub fn detect(client: &Client) -> Result<Account, AccountError> {
    let call = Call::get(Permission::Account, "/accounts", "list the accounts of the token");
    let accounts: Vec<Account> = match client.list(&call, 50) {
        Err(error) if error.has_code(&[codes::ACCOUNT_OWNED]) => return Err(AccountError::AccountOwned),
        listed => listed?,
    };
    choose(accounts)
}

fn choose(accounts: Vec<Account>) -> Result<Account, AccountError> {
    let mut left = accounts.iter();
    match (left.next(), left.next()) {
        (None, _) => Err(AccountError::None),
        (Some(account), None) => Ok(account.clone()),
        _ => Err(AccountError::Several(accounts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_accounts_are_listed_with_the_variable_to_set() {
        let account = |id: &str, name: &str| Account { id: id.to_owned(), name: name.to_owned() };
        assert_eq!(choose(vec![account("1", "one")]).unwrap().id, "1");
        assert!(matches!(choose(Vec::new()), Err(AccountError::None)));
        let text = choose(vec![account("1", "one"), account("2", "two")]).unwrap_err().to_string();
        assert!(text.contains("  1  one\n  2  two\n") && text.contains("CLOUDFLARE_ACCOUNT_ID"), "{text}");
    }
}
