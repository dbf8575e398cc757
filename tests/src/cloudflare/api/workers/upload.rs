//! The form in which a Worker is uploaded: metadata and modules ("Workers: Multipart upload metadata").
//!
//! Known: `metadata` is JSON, `main_module` names a part, each module's content type says what it is, 64 MiB in all
//! (10027 is what wrangler knows as too large), 10021 is any error of the script. Guessed: the codes of a bad form.

use serde_json::Value;

use super::super::super::answer::ApiError;
use super::super::super::call::Call;
use super::super::super::cloud::Cloud;
use super::super::super::ids;
use super::super::super::multipart::{self, Part};
use super::super::super::state::{Module, field};
use super::INVALID_BODY;

/// "Workers: Limits", since September 2026.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The date that a Worker gets which names none.
const DEFAULT_DATE: &str = "2021-11-02";

const SCRIPT_ERROR: u32 = 10_021;
const TOO_LARGE: u32 = 10_027;

/// What the runtime can take, by the content types that the real API knows.
const KINDS: [&str; 6] = [
    "application/javascript+module",
    "text/javascript+module",
    "application/wasm",
    "text/plain",
    "application/octet-stream",
    "application/json",
];
const SOURCE_MAP: &str = "application/source-map";

/// An upload that is one.
pub(super) struct Upload {
    pub(super) metadata: Value,
    pub(super) main_module: String,
    pub(super) modules: Vec<Module>,
    pub(super) compatibility_date: String,
    pub(super) compatibility_flags: Vec<String>,
}

/// Reads an upload.
///
/// # Errors
/// 400, 413; 500 where the modules cannot be kept.
pub(super) fn read(cloud: &Cloud, call: &Call) -> Result<Upload, ApiError> {
    let invalid = |message: String| ApiError::new(400, INVALID_BODY, message);
    let parts = multipart::parse(call).map_err(invalid)?;
    let metadata = parts.iter().find(|part| part.name == "metadata");
    let metadata = metadata.ok_or_else(|| invalid("the form has no part \"metadata\"".into()))?;
    let metadata: Value = serde_json::from_slice(&metadata.body)
        .map_err(|error| invalid(format!("the part \"metadata\" is no JSON: {error}")))?;
    if !metadata.is_object() {
        return Err(invalid("the part \"metadata\" is no JSON object".into()));
    }
    for unsupported in ["body_part", "assets", "exports", "containers", "capnp_schema"] {
        if metadata.get(unsupported).is_some_and(|value| !value.is_null()) {
            return Err(invalid(format!("this fake takes no Worker with {unsupported}")));
        }
    }
    let modules = parts.into_iter().filter(|part| part.name != "metadata" && part.content_type != SOURCE_MAP);
    let modules: Vec<Part> = modules.collect();
    let size: usize = modules.iter().map(|module| module.body.len()).sum();
    if size > MAX_BYTES {
        return Err(ApiError::new(413, TOO_LARGE, "Your Worker exceeded the size limit of 64 MiB"));
    }
    let main_module = field(&metadata, "main_module").to_owned();
    check_modules(&main_module, &modules)?;
    let modules = modules.into_iter().map(|module| {
        let blob = cloud.folder.keep(&module.body);
        let blob = blob.map_err(|error| ApiError::new(500, 10_013, format!("cannot keep a module: {error}")))?;
        Ok(Module { name: module.name, kind: module.content_type, blob })
    });
    let modules = modules.collect::<Result<_, ApiError>>()?;
    Ok(Upload {
        main_module,
        modules,
        compatibility_date: compatibility_date(&metadata)?,
        compatibility_flags: texts(&metadata, "compatibility_flags")?,
        metadata,
    })
}

fn check_modules(main: &str, modules: &[Part]) -> Result<(), ApiError> {
    let error = |message: String| ApiError::new(400, SCRIPT_ERROR, message);
    let mut names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    names.sort_unstable();
    if let Some(name) = names.iter().zip(names.iter().skip(1)).find(|(a, b)| a == b).map(|(a, _)| a) {
        return Err(error(format!("two modules are named {name:?}")));
    }
    for module in modules {
        if !KINDS.contains(&module.content_type.as_str()) {
            return Err(error(format!("module {:?} is of an unknown type, {:?}", module.name, module.content_type)));
        }
        // The name is a path in the runtime's configuration.
        if module.name.is_empty() || module.name.contains(['"', '\\', '\n', '\r']) {
            return Err(error(format!("{:?} is no name of a module", module.name)));
        }
    }
    let main_module = modules.iter().find(|module| module.name == main);
    let main_module = main_module.ok_or_else(|| error(format!("main_module {main:?} is not among the modules")))?;
    if main_module.content_type.ends_with("javascript+module") {
        Ok(())
    } else {
        Err(error(format!("main_module {main:?} is no ES module but {}", main_module.content_type)))
    }
}

/// # Errors
/// 400, 10021 for a date that is none, or one of the future.
fn compatibility_date(metadata: &Value) -> Result<String, ApiError> {
    let Some(date) = metadata.get("compatibility_date").filter(|date| !date.is_null()) else {
        return Ok(DEFAULT_DATE.to_owned());
    };
    let date = date.as_str().unwrap_or_default();
    let is_date = date.len() == 10
        && date
            .bytes()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    if !is_date {
        return Err(ApiError::new(400, SCRIPT_ERROR, format!("Invalid compatibility date: {date:?}")));
    }
    if date > ids::timestamp().get(..10).unwrap_or_default() {
        let message = format!("Can't set compatibility date in the future: {date:?}.");
        return Err(ApiError::new(400, SCRIPT_ERROR, message));
    }
    Ok(date.to_owned())
}

/// A list of texts in the metadata, empty where it is not there.
///
/// # Errors
/// 400 for anything else.
pub(super) fn texts(metadata: &Value, name: &str) -> Result<Vec<String>, ApiError> {
    let Some(value) = metadata.get(name).filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let list = value.as_array().and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    list.ok_or_else(|| ApiError::new(400, INVALID_BODY, format!("{name} must be a list of texts")))
}
