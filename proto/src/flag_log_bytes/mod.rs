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

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use prost::Message as _;

use self::check::{check, check_field};
use crate::{
    flag_logs::{TelemetryData, WriteFlagLogsRequest},
    resolve_info::{ClientResolveInfo, FlagResolveInfo},
    wire::{Cursor, DEPTH, Malformed},
};

/// An encoded `WriteFlagLogsRequest`, checked, its parts by the field that they are in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlagLogs {
    /// Encoded `WriteFlagLogsRequest` with the assignments alone.
    pub assigned: Vec<u8>,
    /// The resolve infos of clients and flags, in their order.
    pub infos: Vec<Info>,
    /// An encoded `TelemetryData`, not checked: whoever reads it decodes it anyway.
    pub telemetry: Option<Vec<u8>>,
}

/// An encoded `TelemetryData` where it stands; owned where it stands in several places.
type TelemetryBytes<'a> = Cow<'a, [u8]>;

const FLAG_ASSIGNED: u32 = 1;
const TELEMETRY_DATA: u32 = 2;
const CLIENT_RESOLVE_INFO: u32 = 3;
const FLAG_RESOLVE_INFO: u32 = 4;

/// One resolve info, encoded and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// A `ClientResolveInfo`.
    Client(Arc<[u8]>),
    /// A `FlagResolveInfo`.
    Flag(Arc<[u8]>),
}

/// The resolve infos of some messages, each that is different once. Isolates say the same of the same flags: what is known
/// is neither checked nor copied again.
#[derive(Clone, Debug, Default)]
pub struct KnownInfos {
    clients: HashSet<Arc<[u8]>>,
    flags: HashSet<Arc<[u8]>>,
}

impl KnownInfos {
    fn client(&mut self, bytes: &[u8]) -> Result<Info, Malformed> {
        known(&mut self.clients, &schema::CLIENT_RESOLVE_INFO, bytes).map(Info::Client)
    }

    fn flag(&mut self, bytes: &[u8]) -> Result<Info, Malformed> {
        known(&mut self.flags, &schema::FLAG_RESOLVE_INFO, bytes).map(Info::Flag)
    }
}

fn known(infos: &mut HashSet<Arc<[u8]>>, schema: &check::Schema, bytes: &[u8]) -> Result<Arc<[u8]>, Malformed> {
    if let Some(info) = infos.get(bytes) {
        return Ok(Arc::clone(info));
    }
    check(schema, bytes, DEPTH - 1)?;
    let info: Arc<[u8]> = bytes.into();
    infos.insert(Arc::clone(&info));
    Ok(info)
}

impl FlagLogs {
    /// Reads an encoded `WriteFlagLogsRequest`.
    ///
    /// # Errors
    /// [`Malformed`], where the generated code would refuse it; but for what is wrong with its telemetry.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::read_parts(bytes, None, &mut KnownInfos::default())
    }

    /// Reads the flag logs of an envelope: the bytes, and the assignments that are packed beside them.
    pub(crate) fn read_parts(
        bytes: &[u8],
        assignments: Option<&[u8]>,
        known: &mut KnownInfos,
    ) -> Result<Self, Malformed> {
        let (logs, telemetry) = Self::read_in_place(bytes, assignments, known)?;
        Ok(Self { telemetry: telemetry.map(Cow::into_owned), ..logs })
    }

    /// The same, but for the telemetry, which stays where it stands. In the flag logs there is none then.
    pub(crate) fn read_in_place<'a>(
        bytes: &'a [u8],
        assignments: Option<&[u8]>,
        known: &mut KnownInfos,
    ) -> Result<(Self, Option<TelemetryBytes<'a>>), Malformed> {
        let (mut logs, mut said) = (Self::default(), None::<TelemetryBytes<'a>>);
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
                    let telemetry = cursor.bytes()?;
                    runs.turn(Part::None, at);
                    match &mut said {
                        // What stands twice is one message, as if its bytes stood one behind the other.
                        Some(before) => before.to_mut().extend_from_slice(telemetry),
                        None => said = Some(Cow::Borrowed(telemetry)),
                    }
                }
                (CLIENT_RESOLVE_INFO, 2) => {
                    let info = known.client(cursor.bytes()?)?;
                    runs.turn(Part::None, at);
                    runs.logs.add_info(info);
                }
                (FLAG_RESOLVE_INFO, 2) => {
                    let info = known.flag(cursor.bytes()?)?;
                    runs.turn(Part::None, at);
                    runs.logs.add_info(info);
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
        Ok((logs, said))
    }

    fn add_info(&mut self, info: Info) {
        if self.infos.is_empty() {
            self.infos.reserve(8);
        }
        self.infos.push(info);
    }

    /// The parts of a decoded request.
    pub fn of_request(mut request: WriteFlagLogsRequest) -> Self {
        let telemetry = request.telemetry_data.take().map(|telemetry| telemetry.encode_to_vec());
        let clients = std::mem::take(&mut request.client_resolve_info);
        let flags = std::mem::take(&mut request.flag_resolve_info);
        let clients = clients.iter().map(|info| Info::Client(info.encode_to_vec().into()));
        let infos = clients.chain(flags.iter().map(|info| Info::Flag(info.encode_to_vec().into()))).collect();
        Self { assigned: request.encode_to_vec(), infos, telemetry }
    }

    /// Decodes all of it.
    ///
    /// # Errors
    /// Where its telemetry does not decode.
    pub fn to_request(&self) -> Result<WriteFlagLogsRequest, prost::DecodeError> {
        let mut request = WriteFlagLogsRequest::decode(self.assigned.as_slice())?;
        for info in &self.infos {
            match info {
                Info::Client(info) => request.client_resolve_info.push(ClientResolveInfo::decode(&**info)?),
                Info::Flag(info) => request.flag_resolve_info.push(FlagResolveInfo::decode(&**info)?),
            }
        }
        request.telemetry_data =
            self.telemetry.as_ref().map(|bytes| TelemetryData::decode(bytes.as_slice())).transpose()?;
        Ok(request)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    None,
    Assigned,
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
