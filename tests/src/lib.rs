//! What the end to end tests share: an installation of both Workers in workerd, the consumer alone in Miniflare, and a
//! reader of the exposition that trusts nothing.

pub mod chaos;
pub mod consumer;
pub mod exposition;
pub mod grafana;
pub mod http;
pub mod installation;
pub mod wait;
