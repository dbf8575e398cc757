//! The folder of one Cloudflare: its state, its Workers' modules, the objects' storage.
//!
//! | file | what it is |
//! | --- | --- |
//! | `state.json` | the [`State`], for its owner only: it holds secrets |
//! | `blobs/<sha256>` | modules of Workers |
//! | `objects/` | the Durable Objects' SQLite files, which the runtime writes |
//! | `edge/` | the runtime's configuration and log |

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::Digest as _;
use tributary_local::{random::hex, secrets::write_private};

use super::state::State;

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Uses `path`, which is created.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // The runtime has a folder of its own as its working directory.
        let path = std::path::absolute(path)?;
        fs::create_dir_all(&path)?;
        // Secrets of the Workers are in it, in more than one file.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        for name in ["blobs", "objects", "edge"] {
            fs::create_dir_all(path.join(name))?;
        }
        Ok(Self(path))
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    pub(crate) fn edge(&self) -> PathBuf {
        self.0.join("edge")
    }

    /// Reads the state, if there is one.
    ///
    /// # Errors
    /// What the system says, or that the file is none.
    pub(crate) fn load(&self) -> io::Result<Option<State>> {
        match fs::read(self.0.join("state.json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the state in one step.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn save(&self, state: &[u8]) -> io::Result<()> {
        let new = self.0.join("state.json.new");
        write_private(&new, state)?;
        fs::rename(new, self.0.join("state.json"))
    }

    /// Keeps bytes and returns their name.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn keep(&self, bytes: &[u8]) -> io::Result<String> {
        let name = hex(&sha2::Sha256::digest(bytes));
        let path = self.blobs().join(&name);
        if !path.exists() {
            fs::write(path, bytes)?;
        }
        Ok(name)
    }

    /// Bytes that were kept.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn blob(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.blobs().join(name))
    }
}
