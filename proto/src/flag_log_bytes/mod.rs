//! Flag logs as bytes: told right from wrong and taken apart without being decoded, and the short form in which their
//! assignments travel.
//!
//! A consumer forwards assignments and never looks into them. Decoded they are a string per field, some dozens for each
//! resolve; here they are one pass over the bytes. What this takes is exactly what the generated code takes, but for the
//! entries of maps, whose wire type the generated code does not look at.

mod check;
mod packed;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use packed::{Packed, pack};

use prost::Message as _;

use self::check::{check, check_field};
use crate::{
    flag_logs::{TelemetryData, WriteFlagLogsRequest},
    wire::{Cursor, DEPTH, Malformed},
};

/// An encoded `WriteFlagLogsRequest`, checked, its parts by the field that they are in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlagLogs {
    /// Encoded `WriteFlagLogsRequest` with the assignments alone.
    pub assigned: Vec<u8>,
    /// Encoded `WriteFlagLogsRequest` with the resolve infos of clients and flags alone.
    pub infos: Vec<u8>,
    /// An encoded `TelemetryData`, not checked: whoever reads it decodes it anyway.
    pub telemetry: Option<Vec<u8>>,
}

const FLAG_ASSIGNED: u32 = 1;
const TELEMETRY_DATA: u32 = 2;
/// Number of the field of a `WriteFlagLogsRequest` that holds a `ClientResolveInfo`.
pub const CLIENT_RESOLVE_INFO: u32 = 3;
/// Number of the field of a `WriteFlagLogsRequest` that holds a `FlagResolveInfo`.
pub const FLAG_RESOLVE_INFO: u32 = 4;

impl FlagLogs {
    /// Reads an encoded `WriteFlagLogsRequest`.
    ///
    /// # Errors
    /// [`Malformed`], where the generated code would refuse it; but for what is wrong with its telemetry.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::read_parts(bytes, None)
    }

    /// Reads the flag logs of an envelope: the bytes, and the assignments that are packed beside them.
    pub(crate) fn read_parts(bytes: &[u8], assignments: Option<&[u8]>) -> Result<Self, Malformed> {
        let mut logs = Self::default();
        let mut telemetry = Vec::new();
        let mut unpacked = assignments.map(packed::Unpacked::read).transpose()?;
        let mut cursor = Cursor::new(bytes);
        let mut runs = Runs { bytes, logs: &mut logs, start: 0, part: Part::None };
        loop {
            let at = bytes.len().saturating_sub(cursor.len());
            if let Some(packed) = unpacked.take_if(|packed| packed.position <= at) {
                if packed.position != at {
                    return Err(Malformed::Reference);
                }
                runs.turn(Part::None, at);
                packed.write(&mut runs.logs.assigned)?;
            }
            if cursor.is_empty() {
                runs.turn(Part::None, at);
                break;
            }
            let (number, wire_type) = cursor.key()?;
            match (number, wire_type) {
                (FLAG_ASSIGNED, 2) => {
                    check(&schema::FLAG_ASSIGNED, cursor.bytes()?, DEPTH - 1)?;
                    runs.turn(Part::Assigned, at);
                }
                (TELEMETRY_DATA, 2) => {
                    telemetry.push(cursor.bytes()?);
                    runs.turn(Part::None, at);
                }
                (CLIENT_RESOLVE_INFO, 2) => {
                    check(&schema::CLIENT_RESOLVE_INFO, cursor.bytes()?, DEPTH - 1)?;
                    runs.turn(Part::Infos, at);
                }
                (FLAG_RESOLVE_INFO, 2) => {
                    check(&schema::FLAG_RESOLVE_INFO, cursor.bytes()?, DEPTH - 1)?;
                    runs.turn(Part::Infos, at);
                }
                (FLAG_ASSIGNED..=FLAG_RESOLVE_INFO, _) => return Err(Malformed::Type),
                _ => {
                    check_field(&mut cursor, &check::Schema(&[]), number, wire_type, DEPTH)?;
                    runs.turn(Part::None, at);
                }
            }
        }
        if unpacked.is_some() {
            return Err(Malformed::Reference);
        }
        // What stands twice is one message, as if its bytes stood one behind the other.
        logs.telemetry = (!telemetry.is_empty()).then(|| telemetry.concat());
        Ok(logs)
    }

    /// The parts of a decoded request.
    pub fn of_request(mut request: WriteFlagLogsRequest) -> Self {
        let telemetry = request.telemetry_data.take().map(|telemetry| telemetry.encode_to_vec());
        let infos = WriteFlagLogsRequest {
            client_resolve_info: std::mem::take(&mut request.client_resolve_info),
            flag_resolve_info: std::mem::take(&mut request.flag_resolve_info),
            ..WriteFlagLogsRequest::default()
        };
        Self { assigned: request.encode_to_vec(), infos: infos.encode_to_vec(), telemetry }
    }

    /// Decodes all of it.
    ///
    /// # Errors
    /// Where its telemetry does not decode.
    pub fn to_request(&self) -> Result<WriteFlagLogsRequest, prost::DecodeError> {
        let mut request = WriteFlagLogsRequest::decode(self.assigned.as_slice())?;
        request.merge(self.infos.as_slice())?;
        request.telemetry_data =
            self.telemetry.as_ref().map(|bytes| TelemetryData::decode(bytes.as_slice())).transpose()?;
        Ok(request)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    None,
    Assigned,
    Infos,
}

/// Copies fields of one part that stand together in one step.
struct Runs<'a> {
    bytes: &'a [u8],
    logs: &'a mut FlagLogs,
    start: usize,
    part: Part,
}

impl Runs<'_> {
    /// From `at` on it is `part`.
    fn turn(&mut self, part: Part, at: usize) {
        if part == self.part {
            return;
        }
        let run = self.bytes.get(self.start..at).unwrap_or_default();
        match self.part {
            Part::None => {}
            Part::Assigned => self.logs.assigned.extend_from_slice(run),
            Part::Infos => self.logs.infos.extend_from_slice(run),
        }
        self.part = part;
        self.start = at;
    }
}

/// Unpacks the assignments of an envelope into its flag logs.
pub(crate) fn unpack_into(flag_logs: &mut Vec<u8>, assignments: &[u8]) -> Result<(), Malformed> {
    let unpacked = packed::Unpacked::read(assignments)?;
    let after = flag_logs.split_off(flag_logs.len().min(unpacked.position));
    if flag_logs.len() < unpacked.position {
        return Err(Malformed::Reference);
    }
    unpacked.write(flag_logs)?;
    flag_logs.extend_from_slice(&after);
    Ok(())
}
