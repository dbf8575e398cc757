//! What an installation can be told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::queues;
use crate::secrets::Secret;

/// Which resolver state is served.
#[derive(Debug, Clone, Default)]
pub enum StateSource {
    /// Our own; see [`crate::demo_state`].
    #[default]
    Demo,
    /// A file; see [`crate::state_file::parse`].
    File {
        /// The file.
        path: PathBuf,
        /// The account of a bare state.
        account_id: String,
    },
    /// A real client's, from the CDN. The real backend is used, too: no stub is started.
    Cdn {
        /// The client's secret.
        client_secret: Secret,
        /// The CDN's address, [`crate::cdn::BASE_URL`] unless a test stands in for it.
        base_url: String,
    },
}

/// What to start.
pub struct Options {
    /// The checkout: `wrangler/*.toml`, the tools, and the build outputs of both Workers are found below it.
    pub repository: PathBuf,
    /// Everything that is written is below it; the same folder again continues where the last run ended.
    pub run_folder: PathBuf,
    /// The producer's port on 127.0.0.1; 0 is any free one.
    pub port: u16,
    /// The stub backend's port; 0 is any free one.
    pub backend_port: u16,
    /// The resolver state.
    pub state: StateSource,
    /// Vars of the producer, over those of its checked-in configuration.
    pub producer_vars: BTreeMap<String, String>,
    /// Vars of the consumer.
    pub consumer_vars: BTreeMap<String, String>,
    /// Secrets of the producer, over the installation's own; an empty one is left out.
    pub producer_secrets: BTreeMap<String, Secret>,
    /// Secrets of the consumer, likewise.
    pub consumer_secrets: BTreeMap<String, Secret>,
    /// How long both Workers may take to answer.
    pub deadline: Duration,
    /// Set to true from another thread to give up a start.
    pub cancelled: Arc<AtomicBool>,
    /// Takes what the stub backend says, a line a batch.
    pub print: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// How many delta queues there are: the producer's `QUEUE_SHARDS`, and one where that says nothing it takes.
    #[must_use]
    pub fn queue_shards(&self) -> u32 {
        self.producer_vars.get(queues::QUEUE_SHARDS).and_then(|text| queues::parse(text)).unwrap_or(1)
    }

    /// The defaults: demo state, any free ports, silence, two minutes of patience.
    #[must_use]
    pub fn new(repository: impl Into<PathBuf>, run_folder: impl Into<PathBuf>) -> Self {
        Self {
            repository: repository.into(),
            run_folder: run_folder.into(),
            port: 0,
            backend_port: 0,
            state: StateSource::Demo,
            producer_vars: BTreeMap::new(),
            consumer_vars: BTreeMap::new(),
            producer_secrets: BTreeMap::new(),
            consumer_secrets: BTreeMap::new(),
            deadline: Duration::from_secs(120),
            cancelled: Arc::default(),
            print: Arc::new(|_| {}),
        }
    }
}
