//! Back to what was live before the last deploy. Choosing is pure.
//!
//! A deploy leaves its time in what it uploads. The last deploy is the latest time that is live; a Worker that has it
//! goes back to what was live before and is older, and one that the deploy left alone stays. So both end as they were
//! together, a rollback that was interrupted goes on, and a second one goes back one deploy more.
//!
//! The producer goes first: the older consumer must not meet messages of a newer producer.

use std::collections::BTreeMap;

use crate::cloudflare::client::Client;
use crate::cloudflare::error::ApiError;
use crate::cloudflare::workers::{self, Deployment};
use crate::config::vars::Role;
use crate::mark::Mark;
use crate::observe::mark_of;
use crate::template::Template;

/// One deployment of a Worker's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What was live.
    pub version_id: String,
    /// Its mark.
    pub mark: Option<Mark>,
    /// Its migrations of Durable Objects.
    pub migration_tag: Option<String>,
}

/// A Worker that goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub role: Role,
    /// What is live.
    pub from: Past,
    /// What will be.
    pub to: Past,
}

/// Why there is no way back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackError {
    /// Nothing is installed.
    #[error("the Worker {0} is not there: there is nothing to roll back. `make deploy` installs it")]
    NotThere(String),
    /// What is live is not ours.
    #[error(
        "what is live of {0} was not made by a deploy of Tributary, or shares its requests with another version. Choose a version yourself: npx wrangler versions list --name {0}"
    )]
    NotOurs(String),
    /// Nothing older.
    #[error("there is no older deploy of {0} among its last deployments: there is nothing to roll back to")]
    NothingBefore(String),
    /// The Ledger would not read back.
    #[error(
        "the deploy before knows schema {to} of the Ledger, and it has schema {from} now: the older consumer would refuse \
         every batch. Nothing would be lost (messages wait in the queue and then as dead letters), but nothing would be \
         counted either. Mend the new version and deploy it instead; --force rolls back nevertheless"
    )]
    LedgerSchema {
        /// Now.
        from: u32,
        /// Before.
        to: u32,
    },
    /// Cloudflare does not go back over a migration.
    #[error(
        "a migration of Durable Objects lies between the two versions of {0}, and Cloudflare does not go back over one. Deploy a mended version instead"
    )]
    Migration(String),
}

/// Which Workers go back, and to what; the order is that of doing it. `histories` are newest first.
///
/// # Errors
/// [`RollbackError`].
pub fn choose(
    histories: &BTreeMap<Role, Vec<Past>>,
    names: &BTreeMap<Role, String>,
    force: bool,
) -> Result<Vec<Move>, RollbackError> {
    let name = |role: Role| names.get(&role).cloned().unwrap_or_default();
    let mut live = Vec::new();
    for role in [Role::Producer, Role::Consumer] {
        let history = histories.get(&role).map(Vec::as_slice).unwrap_or_default();
        let Some((now, before)) = history.split_first() else { return Err(RollbackError::NotThere(name(role))) };
        let mark = now.mark.as_ref().ok_or_else(|| RollbackError::NotOurs(name(role)))?;
        live.push((role, now, before, mark));
    }
    let last = live.iter().map(|(.., mark)| mark.release).max();
    let mut moves = Vec::new();
    for (role, now, before, mark) in live.into_iter().filter(|(.., mark)| Some(mark.release) == last) {
        let is_older = |past: &&Past| past.mark.as_ref().is_some_and(|older| older.release < mark.release);
        let to = before.iter().find(is_older).ok_or_else(|| RollbackError::NothingBefore(name(role)))?;
        if to.migration_tag != now.migration_tag {
            return Err(RollbackError::Migration(name(role)));
        }
        let schema = |mark: Option<&Mark>| mark.and_then(|mark| mark.ledger_schema);
        if let (Some(from), Some(to)) = (schema(Some(mark)), schema(to.mark.as_ref()))
            && to < from
            && !force
        {
            return Err(RollbackError::LedgerSchema { from, to });
        }
        moves.push(Move { role, from: now.clone(), to: to.clone() });
    }
    Ok(moves)
}

/// Reads the history of a Worker, newest first; empty where there is no such Worker.
///
/// # Errors
/// [`ApiError`].
pub fn history(client: &Client, account_id: &str, template: &Template) -> Result<Vec<Past>, ApiError> {
    let mut known: BTreeMap<String, Past> = BTreeMap::new();
    let mut history = Vec::new();
    for deployment in workers::deployments(client, account_id, template.name())?.unwrap_or_default() {
        let past = match deployment.whole() {
            Some(id) => match known.get(id) {
                Some(past) => past.clone(),
                None => {
                    let version = workers::version(client, account_id, template.name(), id)?;
                    let mark = mark_of(&version);
                    let past = Past { version_id: version.id, mark, migration_tag: version.migration_tag };
                    known.insert(id.to_owned(), past.clone());
                    past
                }
            },
            // Shared requests are no state to go back to.
            None => Past { version_id: shares(&deployment), mark: None, migration_tag: None },
        };
        history.push(past);
    }
    Ok(history)
}

fn shares(deployment: &Deployment) -> String {
    deployment.versions.iter().map(|share| share.version_id.as_str()).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn past(release: u64) -> Past {
        let mark = Mark { content: String::new(), release, ledger_schema: Some(2), secrets: BTreeMap::new() };
        Past { version_id: format!("v{release}"), mark: Some(mark), migration_tag: Some("v1".to_owned()) }
    }

    fn names() -> BTreeMap<Role, String> {
        Role::ALL.into_iter().map(|role| (role, format!("t-{}", role.as_str()))).collect()
    }

    fn histories(consumer: &[u64], producer: &[u64]) -> BTreeMap<Role, Vec<Past>> {
        let of = |releases: &[u64]| releases.iter().map(|release| past(*release)).collect();
        [(Role::Consumer, of(consumer)), (Role::Producer, of(producer))].into()
    }

    fn chosen(consumer: &[u64], producer: &[u64]) -> Result<Vec<(Role, u64)>, RollbackError> {
        let moves = choose(&histories(consumer, producer), &names(), false)?;
        Ok(moves.into_iter().map(|to| (to.role, to.to.mark.unwrap().release)).collect())
    }

    #[test]
    fn both_go_back_where_the_last_deploy_changed_both_the_producer_first() {
        assert_eq!(chosen(&[3, 2, 1], &[3, 1]).unwrap(), [(Role::Producer, 1), (Role::Consumer, 2)]);
    }

    #[test]
    fn a_worker_that_the_last_deploy_left_alone_stays() {
        assert_eq!(chosen(&[4, 2, 1], &[3, 1]).unwrap(), [(Role::Consumer, 2)]);
        assert_eq!(chosen(&[2, 4, 2, 1], &[3, 1]).unwrap(), [(Role::Producer, 1)], "and then one deploy more");
    }

    #[test]
    fn a_version_that_was_rolled_back_is_no_way_back() {
        // 3 was bad, went back to 2; now 4 is bad, too.
        assert_eq!(chosen(&[4, 2, 3, 2, 1], &[4, 2, 3, 2, 1]).unwrap(), [(Role::Producer, 2), (Role::Consumer, 2)]);
        assert_eq!(
            chosen(&[2, 4, 2, 3, 2, 1], &[2, 4, 2, 3, 2, 1]).unwrap(),
            [(Role::Producer, 1), (Role::Consumer, 1)]
        );
    }

    #[test]
    fn an_interrupted_rollback_goes_on() {
        assert_eq!(chosen(&[3, 2], &[2, 3, 2]).unwrap(), [(Role::Consumer, 2)]);
    }

    #[test]
    fn where_there_is_no_way_back_it_says_why() {
        assert_eq!(chosen(&[], &[1]), Err(RollbackError::NotThere("t-consumer".to_owned())));
        assert_eq!(chosen(&[1], &[1]), Err(RollbackError::NothingBefore("t-producer".to_owned())));
        let mut foreign = histories(&[2, 1], &[2, 1]);
        foreign.get_mut(&Role::Producer).unwrap()[0].mark = None;
        assert_eq!(choose(&foreign, &names(), false), Err(RollbackError::NotOurs("t-producer".to_owned())));
        let mut migrated = histories(&[2, 1], &[2, 1]);
        migrated.get_mut(&Role::Consumer).unwrap()[1].migration_tag = None;
        assert_eq!(choose(&migrated, &names(), true), Err(RollbackError::Migration("t-consumer".to_owned())));
        let mut newer = histories(&[2, 1], &[2, 1]);
        newer.get_mut(&Role::Consumer).unwrap()[0].mark.as_mut().unwrap().ledger_schema = Some(3);
        assert_eq!(choose(&newer, &names(), false), Err(RollbackError::LedgerSchema { from: 3, to: 2 }));
        assert_eq!(choose(&newer, &names(), true).unwrap().len(), 2);
    }

    proptest! {
        /// Deploys that change the one, the other or both; rollbacks undo them one by one, whatever went before.
        #[test]
        fn rollbacks_undo_deploys_one_by_one(deploys in prop::collection::vec(1..4u8, 1..5)) {
            let mut live: Vec<BTreeMap<Role, u64>> = vec![Role::ALL.into_iter().map(|role| (role, 1)).collect()];
            let mut histories = histories(&[1], &[1]);
            for (index, changes) in deploys.iter().enumerate() {
                let release = index as u64 + 2;
                let mut now = live.last().unwrap().clone();
                for (bit, role) in [(1, Role::Consumer), (2, Role::Producer)] {
                    if changes & bit != 0 {
                        histories.get_mut(&role).unwrap().insert(0, past(release));
                        now.insert(role, release);
                    }
                }
                live.push(now);
            }
            while live.len() > 1 {
                live.pop();
                for step in choose(&histories, &names(), false).unwrap() {
                    histories.get_mut(&step.role).unwrap().insert(0, step.to);
                }
                let now: BTreeMap<Role, u64> =
                    histories.iter().map(|(role, history)| (*role, history[0].mark.as_ref().unwrap().release)).collect();
                prop_assert_eq!(&now, live.last().unwrap());
            }
            prop_assert!(choose(&histories, &names(), false).is_err());
        }
    }
}
