//! What an installation does before workerd comes in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use super::*;

/// A checkout with configurations and build outputs, but without tools.
fn checkout() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["producer", "consumer"] {
        let build = folder.path().join(name).join("build");
        fs::create_dir_all(&build).unwrap();
        fs::write(build.join("index.js"), "export default {}").unwrap();
        fs::create_dir_all(folder.path().join("wrangler")).unwrap();
        let config =
            format!("name = 'tributary-{name}'\nmain = '../{name}/build/index.js'\n[vars]\n{FLAG_LOGS_URL} = 'x'\n");
        fs::write(folder.path().join(format!("wrangler/{name}.toml")), config).unwrap();
    }
    folder
}

fn options(checkout: &tempfile::TempDir) -> Options {
    Options::new(checkout.path(), checkout.path().join(".run"))
}

fn failure(options: Options) -> InstallationError {
    LocalInstallation::start(options).err().unwrap()
}

fn rendered(checkout: &tempfile::TempDir, name: &str) -> (toml::Table, String) {
    let folder = checkout.path().join(".run").join(name);
    let secrets = folder.join(".dev.vars");
    assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o600);
    let config = fs::read_to_string(folder.join("wrangler.toml")).unwrap().parse().unwrap();
    (config, fs::read_to_string(secrets).unwrap())
}

#[test]
fn a_taken_port_is_said_with_the_way_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let checkout = checkout();
    let error = failure(Options { port: listener.local_addr().unwrap().port(), ..options(&checkout) });
    assert!(error.to_string().contains("PORT="), "{error}");
}

#[test]
fn a_worker_that_was_not_built_is_said() {
    let checkout = checkout();
    fs::remove_file(checkout.path().join("consumer/build/index.js")).unwrap();
    fs::create_dir_all(checkout.path().join("wrangler/node_modules/wrangler/bin")).unwrap();
    fs::write(checkout.path().join("wrangler/node_modules/wrangler/bin/wrangler.js"), "").unwrap();
    assert!(matches!(failure(options(&checkout)), InstallationError::NotBuilt(_)));
}

#[test]
fn each_worker_gets_its_own_secrets_and_the_consumer_the_stub() {
    let checkout = checkout();
    // Tools that fail at once: everything before them has happened by then.
    fs::create_dir_all(checkout.path().join("wrangler/node_modules/wrangler/bin")).unwrap();
    fs::write(checkout.path().join("wrangler/node_modules/wrangler/bin/wrangler.js"), "").unwrap();
    fs::create_dir_all(checkout.path().join("wrangler/node_modules/.bin")).unwrap();
    std::os::unix::fs::symlink("/bin/false", checkout.path().join("wrangler/node_modules/.bin/node")).unwrap();
    let error = failure(Options {
        producer_vars: [("FLUSH_INTERVAL_MS".to_owned(), "50".to_owned())].into(),
        consumer_secrets: [("EXTRA".to_owned(), Secret::new("more"))].into(),
        ..options(&checkout)
    });
    assert!(matches!(error, InstallationError::Workers(WorkersError::Ended { .. })), "{error}");
    let (producer, producer_secrets) = rendered(&checkout, "producer");
    assert_eq!(producer["vars"]["FLUSH_INTERVAL_MS"].as_str(), Some("50"));
    assert!(Path::new(producer["main"].as_str().unwrap()).is_absolute());
    assert!(producer_secrets.contains("RESOLVE_TOKEN_ENCRYPTION_KEY=") && !producer_secrets.contains("METRICS_TOKEN"));
    let (consumer, consumer_secrets) = rendered(&checkout, "consumer");
    let url = consumer["vars"][FLAG_LOGS_URL].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/v1/clientFlagLogs:write"), "{url}");
    assert!(consumer["vars"][INGEST_URL].as_str().unwrap().ends_with("/v1/flagLogs:ingest"));
    assert_eq!(consumer["vars"]["PUBLISH_INTERVAL_MS"].as_str(), Some("1000"));
    for name in ["CONFIDENCE_CLIENT_SECRET=", "METRICS_TOKEN=", "EXTRA="] {
        assert!(consumer_secrets.contains(name), "{name}");
    }
}

#[test]
fn real_client_leaves_the_real_destinations_in_effect() {
    let checkout = checkout();
    let options = options(&checkout);
    let changes = consumer_changes(&options, None);
    assert!(!changes.vars.contains_key(FLAG_LOGS_URL) && !changes.vars.contains_key(INGEST_URL));
    assert_eq!(changes.without_vars, [FLAG_LOGS_URL, INGEST_URL]);
}

#[test]
fn unreachable_cdn_ends_the_start_with_its_reason() {
    let checkout = checkout();
    let state = StateSource::Cdn { client_secret: Secret::new("s"), base_url: "http://127.0.0.1:1".to_owned() };
    let error = failure(Options { state, ..options(&checkout) });
    assert!(matches!(error, InstallationError::Cdn(CdnError::Transport { .. })), "{error}");
}

#[test]
fn a_folder_serves_one_installation_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = lock(folder.path()).unwrap();
    assert!(matches!(lock(folder.path()), Err(InstallationError::FolderInUse(_))));
    drop(first);
    lock(folder.path()).unwrap();
}
