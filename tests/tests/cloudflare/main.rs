//! The fake Cloudflare: that it refuses what the real one refuses, fails on order, and runs what wrangler deploys to it.

mod edge;
mod strictness;
mod support;
