//! The Ledger's database as a file, read and changed while nothing runs, with Python's SQLite: somebody else's, and
//! always there.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value as Json;

/// Takes the folder and, on its input, a list of statements with their values; prints the rows of each.
const SCRIPT: &str = r#"
import json, pathlib, sqlite3, sys
def is_ledger(file):
    db = sqlite3.connect(file)
    has = lambda name: db.execute('SELECT 1 FROM sqlite_master WHERE name = ?', [name]).fetchone() is not None
    # Ledgers beside the first have a number.
    is_other = has('identity') and db.execute('SELECT 1 FROM identity').fetchone() is not None
    return has('state') and not is_other
files = [file for file in pathlib.Path(sys.argv[1]).rglob('*.sqlite') if is_ledger(file)]
if len(files) != 1:
    sys.exit(f'{len(files)} databases of a Ledger')
db = sqlite3.connect(files[0], isolation_level=None)
blob = lambda value: bytes(value['blob']) if isinstance(value, dict) else value
plain = lambda value: {'blob': list(value)} if isinstance(value, bytes) else value
db.execute('BEGIN')
results = [
    [[plain(value) for value in row] for row in db.execute(text, [blob(value) for value in values]).fetchall()]
    for text, values in json.load(sys.stdin)
]
db.execute('COMMIT')
print(json.dumps(results))
"#;

/// Runs statements in the database of the one Ledger below `folder`, or of the first of several, in one transaction, and returns the rows of each
/// as arrays. A BLOB is an object: `{"blob": [bytes]}`.
///
/// # Errors
/// Where there is no such database, or a statement fails; nothing is changed then.
pub fn execute(folder: &Path, statements: &[(&str, Json)]) -> Result<Vec<Vec<Vec<Json>>>, String> {
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("python3: {error}"))?;
    let mut input = python.stdin.take().ok_or("no input")?;
    input.write_all(serde_json::json!(statements).to_string().as_bytes()).map_err(|error| error.to_string())?;
    drop(input);
    let output = python.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("a statement on the database below {} failed", folder.display()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
