//! The body of a request, within a bound.

use futures::StreamExt as _;
use worker::Request;

/// The body, unless it is longer than `most` bytes. Of one that is, up to `drained` are read and not kept: an answer
/// while the client still sends is often lost with the connection.
///
/// # Errors
/// Where it cannot be read.
pub(crate) async fn read(request: &Request, most: usize, drained: usize) -> worker::Result<Option<Vec<u8>>> {
    if request.inner().body().is_none() {
        return Ok(Some(Vec::new()));
    }
    let mut request = request.clone()?;
    let mut stream = request.stream()?;
    let (mut body, mut read) = (Vec::new(), 0_usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        read = read.saturating_add(chunk.len());
        if read > drained {
            break;
        }
        if read <= most {
            body.extend_from_slice(&chunk);
        }
    }
    Ok((read <= most).then_some(body))
}
