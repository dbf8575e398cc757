use super::*;

fn read(arguments: &[&str], environment: &[(&str, &str)], file: Option<&str>) -> Result<Invocation, String> {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        std::fs::write(folder.path().join(FILE), text).unwrap();
    }
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    invocation(&arguments, &environment, folder.path()).map_err(|error| error.to_string())
}

#[test]
fn without_anything_it_is_the_default_installation() {
    let Invocation { command, switches, config, import_snapshot } = read(&["deploy"], &[], None).unwrap();
    assert!(import_snapshot.is_empty());
    assert_eq!((command, switches), (Command::Deploy, Switches::default()));
    assert_eq!(config.names.installation(), "tributary");
    assert_eq!((config.account_id, config.materializations, config.batches), (None, false, Batches::default()));
    assert_eq!(config.cdn_url, tributary_local::cdn::BASE_URL);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file =
        "prefix = 'file'\n[queue]\nmax_batch_size = 10\nmax_retries = 3\n[producer.vars]\nFLUSH_INTERVAL_MS = 1\n";
    let environment = [
        ("TRIBUTARY_PREFIX", "environment"),
        ("TRIBUTARY_MAX_BATCH_SIZE", "20"),
        ("TRIBUTARY_PRODUCER_FLUSH_INTERVAL_MS", "2"),
        ("TRIBUTARY_CONSUMER_METRICS_SOURCE", "ledger"),
        ("TRIBUTARY_MATERIALIZATIONS", ""),
    ];
    let all =
        read(&["deploy", "--prefix", "flag", "--producer-var=FLUSH_INTERVAL_MS=3"], &environment, Some(file)).unwrap();
    assert_eq!(all.config.names.installation(), "flag-tributary");
    assert_eq!((all.config.batches.size, all.config.batches.retries), (Some(20), Some(3)));
    assert_eq!(all.config.producer_vars["FLUSH_INTERVAL_MS"], "3");
    assert_eq!(all.config.consumer_vars["METRICS_SOURCE"], "ledger");
    let two = read(&["deploy"], &environment, Some(file)).unwrap();
    assert_eq!(two.config.names.installation(), "environment-tributary");
    assert_eq!(two.config.producer_vars["FLUSH_INTERVAL_MS"], "2");
}

#[test]
fn switches_and_their_values() {
    let all = read(&["deploy", "--dry-run", "--yes=false", "--materializations", "--adopt"], &[], None).unwrap();
    assert!(all.switches.dry_run && !all.switches.yes && all.switches.adopt && all.config.materializations);
    assert!(read(&["destroy", "--keep-data", "--yes"], &[], None).unwrap().switches.keep_data);
}

#[test]
fn what_is_wrong_is_said_and_values_are_not_repeated() {
    for (arguments, message) in [
        (&["deply"][..], "command line: there is no command \"deply\"; did you mean deploy?"),
        (&[], "command line: there is no command \"\"; there are: deploy, status, rollback, destroy"),
        (&["deploy", "--prefx=hunter2"], "command line: there is no flag --prefx; did you mean --prefix?"),
        (&["deploy", "hunter2"], "command line: there is no place for an argument without a flag"),
        (&["deploy", "--prefix"], "--prefix needs a value"),
        (&["deploy", "--prefix=HUNTER2"], "--prefix: expected at most 32"),
        (&["deploy", "--keep-data"], "`deploy` has no --keep-data; it is for destroy"),
        (&["deploy", "--queue-shards=17"], "--queue-shards: expected a whole number from 1 to 16"),
        (&["deploy", "--producer-var=QUEUE_SHARDS=2"], "command line: there is no var QUEUE_SHARDS of the producer"),
        (&["deploy", "--producer-var", "hunter2"], "--producer-var: expected NAME=value"),
        (&["deploy", "--consumer-var=METRICS_SOURCE=hunter2"], "consumer METRICS_SOURCE: expected kv or ledger"),
        (&["deploy", "--metrics-token=hunter2"], "command line holds METRICS_TOKEN: secrets do not belong there"),
        (&["deploy", "CONFIDENCE_CLIENT_SECRET=hunter2"], "command line holds CONFIDENCE_CLIENT_SECRET"),
    ] {
        let error = read(arguments, &[], None).unwrap_err();
        assert!(error.starts_with(message), "{arguments:?}: {error}");
        assert!(!error.to_lowercase().contains("hunter2"), "{error}");
    }
    let error = read(&["deploy"], &[("TRIBUTARY_CONSUMER_METRICS_SOURC", "kv")], None).unwrap_err();
    assert!(error.ends_with("did you mean METRICS_SOURCE?"), "{error}");
    let error = read(&["deploy", "--config=none.toml"], &[], None).unwrap_err();
    assert!(error.contains("none.toml"), "{error}");
    let error = read(&["deploy"], &[], Some("prefix = 7\nprefix = 8")).unwrap_err();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn resolver_id_is_one_for_both() {
    let config = read(&["deploy", "--consumer-var=RESOLVER_ID=edge"], &[], None).unwrap().config;
    assert_eq!(config.producer_vars["RESOLVER_ID"], "edge");
    let error =
        read(&["deploy", "--consumer-var=RESOLVER_ID=a", "--producer-var=RESOLVER_ID=b"], &[], None).unwrap_err();
    assert!(error.contains("RESOLVER_ID"), "{error}");
}

#[test]
fn what_is_imported_after_a_deploy_is_named_once_or_in_parts_and_by_no_other_command() {
    let import = |arguments: &[&str]| read(arguments, &[], None).map(|invocation| invocation.import_snapshot);
    assert_eq!(import(&["deploy", "--import-snapshot", "resolver-metrics"]).unwrap(), ["resolver-metrics"]);
    let parts = ["deploy", "--import-snapshot=a.json", "--import-snapshot", "b.json", "--dry-run"];
    assert_eq!(import(&parts).unwrap(), ["a.json", "b.json"]);
    assert!(import(&["deploy", "--import-snapshot"]).is_err());
    let elsewhere = import(&["status", "--import-snapshot", "x"]).unwrap_err().to_string();
    assert!(elsewhere.contains("it is for deploy"), "{elsewhere}");
}
