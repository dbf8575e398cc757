//! The messages of a `WriteFlagLogsRequest`, as far as their bytes must be told right from wrong. `tests.rs` holds them
//! against the generated code.

use super::check::{
    Kind::{Nested, Text, Unknown, Varint},
    Schema,
};

static TIMESTAMP_FIELDS: Schema = Schema(&[Unknown, Varint, Varint]);
/// `google.protobuf.Timestamp`
pub(super) static TIMESTAMP: &Schema = &TIMESTAMP_FIELDS;

static SDK: Schema = Schema(&[Unknown, Varint, Text, Text]);
static CLIENT_INFO: Schema = Schema(&[Unknown, Text, Text, Nested(&SDK)]);
static ASSIGNMENT_INFO: Schema = Schema(&[Unknown, Text, Text]);
static DEFAULT_ASSIGNMENT: Schema = Schema(&[Unknown, Varint]);

/// `FallthroughAssignment`
pub(super) static FALLTHROUGH: Schema = Schema(&[Unknown, Text, Text, Text, Text]);

/// `FlagAssigned.AppliedFlag`
pub(super) static APPLIED_FLAG: Schema = Schema(&[
    Unknown,
    Text,
    Text,
    Text,
    Nested(&ASSIGNMENT_INFO),
    Nested(&DEFAULT_ASSIGNMENT),
    Text,
    Text,
    Nested(&FALLTHROUGH),
    Nested(&TIMESTAMP_FIELDS),
]);

/// `FlagAssigned`
pub(super) static FLAG_ASSIGNED: Schema = Schema(&[
    Unknown,
    Unknown,
    Unknown,
    Nested(&CLIENT_INFO),
    Unknown,
    Unknown,
    Unknown,
    Unknown,
    Unknown,
    Unknown,
    Text,
    Unknown,
    Unknown,
    Unknown,
    Unknown,
    Nested(&APPLIED_FLAG),
]);

static EMPTY: Schema = Schema(&[]);
static COUNTRY: Schema = Schema(&[Unknown, Varint]);
static TEXT: Schema = Schema(&[Unknown, Text]);
static ENUM: Schema = Schema(&[Unknown, Nested(&TEXT)]);
static SEMANTIC_TYPE: Schema =
    Schema(&[Unknown, Nested(&COUNTRY), Nested(&ENUM), Nested(&TEXT), Nested(&EMPTY), Nested(&EMPTY), Nested(&EMPTY)]);
static KIND_ENTRY: Schema = Schema(&[Unknown, Text, Varint]);
static SEMANTIC_ENTRY: Schema = Schema(&[Unknown, Text, Nested(&SEMANTIC_TYPE)]);
static SCHEMA_INSTANCE: Schema = Schema(&[Unknown, Nested(&KIND_ENTRY), Nested(&SEMANTIC_ENTRY)]);

/// `ClientResolveInfo`
pub(super) static CLIENT_RESOLVE_INFO: Schema = Schema(&[Unknown, Text, Text, Nested(&SCHEMA_INSTANCE)]);

static VARIANT: Schema = Schema(&[Unknown, Text, Unknown, Varint]);
static ASSIGNMENT: Schema = Schema(&[Unknown, Text, Varint]);
static RULE: Schema = Schema(&[Unknown, Text, Varint, Nested(&ASSIGNMENT)]);

/// `FlagResolveInfo`
pub(super) static FLAG_RESOLVE_INFO: Schema = Schema(&[Unknown, Text, Nested(&VARIANT), Nested(&RULE)]);
