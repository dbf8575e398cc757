//! The hash over what is uploaded: it tells whether an upload would change anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::Digest as _;
use tributary_local::random::hex;

/// A build output could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// It was not built.
    #[error("{0} is missing: run `make build`")]
    NotBuilt(PathBuf),
    /// A file or folder.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Hash of all modules below the folder of `main`, by path and content: 32 hexadecimal digits.
///
/// # Errors
/// [`ContentError`].
pub fn modules(main: &Path) -> Result<String, ContentError> {
    if !main.is_file() {
        return Err(ContentError::NotBuilt(main.to_owned()));
    }
    let folder = main.parent().unwrap_or(Path::new("."));
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut hash = sha2::Sha256::new();
    for file in files {
        let bytes = fs::read(&file).map_err(|source| ContentError::Read { path: file.clone(), source })?;
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
        for part in [name.as_bytes(), &bytes] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    Ok(short(hash))
}

/// Hash of the modules and the configuration with which they are uploaded.
#[must_use]
pub fn of(modules: &str, configuration: &str) -> String {
    let mut hash = sha2::Sha256::new();
    hash.update(modules);
    hash.update("\n");
    hash.update(configuration);
    short(hash)
}

fn short(hash: sha2::Sha256) -> String {
    hex(hash.finalize().get(..16).unwrap_or_default())
}

/// What a bundler can take in: JavaScript and WebAssembly. The rest of a build folder is notes of the build.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ContentError> {
    let at = |source| ContentError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| ["js", "mjs", "wasm"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_counts_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("index.js");
        assert!(matches!(modules(&main), Err(ContentError::NotBuilt(_))));
        fs::write(&main, "export {}").unwrap();
        fs::create_dir(folder.path().join("snippets")).unwrap();
        fs::write(folder.path().join("snippets/a.js"), "1").unwrap();
        let first = modules(&main).unwrap();
        fs::write(folder.path().join(".sources"), "a note").unwrap();
        assert_eq!(modules(&main).unwrap(), first);
        fs::write(folder.path().join("index_bg.wasm"), "").unwrap();
        let second = modules(&main).unwrap();
        assert_ne!(second, first);
        fs::rename(folder.path().join("snippets/a.js"), folder.path().join("snippets/b.js")).unwrap();
        assert_ne!(modules(&main).unwrap(), second);
    }

    #[test]
    fn configuration_counts() {
        assert_ne!(of("a", "x = 1"), of("a", "x = 2"));
        assert_eq!(of("a", "x = 1"), of("a", "x = 1"));
    }
}
