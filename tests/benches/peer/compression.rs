//! General compressors on our messages, beside packing: bytes and instructions for each resolve. No Worker compresses; the
//! table in `docs/performance.md` says why.

use std::fmt::Write as _;

use tributary_consumer::message::{MessageBody, QueueMessage};
use tributary_proto::{Message as _, envelope::Envelope, v1};
use tributary_tests::peer::{Row, Unit, number};

use crate::{
    inputs::{COALESCED, Inputs, mean},
    instructions::{Case, Side, region},
};

/// Set in the process that is to count this and nothing else.
pub(crate) const VARIABLE: &str = "PEER_COMPRESSION";

type Codec = (&'static str, fn(&[u8]) -> Vec<u8>, fn(&[u8]) -> Vec<u8>);

const CODECS: [Codec; 3] = [
    ("lz4 block", lz4_flex::block::compress_prepend_size, |bytes| {
        lz4_flex::block::decompress_size_prepended(bytes).unwrap()
    }),
    ("deflate 1", |bytes| miniz_oxide::deflate::compress_to_vec(bytes, 1), inflate),
    ("deflate 6", |bytes| miniz_oxide::deflate::compress_to_vec(bytes, 6), inflate),
];

fn inflate(bytes: &[u8]) -> Vec<u8> {
    miniz_oxide::inflate::decompress_to_vec(bytes).unwrap()
}

/// Messages as they are written, and as they would be without packing, with the resolves in each.
fn forms(inputs: &Inputs) -> Vec<(String, Vec<Vec<u8>>, usize)> {
    let mut forms = Vec::new();
    for (messages, resolves) in [(&inputs.single, 1), (&inputs.coalesced, COALESCED)] {
        let packed: Vec<Vec<u8>> = messages.iter().map(|message| bytes(message).to_vec()).collect();
        let unpacked = packed.iter().map(|bytes| unpacked(bytes)).collect();
        forms.push((format!("{resolves} a message, packed"), packed, resolves));
        forms.push((format!("{resolves} a message, not packed"), unpacked, resolves));
    }
    forms
}

fn bytes(message: &QueueMessage) -> &[u8] {
    match &message.body {
        MessageBody::Bytes(bytes) => bytes,
        other => unreachable!("{other:?}"),
    }
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let flag_logs = Envelope::decode(bytes).unwrap().flag_logs;
    let message = v1::Envelope { flag_logs, assignments: Vec::new(), ..v1::Envelope::decode(bytes).unwrap() };
    message.encode_to_vec()
}

/// Compressing and decompressing, with each codec.
pub(crate) fn cases(inputs: &Inputs) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    for (form, messages, resolves) in forms(inputs) {
        for (codec, compress, decompress) in CODECS {
            let compressed: Vec<Vec<u8>> = messages.iter().map(|bytes| compress(bytes)).collect();
            let mut case = |work: &str, messages: Vec<Vec<u8>>, run: fn(&[u8]) -> Vec<u8>| {
                let elements = messages.len() * resolves;
                let run = move || region(|| messages.iter().map(|bytes| run(bytes)).collect::<Vec<_>>());
                let work = format!("{codec}, {form}: {work}").leak();
                cases.push(Case::alone(work, Unit::Instructions, Side::new(elements, run)));
            };
            case("compress", messages.clone(), compress);
            case("decompress", compressed, decompress);
        }
    }
    cases
}

/// The table: bytes and instructions for each resolve, of what [`cases`] counted.
pub(crate) fn table(inputs: &Inputs, counted: &[Row]) -> String {
    let mut table = "| for each resolve | bytes |".to_owned();
    for (codec, ..) in CODECS {
        write!(table, " {codec}: bytes | compress, decompress |").unwrap();
    }
    write!(table, "\n| --- | --: |{}\n", " --: | --: |".repeat(CODECS.len())).unwrap();
    let mut counted = counted.iter().map(|row| number(row.ours.amount.round()));
    for (form, messages, resolves) in forms(inputs) {
        let size = |run: fn(&[u8]) -> Vec<u8>| {
            number(mean(messages.iter().map(|bytes| run(bytes).len()).sum(), messages.len() * resolves).round())
        };
        write!(table, "| {form} | {} |", size(<[u8]>::to_vec)).unwrap();
        for (_, compress, _) in CODECS {
            let (compressing, decompressing) = (counted.next().unwrap(), counted.next().unwrap());
            write!(table, " {} | {compressing}, {decompressing} |", size(compress)).unwrap();
        }
        table.push('\n');
    }
    table
}
