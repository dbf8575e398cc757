//! The deployer: both Workers in a Cloudflare account, with queues, KV namespaces, secrets and resolver state, by one
//! command that can run again at any time.
//!
//! [`command`] is the way in. A [`deploy`] reads what it is told ([`config`]) and what the checked-in `wrangler/*.toml` ask
//! for ([`template`]), looks at the account ([`observe`]), works out what is missing ([`plan`]: pure), and does that
//! ([`apply`]), with the API ([`cloudflare`]) and with the real wrangler ([`wrangler`]) in a build folder. [`smoke`] asks
//! the result. [`status`], [`rollback`] and [`destroy`] are the other commands, and [`snapshot`] goes on
//! from what another resolver counted. [`report`] is all that is printed.
//!
//! What it remembers of a deploy is in the deploy itself: a variable of each Worker, [`mark`].

#![forbid(unsafe_code)]

pub mod apply;
pub mod cloudflare;
pub mod command;
pub mod config;
pub mod content;
pub mod deploy;
pub mod destroy;
pub mod error;
pub mod limits;
pub mod mark;
pub mod names;
pub mod observe;
pub mod plan;
pub mod report;
pub mod rollback;
pub mod session;
pub mod smoke;
pub mod snapshot;
pub mod state;
pub mod status;
pub mod template;
pub mod wrangler;
