//! The deployer and the real wrangler against a Cloudflare that keeps state, refuses what the real one refuses, and fails
//! on order.
//!
//! | file | what it shows |
//! | --- | --- |
//! | `fresh` | an empty account gets everything; a second run, and a dry run, write nothing |
//! | `resume` | a deploy that fails at any of its writes is finished by the next |
//! | `weather` | 429, 5xx, lost answers |
//! | `refusals` | wrong token, several accounts, taken names: each says what to do, and changes nothing |
//! | `changes` | upgrade, drift, options, two installations in one account |
//! | `rollback`, `destroy` | the ways back and out |
//! | `cycle` | both real Workers: deploy, resolve, scrape, change a flag, redeploy, roll back, destroy |
//! | `import` | a deploy goes on from what Spotify's resolver counted in the account |
//! | `migration` | docs/migration.md with the commands that it names: a queue changes hands and no message is lost or doubled |
//! | `guide` | docs/otel.md from an empty folder: Workers with metrics of their own beside an installation |
//! | `shards` | several queues: made, bound, consumed, emptied when there are fewer, taken out |
//! | `secrets` | nothing that is printed or left behind holds one |
//!
//! Where the Workers themselves do not matter, small ones stand for them: with the same bindings, handlers and classes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod changes;
mod cycle;
mod destroy;
mod fresh;
mod guide;
mod import;
mod migration;
mod refusals;
mod resume;
mod rollback;
mod secrets;
mod shards;
mod support;
mod weather;
