//! Forms with files (RFC 7578), read strictly.

use super::call::Call;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// The parts of a form in their order, or what is wrong with it.
///
/// # Errors
/// What is wrong.
pub(crate) fn parse(call: &Call) -> Result<Vec<Part>, String> {
    let content_type = call.header("content-type");
    let boundary = content_type.strip_prefix("multipart/form-data").and_then(|rest| parameter(rest, "boundary"));
    let boundary = boundary.ok_or_else(|| format!("content type {content_type:?} is no form"))?;
    // The first delimiter may stand at the very beginning; all others follow a line break.
    let delimiter = format!("--{boundary}").into_bytes();
    let separator = [b"\r\n", delimiter.as_slice()].concat();
    let mut rest = call.body.strip_prefix(delimiter.as_slice()).ok_or("the form does not begin with its boundary")?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        rest = rest.strip_prefix(b"\r\n").ok_or("no line break behind a boundary")?;
        let (part, after) = split(rest, &separator).ok_or("the form ends within a part")?;
        parts.push(part_of(part)?);
        rest = after;
    }
}

fn part_of(bytes: &[u8]) -> Result<Part, String> {
    let (head, body) = split(bytes, b"\r\n\r\n").ok_or("a part without an end of its headers")?;
    let head = String::from_utf8_lossy(head);
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let disposition = header("content-disposition").ok_or("a part without a content disposition")?;
    let fields = disposition.strip_prefix("form-data").ok_or("a part that is not form data")?;
    Ok(Part {
        name: parameter(fields, "name").ok_or("a part without a name")?,
        file_name: parameter(fields, "filename"),
        content_type: header("content-type").unwrap_or("text/plain").to_owned(),
        body: body.to_vec(),
    })
}

/// The value of `; name=value` or `; name="value"`.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (_, after) = rest.split_once(';')?;
        let (key, value) = after.split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.find(';').map_or((value, ""), |end| value.split_at(end)),
        };
        if key.trim().eq_ignore_ascii_case(name) {
            // What browsers and undici escape in a name.
            return Some(value.trim().replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"));
        }
        rest = after;
    }
}

fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + separator.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(content_type: &str, body: &str) -> Call {
        Call {
            method: "PUT".into(),
            path: String::new(),
            query: String::new(),
            headers: [("content-type".to_owned(), content_type.to_owned())].into(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn parts_are_taken_as_they_are() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\r\n2\r\n--x\r\n\
            content-disposition: form-data; filename=\"b;c.js\"; name=b\r\nContent-Type: application/wasm\r\n\r\n\r\n--x--\r\n";
        let parts = parse(&call("multipart/form-data; boundary=x", body)).unwrap();
        let part = |name: &str, file: Option<&str>, kind: &str, body: &str| Part {
            name: name.into(),
            file_name: file.map(str::to_owned),
            content_type: kind.into(),
            body: body.into(),
        };
        let expected = [part("a", None, "text/plain", "1\r\n\r\n2"), part("b", Some("b;c.js"), "application/wasm", "")];
        assert_eq!(parts, expected);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let form = "multipart/form-data; boundary=\"x\"";
        for (content_type, body) in [
            ("application/json", "--x--"),
            (form, ""),
            (form, "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nno end"),
            (form, "--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--"),
            (form, "--x\r\nno headers\r\n--x--"),
        ] {
            assert!(parse(&call(content_type, body)).is_err(), "{content_type} {body:?}");
        }
        assert_eq!(parse(&call(form, "--x--\r\n")), Ok(Vec::new()));
    }
}
