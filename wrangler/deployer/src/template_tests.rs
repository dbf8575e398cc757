use super::*;
use crate::config::read::invocation;

const CONSUMER: &str = include_str!("../../consumer.toml");
const PRODUCER: &str = include_str!("../../producer.toml");

fn config(arguments: &[&str]) -> Config {
    let arguments: Vec<String> = [&["deploy"], arguments].concat().iter().map(|a| (*a).to_owned()).collect();
    let folder = tempfile::tempdir().unwrap();
    invocation(&arguments, &BTreeMap::new(), folder.path()).unwrap().config
}

fn templates(arguments: &[&str]) -> (Template, Template) {
    let mut templates = load(CONSUMER, PRODUCER, &config(arguments)).unwrap();
    let producer = templates.pop().unwrap();
    (templates.pop().unwrap(), producer)
}

fn ids(template: &Template) -> Ids {
    template.namespaces().keys().map(|placeholder| (placeholder.clone(), format!("id-of-{placeholder}"))).collect()
}

fn mark() -> Mark {
    Mark { content: "c".to_owned(), release: 1, ledger_schema: None, secrets: BTreeMap::new() }
}

#[test]
fn without_options_only_ids_main_hosts_and_mark_differ_from_the_checked_in_files() {
    let (consumer, producer) = templates(&[]);
    for (template, source) in [(consumer, CONSUMER), (producer, PRODUCER)] {
        let rendered: Table =
            template.render(&ids(&template), Path::new("/b/index.js"), &mark()).unwrap().parse().unwrap();
        let mut expected: Table = source.parse().unwrap();
        expected.insert("main".to_owned(), "/b/index.js".into());
        expected.insert("workers_dev".to_owned(), (template.role() == Role::Producer).into());
        expected.insert("preview_urls".to_owned(), false.into());
        expected["vars"].as_table_mut().unwrap().insert(MARK_VAR.to_owned(), mark().to_text().into());
        for row in expected["kv_namespaces"].as_array_mut().unwrap() {
            let id = format!("id-of-{}", row["id"].as_str().unwrap());
            row.as_table_mut().unwrap().insert("id".to_owned(), id.into());
        }
        // Not asked for.
        let rows = expected["kv_namespaces"].as_array_mut().unwrap();
        rows.retain(|row| row["binding"].as_str() != Some(MATERIALIZATIONS_KV));
        assert_eq!(rendered, expected);
    }
}

#[test]
fn a_prefix_reaches_everything_that_has_a_name() {
    let (consumer, producer) = templates(&["--prefix=eu"]);
    assert_eq!(consumer.name(), "eu-tributary-consumer");
    assert_eq!(consumer.queues(), ["eu-tributary-deltas", "eu-tributary-deltas-dead"].map(str::to_owned).into());
    assert_eq!(consumer.namespace_of(STATE_KV), Some("eu-tributary-confidence-state"));
    assert_eq!(producer.namespace_of(STATE_KV), consumer.namespace_of(STATE_KV));
    let bindings = producer.bindings(&ids(&producer)).unwrap();
    let value = |name: &str| bindings.iter().find(|binding| binding.name == name).unwrap().value.clone();
    assert_eq!(value("METRICS"), "eu-tributary-consumer");
    assert_eq!(value("DELTAS"), "eu-tributary-deltas");
    assert_eq!(value(STATE_KV), "id-of-confidence-state");
    let dead: Vec<_> = consumer.consumers().into_iter().map(|wish| (wish.queue, wish.dead_letter_queue)).collect();
    assert_eq!(dead[0], ("eu-tributary-deltas".to_owned(), Some("eu-tributary-deltas-dead".to_owned())));
}

#[test]
fn batch_settings_are_those_of_the_delta_queue_alone() {
    let (before, _) = templates(&[]);
    let (after, _) = templates(&["--max-batch-size=50", "--max-batch-timeout=0", "--max-retries=3", "--retry-delay=9"]);
    let (before, after) = (before.consumers(), after.consumers());
    let wanted = ConsumerSettings {
        batch_size: Some(50),
        max_retries: Some(3),
        max_wait_time_ms: Some(0),
        retry_delay: Some(9),
    };
    assert_eq!(after[0].settings, wanted);
    assert_eq!(after[1], before[1], "the dead-letter queue");
    let of_the_file = ConsumerSettings {
        batch_size: Some(100),
        max_retries: Some(20),
        max_wait_time_ms: Some(2_000),
        retry_delay: Some(2),
    };
    assert_eq!(before[0].settings, of_the_file);
}

#[test]
fn materializations_are_bound_where_asked_for() {
    let (_, without) = templates(&[]);
    let (_, with) = templates(&["--materializations"]);
    assert_eq!(without.namespace_of(MATERIALIZATIONS_KV), None);
    assert_eq!(with.namespace_of(MATERIALIZATIONS_KV), Some("tributary-confidence-materializations"));
}

#[test]
fn vars_come_over_those_of_the_file() {
    let (consumer, producer) = templates(&["--consumer-var=METRICS_SOURCE=ledger", "--producer-var=RESOLVER_ID=edge"]);
    let value = |template: &Template, name: &str| {
        let bindings = template.bindings(&ids(template)).unwrap();
        bindings.into_iter().find(|binding| binding.name == name).unwrap().value
    };
    assert_eq!(value(&consumer, "METRICS_SOURCE"), "ledger");
    assert_eq!(
        (value(&consumer, "RESOLVER_ID"), value(&producer, "RESOLVER_ID")),
        ("edge".to_owned(), "edge".to_owned())
    );
}

#[test]
fn the_consumer_is_told_of_another_cdn() {
    let (consumer, _) = templates(&["--state-cdn-url=https://cdn.example.com"]);
    let bindings = consumer.bindings(&ids(&consumer)).unwrap();
    assert!(bindings.iter().any(|binding| binding.name == CDN_URL && binding.value == "https://cdn.example.com"));
}

#[test]
fn what_others_add_comes_along() {
    let extra = "\n[[kv_namespaces]]\nbinding = 'MORE'\nid = 'more'\n\n[triggers]\ncrons = ['* * * * *']\n\n[limits]\ncpu_ms = 50\n";
    let source = format!("{PRODUCER}{extra}").replace("[triggers]\ncrons", "[triggers]\n\"crons\"");
    let templates = load(CONSUMER, &source, &config(&["--prefix=eu"])).unwrap();
    let producer = &templates[1];
    assert_eq!(producer.namespace_of("MORE"), Some("eu-tributary-more"));
    assert_eq!(producer.crons(), ["* * * * *"]);
    let rendered: Table = producer.render(&ids(producer), Path::new("/x"), &mark()).unwrap().parse().unwrap();
    assert_eq!(rendered["limits"]["cpu_ms"].as_integer(), Some(50));
}

#[test]
fn an_unknown_id_is_no_configuration_and_every_id_counts() {
    let (consumer, _) = templates(&[]);
    assert_eq!(consumer.configuration(&Ids::new()), None);
    assert_eq!(consumer.bindings(&Ids::new()), None);
    assert!(consumer.render(&Ids::new(), Path::new("/x"), &mark()).is_err());
    let mut other = ids(&consumer);
    let first = consumer.configuration(&other).unwrap();
    other.insert("confidence-state".to_owned(), "another".to_owned());
    assert_ne!(consumer.configuration(&other).unwrap(), first);
    assert!(!first.contains("index.js"), "where it was built does not matter");
}

#[test]
fn broken_sources_are_named() {
    for source in ["name =", "main = 'x'", "name = 'x'\nvars = 3", "name = 'x'\n[[kv_namespaces]]\nbinding = 'A'"] {
        let error = load(source, PRODUCER, &config(&[])).unwrap_err().to_string();
        assert!(error.starts_with("wrangler/consumer.toml"), "{error}");
    }
}
