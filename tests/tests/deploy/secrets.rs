//! Secrets are in no output, error, log, argument and file.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tributary_tests::cloudflare::{Effect, Fault};

use crate::support::Site;

/// A part of a secret that is long enough not to occur by chance.
const PREFIX: usize = 6;

struct Search {
    secrets: Vec<String>,
}

impl Search {
    /// Fails where `text` holds a secret, or how one begins.
    fn through(&self, place: &str, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        for secret in &self.secrets {
            let start = &secret[..PREFIX];
            assert!(!text.contains(start), "{place} holds {start}…:\n{text}");
        }
    }

    fn through_folder(&self, folder: &Path, files: &mut usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                self.through_folder(&path, files);
            } else {
                *files += 1;
                self.through(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
    }
}

/// Command lines of all processes, while a secret might be in one.
fn watch_arguments(secrets: Vec<String>, is_over: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut wranglers = 0usize;
        while !is_over.load(Ordering::Relaxed) {
            for process in fs::read_dir("/proc").unwrap().flatten() {
                let Ok(line) = fs::read(process.path().join("cmdline")) else { continue };
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                wranglers += usize::from(line.contains("wrangler") && line.contains("--secrets-file"));
                if secrets.iter().any(|secret| line.contains(&secret[..PREFIX])) {
                    seen.insert(line);
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(wranglers > 0, "the watch saw wrangler");
        seen.into_iter().collect()
    })
}

#[test]
fn no_secret_is_in_what_is_printed_or_left_behind() {
    let mut site = Site::small();
    let otlp = "api-key=Zk3xq9-otlp-header-value".to_owned();
    site.environment.insert("OTEL_EXPORTER_OTLP_HEADERS".to_owned(), otlp.clone());
    site.environment.insert("RESOLVE_TOKEN_ENCRYPTION_KEY".to_owned(), "cXdlcnR5dWlvcGFzZGZnaA==".to_owned());
    let mut search = Search {
        secrets: vec![
            site.cloud.token(),
            site.cloud.confidence().client_secret().to_owned(),
            // How the header's name begins is no secret.
            otlp.trim_start_matches("api-key=").to_owned(),
            "cXdlcnR5dWlvcGFzZGZnaA==".to_owned(),
        ],
    };
    let pushing = ["--consumer-var=OTEL_EXPORTER_OTLP_ENDPOINT=https://collector.example.com"];
    let is_over = Arc::<AtomicBool>::default();
    let watch = watch_arguments(search.secrets.clone(), Arc::clone(&is_over));

    // A deploy that fails within wrangler, so that its log is shown; then one that works.
    site.cloud.fail(Fault::once("POST", "*/consumers", Effect::Status { status: 403, retry_after: None }));
    let failed = site.deploy(&pushing);
    assert!(failed.token().is_none());
    search.through("the output", failed.output.as_bytes());
    let error = failed.failed();
    assert!(error.contains("wrangler deploy") && error.contains("ERROR"), "{error}");
    search.through("the error", error.as_bytes());
    let worked = site.deploy(&pushing);
    let token = worked.token().expect("shown by the run that finished");
    is_over.store(true, Ordering::Relaxed);
    assert_eq!(watch.join().unwrap(), Vec::<String>::new(), "command lines");
    search.through("the output", worked.output.as_bytes());
    assert_eq!(worked.output.matches(&token[..PREFIX]).count(), 1, "once, on purpose: {}", worked.output);
    search.secrets.push(token);
    assert_eq!(site.cloud.script("tributary-consumer").unwrap().secrets()["OTEL_EXPORTER_OTLP_HEADERS"], otlp);

    // The other commands, and errors of all kinds.
    for (arguments, text) in [
        (&["status"][..], site.run(&["status"])),
        (&["rollback"], site.run(&["rollback", "--yes"])),
        (&["deploy"], site.deploy(&["--new-metrics-token", "--dry-run"])),
        (&["destroy"], site.run(&["destroy", "--dry-run"])),
    ]
    .map(|(arguments, run)| {
        (arguments, format!("{}{}", run.output, run.error.map(|e| e.to_string()).unwrap_or_default()))
    }) {
        search.through(&arguments.join(" "), text.as_bytes());
    }
    site.cloud.fail(Fault::always("GET", "*", Effect::Status { status: 403, retry_after: None }));
    search.through("an error of access", site.deploy(&[]).failed().as_bytes());
    site.cloud.heal();
    site.environment.insert("CLOUDFLARE_API_BASE_URL".to_owned(), "http://127.0.0.1:1/client/v4".to_owned());
    search.through("an error of the network", site.deploy(&[]).failed().as_bytes());

    let mut files = 0;
    search.through_folder(&site.path().join(".run"), &mut files);
    assert!(files >= 4, "configurations and logs were there to search: {files}");
    let folder = site.folder("tributary");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}
