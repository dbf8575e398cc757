//! What the API answers: Cloudflare's envelope around a result or an error.

use serde_json::{Value, json};

/// An HTTP response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// A response with this content type.
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".into(), content_type.into())], body: body.into() }
    }

    /// JSON.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// Plain text.
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn response(&self) -> Response {
        let errors = json!([{ "code": self.code, "message": self.message }]);
        let body = json!({ "success": false, "errors": errors, "messages": [], "result": null });
        Response::json(self.status, &body)
    }
}

/// A success.
#[derive(Clone, Debug)]
pub(crate) enum Success {
    /// A result in the envelope, with `result_info` and `messages` where there are any.
    Envelope { result: Value, info: Option<Value>, messages: Vec<Value> },
    /// The bytes themselves.
    Raw(Response),
}

impl Success {
    pub(crate) fn response(self) -> Response {
        match self {
            Self::Raw(response) => response,
            Self::Envelope { result, info, messages } => {
                let mut body = json!({ "success": true, "errors": [], "messages": messages, "result": result });
                if let (Some(body), Some(info)) = (body.as_object_mut(), info) {
                    body.insert("result_info".into(), info);
                }
                Response::json(200, &body)
            }
        }
    }
}

/// What an endpoint says.
pub(crate) type Answer = Result<Success, ApiError>;

/// A result alone.
pub(crate) fn ok(result: Value) -> Answer {
    Ok(Success::Envelope { result, info: None, messages: Vec::new() })
}

/// One page of a list, with what the real API says about the pages.
pub(crate) fn page(items: Vec<Value>, page: usize, per_page: usize) -> Answer {
    let total = items.len();
    let chosen: Vec<Value> = items.into_iter().skip(page.saturating_sub(1) * per_page).take(per_page).collect();
    let info = json!({
        "page": page, "per_page": per_page, "count": chosen.len(), "total_count": total,
        "total_pages": total.div_ceil(per_page.max(1)),
    });
    Ok(Success::Envelope { result: chosen.into(), info: Some(info), messages: Vec::new() })
}
