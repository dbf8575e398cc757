//! The code that prost and pbjson generate from the `.proto` files, in modules named as the packages are.
//!
//! Checked in; `tests/codegen.rs` generates it again and fails on a difference.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

/// `confidence`: Confidence's packages.
#[cfg(feature = "confidence")]
pub mod confidence {
    /// `confidence.flags`.
    pub mod flags {
        /// `confidence.flags.admin`.
        pub mod admin {
            /// `confidence.flags.admin.v1`: aggregates that resolvers report.
            pub mod v1 {
                include!("generated/confidence.flags.admin.v1.rs");
                include!("generated/confidence.flags.admin.v1.serde.rs");
            }
        }
        /// `confidence.flags.resolver`.
        pub mod resolver {
            /// `confidence.flags.resolver.v1`: what resolvers report.
            pub mod v1 {
                include!("generated/confidence.flags.resolver.v1.rs");
                include!("generated/confidence.flags.resolver.v1.serde.rs");
                /// `confidence.flags.resolver.v1.events`: assignments.
                pub mod events {
                    include!("generated/confidence.flags.resolver.v1.events.rs");
                    include!("generated/confidence.flags.resolver.v1.events.serde.rs");
                }
            }
        }
    }
}

/// `tributary`: this project's packages.
pub mod tributary {
    /// `tributary.v1`: envelope, metric model, Ledger.
    pub mod v1 {
        include!("generated/tributary.v1.rs");
    }
}
