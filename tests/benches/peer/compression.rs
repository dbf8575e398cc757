//! `PEER_COMPRESSION=1`: general compressors on our messages, beside packing: bytes and instructions for each resolve. No
//! Worker compresses; the table in `docs/performance.md` says why.

use tributary_consumer::message::{MessageBody, QueueMessage};
use tributary_proto::{Message as _, envelope::Envelope, v1};

use crate::{
    inputs::{COALESCED, Inputs, mean},
    instructions::{Case, Side, region},
};

/// Set to anything: only this is counted.
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
        forms.push((format!("packed, {resolves} a message"), packed, resolves));
        forms.push((format!("not packed, {resolves} a message"), unpacked, resolves));
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
                cases.push(Case { work, peer: None, ours: Side::new(elements, run), target: None });
            };
            case("compress", messages.clone(), compress);
            case("decompress", compressed, decompress);
        }
    }
    cases
}

/// Prints the bytes for each resolve.
pub(crate) fn print_sizes(inputs: &Inputs) {
    for (form, messages, resolves) in forms(inputs) {
        let size = |run: fn(&[u8]) -> Vec<u8>| {
            mean(messages.iter().map(|bytes| run(bytes).len()).sum(), messages.len() * resolves)
        };
        println!("{form}: {:.1} bytes a resolve", size(<[u8]>::to_vec));
        for (codec, compress, _) in CODECS {
            println!("    {codec}: {:.1}", size(compress));
        }
    }
}
